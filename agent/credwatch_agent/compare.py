"""What is granted against what was used: which statement of a role's policies allowed each call.

Pure. Parses a role's policies once, attributes every observed use to the statements that allow it,
and asks `evidence` for the state of each granted action. Says nothing of what is wrong: see
`findings`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
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
from credwatch_agent.evidence.baselines import Forwarded, baseline, forwarding
from credwatch_agent.evidence.verdict import UNSEEN
from credwatch_agent.iam import document as documents
from credwatch_agent.iam.catalogue import expand
from credwatch_agent.iam.context import EVERY_OTHER, Truth
from credwatch_agent.iam.document import PolicyError, Statement
from credwatch_agent.iam.judge import applies
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
        _role(role, cover(role, index, joined, now_ns, settings), joined.by_role(role.arn), index, emits, settings)
        for role in index.snapshot.roles
    )


def _role(
    role: Role, coverage: Coverage, signed: tuple[Signed, ...], index: Index, emits: Emits, settings: Settings
) -> RoleView:
    parsed, read, problems = _parse(role)
    uses = tuple(uses_of(signed))
    attributed = _attribute(parsed, uses)
    served = ((s.usage.service, s.usage.operation) for s in signed if s.usage.outcome not in _REFUSED)
    tested = frozenset(action for name, action in settings.tested if name in {role.arn, role.name})
    unseen = _Unseen(coverage.gaps, baseline(role, index), forwarding(served), emits, tested)
    views = tuple(
        StatementView(each.policy, each.statement, tuple(_grants(each.statement, seen, unseen)))
        for each, seen in zip(parsed, attributed.seen, strict=True)
    )
    return RoleView(role, coverage, views, uses, attributed.unexplained, problems, read)


class _Attached(NamedTuple):
    """An Allow statement of one of the role's policies."""

    policy: Policy
    statement: Statement


# the same managed policy is attached to many roles
_document = lru_cache(maxsize=4096)(documents.parse)


def _parse(role: Role) -> tuple[list[_Attached], tuple[documents.Policy, ...], tuple[str, ...]]:
    """Parse each policy on its own: one that does not parse is a problem, the others are unaffected."""
    parsed: list[_Attached] = []
    read: list[documents.Policy] = []
    problems: list[str] = []
    for policy in role.policies:
        if not policy.document:
            problems.append(f"policy `{policy.name}` of role `{role.name}`: the snapshot holds no document of it")
            continue
        try:
            document = _document(policy.name, policy.document)
        except PolicyError as error:
            problems.append(f"policy `{policy.name}` of role `{role.name}` does not parse: {error}")
            continue
        read.append(document)
        parsed += [_Attached(policy, statement) for statement in document.statements if statement.allows]
        problems += [
            f"policy `{policy.name}` of role `{role.name}`: {problem.message}" for problem in document.problems
        ]
    return parsed, tuple(read), tuple(problems)


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


def _attribute(statements: Sequence[_Attached], uses: tuple[Use, ...]) -> _Attributed:
    """Lay each use at the statements that allow it.

    A statement that allows it for certain used it. Where none does and exactly one may, that one
    did, since the call was allowed; where several may, each is in doubt.
    """
    seen: list[dict[str, list[_Sighting]]] = [defaultdict(list) for _ in statements]
    unexplained: list[Use] = []
    allowing = _Allowing(statements)
    for use in uses:
        answers = allowing(use.action, use.resource)
        sure = [i for i, answer in answers if answer]
        maybe = [i for i, answer in answers if answer is None]
        proved = set(sure) or (set(maybe) if len(maybe) == 1 else set())
        for i in (*sure, *maybe):
            seen[i][use.action.lower()].append(_Sighting(use, i in proved and use.outcome == "allowed"))
        if not answers and use.outcome == "allowed":
            unexplained.append(use)
    return _Attributed(seen, tuple(unexplained))


