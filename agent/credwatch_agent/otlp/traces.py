"""Export requests of traces: each span in short, so that a finding can name a trace to open.

Kept are ids, name, times and an allow-list of attributes: ours, and those of OpenTelemetry's AWS SDK
conventions. What else an application writes on its spans is not the agent's to keep.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from credwatch import semconv
from credwatch_agent.otlp.layers import MAX_ITEM, Budget, entries, filled
from credwatch_agent.otlp.wire import (
    MAX_ATTRIBUTES,
    MAX_TEXT,
    BrokenPoint,
    Encoding,
    Rejections,
    check_time,
    resource_texts,
    scalar,
    to_protobuf,
)
from credwatch_agent.records import Span, SpanValue

KEPT = frozenset(row.name for row in semconv.ATTRIBUTES if "span" in row.on.split()) | {
    # https://opentelemetry.io/docs/specs/semconv/cloud-providers/aws-sdk/
    "aws.request_id",
    "error.type",
    "http.response.status_code",
    "rpc.method",
    "rpc.service",
    "rpc.system",
    "rpc.system.name",
    "server.address",
    "server.port",
}

_MAX_NAME = 256
_MAX_LIST = 1_000
_ZEROS = re.compile("0*")


@dataclass(frozen=True, slots=True)
class Traces:
    """What one request says: `rejected` spans were not taken, and `message` says why."""

    spans: tuple[Span, ...]
    rejected: int = 0
    message: str = ""


def decode_traces(body: bytes, encoding: Encoding, *, now_ns: int) -> Traces:
    """Return the spans of an `ExportTraceServiceRequest`. Raises `Malformed` for a body that is none."""
    content = to_protobuf(body, encoding, ExportTraceServiceRequest)
    rejections = Rejections()
    spans: list[Span] = []
    for entry in entries(content, Budget()):
        resource = resource_texts(filled(Resource(), entry.resource).attributes)
        for item in entry.items:
            if len(item) > MAX_ITEM:
                rejections.add(1, f"a span was rejected: it is larger than {MAX_ITEM} bytes")
            else:
                spans.extend(_take(filled(WireSpan(), item), encoding, resource, now_ns, rejections))
    return Traces(tuple(spans), rejections.count, rejections.message)


def _take(
    span: WireSpan, encoding: Encoding, resource: dict[str, str], now_ns: int, rejections: Rejections
) -> tuple[Span, ...]:
    try:
        return (_span(span, encoding, resource, now_ns),)
    except BrokenPoint as error:
        rejections.add(1, f"a span was rejected: {error}")
        return ()


def _span(span: WireSpan, encoding: Encoding, resource: dict[str, str], now_ns: int) -> Span:
    parent = _digits(span.parent_span_id, encoding)
    start_ns = check_time("start time", span.start_time_unix_nano, now_ns)
    return Span(
        trace_id=_id("trace id", span.trace_id, encoding, 32),
        span_id=_id("span id", span.span_id, encoding, 16),
        # OTLP allows an empty parent; some senders write zeros
        parent_span_id="" if _ZEROS.fullmatch(parent) else _id("parent span id", span.parent_span_id, encoding, 16),
        name=span.name[:_MAX_NAME],
        start_ns=start_ns,
        end_ns=max(start_ns, check_time("end time", span.end_time_unix_nano, now_ns)),
        attributes=_attributes(span.attributes),
        resource=resource,
    )


def _digits(value: bytes, encoding: Encoding) -> str:
    # OTLP/JSON has hex digits, but they were read as base64 (see `wire.to_protobuf`): back to the text
    return value.hex() if encoding == "protobuf" else base64.b64encode(value).decode().lower()


def _id(what: str, value: bytes, encoding: Encoding, length: int) -> str:
    digits = _digits(value, encoding)
    if not re.fullmatch(f"[0-9a-f]{{{length}}}", digits) or _ZEROS.fullmatch(digits):
        raise BrokenPoint(f"its {what} is not {length} hexadecimal digits, or is all zeros")
    return digits


def _attributes(attributes: Iterable[KeyValue]) -> dict[str, SpanValue]:
    ours = (item for item in islice(attributes, MAX_ATTRIBUTES) if item.key in KEPT)
    return {item.key: value for item in ours if (value := _kept(item.value)) is not None}


def _kept(value: AnyValue) -> SpanValue | None:
    if value.WhichOneof("value") == "array_value":
        texts = [item.string_value for item in value.array_value.values[:_MAX_LIST]]
        return tuple(text for text in texts if len(text) <= MAX_TEXT)
    single = scalar(value)
    return None if isinstance(single, str) and len(single) > MAX_TEXT else single
