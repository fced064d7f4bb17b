"""The list of roles: searched, filtered and ordered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from credwatch_agent.evidence import State
from credwatch_agent.report import RoleRow
from credwatch_agent.web.asking import PAGE_NUMBER, Asked, Pages, Parameter, paged
from credwatch_agent.web.parts import Stand, States, stand, states
from credwatch_agent.web.state import Moment


@dataclass(frozen=True, slots=True)
class Row:
    """One role. `risky` counts granted actions of a telling access level (write, permissions) that were not seen.

    `doubts` counts what stands against calling an unseen action unused: with 0 the evidence is complete.
    """

    arn: str
    name: str
    worst: str
    findings: int
    states: States
    risky: int
    workloads: tuple[str, ...]
    calls: int
    denied: int
    doubts: int


@dataclass(frozen=True, slots=True)
class Roles:
    """A page of the roles."""

    stand: Stand
    roles: tuple[Row, ...]
    pages: Pages


_ORDERS: Mapping[str, Callable[[RoleRow, Moment], Any]] = {
    "risk": lambda row, now: (now.worst_rank(row.arn), -now.risky[row.arn], row.arn),
    "name": lambda row, _: (row.name.lower(), row.arn),
    "granted": lambda row, _: (-sum(count for _, count in row.states), row.arn),
    "unused": lambda row, _: (-dict(row.states)[State.UNUSED], row.arn),
}

_SHOWN: Mapping[str, Callable[[RoleRow], bool]] = {
    "all": lambda row: True,
    "reporting": lambda row: bool(row.carriers),
    "silent": lambda row: not row.carriers,
    "complete": lambda row: bool(row.carriers) and not row.gaps,
}

PARAMETERS = (
    Parameter("q", "part of a role's name or ARN"),
    Parameter("show", "which roles: all, those with which a process reports or none does, those without a doubt",
              choices=tuple(_SHOWN), default="all"),
    Parameter("sort", "the order of the list", choices=tuple(_ORDERS), default="risk"),
    PAGE_NUMBER,
)  # fmt: skip


def roles(now: Moment, asked: Asked) -> Roles:
    """Answer a page of the list of roles."""
    wanted, shown, order = asked["q"].lower(), _SHOWN[asked["show"]], _ORDERS[asked["sort"]]
    every = now.by_risk
    found = [one for one in every if shown(one) and wanted in one.arn.lower()]
    if asked["sort"] != "risk":
        found.sort(key=lambda one: order(one, now))
    rows, pages = paged(found, asked["page"])
    return Roles(stand(now), tuple(row(one, now) for one in rows), pages)


def row(one: RoleRow, now: Moment) -> Row:
    """Return one role as a row of a list."""
    worst = now.worst(one.arn)
    return Row(
        arn=one.arn,
        name=one.name,
        worst=worst.value if worst else "",
        findings=len(now.findings_of_role.get(one.arn, ())),
        states=states(one.states),
        risky=now.risky[one.arn],
        workloads=tuple(dict.fromkeys(carrier.workload.where for carrier in one.carriers)),
        calls=sum(carrier.calls for carrier in one.carriers),
        denied=one.denied,
        doubts=len(one.gaps),
    )
