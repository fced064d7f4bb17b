"""Export requests of metrics: points of the recorder's metrics become records."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, DataPointFlags
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from credwatch import semconv
from credwatch.semconv import Usage
from credwatch_agent.otlp.layers import KINDS, MAX_ITEM, Budget, Entry, entries, filled, opened
from credwatch_agent.otlp.wire import (
    AHEAD_NS,
    EARLIEST_NS,
    MAX_ATTRIBUTES,
    MAX_TEXT,
    BrokenPoint,
    Encoding,
    Malformed,
    Rejections,
    Scalar,
    check_time,
    resource_texts,
    scalars,
    to_protobuf,
)
from credwatch_agent.records import Batch, Health, KeySighting, UsagePoint

HEALTH = frozenset(
    {
        semconv.RECORDER_UP,
        semconv.RECORDER_CLOSED,
        semconv.RECORDER_ERRORS,
        semconv.RECORDER_COARSENED,
        semconv.SPANS_DROPPED,
    }
)
OURS = HEALTH | {semconv.CALLS, semconv.CREDENTIAL_SEEN}

OVERFLOW = "otel.metric.overflow"
"""Marks the stream into which an OpenTelemetry SDK merges what is past its cardinality limit."""

_MAX_PROCESS_ID = 128
_MAX_REMEMBERED = 2_048


_UUID = 36
_UUID_TEXT = re.compile(rb"[0-9A-Za-z-]{36}")
# the attribute of a process whose id is a UUID, up to the UUID: field 7 of a point, a KeyValue of 62 bytes
_UUID_ATTRIBUTE = b"\x3a\x3e\x0a\x14" + semconv.PROCESS_ID.encode() + b"\x12\x26\x0a\x24"
_TAGS = b"\x11\x19\x31\x3a"  # how each of the three numbers and the first attribute begin: 9 bytes apart
_NUMBERS = struct.Struct("<xQxQxq")
_NUMBER_FIELDS = ("start_ns", "time_ns", "as_double", "as_int", "flags")


class _Metric(NamedTuple):
    name: str
    kind: str
    cumulative: bool = False
    points: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Metrics:
    """What one request says: `rejected` points were not taken, and `message` says why."""

    batches: tuple[Batch, ...]
    rejected: int = 0
    message: str = ""


@dataclass(slots=True)
class _Points:
    usage: list[UsagePoint] = field(default_factory=list)
    keys: list[KeySighting] = field(default_factory=list)
    health: list[Health] = field(default_factory=list)
    overflowed: bool = False

    def batch(self, resource: Mapping[str, str]) -> Batch:
        # calls that the sender merged are missing elsewhere: no count of this resource is complete
        usage = (point._replace(exact=False) for point in self.usage) if self.overflowed else self.usage
        return Batch(resource, tuple(usage), tuple(self.keys), tuple(self.health))


def decode_metrics(body: bytes, encoding: Encoding, *, now_ns: int) -> Metrics:
    """Return the batches of an `ExportMetricsServiceRequest`, one a resource that has points of ours.

    Raises `Malformed` for a body that is none.
    """
    content = to_protobuf(body, encoding, ExportMetricsServiceRequest)
    rejections, budget = Rejections(), Budget()
    batches = [_batch(entry, now_ns, rejections, budget) for entry in entries(content, budget)]
    return Metrics(tuple(batch for batch in batches if batch), rejections.count, rejections.message)


def _batch(entry: Entry, now_ns: int, rejections: Rejections, budget: Budget) -> Batch | None:
    metrics = [metric for item in entry.items if (metric := _metric(item, budget)).name in OURS]
    if not metrics:
        return None
    resource = filled(Resource(), entry.resource).attributes
    problem = _schema_problem(scalars(resource))
    if problem:
        rejections.add(sum(len(metric.points) for metric in metrics), problem)
        return None
    points = _Points()
    for metric in metrics:
        for content in _numbers(metric, rejections, points, now_ns):
            problem = _take(points, metric, content, now_ns)
            rejections.add(bool(problem), problem)
    return points.batch(resource_texts(resource))


def _metric(item: bytes, budget: Budget) -> _Metric:
    wire = opened("Metric", item)
    kind = next((name for name in KINDS if wire.HasField(name)), "")
    if wire.name not in OURS or not kind:
        return _Metric(wire.name, kind)
    data = opened("Data", getattr(wire, kind))
    cumulative = data.monotonic and data.temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    return _Metric(wire.name, kind, cumulative, budget.take(data.points))


def _schema_problem(resource: Mapping[str, Scalar]) -> str:
    schema = resource.get(semconv.SCHEMA_ATTRIBUTE)
    # bool is an int in Python, but not on the wire
    if type(schema) is int and schema in semconv.ACCEPTED_SCHEMAS:
        return ""
    known = ", ".join(map(str, sorted(semconv.ACCEPTED_SCHEMAS)))
    if schema is None:
        return f"the resource has no `{semconv.SCHEMA_ATTRIBUTE}`; this agent reads schema {known}"
    return (
        f"the resource has `{semconv.SCHEMA_ATTRIBUTE}` {str(schema)[:20]}; this agent reads schema {known}: "
        "upgrade the agent before the recorders"
    )


def _numbers(metric: _Metric, rejections: Rejections, points: _Points, now_ns: int) -> Sequence[bytes]:
    if metric.kind == "sum":
        return _take_plain(points.usage, metric, now_ns) if metric.name == semconv.CALLS else metric.points
    rejections.add(len(metric.points), f"`{metric.name}` is a {metric.kind}, expected a sum")
    return ()


def _take(points: _Points, metric: _Metric, content: bytes, now_ns: int) -> str:
    """Add one point to the batch, or return the sentence that says why not."""
    try:
        _add(points, metric, content, now_ns)
    except (BrokenPoint, semconv.Undecodable) as error:
        return f"a point of `{metric.name}` was rejected: {error}"
    return ""


def _take_plain(taken: list[UsagePoint], metric: _Metric, now_ns: int) -> list[bytes]:
    """Take the usages that are laid out as every known encoder does, without building them; return the others.

    Fields come in the order of their numbers: three of 64 bits, then attributes, among them a UUID of
    the process. What is left names the usage alike for all processes, and is remembered. One loop and no
    calls of our own: this is what ingest costs.
    """
    others = []
    unpack, new, known_ids, usages = _NUMBERS.unpack_from, tuple.__new__, dict[bytes, str](), dict[bytes, Usage]()
    latest, cumulative = now_ns + AHEAD_NS, metric.cumulative
    for content in metric.points:
        at = content.find(_UUID_ATTRIBUTE, 27)
        if at >= 0 and content[0:28:9] == _TAGS:
            begin = at + len(_UUID_ATTRIBUTE)
            end = begin + _UUID
            rest = content[27:at] + content[end:]
            usage = usages.get(rest) or _usage_of(rest, usages)
            start_ns, time_ns, value = unpack(content)
            uuid = content[begin:end]
            process_id = known_ids.get(uuid) or _uuid(uuid, known_ids)
            if usage and process_id and value >= 0 and EARLIEST_NS <= start_ns <= time_ns <= latest:
                # as UsagePoint(…), which would call Python
                taken.append(new(UsagePoint, (process_id, usage, value, start_ns, time_ns, cumulative)))
                continue
        others.append(content)
    return others


def _uuid(content: bytes, known_ids: dict[bytes, str]) -> str:
    """Return the text of a UUID, remembered for this request; "" where it is none."""
    if not _UUID_TEXT.fullmatch(content):
        return ""
    text = known_ids[content] = content.decode()
    return text


def _usage_of(rest: bytes, usages: dict[bytes, Usage]) -> Usage | None:
    """Return the usage that `_remembered` knows, at hand for the rest of this request."""
    found = _remembered(rest) if len(rest) <= _MAX_REMEMBERED else None
    if found:
        usages[rest] = found
    return found


# bounded in number and, by its callers, in size, so that no sender fills the memory
@lru_cache(maxsize=8_192)
def _remembered(rest: bytes) -> Usage | None:
    """Return the usage of a point without its numbers and process; None where it must be looked at in full."""
    try:
        point = opened("Point", rest)
        if any(point.HasField(name) for name in _NUMBER_FIELDS):
            return None
        attributes = _scalars(point.attributes)
        return None if attributes.keys() & {OVERFLOW, semconv.PROCESS_ID} else _usage(attributes)
    except (Malformed, BrokenPoint, semconv.Undecodable):
        return None


def _add(points: _Points, metric: _Metric, content: bytes, now_ns: int) -> None:
    if len(content) > MAX_ITEM:
        raise BrokenPoint(f"it is larger than {MAX_ITEM} bytes")
    point = opened("Point", content)
    # a marker that a series ended (OTLP data point flags): it says nothing, and nothing is wrong
    if point.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
        return
    attributes = _scalars(islice(point.attributes, MAX_ATTRIBUTES))
    if OVERFLOW in attributes:
        points.overflowed = True
        raise BrokenPoint(f"`{OVERFLOW}` says that the sender merged calls; its other counts are lower bounds")
    process_id = _process_id(attributes)
    value = _value(point)
    start_ns = check_time("start time", point.start_ns, now_ns)
    # a clock that was set back in the process must not cost its counts
    time_ns = max(start_ns, check_time("time", point.time_ns, now_ns))
    if metric.name in HEALTH:
        points.health.append(Health(process_id, metric.name, value, start_ns, time_ns))
    elif metric.name == semconv.CREDENTIAL_SEEN:
        points.keys.append(_sighting(process_id, attributes, value, start_ns, time_ns))
    else:
        points.usage.append(UsagePoint(process_id, _usage(attributes), value, start_ns, time_ns, metric.cumulative))


def _scalars(attributes: Iterable[bytes]) -> dict[str, Scalar]:
    return scalars(filled(KeyValue(), item) for item in attributes)


def _process_id(attributes: Mapping[str, Scalar]) -> str:
    process_id = attributes.get(semconv.PROCESS_ID)
    if not isinstance(process_id, str) or not (0 < len(process_id) <= _MAX_PROCESS_ID and process_id.isprintable()):
        what = "is missing" if process_id is None else f"is no text of 1 to {_MAX_PROCESS_ID} printable characters"
        raise BrokenPoint(f"attribute `{semconv.PROCESS_ID}` {what}")
    return process_id


def _value(point: Any) -> int:
    if not point.HasField("as_int"):
        raise BrokenPoint(
            "its value is a float, expected an integer" if point.HasField("as_double") else "it has no value"
        )
    value: int = point.as_int
    if value < 0:
        raise BrokenPoint(f"its value {value} is negative")
    return value


def _usage(attributes: Mapping[str, Scalar]) -> Usage:
    escaped = False
    for name, value in attributes.items():
        if isinstance(value, str):
            if len(value) > MAX_TEXT:
                raise BrokenPoint(f"attribute `{name[:80]}` is longer than {MAX_TEXT} characters")
            escaped = escaped or "\\u" in value
    usage = semconv.decode(attributes)
    # JSON within an attribute can spell half a surrogate pair, which no store can write
    if escaped and not _is_unicode(usage):
        raise BrokenPoint("an attribute holds half of a surrogate pair")
    return usage


def _is_unicode(usage: Usage) -> bool:
    try:
        "".join(value for value in semconv.encode(usage).values() if isinstance(value, str)).encode()
    except UnicodeEncodeError:
        return False
    return True


def _sighting(
    process_id: str, attributes: Mapping[str, Scalar], value: int, first_ns: int, last_ns: int
) -> KeySighting:
    pseudonym = attributes.get(semconv.PSEUDONYM)
    if not isinstance(pseudonym, str) or not pseudonym:
        raise BrokenPoint(f"attribute `{semconv.PSEUDONYM}` is missing or no text")
    # the credential's part of a usage, checked by the same rules; a sighting has no call
    usage = _usage({semconv.DETAIL: "none", semconv.OUTCOME: "allowed", **attributes})
    return KeySighting(
        process_id,
        pseudonym,
        usage.source,
        usage.provider,
        usage.credential_type,
        usage.laundered,
        usage.principal,
        usage.account_id,
        value,
        first_ns,
        last_ns,
    )
