"""Which statements of a role allowed each of its calls."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from credwatch_agent.compare.model import Use
from credwatch_agent.compare.passed import context, may_be_none
from credwatch_agent.iam.context import EVERY_OTHER, Truth
from credwatch_agent.iam.document import Statement
from credwatch_agent.iam.judge import applies
from credwatch_agent.iam.request import Request
from credwatch_agent.snapshot import Policy


class Attached(NamedTuple):
    """An Allow statement of one of the role's policies."""

    policy: Policy
    statement: Statement


class Sighting(NamedTuple):
    use: Use
    certain: bool


class Attributed(NamedTuple):
    """Per statement, what was seen of each action (in lower case); and what no statement allows."""

    seen: list[dict[str, list[Sighting]]]
    unexplained: tuple[Use, ...]


def attribute(statements: Sequence[Attached], uses: tuple[Use, ...]) -> Attributed:
    """Lay each use at the statements that allow it.

    A statement that allows it for certain used it. Where none does and exactly one may, that one
    did, since the call was allowed; where several may, each is in doubt. Where a condition on the service
    that a role is passed to is all that excludes a call, the documentation of that service is not believed.
    """
    seen: list[dict[str, list[Sighting]]] = [defaultdict(list) for _ in statements]
    unexplained: list[Use] = []
    allowing = _Allowing(statements)
    for use in uses:
        answers = allowing(use.action, use.resource, use.passed_to) or allowing(use.action, use.resource)
        sure = [i for i, answer in answers if answer]
        maybe = [i for i, answer in answers if answer is None]
        proved = set(sure) or (set(maybe) if len(maybe) == 1 else set())
        for i in (*sure, *maybe):
            seen[i][use.action.lower()].append(Sighting(use, i in proved and use.outcome == "allowed"))
        free = use.action in _FREE or may_be_none(use.action, use.resource)
        if not answers and use.outcome == "allowed" and not free:
            unexplained.append(use)
    return Attributed(seen, tuple(unexplained))


class _Allowing:
    """Which of a role's statements allow an action on a resource, each action and each of these asked once.

    Other layers are left out: across accounts, or where a key's own policy must allow too, the role
    needs its statement all the same.
    """

    def __init__(self, statements: Sequence[Attached]) -> None:
        self._statements = statements
        self._begins = [_beginnings(each.statement.resources) for each in statements]
        self._naming: dict[str, list[tuple[int, Statement, tuple[str, ...]]]] = {}
        self._answers: dict[tuple[str, str, tuple[str, ...]], tuple[tuple[int, Truth], ...]] = {}

    def __call__(self, action: str, resource: str, to: tuple[str, ...] = ()) -> tuple[tuple[int, Truth], ...]:
        """Return the positions of the statements that allow it (True) or of which that cannot be told (None)."""
        key = action.lower(), resource, to
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = tuple(self._ask(action, resource, to))
        return found

    def _ask(self, action: str, resource: str, to: tuple[str, ...]) -> Iterator[tuple[int, Truth]]:
        # no more of the request's context is known, and the wildcards of a coarse resource stand for the unknown
        known = _literal(resource)
        vague = len(known) < len(resource)
        request = Request(action, resource, context=context(to), unknown_keys=EVERY_OTHER, partial=vague)
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


# STS's API reference: "No permissions are required to perform this operation."
_FREE = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})
_WILD = re.compile(r"[*?]")


def _literal(pattern: str) -> str:
    """Return the part of an ARN or pattern before its first wildcard; of one with a variable nothing, the engine's."""
    return "" if "$" in pattern else _WILD.split(pattern, maxsplit=1)[0]


@lru_cache(maxsize=16_384)
def _beginnings(resources: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(map(_literal, resources)))) or ("",)


def _may_meet(known: str, begins: tuple[str, ...]) -> bool:
    """Tell whether an ARN that begins so may match one of the patterns: most are told apart by this alone.

    `begins` is sorted: a longer one that begins with `known` follows it directly.
    """
    if known.startswith(begins):
        return True
    after = bisect_left(begins, known)
    return after < len(begins) and begins[after].startswith(known)
