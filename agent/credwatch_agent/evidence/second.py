"""What second sources add to one role, and where they contradict what its recorders reported.

CloudTrail can prove a use, last-accessed data cannot: they count denied attempts. Both can stand
against `unused`. What recorders and a trail both saw is counted once, as the recorders saw it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from credwatch_agent.evidence.join import HOST_ID, Place, Signed
from credwatch_agent.evidence.verdict import Gap, Reason
from credwatch_agent.records import Accessed, Second, TrailUse
from credwatch_agent.snapshot import Index

_FUNCTION = "faas.name"
_FEW = 3

# sources whose sessions AWS names after the task, the instance or the function
_NAMED = frozenset({"ecs-task-role", "ec2-instance-profile", "lambda-execution-role"})


@dataclass(frozen=True, slots=True)
class Weighed:
    """What second sources say of one role.

    `uses` are all that CloudTrail saw, `unreported` those of them by sessions of which no process
    reports, `contradictions` what reporting sessions did beyond their report. `doubts` stand against
    `unused` of single actions or of a service (`s3:*`), in lower case.
    """

    uses: tuple[TrailUse, ...] = ()
    unreported: tuple[TrailUse, ...] = ()
    contradictions: tuple[Gap, ...] = ()
    gaps: tuple[Gap, ...] = ()
    doubts: Mapping[str, Gap] = field(default_factory=dict)

    def doubt(self, action: str) -> Gap | None:
        """Return what contradicts that an action was not used."""
        action = action.lower()
        return self.doubts.get(action) or self.doubts.get(f"{action.partition(':')[0]}:*")


NOTHING = Weighed()


class Scales:
    """Second sources by role. One is made for a whole comparison."""

    def __init__(self, second: Second, index: Index) -> None:
        self._trail: defaultdict[str, list[TrailUse]] = defaultdict(list)
        self._accessed: defaultdict[str, list[Accessed]] = defaultdict(list)
        for use in second.trail:
            self._trail[index.role_arn(use.principal_arn)].append(use)
        for each in second.accessed:
            self._accessed[index.role_arn(each.principal_arn)].append(each)
        # what could not be read may hold a use of any role
        self._unread = tuple(Gap(Reason.MISSING_LAYER, problem) for problem in second.problems)

    def weigh(self, role_arn: str, places: Iterable[Place], signed: Sequence[Signed], begin_ns: int) -> Weighed:
        """Return what second sources say of a role since `begin_ns`, beside its places and calls."""
        trail = [use for use in self._trail.get(role_arn, ()) if use.last_ns >= begin_ns]
        accessed = [each for each in self._accessed.get(role_arn, ()) if each.last_ns >= begin_ns]
        if not trail and not accessed:
            return Weighed(gaps=self._unread) if self._unread else NOTHING
        tried = {action.lower() for item in signed for action in item.usage.actions}
        reporting = {name for place in places for name in _sessions(place)}
        # what a service does on the role's behalf no recorder can see: no contradiction
        own = [use for use in trail if not use.invoked_by]
        away = tuple(_away_of((use for use in own if use.session not in reporting), signed, tried))
        beyond = tuple(_beyond((use for use in own if use.session in reporting), tried))
        tried |= {action.lower() for use in trail for action, _ in use.authorizations}
        doubts = {each.action.lower(): _doubt(each) for each in accessed if not _known(each.action, tried)}
        return Weighed(
            uses=tuple(trail),
            unreported=away,
            contradictions=(*beyond, *doubts.values()),
            gaps=(*self._unread, *_away(away), *beyond, *_unmapped(trail)),
            doubts=doubts,
        )


def _sessions(place: Place) -> set[str]:
    """Return the role session names that AWS gives to what runs in a place: task id, instance id, function name."""
    resource = place.process.resource
    names = {place.task_arn.rpartition("/")[2], resource.get(HOST_ID, ""), resource.get(_FUNCTION, "")}
    return names - {""}


def _away_of(uses: Iterable[TrailUse], signed: Sequence[Signed], tried: set[str]) -> Iterator[TrailUse]:
    """Yield the uses by sessions that belong to no reporting process.

    Who assumes a role chooses the name of its session: a session of no known place that did only what such
    processes reported is taken for theirs.
    """
    chosen = any(item.usage.source not in _NAMED for item in signed)
    by_session: defaultdict[str, list[TrailUse]] = defaultdict(list)
    for use in uses:
        by_session[use.session].append(use)
    for found in by_session.values():
        alike = all(action.lower() in tried for use in found for action, _ in use.authorizations)
        if not (chosen and alike):
            yield from found


def _away(away: Sequence[TrailUse]) -> Iterator[Gap]:
    if away:
        sessions = sorted({use.session or use.principal_arn for use in away})
        named = ", ".join(f"`{name}`" for name in sessions[:_FEW])
        rest = f" and {len(sessions) - _FEW:,} more" if len(sessions) > _FEW else ""
        calls = sum(use.calls for use in away)
        hints = sorted({use.hint for use in away} - {""})
        how = f" (user agents name {', '.join(hints)})" if hints else ""
        yield Gap(
            Reason.UNREPORTED,
            f"CloudTrail saw {_counted(calls)} by {named}{rest}{how}, of which no process reports",
        )


def _beyond(uses: Iterable[TrailUse], tried: set[str]) -> Iterator[Gap]:
    calls: Counter[tuple[str, str]] = Counter()
    for use in uses:
        for action, _ in use.authorizations:
            if action.lower() not in tried:
                calls[use.session, action] += use.calls
    for (session, action), count in sorted(calls.items()):
        yield Gap(
            Reason.CONTRADICTION,
            f"CloudTrail saw `{session}` try `{action}` in {_counted(count)}, and its recorders reported none of it",
        )


def _counted(calls: int) -> str:
    return f"{calls:,} call{'' if calls == 1 else 's'}"


def _unmapped(trail: Sequence[TrailUse]) -> Iterator[Gap]:
    for call in sorted({use.call for use in trail if not use.detail}):
        yield Gap(Reason.MAPPING, f"CloudTrail saw `{call}`, and no rule tells which actions it needs")


def _known(action: str, tried: set[str]) -> bool:
    prefix, _, name = action.lower().partition(":")
    return any(each.startswith(f"{prefix}:") for each in tried) if name == "*" else action.lower() in tried


def _doubt(each: Accessed) -> Gap:
    day = datetime.fromtimestamp(each.last_ns // 10**9, timezone.utc).strftime("%Y-%m-%d")
    return Gap(
        Reason.CONTRADICTION,
        f"last-accessed data name `{each.action}` on {day} (attempts count), and nobody reported it",
    )
