"""Export requests of metrics: points of the recorder's metrics become records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    DataPointFlags,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
)

from credwatch import semconv
from credwatch_agent.otlp.wire import (
    MAX_TEXT,
    BrokenPoint,
    Encoding,
    Rejections,
    Scalar,
    check_time,
    limit_entries,
    parse,
    resource_texts,
    scalars,
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
    request = parse(body, encoding, ExportMetricsServiceRequest())
    limit_entries(_sizes(request))
    rejections = Rejections()
    batches = (_batch(entry, now_ns, rejections) for entry in request.resource_metrics)
    return Metrics(tuple(batch for batch in batches if batch), rejections.count, rejections.message)


def _sizes(request: ExportMetricsServiceRequest) -> Iterator[int]:
    yield len(request.resource_metrics)
    for entry in request.resource_metrics:
        yield len(entry.scope_metrics)
        for scope in entry.scope_metrics:
            yield len(scope.metrics)
            yield from (_size(metric) for metric in scope.metrics)


def _batch(entry: ResourceMetrics, now_ns: int, rejections: Rejections) -> Batch | None:
    metrics = [metric for scope in entry.scope_metrics for metric in scope.metrics if metric.name in OURS]
    if not metrics:
        return None
    problem = _schema_problem(scalars(entry.resource.attributes))
    if problem:
        rejections.add(sum(_size(metric) for metric in metrics), problem)
        return None
    points = _Points()
    for metric in metrics:
        for point in _numbers(metric, rejections):
            problem = _take(points, metric, point, now_ns)
            rejections.add(bool(problem), problem)
    return points.batch(resource_texts(entry.resource.attributes))


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


def _size(metric: Metric) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


def _numbers(metric: Metric, rejections: Rejections) -> Iterator[NumberDataPoint]:
    kind = metric.WhichOneof("data")
    if kind != "sum":
        rejections.add(_size(metric), f"`{metric.name}` is a {kind}, expected a sum")
        return
    for point in metric.sum.data_points:
        # a marker that a series ended (OTLP data point flags): it says nothing, and nothing is wrong
        if not point.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
            yield point


def _take(points: _Points, metric: Metric, point: NumberDataPoint, now_ns: int) -> str:
    """Add one point to the batch, or return the sentence that says why not."""
    try:
        _add(points, metric, point, now_ns)
    except (BrokenPoint, semconv.Undecodable) as error:
        return f"a point of `{metric.name}` was rejected: {error}"
    return ""


def _add(points: _Points, metric: Metric, point: NumberDataPoint, now_ns: int) -> None:
    attributes = scalars(point.attributes)
    if OVERFLOW in attributes:
        points.overflowed = True
        raise BrokenPoint(f"`{OVERFLOW}` says that the sender merged calls; its other counts are lower bounds")
    process_id = _process_id(attributes)
    value = _value(point)
    start_ns = check_time("start time", point.start_time_unix_nano, now_ns)
    # a clock that was set back in the process must not cost its counts
    time_ns = max(start_ns, check_time("time", point.time_unix_nano, now_ns))
    if metric.name in HEALTH:
        points.health.append(Health(process_id, metric.name, value, start_ns, time_ns))
    elif metric.name == semconv.CREDENTIAL_SEEN:
        points.keys.append(_sighting(process_id, attributes, value, start_ns, time_ns))
    else:
        usage = _usage(attributes)
        points.usage.append(UsagePoint(process_id, usage, value, start_ns, time_ns, _cumulative(metric)))


def _cumulative(metric: Metric) -> bool:
    temporality = metric.sum.aggregation_temporality
    return metric.sum.is_monotonic and temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


def _process_id(attributes: Mapping[str, Scalar]) -> str:
    process_id = attributes.get(semconv.PROCESS_ID)
    if not isinstance(process_id, str) or not 0 < len(process_id) <= _MAX_PROCESS_ID:
        what = "is missing" if process_id is None else f"is no text of 1 to {_MAX_PROCESS_ID} characters"
        raise BrokenPoint(f"attribute `{semconv.PROCESS_ID}` {what}")
    return process_id


def _value(point: NumberDataPoint) -> int:
    kind = point.WhichOneof("value")
    if kind != "as_int":
        raise BrokenPoint("its value is a float, expected an integer" if kind else "it has no value")
    if point.as_int < 0:
        raise BrokenPoint(f"its value {point.as_int} is negative")
    return point.as_int


def _usage(attributes: Mapping[str, Scalar]) -> semconv.Usage:
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


def _is_unicode(usage: semconv.Usage) -> bool:
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
