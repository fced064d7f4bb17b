"""Export requests as the recorder sends them, for tests: protobuf messages made from plain values."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from credwatch import semconv

S = 10**9
START = 1_790_000_000 * S
NOW = START + 3_600 * S
PROCESS = "7f0c1f6e-0f0f-4c39-8d9b-9a6f1c0ad001"
RESOURCE: Mapping[str, object] = {"service.name": "orders", semconv.SCHEMA_ATTRIBUTE: semconv.SCHEMA}
USAGE = semconv.Usage(
    "ecs-task-role",
    principal_arn="arn:aws:iam::123456789012:role/orders",
    service="s3",
    operation="PutObject",
    authorizations=(("s3:PutObject", ("arn:aws:s3:::orders",)),),
    mapping="table",
)
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA


def attributes(values: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_any(value)) for name, value in values.items()]


def _any(value: object) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list() | tuple():
            return AnyValue(array_value=ArrayValue(values=[_any(item) for item in value]))
    return AnyValue(string_value=str(value))


def point(
    values: Mapping[str, object] | None = None,
    *,
    value: int | float | None = 3,
    start: int = START,
    time: int = START + 60 * S,
    flags: int = 0,
) -> NumberDataPoint:
    """A point of one usage by one process, unless told otherwise."""
    if values is None:
        values = {**semconv.encode(USAGE), semconv.PROCESS_ID: PROCESS}
    made = NumberDataPoint(attributes=attributes(values), start_time_unix_nano=start, time_unix_nano=time, flags=flags)
    if isinstance(value, float):
        made.as_double = value
    elif value is not None:
        made.as_int = value
    return made


def counter(
    points: Iterable[NumberDataPoint],
    *,
    name: str = semconv.CALLS,
    temporality: AggregationTemporality.ValueType = CUMULATIVE,
    monotonic: bool = True,
) -> Metric:
    return Metric(name=name, sum=Sum(data_points=points, aggregation_temporality=temporality, is_monotonic=monotonic))


def metrics(*entries: Metric, resource: Mapping[str, object] = RESOURCE) -> ExportMetricsServiceRequest:
    scope = ScopeMetrics(scope=InstrumentationScope(name=semconv.SCOPE), metrics=entries)
    entry = ResourceMetrics(resource=Resource(attributes=attributes(resource)), scope_metrics=[scope])
    return ExportMetricsServiceRequest(resource_metrics=[entry])


def span(**changes: Any) -> Span:
    values = {
        "trace_id": bytes.fromhex("0af7651916cd43dd8448eb211c80319c"),
        "span_id": bytes.fromhex("b7ad6b7169203331"),
        "name": "S3.PutObject",
        "start_time_unix_nano": START,
        "end_time_unix_nano": START + S,
        "attributes": attributes(semconv.encode_span(USAGE)),
    }
    return Span(**{**values, **changes})


def traces(*spans: Span, resource: Mapping[str, object] = RESOURCE) -> ExportTraceServiceRequest:
    entry = ResourceSpans(resource=Resource(attributes=attributes(resource)), scope_spans=[ScopeSpans(spans=spans)])
    return ExportTraceServiceRequest(resource_spans=[entry])


def otlp_json(message: Message) -> dict[str, Any]:
    """A message in OTLP/JSON: as protobuf's mapping, but ids hexadecimal and enums numbers."""
    document: dict[str, Any] = json_format.MessageToDict(message, use_integers_for_enums=True)
    for entry in document.get("resourceSpans", []):
        for made in (made for scope in entry["scopeSpans"] for made in scope["spans"]):
            made.update({name: _hex(made[name]) for name in ("traceId", "spanId", "parentSpanId") if name in made})
    return document


def _hex(base64_text: str) -> str:
    return base64.b64decode(base64_text).hex()