class _Allowing:
    """Which of a role's statements allow an action on a resource, each action and each pair asked once.

    Other layers are left out: across accounts, or where a key's own policy must allow too, the role
    needs its statement all the same.
    """

    def __init__(self, statements: Sequence[_Attached]) -> None:
        self._statements = statements
        self._begins = [_beginnings(each.statement) for each in statements]
        self._naming: dict[str, list[tuple[int, Statement, tuple[str, ...]]]] = {}
        self._answers: dict[tuple[str, str], tuple[tuple[int, Truth], ...]] = {}

    def __call__(self, action: str, resource: str) -> tuple[tuple[int, Truth], ...]:
        """Return the positions of the statements that allow it (True) or of which that cannot be told (None)."""
        key = action.lower(), resource
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = tuple(self._ask(action, resource))
        return found

    def _ask(self, action: str, resource: str) -> Iterator[tuple[int, Truth]]:
        # nothing of the request's context is known, and a `*` of a coarse resource stands for the unknown
        request = Request(action, resource, unknown_keys=EVERY_OTHER, partial="*" in resource)
        known = _literal(resource)
        # which bucket is behind an access point is not known
        hidden = ":accesspoint/" in resource
        for i, statement, begins in self._named(action):
            answer = applies(statement, request, set()) if _may_meet(known, begins) else False
            if answer is False and hidden:
                answer = None
            if answer is not False:
                yield i, answer

    def _named(self, action: str) -> list[tuple[int, Statement, tuple[str, ...]]]:
        """Return the statements that name an action, and with what the ARNs of each begin."""
        found = self._naming.get(action.lower())
        if found is None:
            found = self._naming[action.lower()] = [
                (i, each.statement, self._begins[i])
                for i, each in enumerate(self._statements)
                if each.statement.action_globs.match(action) is not bool(each.statement.not_actions)
            ]
        return found


_WILD = re.compile(r"[*?]")


def _literal(pattern: str) -> str:
    """Return the part of an ARN or pattern before its first wildcard; of one with a variable nothing, the engine's."""
    return "" if "$" in pattern else _WILD.split(pattern, maxsplit=1)[0]


def _beginnings(statement: Statement) -> tuple[str, ...]:
    return tuple(sorted({_literal(entry) for entry in statement.resources})) or ("",)


def _may_meet(known: str, begins: tuple[str, ...]) -> bool:
    """Tell whether an ARN that begins so may match one of the patterns: most are told apart by this alone.

    `begins` is sorted: a longer one that begins with `known` follows it directly.
    """
    if known.startswith(begins):
        return True
    after = bisect_left(begins, known)
    return after < len(begins) and begins[after].startswith(known)


# --- state ------------------------------------------------------------------------------------------


class _Unseen(NamedTuple):
    """What decides on the actions of a role that were not seen: see `judge`."""

    gaps: tuple[Gap, ...]
    infrastructure: tuple[str, ...]
    forwarded: Forwarded
    emits: Emits
    tested: frozenset[str] = frozenset()


def _grants(statement: Statement, seen: Mapping[str, list[_Sighting]], unseen: _Unseen) -> Iterator[Grant]:
    for action in granted(statement):
        sightings = seen.get(action.lower(), [])
        certain = [sighting.use for sighting in sightings if sighting.certain]
        verdict = judge(
            action,
            _seen(action, sightings, unseen.tested),
            unseen.gaps,
            unseen.infrastructure,
            unseen.emits,
            unseen.forwarded,
        )
        resources = tuple(sorted({use.resource for use in certain}))
        yield Grant(action, verdict, sum(use.calls for use in certain), resources)


def _seen(action: str, sightings: list[_Sighting], tested: frozenset[str]) -> Seen:
    if not sightings:
        if action.lower() in tested:
            return Seen(doubt=Gap(Reason.TESTED, f"`{action}` was not seen, and tests call it"))
        return UNSEEN
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
    return _granted(statement.actions, statement.not_actions)


@lru_cache(maxsize=4096)
def _granted(actions: tuple[str, ...], not_actions: tuple[str, ...]) -> tuple[str, ...]:
    if not_actions:
        excluded = {action for pattern in not_actions for action in expand(pattern)}
        return tuple(action for action in expand("*") if action not in excluded)
    return tuple(sorted({action for pattern in actions for action in expand(pattern)}))
