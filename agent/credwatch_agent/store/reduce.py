"""The second half of the truth rule: rows of one maximum per start become sums over the starts.

Pure, and the same for every store. Sums are Python's: a hostile sender's maxima overflow a column.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from credwatch.semconv import PROCESS_FINGERPRINT, RECORDER_CLOSED
from credwatch_agent.records import Batch, Health, KeySighting, Process, Seen, Telemetry, UsagePoint, UsageRow
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


class Kept(NamedTuple):
    """A process as stores keep it; `resource` is canonical text."""

    process_id: str
    resource: str
    first_ns: int
    last_ns: int
    claimed: int


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


def telemetry(processes: Iterable[Kept], rows: Iterable[Row], since_ns: int) -> Telemetry:
    """Return what a store holds, its `rows` in groups.

    Usage and keys that were last reported before `since_ns` are left out.
    """
    sums = list(_sums(rows))
    closed = {s.process_id: s.value for s in sums if s.kind == "health" and s.text == RECORDER_CLOSED}
    recent = [s for s in sums if s.last_ns >= since_ns]
    return Telemetry(
        {p.process_id: _process(p, closed.get(p.process_id)) for p in processes},
        tuple(_usage(s) for s in recent if s.kind == "usage"),
        tuple(_key(s) for s in recent if s.kind == "key"),
    )


def _process(kept: Kept, closed: int | None) -> Process:
    resource = texts.to_mapping(kept.resource)
    return Process(kept.process_id, resource, kept.first_ns, kept.last_ns, closed, bool(kept.claimed))


def seen(processes: Iterable[tuple[Kept, bool]], rows: Iterable[Row]) -> tuple[Seen, ...]:
    """Return processes in short, the latest to report first: each with whether it was folded, and all their rows."""
    calls: defaultdict[str, int] = defaultdict(int)
    closed: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        if row.kind == "usage":
            calls[row.process_id] += row.value
        elif row.kind == "health" and row.text == RECORDER_CLOSED:
            closed[row.process_id] += row.value
    found = [
        Seen(_process(kept, closed.get(kept.process_id)), calls[kept.process_id], folded) for kept, folded in processes
    ]
    return tuple(sorted(found, key=lambda each: -each.process.last_ns))


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


def batches(
    processes: Iterable[Kept], rows: Iterable[Row], tombstones: Iterable[tuple[str, str]] = ()
) -> Iterator[Batch]:
    """Yield what a store holds as batches of one process each: put into another store, they make it equal.

    `tombstones` pairs the ids of folded processes with that of their total.
    """
    held: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        held[row.process_id].append(row)
    folded: defaultdict[str, list[str]] = defaultdict(list)
    for process_id, total in tombstones:
        folded[total].append(process_id)
    for process in processes:
        yield _batch(process, held[process.process_id], folded[process.process_id])


def _batch(process: Kept, own: list[Row], folded: Iterable[str]) -> Batch:
    process_id = process.process_id
    return Batch(
        texts.to_mapping(process.resource),
        tuple(
            UsagePoint(process_id, texts.to_usage(r.text), r.value, r.start_ns, r.last_ns, bool(r.exact))
            for r in own
            if r.kind == "usage"
        ),
        tuple(texts.to_key(process_id, r.text, r.value, r.start_ns, r.last_ns) for r in own if r.kind == "key"),
        tuple(Health(process_id, r.text, r.value, r.start_ns, r.last_ns) for r in own if r.kind == "health"),
        bool(process.claimed),
        tuple(sorted(folded)),
    )


# --- folding --------------------------------------------------------------------------------------

TOTAL = "folded\t"
"""How the id of a total begins: no process has such an id, since a tab is not printable."""

_DAY_NS = 86_400 * 10**9
_BIGGEST = 2**63 - 1
_OF_INSTANCES = frozenset(
    {
        PROCESS_FINGERPRINT,
        "aws.ecs.container.arn",
        "aws.ecs.task.arn",
        "aws.ecs.task.id",
        "container.id",
        "faas.instance",
        "host.id",
        "host.ip",
        "host.name",
        "k8s.node.name",
        "k8s.node.uid",
        "k8s.pod.ip",
        "k8s.pod.name",
        "k8s.pod.start_time",
        "k8s.pod.uid",
        "process.parent_pid",
        "process.pid",
        "service.instance.id",
    }
)
"""Resource attributes that tell instances of one workload apart: a total has none of them."""


def totals(store: str, processes: Iterable[Kept], closed: Iterable[str]) -> dict[str, tuple[Kept, list[str]]]:
    """Return, by its id, each total that processes are to be folded into, and which.

    One for each workload, day of start (so that all its points have one start, and folding more only
    makes values grow), ended or not, and vouched for or not. Ids of two stores differ: totals of one
    must not be taken for those of another.
    """
    ended, found = frozenset(closed), dict[str, tuple[Kept, list[str]]]()
    for process in processes:
        kept = {k: v for k, v in texts.to_mapping(process.resource).items() if k not in _OF_INSTANCES}
        resource = texts.from_mapping(kept)
        day_ns = process.first_ns - process.first_ns % _DAY_NS
        identity = f"{store} {day_ns} {process.process_id in ended} {process.claimed} {resource}"
        total_id = TOTAL + hashlib.sha256(identity.encode()).hexdigest()[:32]
        before, members = found.get(total_id) or (Kept(total_id, resource, day_ns, 0, process.claimed), [])
        last_ns = max(before.last_ns, process.last_ns)
        found[total_id] = before._replace(last_ns=last_ns), [*members, process.process_id]
    return found


def fold(planned: Mapping[str, tuple[Kept, list[str]]], rows: Iterable[Row]) -> Iterator[Batch]:
    """Yield the totals as batches: `rows` are those of their members, and theirs so far."""
    total_of = {member: total_id for total_id, (_, members) in planned.items() for member in members}
    grouped: defaultdict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        grouped[total_of.get(row.process_id, row.process_id), row.kind, row.text].append(row)
    held: defaultdict[str, list[Row]] = defaultdict(list)
    for (total_id, kind, text), group in grouped.items():
        start_ns = planned[total_id][0].first_ns
        value = min(sum(row.value for row in group), _BIGGEST)
        last_ns, exact = max(row.last_ns for row in group), min(row.exact for row in group)
        held[total_id].append(Row(total_id, kind, text, start_ns, value, last_ns, exact))
    for total_id, (total, members) in planned.items():
        yield _batch(total, held[total_id], members)


def _usage(s: _Sum) -> UsageRow:
    return UsageRow(s.process_id, texts.to_usage(s.text), s.value, s.first_ns, s.last_ns, s.exact)


def _key(s: _Sum) -> KeySighting:
    return texts.to_key(s.process_id, s.text, s.value, s.first_ns, s.last_ns)
