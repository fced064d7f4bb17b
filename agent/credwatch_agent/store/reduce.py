"""The second half of the truth rule: rows of one maximum per start become sums over the starts.

Pure, and the same for every store. Sums are Python's: a hostile sender's maxima overflow a column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from credwatch.semconv import RECORDER_CLOSED
from credwatch_agent.records import Batch, Health, KeySighting, Process, Telemetry, UsagePoint, UsageRow
from credwatch_agent.store import texts


class Row(NamedTuple):
    """The greatest value of one (process, attributes, start). `kind` is `usage`, `key` or `health`."""

    process_id: str
    kind: str
    text: str
    start_ns: int
    value: int
    last_ns: int
    exact: int


@dataclass(frozen=True, slots=True)
class _Sum:
    process_id: str
    kind: str
    text: str
    value: int
    first_ns: int
    last_ns: int
    exact: bool


def _sums(rows: Iterable[Row]) -> Iterator[_Sum]:
    for (process_id, kind, text), group in groupby(rows, key=lambda row: row[:3]):
        starts = list(group)
        yield _Sum(
            process_id,
            kind,
            text,
            sum(row.value for row in starts),
            min(row.start_ns for row in starts),
            max(row.last_ns for row in starts),
            all(row.exact for row in starts),
        )


def telemetry(processes: Iterable[tuple[str, str, int, int]], rows: Iterable[Row], since_ns: int) -> Telemetry:
    """Return what a store holds: `processes` as (process id, resource, first, last), `rows` in groups.

    Usage and keys that were last reported before `since_ns` are left out.
    """
    sums = list(_sums(rows))
    closed = {s.process_id: s.value for s in sums if s.kind == "health" and s.text == RECORDER_CLOSED}
    recent = [s for s in sums if s.last_ns >= since_ns]
    return Telemetry(
        {
            process_id: Process(process_id, texts.to_mapping(resource), first_ns, last_ns, closed.get(process_id))
            for process_id, resource, first_ns, last_ns in processes
        },
        tuple(_usage(s) for s in recent if s.kind == "usage"),
        tuple(_key(s) for s in recent if s.kind == "key"),
    )


def points_of(batch: Batch) -> list[Row]:
    """Return the points of a batch as rows: not yet one a key."""
    return [
        *(
            Row(u.process_id, "usage", texts.from_usage(u.usage), u.start_ns, u.value, u.time_ns, u.exact)
            for u in batch.usage
        ),
        *(Row(k.process_id, "key", texts.from_key(k), k.first_ns, k.value, k.last_ns, True) for k in batch.keys),
        *(Row(h.process_id, "health", h.metric, h.start_ns, h.value, h.time_ns, True) for h in batch.health),
    ]


def batches(processes: Iterable[tuple[str, str, int, int]], rows: Iterable[Row]) -> Iterator[Batch]:
    """Yield what a store holds as batches of one process each: put into another store, they make it equal."""
    held: dict[str, list[Row]] = {}
    for row in rows:
        held.setdefault(row.process_id, []).append(row)
    for process_id, resource, _, _ in processes:
        own = held.get(process_id, [])
        yield Batch(
            texts.to_mapping(resource),
            tuple(
                UsagePoint(process_id, texts.to_usage(r.text), r.value, r.start_ns, r.last_ns, bool(r.exact))
                for r in own
                if r.kind == "usage"
            ),
            tuple(texts.to_key(process_id, r.text, r.value, r.start_ns, r.last_ns) for r in own if r.kind == "key"),
            tuple(Health(process_id, r.text, r.value, r.start_ns, r.last_ns) for r in own if r.kind == "health"),
        )


def _usage(s: _Sum) -> UsageRow:
    return UsageRow(s.process_id, texts.to_usage(s.text), s.value, s.first_ns, s.last_ns, s.exact)


def _key(s: _Sum) -> KeySighting:
    return texts.to_key(s.process_id, s.text, s.value, s.first_ns, s.last_ns)
