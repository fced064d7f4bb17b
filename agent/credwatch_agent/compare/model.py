"""What a role grants and what of it was used: the records of a comparison."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from credwatch_agent.compare.passed import passed_to
from credwatch_agent.evidence import Coverage, Signed, State, Verdict
from credwatch_agent.evidence.baselines import Forwarded
from credwatch_agent.iam import document as documents
from credwatch_agent.iam.document import Statement
from credwatch_agent.records import TrailUse
from credwatch_agent.snapshot import Policy, Role

REFUSED = frozenset({"denied", "denied-or-missing", "auth-failed"})
"""Outcomes of calls that did not succeed."""


@dataclass(frozen=True, slots=True)
class Use:
    """An action on a resource with one outcome, over all processes of a role. Times in nanoseconds.

    `resource` is an ARN, a pattern where the recorder kept only the container, or "*". `passed_to` are the
    services to one of which a role was passed; empty where that is not known, or no role was.
    """

    action: str
    resource: str
    outcome: str
    calls: int
    first_ns: int
    last_ns: int
    where: tuple[str, ...]
    passed_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """One action that a statement grants, its state, and the calls that the statement allowed."""

    action: str
    verdict: Verdict
    calls: int = 0
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatementView:
    """An Allow statement with the state of every action that it grants."""

    policy: Policy
    statement: Statement
    grants: tuple[Grant, ...]

    @property
    def name(self) -> str:
        """Return the Sid, or the position where there is none."""
        return self.statement.sid or f"statement {self.statement.index}"

    @property
    def states(self) -> Mapping[State, int]:
        return Counter(grant.verdict.state for grant in self.grants)

    @property
    def used(self) -> tuple[Grant, ...]:
        return tuple(grant for grant in self.grants if grant.verdict.state is State.USED)


@dataclass(frozen=True, slots=True)
class RoleView:
    """A role: what it grants and what of it was used. `unexplained` uses no statement of it allows.

    `documents` are its policies that parse, Denies included. `infrastructure` and `forwarded` are the patterns of
    actions that are used under it unseen: by hosts, and by services on its behalf.
    """

    role: Role
    coverage: Coverage
    statements: tuple[StatementView, ...]
    uses: tuple[Use, ...]
    unexplained: tuple[Use, ...]
    problems: tuple[str, ...]
    documents: tuple[documents.Policy, ...] = ()
    infrastructure: tuple[str, ...] = ()
    forwarded: Forwarded = ()

    @property
    def actions(self) -> Mapping[str, State]:
        """Return each granted action once, with the strongest state that any statement gives it."""
        found: dict[str, State] = {}
        for view in self.statements:
            for grant in view.grants:
                known = found.get(grant.action)
                if known is None or _STRENGTH.index(grant.verdict.state) < _STRENGTH.index(known):
                    found[grant.action] = grant.verdict.state
        return found

    @property
    def denied(self) -> tuple[Use, ...]:
        return tuple(use for use in self.uses if use.outcome in REFUSED)


_STRENGTH = (State.USED, State.INSUFFICIENT, State.UNOBSERVABLE, State.UNUSED)


def uses_of(signed: Iterable[Signed]) -> Iterator[Use]:
    """Return the uses of all calls: each action on each resource with each outcome once, in order."""
    groups: defaultdict[tuple[str, str, str, tuple[str, ...]], list[Signed]] = defaultdict(list)
    for item in signed:
        for action, resources in item.usage.authorizations:
            to = passed_to(action, resources, item.usage.facets)
            for resource in resources or ("*",):
                groups[action, resource, item.usage.outcome, to].append(item)
    for (action, resource, outcome, to), items in sorted(groups.items()):
        yield Use(
            action=action,
            resource=resource,
            outcome=outcome,
            calls=sum(item.row.calls for item in items),
            first_ns=min(item.row.first_ns for item in items),
            last_ns=max(item.row.last_ns for item in items),
            where=tuple(sorted({item.place.workload.where for item in items})),
            passed_to=to,
        )


def with_trail(uses: tuple[Use, ...], trail: Sequence[TrailUse]) -> tuple[Use, ...]:
    """Add the uses that CloudTrail alone saw; what a recorder saw too is counted as it counted."""
    if not trail:
        return uses
    known = {(use.action, use.resource, use.outcome) for use in uses}
    groups: defaultdict[tuple[str, str, str], list[TrailUse]] = defaultdict(list)
    for item in trail:
        for action, resources in item.authorizations:
            for resource in resources or ("*",):
                groups[action, resource, item.outcome].append(item)
    added = (
        Use(
            *key,
            calls=sum(item.calls for item in items),
            first_ns=min(item.first_ns for item in items),
            last_ns=max(item.last_ns for item in items),
            where=tuple(sorted({f"CloudTrail {item.session or item.invoked_by}".strip() for item in items})),
        )
        for key, items in groups.items()
        if key not in known
    )
    return tuple(sorted((*uses, *added), key=lambda use: (use.action, use.resource, use.outcome)))
