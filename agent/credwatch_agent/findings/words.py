"""The sentences of evidence: figures, times and names, written the same way in every finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone

from credwatch_agent.compare import Use
from credwatch_agent.evidence import Place, Signed

MANY = 6


def stamp(ns: int) -> str:
    """Return a time in nanoseconds since the epoch as text, to the minute, in UTC."""
    return datetime.fromtimestamp(ns // 10**9, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def count(number: int, noun: str) -> str:
    """Return `1 call`, `2 calls`, `3 processes`, `4 identities`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"


def listed(names: Iterable[str], most: int = MANY) -> str:
    """Return names in code marks, the first few of them where there are many."""
    every = list(dict.fromkeys(names))
    shown = ", ".join(f"`{name}`" for name in every[:most])
    return f"{shown} and {len(every) - most:,} more" if len(every) > most else shown


def name(arn: str) -> str:
    """Return the last part of an ARN, which people use: a role's or a user's name."""
    return arn.rpartition("/")[2] or arn


def span(first_ns: int, last_ns: int) -> str:
    """Say between which times: the first is when counting began, so no later than the first call."""
    first, last = stamp(first_ns), stamp(last_ns)
    return f"at {first}" if first == last else f"between {first} and {last}"


def calls(signed: Sequence[Signed]) -> str:
    """Say how many calls of which kinds were made, when, and by whom."""
    totals: Counter[str] = Counter()
    for item in signed:
        totals[f"{item.usage.service}:{item.usage.operation}"] += item.row.calls
    kinds = ", ".join(f"{kind} {number:,}" for kind, number in totals.most_common(MANY))
    rest = f" and {count(len(totals) - MANY, 'other kind')}" if len(totals) > MANY else ""
    return f"{count(sum(totals.values()), 'call')} ({kinds}{rest}) {span(*seen(signed))}"


def uses(found: Sequence[Use]) -> str:
    """Say how often actions were used, when, and by which workloads."""
    total = sum(use.calls for use in found)
    first, last = min(use.first_ns for use in found), max(use.last_ns for use in found)
    where = listed(sorted({name for use in found for name in use.where}))
    return f"{count(total, 'call')} by {where} {span(first, last)}"


def seen(signed: Iterable[Signed]) -> tuple[int, int]:
    """Return the first and the last time, 0 where nothing was seen."""
    rows = [item.row for item in signed]
    return min((row.first_ns for row in rows), default=0), max((row.last_ns for row in rows), default=0)


def mapping(signed: Iterable[Signed]) -> str:
    """Say how the calls' actions are known."""
    totals: Counter[str] = Counter()
    versions: set[str] = set()
    for item in signed:
        totals[item.usage.mapping] += item.row.calls
        versions.add(item.usage.mapping_version)
    kinds = ", ".join(f"{kind} {number:,}" for kind, number in sorted(totals.items()))
    named = ", ".join(sorted(versions - {""}))
    return f"actions by the operation map{' ' + named if named else ''}: {kinds}"


def reporters(places: Iterable[Place]) -> str:
    """Say how many processes report and whether their counts are final."""
    found = {place.process.process_id: place for place in places}
    running = sum(place.process.closed is None for place in found.values())
    entries = listed(sorted({p.workload.entry_point for p in found.values()} - {""}))
    what = f" ({entries})" if entries else ""
    final = "all ended: counts are exact" if not running else f"{running:,} not ended: counts are a lower bound"
    return f"{count(len(found), 'process')} reported{what}, {final}"


def either(parts: Iterable[str]) -> str:
    """Return `a`, `a or b`, `a, b or c`."""
    every = list(dict.fromkeys(parts))
    return " or ".join(filter(None, (", ".join(every[:-1]), every[-1])))


def iso(ns: int) -> str:
    """Return a time as policies write it."""
    return datetime.fromtimestamp(ns // 10**9, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
