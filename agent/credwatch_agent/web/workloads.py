"""Who signs with what: the flow from workload over source and role to service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from credwatch_agent.web.asking import PAGE_NUMBER, Asked, Pages, Parameter, paged
from credwatch_agent.web.parts import Stand, stand
from credwatch_agent.web.state import Made, Moment

SIZE = 30
"""Workloads of one page: more would be no picture."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of the flow: calls of a workload by one source, as one role, to one service.

    `source` is the root of the chain, `hops` how many roles lie between. `role` is an ARN where the role is known,
    else the principal's name, or "". `wrong_layer`: a task signs with what belongs to its host.
    """

    workload: str
    source: str
    hops: int
    role: str
    role_name: str
    known: bool
    service: str
    calls: int
    wrong_layer: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One workload in short; `granted` is None where no role of it is in the snapshot."""

    name: str
    service: str
    sources: tuple[str, ...]
    roles: tuple[str, ...]
    calls: int
    exact: bool
    used: int
    granted: int | None
    processes: int
    worst: str
    wrong_layer: bool


@dataclass(frozen=True, slots=True)
class Workloads:
    """A page of the workloads, and the streams of exactly these."""

    stand: Stand
    workloads: tuple[Row, ...]
    streams: tuple[Stream, ...]
    wrong_layer: int
    pages: Pages


_SHOWN: Mapping[str, Callable[[Row], bool]] = {
    "all": lambda _: True,
    "wrong-layer": lambda row: row.wrong_layer,
    "findings": lambda row: bool(row.worst),
}

PARAMETERS = (
    Parameter("q", "part of the name of a workload, its role or its source"),
    Parameter("show", "which workloads: all, those that sign in the wrong layer, those with a finding",
              choices=tuple(_SHOWN), default="all"),
    PAGE_NUMBER,
)  # fmt: skip


def workloads(now: Moment, asked: Asked) -> Workloads:
    """Answer a page of the workloads: the wrong ones first, then by calls."""
    every = rows(now)
    wanted, keep = asked["q"].lower(), _SHOWN[asked["show"]]
    shown, pages = paged([row for row in every if keep(row) and _matches(row, wanted)], asked["page"], SIZE)
    names = dict.fromkeys(row.name for row in shown)
    return Workloads(
        stand=stand(now),
        workloads=shown,
        streams=streams(one for name in names for one in now.made_by_workload.get(name, ())),
        wrong_layer=sum(row.wrong_layer for row in every),
        pages=pages,
    )


def _matches(row: Row, wanted: str) -> bool:
    return not wanted or any(wanted in text.lower() for text in (row.name, row.service, *row.roles, *row.sources))


def rows(now: Moment) -> list[Row]:
    """Return every workload, the wrong ones first, then by calls."""
    wrong = {name for name, made in now.made_by_workload.items() if any(one.wrong_layer for one in made)}
    found = [
        Row(
            name=row.name,
            service=row.service,
            sources=row.sources,
            roles=row.roles,
            calls=row.calls,
            exact=row.exact,
            used=row.used,
            granted=row.granted,
            processes=row.processes,
            worst=row.worst.severity.value if row.worst else "",
            wrong_layer=row.name in wrong,
        )
        for row in now.report.services
    ]
    return sorted(found, key=lambda row: (not row.wrong_layer, -row.calls, row.name))


def streams(made: Iterable[Made]) -> tuple[Stream, ...]:
    """Return the streams of calls, in the order of workloads as they come, the largest first in each."""
    calls: Counter[tuple[str, str, int, str, bool, str, bool]] = Counter()
    order: dict[str, int] = {}
    for one in made:
        order.setdefault(one.where, len(order))
        role = one.role_arn or one.principal
        calls[one.where, one.root, len(one.chain), role, bool(one.role_arn), one.service, one.wrong_layer] += one.calls
    found = [
        Stream(where, source, hops, role, role.rpartition("/")[2], known, service, count, wrong)
        for (where, source, hops, role, known, service, wrong), count in calls.items()
    ]
    return tuple(sorted(found, key=lambda s: (order[s.workload], -s.calls, s.source, s.role, s.service)))
