"""The state of each action that a statement grants.

Of nearly all actions nothing is known but what stands against `unused` for the whole role. These are asked
once for all roles, and what is known of single actions is laid over them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from credwatch_agent.compare.attribute import Sighting
from credwatch_agent.compare.model import Grant
from credwatch_agent.evidence import Emits, Gap, Reason, Seen, State, Verdict, Weighed, judge
from credwatch_agent.evidence.baselines import Forwarded
from credwatch_agent.evidence.verdict import UNSEEN
from credwatch_agent.iam.catalogue import canonical, expand
from credwatch_agent.iam.document import Statement


class Unseen:
    """The grants of actions that were not seen: nearly all of them, so each is made once for all roles."""

    def __init__(self, emits: Emits) -> None:
        self.emits = emits
        self._with_gaps: dict[tuple[Gap, ...], _WithGaps] = {}
        self._blind: defaultdict[_Behind, dict[str, Grant]] = defaultdict(dict)

    def with_gaps(self, gaps: tuple[Gap, ...]) -> _WithGaps:
        """Return the grants of roles with these gaps; those of the last `_MAX_GAPS` sets are remembered."""
        found = self._with_gaps.get(gaps)
        if found is None:
            if len(self._with_gaps) >= _MAX_GAPS:
                del self._with_gaps[next(iter(self._with_gaps))]
            found = self._with_gaps[gaps] = _WithGaps(gaps, self.emits)
        return found

    def blind(self, actions: Iterable[str], behind: _Behind) -> Iterator[tuple[str, Grant]]:
        """Return the grants of actions that may be used unseen."""
        made = self._blind[behind]
        last: Verdict | None = None
        for action in actions:
            if action not in made:
                verdict = judge(action, UNSEEN, (), behind.infrastructure, self.emits, behind.forwarded)
                last = last if last == verdict else verdict
                made[action] = Grant(action, last)
            yield action, made[action]


_MAX_GAPS = 64


class _WithGaps:
    """Of actions of which nothing is known but the role's gaps: a grant for each, a tuple for each list of them."""

    def __init__(self, gaps: tuple[Gap, ...], emits: Emits) -> None:
        self._gaps = gaps
        self._emits = emits
        self._verdict = Verdict(State.INSUFFICIENT, gaps)
        self._grants: dict[str, Grant] = {}
        self._tuples: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[Grant, ...]] = {}

    def of(self, statement: Statement) -> tuple[Grant, ...]:
        key = statement.actions, statement.not_actions
        found = self._tuples.get(key)
        if found is None:
            found = self._tuples[key] = tuple(self._grants.get(each) or self._make(each) for each in granted(statement))
        return found

    def _make(self, action: str) -> Grant:
        verdict = judge(action, UNSEEN, self._gaps, (), self._emits)
        grant = self._grants[action] = Grant(action, self._verdict if verdict == self._verdict else verdict)
        return grant


class _Behind(NamedTuple):
    """Why actions may be used unseen: the infrastructure's patterns, or one call and those of its service."""

    infrastructure: tuple[str, ...] = ()
    forwarded: Forwarded = ()

    @property
    def actions(self) -> frozenset[str]:
        return _expanded(self.infrastructure or self.forwarded[0][1])


@lru_cache(maxsize=256)
def _expanded(patterns: tuple[str, ...]) -> frozenset[str]:
    return frozenset(action for pattern in patterns for action in expand(pattern))


class Doubts(NamedTuple):
    """What decides on the actions of a role that were not seen: see `judge`."""

    gaps: tuple[Gap, ...]
    infrastructure: tuple[str, ...]
    forwarded: Forwarded
    unseen: Unseen
    second: Weighed
    tested: frozenset[str] = frozenset()

    def single(self, action: str) -> bool:
        """Return whether something is known of this action alone."""
        return action.lower() in self.tested or self.second.doubt(action) is not None

    @property
    def behind(self) -> Iterator[_Behind]:
        """Yield what makes actions blind, the strongest last."""
        yield from (_Behind(forwarded=(each,)) for each in reversed(self.forwarded))
        if self.infrastructure:
            yield _Behind(infrastructure=self.infrastructure)


def grants(statement: Statement, seen: Mapping[str, list[Sighting]], doubts: Doubts) -> tuple[Grant, ...]:
    """Lay what is known of single actions over the grants that roles with the same gaps share."""
    shared = doubts.unseen.with_gaps(doubts.gaps).of(statement)
    names = granted(statement)
    own: dict[str, Grant] = {}
    for behind in doubts.behind:
        of_both = behind.actions.intersection(names) if len(names) < len(behind.actions) else behind.actions
        own.update(doubts.unseen.blind(of_both, behind))
    if doubts.second.doubts or doubts.tested:
        own.update((each, _grant(each, [], doubts)) for each in names if doubts.single(each))
    own.update((canonical(each), _grant(canonical(each), sightings, doubts)) for each, sightings in seen.items())
    if not own:
        return shared
    found = list(shared)
    for action, grant in own.items():
        at = bisect_left(names, action)
        if at < len(names) and names[at] == action:
            found[at] = grant
    return tuple(found)


def _grant(action: str, sightings: list[Sighting], doubts: Doubts) -> Grant:
    certain = [sighting.use for sighting in sightings if sighting.certain]
    seen, emits = _seen(action, sightings, doubts.tested), doubts.unseen.emits
    contradicted = doubts.second.doubt(action)
    verdict = judge(action, seen, doubts.gaps, doubts.infrastructure, emits, doubts.forwarded, contradicted)
    resources = tuple(sorted({use.resource for use in certain}))
    return Grant(action, verdict, sum(use.calls for use in certain), resources)


def _seen(action: str, sightings: list[Sighting], tested: frozenset[str]) -> Seen:
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
