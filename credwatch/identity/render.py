"""An identity as text for a terminal. Pure: the width, the clock and whether to colour are arguments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from credwatch.identity.chain import NOT_REACHED
from credwatch.identity.model import Identity, Problem, Step
from credwatch.identity.providers import PROFILE_METHODS
from credwatch.semconv import SOURCES

_LEGACY = frozenset({"ec2-credentials-file", "boto-config"})
_LABEL = 10
_METHOD = 31


class Style:
    """Colours by meaning; `Style(False)` writes plain text."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and text else text

    def good(self, text: str) -> str:
        return self._wrap("1;32", text)

    def bad(self, text: str) -> str:
        return self._wrap("1;31", text)

    def faint(self, text: str) -> str:
        return self._wrap("2", text)

    def strong(self, text: str) -> str:
        return self._wrap("1", text)


class Paper(NamedTuple):
    """What the text is written on: columns, colours, and the time that expiry is counted from."""

    width: int
    style: Style
    now: datetime


def render(identity: Identity, *, now: datetime, width: int = 80, colour: bool = False, who: str = "") -> str:
    """Return the whole text, ending in a line break. `who` names the process if it is not this one."""
    paper = Paper(width, Style(colour), now)
    headed = [problem for problem in identity.problems if problem.heading]
    if headed and headed[0].id == "task-using-instance-profile":
        lines = _wrong_layer(identity, headed[0], paper)
        told = headed[:1]
    else:
        lines = _normal(identity, headed, paper, who or "This process")
        told = headed
    for problem in (problem for problem in identity.problems if problem not in told):
        lines += ["", *_paragraph("also" if problem.heading else "note", _told(problem), width)]
    return "\n".join(lines) + "\n"


def _normal(identity: Identity, headed: Sequence[Problem], paper: Paper, who: str) -> list[str]:
    width, style = paper.width, paper.style
    first = next((problem for problem in headed if problem.severity == "high"), None)
    lines = [style.bad(clean(first.heading))] if first else []
    if not first:
        lines += [style.good(line) for line in textwrap.wrap(clean(_headline(identity, who)), width)]
    for label, text in _facts(identity, paper.now):
        lines += _paragraph(label, text, width)
    for problem in headed:
        if problem is not first:
            lines += ["", style.bad(clean(problem.heading))]
        lines += _paragraph("why", problem.sentence, width)
        lines += _paragraph("fix", problem.fix, width)
    return [*lines, "", *_chain(identity.steps, paper)]


def _chain(steps: Sequence[Step], paper: Paper) -> list[str]:
    lines = [f"  {paper.style.strong('the chain, in the order of botocore')}"]
    for step in steps:
        legacy = step.method in _LEGACY and step.state == "nothing"
        if step.found != NOT_REACHED and not legacy:
            lines += _step(step, paper)
    rest = [step.method for step in steps if step.found == NOT_REACHED and step.method not in _LEGACY]
    if rest:
        row = _hanging(f"     {NOT_REACHED:{_METHOD}}", ", ".join(rest), paper.width)
        lines += [paper.style.faint(line) for line in row]
    return lines


def _headline(identity: Identity, who: str) -> str:
    if identity.source == "unknown":
        return f"{who}: the credential source is not known"
    return f"{who} uses {SOURCES[identity.source].partition(':')[0].replace('`', '')}"


def _facts(identity: Identity, now: datetime) -> Iterable[tuple[str, str]]:
    if identity.provider:
        other = f" (botocore: {identity.provider})" if identity.provider != identity.source else ""
        yield "source", f"{identity.source}{other}"
    if identity.principal:
        kind = "caller" if ":role/" not in identity.principal_arn and identity.principal_arn else "role"
        yield kind, identity.principal
    for number, hop in enumerate(identity.chain):
        yield ("with" if number == 0 else ""), f"{hop.source}{': ' + hop.principal if hop.principal else ''}"
    yield "account", "   ".join(_account(identity))
    if identity.pseudonym:
        kind = identity.credential_type or "of an unknown kind"
        yield "key", f"{kind}, pseudonym {identity.pseudonym}{_expiry(identity.expires, now)}"
    if identity.task:
        yield "task", _task(identity)
    if identity.verified:
        yield "verified", f"{identity.verified} (STS)"


