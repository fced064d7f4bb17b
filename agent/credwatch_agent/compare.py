"""What is granted against what was used: which statement of a role's policies allowed each call.

Pure. Parses a role's policies once, attributes every observed use to the statements that allow it,
and asks `evidence` for the state of each granted action. Says nothing of what is wrong: see
`findings`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from credwatch_agent.evidence import (
    Coverage,
    Emits,
    Gap,
    Joined,
    Reason,
    Seen,
    Settings,
    Signed,
    State,
    Verdict,
    cover,
    judge,
)
from credwatch_agent.evidence.baselines import baseline
from credwatch_agent.evidence.verdict import UNSEEN
from credwatch_agent.iam import document as documents
from credwatch_agent.iam.catalogue import expand
from credwatch_agent.iam.context import EVERY_OTHER
from credwatch_agent.iam.document import PolicyError, Statement
from credwatch_agent.iam.evaluate import Decision, evaluate
from credwatch_agent.iam.request import Request
from credwatch_agent.snapshot import Index, Policy, Role

_REFUSED = frozenset({"denied", "denied-or-missing", "auth-failed"})


@dataclass(frozen=True, slots=True)
class Use:
    """An action on a resource with one outcome, over all processes of a role. Times in nanoseconds.

    `resource` is an ARN, a pattern where the recorder kept only the container, or "*".
    """

    action: str
    resource: str
    outcome: str
    calls: int
    first_ns: int
    last_ns: int
    where: tuple[str, ...]


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

    `documents` are its policies that parse, Denies included.
    """

    role: Role
    coverage: Coverage
    statements: tuple[StatementView, ...]
    uses: tuple[Use, ...]
    unexplained: tuple[Use, ...]
    problems: tuple[str, ...]
    documents: tuple[documents.Policy, ...] = ()

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
        return tuple(use for use in self.uses if use.outcome in _REFUSED)


_STRENGTH = (State.USED, State.INSUFFICIENT, State.UNOBSERVABLE, State.UNUSED)


def compare(index: Index, joined: Joined, now_ns: int, settings: Settings, emits: Emits) -> tuple[RoleView, ...]:
    """Return the comparison of every role of the snapshot, in the order of their ARNs."""
    return tuple(
        _role(role, cover(role, index, joined, now_ns, settings), joined.by_role(role.arn), index, emits)
        for role in index.snapshot.roles
    )


def _role(role: Role, coverage: Coverage, signed: tuple[Signed, ...], index: Index, emits: Emits) -> RoleView:
    parsed, problems = _parse(role)
    uses = tuple(uses_of(signed))
    statements = [
        (policy, document, statement)
        for policy, document in parsed
        for statement in document.statements
        if statement.effect == "Allow"
    ]
    attributed = _attribute(role, statements, uses)
    infrastructure = baseline(role, index)
    views = tuple(
        StatementView(
            policy,
            statement,
            tuple(_grants(statement, attributed.seen[i], coverage.gaps, infrastructure, emits)),
        )
        for i, (policy, _, statement) in enumerate(statements)
    )
    return RoleView(
        role, coverage, views, uses, attributed.unexplained, problems, tuple(document for _, document in parsed)
    )


def _parse(role: Role) -> tuple[list[tuple[Policy, documents.Policy]], tuple[str, ...]]:
    """Parse each policy on its own: one that does not parse is a problem, the others are unaffected."""
    parsed: list[tuple[Policy, documents.Policy]] = []
    problems: list[str] = []
    for policy in role.policies:
        if not policy.document:
            problems.append(f"policy `{policy.name}` of role `{role.name}`: the snapshot holds no document of it")
            continue
        try:
            document = documents.parse(policy.name, policy.document)
        except PolicyError as error:
            problems.append(f"policy `{policy.name}` of role `{role.name}` does not parse: {error}")
            continue
        parsed.append((policy, document))
        problems += [
            f"policy `{policy.name}` of role `{role.name}`: {problem.message}" for problem in document.problems
        ]
    return parsed, tuple(problems)


