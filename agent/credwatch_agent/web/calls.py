"""Calls: from an action or a resource to the statement that allowed it, the workload, the line of code, the trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from credwatch.semconv import OUTCOMES, SOURCES
from credwatch_agent.records import Span
from credwatch_agent.web.asking import PAGE_NUMBER, Asked, Pages, Parameter, paged
from credwatch_agent.web.parts import Stand, stand, when
from credwatch_agent.web.state import Made, Moment

Traces = Callable[[Span], str]
"""From a span to the address of its trace, "" where none is configured."""

_STATEMENTS = 6


@dataclass(frozen=True, slots=True)
class Allowed:
    """A statement that allowed a call."""

    policy: str
    statement: str


@dataclass(frozen=True, slots=True)
class Row:
    """Calls of one kind by one workload. `role` is the ARN of a role of the snapshot, or ""; `exact`: no lower bound.

    `trace` is the latest trace that is kept of such a call, `trace_url` where to open it.
    """

    service: str
    operation: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    outcome: str
    workload: str
    source: str
    root: str
    wrong_layer: bool
    principal: str
    role: str
    statements: tuple[Allowed, ...]
    site: str
    function: str
    region: str
    calls: int
    exact: bool
    first: str
    last: str
    trace: str
    trace_url: str


@dataclass(frozen=True, slots=True)
class Calls:
    """A page of the calls."""

    stand: Stand
    calls: tuple[Row, ...]
    total: int
    pages: Pages


_ORDERS: Mapping[str, Callable[[Made], Any]] = {
    "calls": lambda one: (-one.calls, -one.last_ns),
    "latest": lambda one: (-one.last_ns, -one.calls),
    "action": lambda one: (one.actions, one.resources),
}

PARAMETERS = (
    Parameter("q", "part of an action, resource or operation"),
    Parameter("action", "an IAM action, whole, such as `s3:GetObject`"),
    Parameter("workload", "a workload's name, whole"),
    Parameter("role", "a role's ARN"),
    Parameter("source", "a credential source: the one that signed, or the root of its chain", choices=tuple(SOURCES)),
    Parameter("outcome", "how the calls ended", choices=tuple(OUTCOMES)),
    Parameter("sort", "the order of the list", choices=tuple(_ORDERS), default="calls"),
    PAGE_NUMBER,
)


def calls(now: Moment, asked: Asked, traces: Traces) -> Calls:
    """Answer a page of the calls that a question names."""
    found = sorted((one for one in _base(now, asked) if _matches(one, asked)), key=_ORDERS[asked["sort"]])
    shown, pages = paged(found, asked["page"])
    rows = tuple(row(one, now, traces) for one in shown)
    return Calls(stand(now), rows, sum(one.calls for one in found), pages)


def _base(now: Moment, asked: Asked) -> Sequence[Made]:
    if asked["workload"]:
        return now.made_by_workload.get(asked["workload"], ())
    return now.made_by_role.get(asked["role"], ()) if asked["role"] else now.made


def _matches(one: Made, asked: Asked) -> bool:
    wanted, action = asked["q"].lower(), asked["action"].lower()
    return (
        (not asked["role"] or one.role_arn == asked["role"])
        and (not asked["outcome"] or one.outcome == asked["outcome"])
        and (not asked["source"] or asked["source"] in (one.source, one.root))
        and (not action or action in (each.lower() for each in one.actions))
        and (not wanted or wanted in one.text)
    )


def row(one: Made, now: Moment, traces: Traces) -> Row:
    """Return calls of one kind as a row."""
    span = now.trace(one)
    allowing = dict.fromkeys(
        statement
        for action, resources in one.authorizations
        for resource in resources or ("*",)
        for statement in now.allowing(one.role_arn, action, resource)
    )
    return Row(
        service=one.service,
        operation=one.operation,
        actions=one.actions,
        resources=one.resources,
        outcome=one.outcome,
        workload=one.where,
        source=one.source,
        root=one.root,
        wrong_layer=one.wrong_layer,
        principal=one.principal,
        role=one.role_arn if one.role_arn in now.views else "",
        statements=tuple(Allowed(*each) for each in list(allowing)[:_STATEMENTS]) if one.outcome == "allowed" else (),
        site=one.site,
        function=one.function,
        region=one.region,
        calls=one.calls,
        exact=one.exact,
        first=when(one.first_ns),
        last=when(one.last_ns),
        trace=span.trace_id if span else "",
        trace_url=traces(span) if span else "",
    )
