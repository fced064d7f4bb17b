"""One role: what it grants and what of that was used, who may assume it and who did, and what it could be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from credwatch_agent.compare import RoleView, StatementView
from credwatch_agent.evidence import Gap, Reason
from credwatch_agent.evidence.coverage import trusted
from credwatch_agent.web import change, grants
from credwatch_agent.web.asking import Asked, NotFound, Parameter
from credwatch_agent.web.parts import Brief, Hop, Stand, States, briefs, hops, stand, states, when
from credwatch_agent.web.state import Made, Moment, account_of

_ACTIONS = 40
_RESOURCES = 8
_USED = 30


@dataclass(frozen=True, slots=True)
class Policy:
    """An attached policy: `kind` is `inline`, `managed` or `aws-managed`; `attachments` counts a managed one's."""

    name: str
    kind: str
    arn: str
    version: str
    attachments: int


@dataclass(frozen=True, slots=True)
class Used:
    """An action that a statement allowed: how many calls, on what; `more` resources are not listed."""

    action: str
    calls: int
    resources: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Statement:
    """An Allow statement: what it says, the states of what it grants, the calls that it allowed.

    `more` used actions are not listed.
    """

    policy: str
    name: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    negated: bool
    conditions: bool
    states: States
    used: tuple[Used, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whom the trust policy lets in; `reports`: a process that came in so reports."""

    kind: str
    principal: str
    reports: bool


@dataclass(frozen=True, slots=True)
class Assumed:
    """Who signed as the role: a workload, and the chain by which it got there, the root first."""

    workload: str
    chain: tuple[Hop, ...]
    calls: int
    exact: bool
    first: str
    last: str
    wrong_layer: bool


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the matrix: a workload by one source."""

    workload: str
    source: str
    wrong_layer: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the matrix: an action, and its calls in each column; `granted` by a policy of the role."""

    action: str
    calls: tuple[int, ...]
    granted: bool


@dataclass(frozen=True, slots=True)
class Matrix:
    """Workloads by actions, by calls that were allowed; `more` actions are not listed."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Denied:
    """An action that was refused, on a resource."""

    action: str
    resource: str
    outcome: str
    calls: int
    workloads: tuple[str, ...]
    last: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """What stands against calling an unseen action unused."""

    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Role:
    """Everything of one role."""

    stand: Stand
    arn: str
    name: str
    account: str
    boundary: str
    last_used: str
    host: bool
    policies: tuple[Policy, ...]
    problems: tuple[str, ...]
    states: States
    doubts: tuple[Doubt, ...]
    services: tuple[grants.Service, ...]
    rest: grants.Rest
    statements: tuple[Statement, ...]
    may_assume: tuple[Trusted, ...] | None
    did_assume: tuple[Assumed, ...]
    matrix: Matrix
    denied: tuple[Denied, ...]
    findings: tuple[Brief, ...]
    change: change.Change


ARN = Parameter("arn", "the role's ARN, or its name where only one role has it", required=True)

PARAMETERS = (ARN, Parameter("service", "a service prefix, such as `s3`, of which all actions are listed"))


def role(now: Moment, asked: Asked) -> Role:
    """Answer everything of one role; raises `NotFound`."""
    view = find(now, asked["arn"])
    one, made = view.role, now.made_by_role.get(view.role.arn, ())
    services, rest = grants.services(view, made, asked["service"])
    return Role(
        stand=stand(now),
        arn=one.arn,
        name=one.name,
        account=account_of(one.arn),
        boundary=one.boundary,
        last_used=one.last_used,
        host=bool(now.world.index.profiles_of(one.arn)),
        policies=tuple(Policy(p.name, _kind(p.inline, p.aws_managed), p.arn, p.version, p.attachments)
                       for p in one.policies),
        problems=view.problems,
        states=states(now.rows[one.arn].states),
        doubts=tuple(Doubt(gap.reason.value, gap.sentence) for gap in view.coverage.gaps),
        services=services,
        rest=rest,
        statements=tuple(_statement(each) for each in view.statements),
        may_assume=_may_assume(view),
        did_assume=tuple(_did_assume(made)),
        matrix=_matrix(view, made),
        denied=tuple(Denied(use.action, use.resource, use.outcome, use.calls, use.where, when(use.last_ns))
                     for use in view.denied),
        findings=briefs(now.findings_of_role.get(one.arn, ()), now),
        change=change.change(view, now.recommended(one.arn)),
    )  # fmt: skip


def find(now: Moment, wanted: str) -> RoleView:
    """Return the role with an ARN or a name; raises `NotFound`."""
    if wanted in now.views:
        return now.views[wanted]
    found = [view for view in now.world.roles if view.role.name == wanted]
    if len(found) != 1:
        why = "is in more than one account: give its ARN" if found else "is not in the snapshot"
        raise NotFound(f"role `{wanted}` {why}")
    return found[0]


def _kind(inline: bool, aws_managed: bool) -> str:
    return "inline" if inline else "aws-managed" if aws_managed else "managed"


# --- statements -----------------------------------------------------------------------------------


def _statement(view: StatementView) -> Statement:
    one = view.statement
    used = sorted(view.used, key=lambda grant: -grant.calls)
    return Statement(
        policy=view.policy.name,
        name=view.name,
        actions=tuple(map(str, one.actions or one.not_actions)),
        resources=tuple(map(str, one.resources or one.not_resources)),
        negated=bool(one.not_actions),
        conditions=bool(one.conditions),
        states=states(view.states),
        used=tuple(
            Used(grant.action, grant.calls, grant.resources[:_RESOURCES], max(0, len(grant.resources) - _RESOURCES))
            for grant in used[:_USED]
        ),
        more=max(0, len(used) - _USED),
    )


# --- who ------------------------------------------------------------------------------------------


def _may_assume(view: RoleView) -> tuple[Trusted, ...] | None:
    """Return whom the trust policy lets in, None where it does not parse."""
    try:
        found = sorted(trusted(view.role.trust))
    except (ValueError, RecursionError):
        return None
    return tuple(Trusted(kind, name, not _silent(name, view.coverage.gaps)) for kind, name in found)


def _silent(principal: str, gaps: Iterable[Gap]) -> bool:
    return any(gap.reason in {Reason.TRUST, Reason.NO_CARRIER} and _names(gap, principal) for gap in gaps)


def _names(gap: Gap, principal: str) -> bool:
    return gap.reason is Reason.NO_CARRIER or f"`{principal}`" in gap.sentence


def _did_assume(made: Iterable[Made]) -> Iterator[Assumed]:
    groups: defaultdict[tuple[str, tuple[Hop, ...], bool], list[Made]] = defaultdict(list)
    for one in made:
        groups[one.where, hops(one), one.wrong_layer].append(one)
    for (where, chain, wrong), found in sorted(groups.items(), key=lambda item: -sum(m.calls for m in item[1])):
        yield Assumed(
            workload=where,
            chain=chain,
            calls=sum(one.calls for one in found),
            exact=all(one.exact for one in found),
            first=when(min(one.first_ns for one in found)),
            last=when(max(one.last_ns for one in found)),
            wrong_layer=wrong,
        )


# --- workloads x actions --------------------------------------------------------------------------


def _matrix(view: RoleView, made: Iterable[Made]) -> Matrix:
    cells: Counter[tuple[str, Column]] = Counter()
    for one in made:
        if one.outcome == "allowed":
            column = Column(one.where, one.root, one.wrong_layer)
            for action in one.actions:
                cells[action, column] += one.calls
    columns = sorted({column for _, column in cells}, key=lambda c: (not c.wrong_layer, c.workload, c.source))
    totals: Counter[str] = Counter()
    for (action, _), calls in cells.items():
        totals[action] += calls
    granted = {action.lower() for action in view.actions}
    lines = tuple(
        Line(action, tuple(cells[action, column] for column in columns), action.lower() in granted)
        for action, _ in totals.most_common(_ACTIONS)
    )
    return Matrix(tuple(columns), lines, max(0, len(totals) - _ACTIONS))