def uses_of(signed: Iterable[Signed]) -> Iterator[Use]:
    """Return the uses of all calls: each action on each resource with each outcome once, in order."""
    groups: defaultdict[tuple[str, str, str], list[Signed]] = defaultdict(list)
    for item in signed:
        for action, resources in item.usage.authorizations:
            for resource in resources or ("*",):
                groups[action, resource, item.usage.outcome].append(item)
    for (action, resource, outcome), items in sorted(groups.items()):
        yield Use(
            action=action,
            resource=resource,
            outcome=outcome,
            calls=sum(item.row.calls for item in items),
            first_ns=min(item.row.first_ns for item in items),
            last_ns=max(item.row.last_ns for item in items),
            where=tuple(sorted({item.place.workload.where for item in items})),
        )


# --- attribution ------------------------------------------------------------------------------------


class _Sighting(NamedTuple):
    use: Use
    certain: bool


class _Attributed(NamedTuple):
    """Per statement, what was seen of each action (in lower case); and what no statement allows."""

    seen: list[dict[str, list[_Sighting]]]
    unexplained: tuple[Use, ...]


_Statements = list[tuple[Policy, documents.Policy, Statement]]


def _attribute(role: Role, statements: _Statements, uses: tuple[Use, ...]) -> _Attributed:
    """Lay each use at the statements that allow it.

    A statement that allows it for certain used it. Where none does and exactly one may, that one
    did, since the call was allowed; where several may, each is in doubt.
    """
    seen: list[dict[str, list[_Sighting]]] = [defaultdict(list) for _ in statements]
    unexplained: list[Use] = []
    alone = [replace(document, statements=(statement,)) for _, document, statement in statements]
    for use in uses:
        request = _request(role, use)
        answers = [_allows(document, request) for document in alone]
        sure = [i for i, answer in enumerate(answers) if answer]
        maybe = [i for i, answer in enumerate(answers) if answer is None]
        proved = set(sure) or (set(maybe) if len(maybe) == 1 else set())
        for i in (*sure, *maybe):
            seen[i][use.action.lower()].append(_Sighting(use, i in proved and use.outcome == "allowed"))
        if not sure and not maybe and use.outcome == "allowed":
            unexplained.append(use)
    return _Attributed(seen, tuple(unexplained))


def _request(role: Role, use: Use) -> Request:
    """Return a use as a request: nothing of its context is known, and a `*` of a coarse resource is the unknown."""
    return Request(
        action=use.action,
        resource=use.resource,
        principal=role.arn,
        unknown_keys=EVERY_OTHER,
        partial="*" in use.resource,
    )


def _allows(document: documents.Policy, request: Request) -> bool | None:
    """Tell whether a document of one statement allows a request; None where that cannot be told."""
    if not document.candidates(request.service):
        return False
    decision = evaluate(request, identity=[document]).decision
    return None if decision is Decision.UNKNOWN else decision is Decision.ALLOWED


# --- state ------------------------------------------------------------------------------------------


def _grants(
    statement: Statement,
    seen: Mapping[str, list[_Sighting]],
    gaps: tuple[Gap, ...],
    infrastructure: tuple[str, ...],
    emits: Emits,
) -> Iterator[Grant]:
    for action in granted(statement):
        sightings = seen.get(action.lower())
        if not sightings:
            yield Grant(action, judge(action, UNSEEN, gaps, infrastructure, emits))
            continue
        certain = [sighting.use for sighting in sightings if sighting.certain]
        verdict = judge(action, _seen(action, sightings), gaps, infrastructure, emits)
        resources = tuple(sorted({use.resource for use in certain}))
        yield Grant(action, verdict, sum(use.calls for use in certain), resources)


def _seen(action: str, sightings: list[_Sighting]) -> Seen:
    if any(sighting.certain for sighting in sightings):
        return Seen(certain=True)
    if any(sighting.use.outcome == "allowed" for sighting in sightings):
        return Seen(
            doubt=Gap(Reason.AMBIGUOUS, f"`{action}` was used, and more than one statement may have allowed it")
        )
    outcomes = ", ".join(sorted({sighting.use.outcome for sighting in sightings}))
    return Seen(doubt=Gap(Reason.OUTCOME, f"`{action}` was tried ({outcomes}), which proves nothing"))


def granted(statement: Statement) -> tuple[str, ...]:
    """Return the known actions that an Allow statement names, in order."""
    if statement.not_actions:
        excluded = {action for pattern in statement.not_actions for action in expand(str(pattern))}
        return tuple(action for action in expand("*") if action not in excluded)
    return tuple(sorted({action for pattern in statement.actions for action in expand(str(pattern))}))
