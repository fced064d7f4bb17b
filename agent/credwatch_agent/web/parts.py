"""Records that several views answer with, and how they are made. Times are ISO 8601 in UTC, "" if not known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from credwatch_agent.evidence import State
from credwatch_agent.exports.json import moment as iso
from credwatch_agent.findings import Finding
from credwatch_agent.web.state import Made, Moment


@dataclass(frozen=True, slots=True)
class States:
    """How many granted actions are in which evidence state."""

    used: int
    insufficient: int
    unobservable: int
    unused: int

    @property
    def total(self) -> int:
        return self.used + self.insufficient + self.unobservable + self.unused


@dataclass(frozen=True, slots=True)
class Brief:
    """A finding in one line; `status` is `open`, `exempted` or `adopted`.

    `role` and `workload` are where to look, "" where it has none.
    """

    fingerprint: str
    id: str
    severity: str
    status: str
    sentence: str
    subject: str
    role: str
    workload: str


@dataclass(frozen=True, slots=True)
class Hop:
    """A step of a credential chain, the root first: a source, and the principal's name and ARN if known."""

    source: str
    principal: str


@dataclass(frozen=True, slots=True)
class Stand:
    """What every view stands on: one moment. `note` says what stands in the way of a full picture."""

    evaluated: str
    snapshot_taken: str
    account: str
    region: str
    window_days: float
    default_window_days: float
    note: str


def states(counts: Iterable[tuple[State, int]] | Mapping[State, int]) -> States:
    found = dict(counts)
    return States(**{state.value: found.get(state, 0) for state in State})


def brief(one: Finding, now: Moment) -> Brief:
    workloads = (name for name in (one.subject, *one.related) if name in now.made_by_workload)
    return Brief(
        fingerprint=one.fingerprint,
        id=one.id,
        severity=one.severity.value,
        status=now.status(one),
        sentence=one.sentence,
        subject=one.subject,
        role=one.role_arn if one.role_arn in now.views else "",
        workload=next(workloads, ""),
    )


def briefs(found: Iterable[Finding], now: Moment) -> tuple[Brief, ...]:
    return tuple(brief(one, now) for one in found)


def hops(made: Made) -> tuple[Hop, ...]:
    """Return the chain of a call, root first, the role that signed last."""
    earlier = (Hop(hop.source, hop.principal) for hop in reversed(made.chain))
    return (*earlier, Hop(made.source, made.role_arn or made.principal))


def stand(now: Moment) -> Stand:
    report = now.report
    return Stand(
        evaluated=iso(report.now_ns),
        snapshot_taken=iso(report.snapshot_ns) if report.snapshot_ns else "",
        account=report.account_id,
        region=report.region,
        window_days=report.window_days,
        default_window_days=report.default_days,
        note=now.note,
    )


def when(ns: int) -> str:
    """Return a time as text, "" for none."""
    return iso(ns) if ns else ""
