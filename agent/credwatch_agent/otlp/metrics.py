"""Export requests of metrics: points of the recorder's metrics become records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    MAX_ATTRIBUTES,
    MAX_TEXT,
    BrokenPoint,
    Encoding,
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


def _prefix(name: str) -> bytes:
    """Return how an attribute of this name, of less than 128 characters, begins on the wire."""
    return b"\n" + bytes([len(name)]) + name.encode()


_PROCESS_ID = _prefix(semconv.PROCESS_ID)
_OVERFLOW = _prefix(OVERFLOW)


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
        usage = (replace(point, exact=False) for point in self.usage) if self.overflowed else self.usage
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
        for point in _numbers(metric, rejections):
            problem = _take(points, metric, point, now_ns)
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


def _numbers(metric: _Metric, rejections: Rejections) -> Iterator[Any]:
    if metric.kind != "sum":
        rejections.add(len(metric.points), f"`{metric.name}` is a {metric.kind}, expected a sum")
        return
    for content in metric.points:
        if len(content) > MAX_ITEM:
            rejections.add(1, f"a point of `{metric.name}` was rejected: it is larger than {MAX_ITEM} bytes")
            continue
        point = opened("Point", content)
        # a marker that a series ended (OTLP data point flags): it says nothing, and nothing is wrong
        if not point.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
            yield point


def _take(points: _Points, metric: _Metric, point: Any, now_ns: int) -> str:
    """Add one point to the batch, or return the sentence that says why not."""
    try:
        _add(points, metric, point, now_ns)
    except (BrokenPoint, semconv.Undecodable) as error:
        return f"a point of `{metric.name}` was rejected: {error}"
    return ""


def _add(points: _Points, metric: _Metric, point: Any, now_ns: int) -> None:
    every = _canonical(point.attributes)
    if any(item.startswith(_OVERFLOW) for item in every):
        points.overflowed = True
        raise BrokenPoint(f"`{OVERFLOW}` says that the sender merged calls; its other counts are lower bounds")
    process_id = _process_id(_scalars(item for item in every if item.startswith(_PROCESS_ID)))
    attributes = tuple(item for item in every if not item.startswith(_PROCESS_ID))
    value = _value(point)
    start_ns = check_time("start time", point.start_ns, now_ns)
    # a clock that was set back in the process must not cost its counts
    time_ns = max(start_ns, check_time("time", point.time_ns, now_ns))
    if metric.name in HEALTH:
        points.health.append(Health(process_id, metric.name, value, start_ns, time_ns))
    elif metric.name == semconv.CREDENTIAL_SEEN:
        points.keys.append(_sighting(process_id, _scalars(attributes), value, start_ns, time_ns))
    else:
        points.usage.append(UsagePoint(process_id, _known(attributes), value, start_ns, time_ns, metric.cumulative))


def _canonical(attributes: Iterable[bytes]) -> list[bytes]:
    # senders write the key first, but need not
    found = islice(attributes, MAX_ATTRIBUTES)
    return [item if item.startswith(b"\n") else filled(KeyValue(), item).SerializeToString() for item in found]


def _scalars(attributes: Iterable[bytes]) -> dict[str, Scalar]:
    return scalars(filled(KeyValue(), item) for item in attributes)


def _known(attributes: tuple[bytes, ...]) -> Usage:
    # bounded in number and in size, so that no sender fills the memory
    return (_remembered if sum(map(len, attributes)) <= _MAX_REMEMBERED else _decoded)(attributes)


def _decoded(attributes: tuple[bytes, ...]) -> Usage:
    return _usage(_scalars(attributes))


# a process sends the same usages again and again, and its siblings the same ones
_remembered = lru_cache(maxsize=8_192)(_decoded)


def _process_id(attributes: Mapping[str, Scalar]) -> str:
    process_id = attributes.get(semconv.PROCESS_ID)
    if not isinstance(process_id, str) or not 0 < len(process_id) <= _MAX_PROCESS_ID:
        what = "is missing" if process_id is None else f"is no text of 1 to {_MAX_PROCESS_ID} characters"
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
