"""The overview: roles by risk, granted against used, findings by severity, and how much is known at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from credwatch_agent.evidence import Reason, State
from credwatch_agent.findings import Severity
from credwatch_agent.web import roles
from credwatch_agent.web.asking import Asked
from credwatch_agent.web.parts import Brief, Stand, States, briefs, stand, when
from credwatch_agent.web.state import Moment

_ROLES = 10
_FINDINGS = 8
_SENTENCES = 100
_DAYS = 60


@dataclass(frozen=True, slots=True)
class Tally:
    """How many open findings there are of one severity."""

    severity: str
    findings: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason why unseen actions are not called unused, and for how many roles it stands."""

    reason: str
    meaning: str
    roles: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much is known: of `roles`, those with which a process `reported`, and those `complete` with no doubt left.

    Of `processes` those that `ended` named their totals; `claimed` ones were vouched for by no token.
    """

    roles: int
    reported: int
    complete: int
    processes: int
    ended: int
    claimed: int
    doubts: tuple[Doubt, ...]
    unknown: tuple[str, ...]
    unknown_more: int


@dataclass(frozen=True, slots=True)
class Day:
    """How many findings stood how on one day, by the history that `report --remember` keeps."""

    time: str
    open: int
    resolved: int


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything at a glance; lists are cut to the worst, the totals are whole."""

    stand: Stand
    calls: int
    exact: bool
    workloads: int
    severities: tuple[Tally, ...]
    granted: States
    roles: tuple[roles.Row, ...]
    findings: tuple[Brief, ...]
    trend: tuple[Day, ...]
    coverage: Coverage


DOUBTS = {
    Reason.NO_CARRIER: "no process reported with the role",
    Reason.WINDOW: "the window is not filled yet",
    Reason.COVERAGE: "not every running task reports",
    Reason.UNINSTRUMENTED: "a container of the task does not report",
    Reason.TRUST: "somebody who may assume it does not report",
    Reason.INSTANCE_PROFILE: "an instance profile carries it: any process on the host may sign",
    Reason.MISSING_LAYER: "a layer of the snapshot could not be read",
    Reason.UNATTRIBUTED: "calls that may be its own could not be attributed",
    Reason.SETTINGS: "a tag on the role cannot be read",
    Reason.INEXACT: "counts are incomplete",
    Reason.MAPPING: "a call was made that no rule maps to actions",
}


def overview(now: Moment, _asked: Asked) -> Overview:
    """Answer the overview."""
    report = now.report
    tallies = Counter(one.severity for one in now.report.open)
    granted: Counter[State] = Counter()
    for row in now.rows.values():
        granted.update(dict(row.states))
    return Overview(
        stand=stand(now),
        calls=report.calls,
        exact=all(row.exact for row in report.services),
        workloads=len(report.services),
        severities=tuple(Tally(severity.value, tallies[severity]) for severity in Severity),
        granted=States(**{state.value: granted[state] for state in State}),
        roles=tuple(roles.row(each, now) for each in now.by_risk[:_ROLES]),
        findings=briefs(now.report.open[:_FINDINGS], now),
        trend=tuple(
            Day(when(one.time_ns), sum(one.open.values()), one.resolved) for one in now.report.life.tallies[-_DAYS:]
        ),
        coverage=_coverage(now),
    )


def _coverage(now: Moment) -> Coverage:
    places = [place.process for place in now.world.joined.places.values()]
    reasons: Counter[Reason] = Counter()
    for row in now.rows.values():
        reasons.update({gap.reason for gap in row.gaps})
    unknown = now.report.unknown
    return Coverage(
        roles=len(now.rows),
        reported=len(now.report.roles),
        complete=sum(not row.gaps for row in now.report.roles),
        processes=len(places),
        ended=sum(process.closed is not None for process in places),
        claimed=sum(process.claimed for process in places),
        doubts=tuple(
            Doubt(reason.value, DOUBTS.get(reason, reason.value), count) for reason, count in reasons.most_common()
        ),
        unknown=unknown[:_SENTENCES],
        unknown_more=max(0, len(unknown) - _SENTENCES),
    )
