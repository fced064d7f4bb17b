"""What all tests share: no skip passes unseen in CI, and the recorder's guard re-raises."""

from __future__ import annotations

import gc
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("hypothesis"):  # the environment of the asyncio service has none
    from hypothesis import HealthCheck, settings

    # how fast an example runs is the machine's affair, no property of the code
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")

os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
for _name in [n for n in os.environ if n.startswith(("AWS_", "CREDWATCH_", "OTEL_"))]:
    # a test sees only the environment that it makes itself
    if _name not in {"CREDWATCH_TESTS_NO_SKIP", "AWS_EC2_METADATA_DISABLED"}:
        del os.environ[_name]

ROOT = Path(__file__).parent.parent
COLLECTOR = ROOT / ".collector" / "otelcol"
JAEGER = ROOT / ".jaeger" / "jaeger"


def _wheel(name: str) -> tuple[Callable[[], bool], str]:
    here = f"Python {platform.python_version()} on {sys.platform} {platform.machine()}"
    return lambda: importlib.util.find_spec(name) is not None, f"{name}; requirements/dev.in knows no wheel for {here}"


WHEELS = {name: _wheel(name) for name in ("rotel", "atheris")}

LEFT_OUT = {
    "collector": (COLLECTOR.exists, "the real Collector; `make collector` builds it and needs Go"),
    "jaeger": (JAEGER.exists, "the real Jaeger; `make jaeger` builds it and needs Go"),
    "promtool": (lambda: bool(shutil.which("promtool")), "the alerts; `apt-get install prometheus`"),
    "browser": (lambda: bool(shutil.which("chromium")), "the page in a browser; `apt-get install chromium`"),
    **WHEELS,
}
"""Marks of tests that need what a newcomer may not have: whether it is here, and what to say where it is not."""


def _left_out() -> dict[str, str]:
    """A newcomer needs neither Go nor a browser; CI leaves out only what no Python like its own can have, or fails."""
    may = WHEELS if os.environ.get("CREDWATCH_TESTS_NO_SKIP") else LEFT_OUT
    return {mark: sentence for mark, (here, sentence) in may.items() if not here()}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    marks = _left_out()
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in marks)]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
    # the longest first: with several workers, all have something to do until the end
    items.sort(key=lambda item: item.get_closest_marker("verify") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    """Keep what earlier tests left out of the way of the garbage collector.

    A worker holds some million objects (botocore's models, hypothesis), and an activation that ends looks at each that
    the collector knows. Frozen, they cost a test nothing; its own garbage goes at its end.
    """
    gc.freeze()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.unfreeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    # what a test measured: with several workers its prints reach nobody
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
    _tell_sizes(terminalreporter)
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        for sentence in _left_out().values():
            terminalreporter.write_line(f"NOT TESTED: {sentence}", red=True)


def _tell_sizes(terminalreporter: pytest.TerminalReporter) -> None:
    """Say of each module whose full size was run how many tests it has, and how long they took."""
    reports = [r for r in terminalreporter.getreports("passed") if "verify" in r.keywords]
    for module in dict.fromkeys(report.location[0] for report in reports):
        own = [report for report in reports if report.location[0] == module]
        took = sum(report.duration for report in own)
        terminalreporter.write_line(f"full size: {module}: N = {len(own):,} tests, {took:.0f} s")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run in which a part that should run was skipped, where CI asks for that."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CREDWATCH_TESTS_NO_SKIP"):
        return
    if reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Group tests where `--dist loadgroup` asks for it: xdist 3.8's own marks have no effect under pytest 9.2."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from tests.scheduling import Together  # the environment of the asyncio service has no xdist

    return Together(config, log)
