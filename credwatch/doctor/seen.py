"""Whether the agent has seen a process: what to ask, and what its answer means. Pure but for `ask`, which is given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from credwatch.doctor.model import Agent, Ask, Line, Post, Silent, Subject

_S = 10**9
_LATE = 3
_GRACE_NS = 60 * _S
_REFUSALS = {
    401: ("it wants a token", "name a file with a token of the role `read` in --agent-headers"),
    403: ("this token may not read", "name a file with a token of the role `read` in --agent-headers"),
    404: ("it is no credwatch-agent, or an older one", "name the agent with --agent URL"),
}


def seen(subject: Subject, agent: Agent, reached: Post | None, ask: Ask, interval_s: float) -> Iterator[Line]:
    """Yield the line about a process. `reached` asks the agent where telemetry goes straight to one, else None.

    `interval_s`: how often the process reports. Where the agent was named, not knowing is `unknown`.
    """
    if subject.fingerprint is None:
        told = "doctor itself makes no AWS call, so it reports nothing: --pid asks for a process that runs"
        yield Line("seen", "note", told)
        return
    if not subject.fingerprint:
        yield Line("seen", "unknown", f"could not be asked: /proc does not tell enough of {subject.who}")
        return
    request = _request(agent, reached)
    if request is None:
        told = "could not be asked: its telemetry does not go straight to a credwatch-agent by HTTP"
        yield Line("seen", "note", told, "name the agent with --agent URL")
        return
    unsure = "unknown" if agent.named else "note"
    try:
        answered = ask(request._replace(url=f"{request.url}/v1/processes?fingerprint={subject.fingerprint}"))
    except Silent as silent:
        yield Line("seen", unsure, f"could not be asked: {silent}", "start the agent, or correct --agent")
        return
    if answered.status != 200:
        what, fix = _REFUSALS.get(answered.status, (f"it answers {answered.status}", "look at the agent's log"))
        yield Line("seen", unsure, f"could not be asked: {what}", fix)
        return
    try:
        found = json.loads(answered.body)["processes"]
        yield _told(found[0], subject.now_ns, interval_s) if found else _unseen(interval_s)
    except (ValueError, LookupError, TypeError):
        yield Line("seen", unsure, "could not be asked: what answers is no credwatch-agent", _REFUSALS[404][1])


def _request(agent: Agent, reached: Post | None) -> Post | None:
    if agent.url:
        certificate = reached.certificate if reached else ""
        return Post("GET", agent.url.rstrip("/"), agent.headers or {}, certificate)
    if reached is not None and agent.headers is not None:
        return reached._replace(headers=agent.headers)
    return reached


def _unseen(interval_s: float) -> Line:
    told = f"no report of it: it made no AWS call yet, its first report is due (each {interval_s:g} s), or none arrives"
    return Line("seen", "unknown", told, "ask again after its first call; the lines above tell where reports go")


def _told(process: dict[str, Any], now_ns: int, interval_s: float) -> Line:
    age_ns = now_ns - int(process["last_ns"])
    calls = int(process["calls"])
    told = f"yes: {calls:,} call{'s' * (calls != 1)} counted, last report {_ago(age_ns)}"
    if process["closed"]:
        # the last word of `uninstrument()`, or of a program that was replaced by another
        return Line("seen", "warning", f"{told}; it said then that its recorder ended: later calls are not recorded")
    if age_ns > _LATE * interval_s * _S + _GRACE_NS:
        late = f"{told}, although it reports each {interval_s:g} s: what it records no longer arrives"
        return Line("seen", "problem", late, "look at its log, and at the lines above")
    return Line("seen", "ok", told)


def _ago(ns: int) -> str:
    seconds = max(ns // _S, 0)
    for unit, length, most in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < most:
            return f"{seconds // length} {unit} ago"
    return f"{seconds // 86_400} days ago"
