"""The life of findings: first and last seen, open, resolved or exempted, new or adopted, and the counts over time.

A `History` is what earlier runs found. `advance` lays what was found now over it, `standing` says how each
finding stands. Pure: what a store keeps is `dumps` of a history, and the time is an argument.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date, datetime, timezone
from enum import Enum
from typing import Any

from credwatch_agent.findings.exemptions import Exemption
from credwatch_agent.findings.model import Finding, Severity

VERSION = 1
MOST_TALLIES = 400
MOST_RESOLVED = 1_000


class BadHistory(ValueError):
    """A kept history cannot be read; the text says why."""


class Status(str, Enum):
    """How a finding stands. Only `open` counts for the exit code; `adopted` was there at the baseline."""

    OPEN = "open"
    ADOPTED = "adopted"
    EXEMPTED = "exempted"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Life:
    """What is remembered of one finding. Times are of the runs that found it, in nanoseconds; 0 is never.

    `adopted` is the severity at which a baseline adopted it, "" if none did.
    """

    fingerprint: str
    id: str
    subject: str
    severity: str
    sentence: str
    first_ns: int
    last_ns: int
    resolved_ns: int = 0
    adopted: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many findings stood how at one time: `open` by severity, and the others in all."""

    time_ns: int
    open: Mapping[str, int]
    adopted: int = 0
    exempted: int = 0
    resolved: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """All that is remembered: lives by fingerprint, tallies in the order of time."""

    lives: Mapping[str, Life] = field(default_factory=dict)
    tallies: tuple[Tally, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """How one finding stands now, since when it is known, and who answers for it if it is exempted."""

    status: Status
    first_ns: int
    last_ns: int
    exemption: Exemption | None = None


@dataclass(frozen=True, slots=True)
class Lives:
    """What a report tells of life: how each finding stands, by fingerprint; what is resolved; the counts over time.

    `expired` are sentences about exemptions past their day, each of which fails a run; `idle` about those that
    cover nothing.
    """

    standings: Mapping[str, Standing] = field(default_factory=dict)
    resolved: tuple[Life, ...] = ()
    tallies: tuple[Tally, ...] = ()
    expired: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()

    def of(self, finding: Finding) -> Standing:
        """Return how a finding stands; one of which nothing is known is open."""
        return self.standings.get(finding.fingerprint, _UNKNOWN)


_UNKNOWN = Standing(Status.OPEN, 0, 0)


def live(
    history: History, found: Sequence[Finding], exemptions: Sequence[Exemption], now_ns: int, *, complete: bool
) -> tuple[Lives, History]:
    """Return what a report tells of the life of what was found, and the history after it."""
    after = advance(history, found, now_ns, complete=complete)
    stands = {finding.fingerprint: standing(finding, after, exemptions, now_ns) for finding in found}
    after = counted(after, tally(((finding, stands[finding.fingerprint]) for finding in found), after, now_ns))
    resolved = sorted((life for life in after.lives.values() if life.resolved_ns), key=lambda life: -life.resolved_ns)
    today = day(now_ns)
    return (
        Lives(
            stands,
            tuple(resolved),
            after.tallies,
            tuple(_expired(each) for each in exemptions if each.expired(today)),
            tuple(
                f"{each.where} (owner {each.owner}) covers no finding: remove it"
                for each in exemptions
                if not each.expired(today) and not any(map(each.covers, found))
            ),
        ),
        after,
    )


def _expired(each: Exemption) -> str:
    what = each.fingerprint or f"{each.finding} of {each.subject}"
    return f"{each.where} ({what}, owner {each.owner}) expired on {each.expires}: fix the finding, or renew it"


def name(account_id: str, region: str) -> str:
    """Return under which name a store keeps the history of one account and region: a report sees no other."""
    return f"findings {account_id} {region}"


# --- one run ----------------------------------------------------------------------------------------


def advance(history: History, found: Iterable[Finding], now_ns: int, *, complete: bool) -> History:
    """Return the history after a run that found these.

    What is no longer found is resolved, unless the run was not `complete`: what could not be looked at may be
    there still. One that comes back is open again, whatever a baseline had adopted.
    """
    lives = dict(history.lives)
    now = {finding.fingerprint: finding for finding in found}
    for fingerprint, finding in now.items():
        lives[fingerprint] = _seen(lives.get(fingerprint), finding, now_ns)
    if complete:
        for fingerprint, life in history.lives.items():
            if fingerprint not in now and not life.resolved_ns:
                lives[fingerprint] = replace(life, resolved_ns=now_ns, adopted="")
    return History(_bounded(lives), history.tallies)


def _seen(known: Life | None, finding: Finding, now_ns: int) -> Life:
    if known is None:
        known = Life(finding.fingerprint, finding.id, finding.subject, "", "", now_ns, now_ns)
    return replace(
        known,
        severity=finding.severity.value,
        sentence=finding.sentence,
        first_ns=min(known.first_ns, now_ns),
        last_ns=max(known.last_ns, now_ns),
        resolved_ns=0,
    )


def _bounded(lives: Mapping[str, Life]) -> Mapping[str, Life]:
    """Forget the longest resolved, so that a history does not grow for ever."""
    resolved = sorted((life for life in lives.values() if life.resolved_ns), key=lambda life: -life.resolved_ns)
    gone = {life.fingerprint for life in resolved[MOST_RESOLVED:]}
    return {fingerprint: life for fingerprint, life in lives.items() if fingerprint not in gone}


def adopt(history: History, found: Iterable[Finding]) -> History:
    """Return the history in which all that was found is adopted, at its severity of now."""
    lives = dict(history.lives)
    for finding in found:
        lives[finding.fingerprint] = replace(lives[finding.fingerprint], adopted=finding.severity.value)
    return History(lives, history.tallies)


def abandon(history: History) -> History:
    """Return the history without a baseline: everything counts again."""
    return History({key: replace(life, adopted="") for key, life in history.lives.items()}, history.tallies)


# --- how each stands --------------------------------------------------------------------------------


def standing(finding: Finding, history: History, exemptions: Iterable[Exemption], now_ns: int) -> Standing:
    """Say how a finding stands: an exemption that holds comes first, then the baseline.

    A finding that is worse than when it was adopted is open.
    """
    life = history.lives.get(finding.fingerprint)
    first_ns = min(life.first_ns, now_ns) if life else now_ns
    today = day(now_ns)
    exemption = next((each for each in exemptions if each.covers(finding) and not each.expired(today)), None)
    if exemption:
        return Standing(Status.EXEMPTED, first_ns, now_ns, exemption)
    adopted = bool(life and life.adopted and finding.severity.rank >= Severity(life.adopted).rank)
    return Standing(Status.ADOPTED if adopted else Status.OPEN, first_ns, now_ns)


def tally(standings: Iterable[tuple[Finding, Standing]], history: History, now_ns: int) -> Tally:
    """Count how findings stand."""
    pairs = list(standings)
    counts = Counter(stands.status for _, stands in pairs)
    opened = Counter(finding.severity.value for finding, stands in pairs if stands.status is Status.OPEN)
    return Tally(
        now_ns,
        {severity.value: opened[severity.value] for severity in Severity},
        counts[Status.ADOPTED],
        counts[Status.EXEMPTED],
        sum(bool(life.resolved_ns) for life in history.lives.values()),
    )


def counted(history: History, now: Tally) -> History:
    """Return the history with one more tally; of those at one time the last stays."""
    earlier = tuple(each for each in history.tallies if each.time_ns < now.time_ns)
    return History(history.lives, (*earlier, now)[-MOST_TALLIES:])


def day(ns: int) -> date:
    """Return the day of a time, in UTC."""
    return datetime.fromtimestamp(ns // 10**9, timezone.utc).date()


# --- text -------------------------------------------------------------------------------------------


def dumps(history: History) -> str:
    """Return a history as text for a store."""
    lives = [asdict(life) for _, life in sorted(history.lives.items())]
    return json.dumps({"version": VERSION, "lives": lives, "tallies": [asdict(each) for each in history.tallies]})


def loads(text: str) -> History:
    """Return the history of a text, an empty one of ""; raises `BadHistory`."""
    if not text:
        return History()
    try:
        document = json.loads(text)
        version = document["version"]
        lives = [Life(**_known(Life, each)) for each in document["lives"]]
        tallies = tuple(Tally(**_known(Tally, each)) for each in document["tallies"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadHistory(f"it cannot be read: {error}") from None
    if version != VERSION:
        raise BadHistory(f"it has version {version}, this agent reads {VERSION}")
    return History({life.fingerprint: life for life in lives}, tallies)


def _known(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in values.items() if name in names}