def _account(identity: Identity) -> Iterable[str]:
    yield identity.account_id or "not known"
    yield f"region {identity.region or 'not set'}"
    yield f"profile {identity.profile}"


def _task(identity: Identity) -> str:
    task = identity.task
    if task is None:
        return "an ECS task, by its environment"
    cluster = task.cluster.rpartition("/")[2] or "unknown"
    launch = f", {task.launch_type}" if task.launch_type else ""
    return f"{task.family or task.arn}:{task.revision or '?'} in cluster {cluster}{launch}"


def _expiry(expires: str, now: datetime) -> str:
    try:
        left = datetime.fromisoformat(expires.replace("Z", "+00:00")) - now
    except (ValueError, TypeError):
        return ""
    minutes = int(left.total_seconds() // 60)
    if minutes < 0:
        return ", expired"
    return f", expires in {minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f", expires in {minutes} min"


def _step(step: Step, paper: Paper) -> list[str]:
    mark = {"used": "->", "stops": "!!", "unsure": "??"}.get(step.state, "")
    told = f"{step.found} (not reached)" if step.state == "not-reached" else step.found
    lines = _hanging(f"  {mark:2} {step.method:{_METHOD}}", told, paper.width)
    if step.state == "used":
        return [paper.style.good(line) for line in lines]
    return [paper.style.bad(line) if mark else paper.style.faint(line) for line in lines]


# --- the wrong layer, in about ten lines --------------------------------------------------------


def _wrong_layer(identity: Identity, problem: Problem, paper: Paper) -> list[str]:
    width, style = paper.width, paper.style
    account = f" of account {identity.account_id}" if identity.account_id else ""
    lines = [style.bad(clean(problem.heading))]
    lines += _paragraph("uses", f"role {identity.principal}{account} ({identity.source})", width)
    lines += _paragraph("task", _task(identity), width)
    for number, (used, name, text) in enumerate(_four(identity)):
        label = "tried" if number == 0 else ""
        row = _hanging(f"  {label:{_LABEL - 3}}{'->' if used else '  '} {name:19}", text, width)
        lines += [style.strong(line) if used else line for line in row]
    lines += _paragraph("why", problem.sentence, width)
    return lines + _paragraph("fix", problem.fix, width)


def _four(identity: Identity) -> Iterable[tuple[bool, str, str]]:
    """Yield (used, name, what was found) for the four places that credentials can come from."""
    groups = (
        ("environment keys", ("env",)),
        (f"profile {identity.profile}", ("assume-role", *PROFILE_METHODS)),
        ("task role", ("container-role",)),
        ("instance metadata", ("iam-role",)),
    )
    for name, methods in groups:
        steps = [step for step in identity.steps if step.method in methods]
        used = next((step for step in steps if step.state == "used"), None)
        one = used or (steps[0] if len(steps) == 1 else None)
        yield used is not None, name, one.found if one else "no credentials in it"


# --- words --------------------------------------------------------------------------------------


def _told(problem: Problem) -> str:
    return f"{problem.sentence} {problem.fix}".strip()


def _paragraph(label: str, text: str, width: int) -> list[str]:
    return _hanging(f"  {label:{_LABEL}}", text, width)


def _hanging(first: str, text: str, width: int) -> list[str]:
    body = textwrap.wrap(clean(text), max(width - len(first), 20), break_on_hyphens=False, break_long_words=False) or [
        ""
    ]
    return [f"{first}{body[0]}".rstrip(), *(" " * len(first) + line for line in body[1:])]


def clean(text: str) -> str:
    """Return text without control characters: what endpoints and variables hold must not steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
