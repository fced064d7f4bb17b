"""The rules: from what was seen to a line each. Pure but for `ask`, which is given."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from credwatch.doctor.endpoint import endpoint
from credwatch.doctor.model import ANYWHERE, Agent, Ask, Line, Python, Subject
from credwatch.settings import ROWS, Settings, read

PLUGIN_VARIABLE = "BOTOCORE_EXPERIMENTAL__PLUGINS"

_OWN_SPANS = "makes spans that are not OpenTelemetry's: credwatch makes its own beside them; CREDWATCH_SPANS=off if not"
OTHERS: Mapping[str, str] = {
    "opentelemetry-instrumentation-botocore": "where it is on, credwatch enriches its span and makes no second one",
    "aws-opentelemetry-distro": "ADOT: where it is on, credwatch enriches its span and makes no second one",
    "ddtrace": _OWN_SPANS,
    "aws-xray-sdk": _OWN_SPANS,
    "sentry-sdk": _OWN_SPANS,
    "newrelic": _OWN_SPANS,
    "elastic-apm": _OWN_SPANS,
}
"""Distributions that instrument botocore, and what that means for spans. Counts are never touched."""

_ENRICHABLE = frozenset({"opentelemetry-instrumentation-botocore", "aws-opentelemetry-distro"})


def examine(
    subject: Subject, ask: Ask, tested: tuple[tuple[int, ...], tuple[int, ...]], agent: Agent = ANYWHERE
) -> list[Line]:
    """Return all lines about a subject, in the order of reading. `tested`: botocore from, up to but not including."""
    settings, ignored = read(subject.environ)
    lines: list[Line] = []
    if subject.python is None:
        lines.append(Line("installed", "unknown", f"{subject.who} runs no Python that can be seen"))
    else:
        lines += [installed(subject.python), hooked(subject.python, subject.environ, settings)]
    lines += [Line("settings", "warning", sentence) for sentence in ignored]
    lines += misspelt(subject.environ)
    lines += endpoint(subject, settings, ask, agent)
    if subject.python is not None:
        lines += [*botocore(subject.python, tested), *opentelemetry(subject.python, settings)]
        lines += others(subject.python, settings)
    return lines + [Line("view", "note", note) for note in subject.notes]


def exit_code(lines: list[Line]) -> int:
    """Return 1 if there is a problem, else 3 if something could not be known, else 0."""
    states = {line.state for line in lines}
    return 1 if "problem" in states else 3 if "unknown" in states else 0


# --- is it there, and is it on ------------------------------------------------------------------


def installed(python: Python) -> Line:
    """Is credwatch installed, with the `.pth` that CREDWATCH_ENABLED needs?"""
    if not python.version:
        return Line("installed", "problem", f"not in {python.executable}", "pip install credwatch there")
    told = f"credwatch {python.version} in {python.executable}"
    if not python.pth:
        return Line(
            "installed",
            "warning",
            f"{told}, but its credwatch.pth is in no directory whose .pth files Python reads",
            "install it with pip into site-packages, not by --target or PYTHONPATH",
        )
    if python.pth_fault:
        return Line("installed", "problem", f"{told}; {python.pth} {python.pth_fault}", "install it again")
    if python.no_site:
        return Line("installed", "warning", f"{told}, but `python -S` reads no .pth file", "leave -S out")
    return Line("installed", "ok", f"{told}, with its .pth file")


def ways(python: Python, environ: Mapping[str, str], settings: Settings) -> list[str]:
    """Return what switches credwatch on in this environment, by name."""
    found = []
    if settings.enabled and python.pth and not python.pth_fault and not python.no_site:
        found.append("CREDWATCH_ENABLED")
    excluded = {name.strip() for name in environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    if python.by_opentelemetry and not excluded & {"credwatch", "*"}:
        found.append("OpenTelemetry's auto-instrumentation")
    if _names_us(environ) and python.plugin_works is not False:
        found.append(f"botocore's plugin variable ({PLUGIN_VARIABLE}: private, late, silent on errors)")
    return found


def _names_us(environ: Mapping[str, str]) -> bool:
    return "credwatch" in environ.get(PLUGIN_VARIABLE, "")


def hooked(python: Python, environ: Mapping[str, str], settings: Settings) -> Line:
    """Is credwatch on in this process, and by what?"""
    if settings.off:
        name = "CREDWATCH_DISABLED" if settings.disabled else "OTEL_SDK_DISABLED"
        return Line("hooked", "problem", f"off: {name} is set, and wins over everything", f"unset {name}")
    found = ways(python, environ, settings)
    by = " and ".join(found)
    if python.hooked:
        return Line("hooked", "ok", f"on, by {by or 'a call of credwatch.instrument()'}")
    if found and python.hooked is None:
        return Line("hooked", "ok", f"its environment switches it on, by {by}; seen from outside, no more is known")
    if found:
        return Line("hooked", "problem", f"not on, although {by} should switch it on", "see the lines below")
    return _not_on(environ, settings)


def _not_on(environ: Mapping[str, str], settings: Settings) -> Line:
    if settings.enabled:
        return Line("hooked", "problem", "not on: CREDWATCH_ENABLED is set, but no .pth file is read for it")
    if _names_us(environ):
        told = f"not on: the module that {PLUGIN_VARIABLE} names is no botocore plugin"
        return Line("hooked", "problem", told, "use CREDWATCH_ENABLED=1")
    return Line(
        "hooked",
        "problem",
        "not on: neither CREDWATCH_ENABLED nor auto-instrumentation",
        "set CREDWATCH_ENABLED=1, or start the service with `credwatch run -- CMD`",
    )


_OF_THE_AGENT = ("CREDWATCH_AGENT", "CREDWATCH_SERVE_")
"""What the variables of the agent and of its Collector begin with: they may stand beside ours."""


def misspelt(environ: Mapping[str, str]) -> Iterator[Line]:
    """Yield a warning for each CREDWATCH_ variable that is no setting."""
    known = [row.variable for row in ROWS.values()]
    for name in sorted(set(environ) - set(known)):
        if name.startswith("CREDWATCH_") and not name.startswith(_OF_THE_AGENT):
            close = difflib.get_close_matches(name, known, 1)
            fix = f"did you mean {close[0]}?" if close else ""
            yield Line("settings", "warning", f"{name} is no setting", fix)


# --- what it stands on --------------------------------------------------------------------------


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version.partition("+")[0])[:3])


def botocore(python: Python, tested: tuple[tuple[int, ...], tuple[int, ...]]) -> Iterator[Line]:
    """Is botocore in the tested range, and are the private methods there that are wrapped?"""
    version = python.versions.get("botocore", "")
    if not version:
        yield Line("botocore", "problem", "not installed: there is nothing to record", "pip install boto3")
        return
    low, high = (".".join(map(str, end)) for end in tested)
    told = f"{version}, tested from {low} up to {high}"
    inside = tested[0] <= _numbers(version) < tested[1]
    fix = "" if inside else "compare a few calls with CloudTrail before you rely on it"
    yield Line("botocore", "ok" if inside else "warning", told if inside else f"{told}: outside", fix)
    if python.missing is None:
        yield Line("seams", "note", "the private methods of its botocore are looked at only without --pid")
        return
    for method, unknown in python.missing.items():
        yield Line("seams", "problem", f"this botocore has no {method}: {unknown} stays unknown")
    if not python.missing:
        yield Line("seams", "ok", "the private methods that credwatch wraps are all there")


def opentelemetry(python: Python, settings: Settings) -> Iterator[Line]:
    """Are the OpenTelemetry packages there, and not too old?"""
    kind = "grpc" if settings.target.protocol == "grpc" else "http"
    exporter = f"opentelemetry-exporter-otlp-proto-{kind}"
    floors = {name: floor for name, floor in python.floors.items() if name.startswith("opentelemetry")}
    floors[exporter] = floors.get("opentelemetry-exporter-otlp", "")
    faults = []
    for name, floor in sorted(floors.items()):
        version = python.versions.get(name, "")
        if not version and name != "opentelemetry-exporter-otlp":  # only names the two exporters
            faults.append(f"{name} is not installed")
        elif version and _numbers(version) < _numbers(floor):
            faults.append(f"{name} is {version}, older than {floor}")
    for fault in faults:
        yield Line("opentelemetry", "problem", fault, "pip install --upgrade credwatch")
    if not faults:
        yield Line("opentelemetry", "ok", f"SDK {python.versions.get('opentelemetry-sdk', '')}, exporter for {kind}")


def others(python: Python, settings: Settings) -> Iterator[Line]:
    """Name what else instruments botocore in this environment, and what that means for spans."""
    for name in OTHERS:
        if name not in python.versions:
            continue
        if name in _ENRICHABLE and settings.spans == "own":
            told = f"{name} is installed: with CREDWATCH_SPANS=own each call may have two spans"
            yield Line("spans", "warning", told, "CREDWATCH_SPANS=auto")
        else:
            yield Line("spans", "note", f"{name} is installed: {OTHERS[name]}")
