"""`Call` -> span, and counts -> OTLP points. Knows OpenTelemetry and nothing of botocore.

Spans go through the application's TracerProvider, looked up at each call and never set by us, with
explicit times and the parent captured at the start. No context is ever attached. Points are built
by hand, because a MeterProvider caps, drops and renames what must stay exact.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, TracerProvider

from credwatch import bulk, semconv
from credwatch.recorder import Call

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.util.types import AttributeValue

_AWS_SCOPES = ("opentelemetry.instrumentation.botocore", "opentelemetry.instrumentation.aiobotocore")
# set around an exporter's own calls; the API's keys are private names, the plain one is contrib's
_SUPPRESS = (
    getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"),
    "suppress_instrumentation",
)
_CACHE_LIMIT = 2_048
_PORT = r":[0-9]+$"  # not the last group of `[::1]`


def capture() -> Context:
    """Return the caller's context: the parent of a span that is made when the call has ended."""
    return otel_context.get_current()


class Spans:
    """Makes or enriches the span of a finished call.

    `mode` is `auto`, `own`, `enrich` or `off`; `rpc` is the value of OTEL_SEMCONV_STABILITY_OPT_IN
    as far as it concerns RPC: "" (old names), "rpc" (new) or "rpc/dup" (both).
    """

    def __init__(self, mode: str, rpc: str, version: str, *, plain_key_ids: bool = False) -> None:
        self._mode = mode
        self._rpc = rpc
        self._version = version
        self._plain = plain_key_ids
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None
        self._known: dict[object, _Described] = {}

    def wanted(self, call: Call) -> bool:
        """Return whether the call is to have a span at all."""
        if self._mode == "off":
            return False
        parent = call.parent
        return not (isinstance(parent, dict) and any(parent.get(key) for key in _SUPPRESS))

    def enrich(self, call: Call) -> bool:
        """Add to the span that another instrumentation made for this call; return whether the call is done with."""
        existing = self._existing(call) if self._mode != "own" else None
        if existing is not None:
            bulk.put(existing, {**self._described(call).ours, **self._ours(call)})
        return existing is not None or self._mode == "enrich"

    def emit(self, call: Call, provider: TracerProvider) -> bool:
        """Make the call's own span; return True."""
        self._make(call, provider)
        return True

    def _existing(self, call: Call) -> trace.Span | None:
        span = trace.get_current_span(call.parent)  # type: ignore[arg-type]  # opaque to the recorder
        scope = getattr(span, "instrumentation_scope", None)
        # the scope of a service's extension is `….botocore.sqs`
        if scope is None or not scope.name.startswith(_AWS_SCOPES) or not span.is_recording():
            return None
        # around a call of ours there may be the span of an outer one (a refresh inside a call);
        # not by the span's name: messaging and GenAI extensions rename it
        attributes = getattr(span, "attributes", None) or {}
        method = str(attributes.get("rpc.method", ""))
        return span if method.rpartition("/")[2] == call.operation else None

    def _make(self, call: Call, provider: TracerProvider) -> None:
        described = self._described(call)
        span = self._tracer_of(provider).start_span(
            described.name,
            context=call.parent,  # type: ignore[arg-type]  # opaque to the recorder
            kind=SpanKind.CLIENT,
            # what a sampler may decide by; made once a usage, because most spans are not sampled
            attributes=described.attributes,
            start_time=call.start_ns,
        )
        if span.is_recording():
            span.set_attributes(self._of_call(call))
            if call.status >= 400 or call.code:
                span.set_status(Status(StatusCode.ERROR))
        span.end(max(call.start_ns, call.end_ns))  # the clock may have stepped back meanwhile

    def _tracer_of(self, provider: TracerProvider) -> Tracer:
        if self._tracer is None or self._provider is not provider:
            self._provider = provider
            self._tracer = provider.get_tracer(semconv.SCOPE, self._version)
        return self._tracer

    def _described(self, call: Call) -> "_Described":
        usage = call.usage
        known = self._known.get(usage)
        if known is None:
            ours: dict[str, Any] = semconv.encode_span(usage.usage()) if usage is not None else {}
            service = call.service_id or call.service
            known = _Described(f"{service}.{call.operation}", ours, {**ours, **self._rpc_of(service, call.operation)})
            if usage is not None and usage.origin.settled:  # else it may still change
                if len(self._known) > _CACHE_LIMIT:
                    self._known.clear()
                self._known[usage] = known
        return known

    def _rpc_of(self, service: str, operation: str) -> dict[str, str]:
        """AWS SDK conventions (OpenTelemetry semantic conventions, "AWS SDK spans")."""
        old = {"rpc.system": "aws-api", "rpc.service": service, "rpc.method": operation}
        new = {"rpc.system.name": "aws-api", "rpc.method": f"{service}/{operation}"}
        return {**(old if self._rpc != "rpc" else {}), **(new if self._rpc else {})}

    def _ours(self, call: Call) -> dict[str, Any]:
        attributes: dict[str, Any] = {semconv.ATTEMPTS: call.attempts}
        if call.key is not None and call.key.pseudonym:
            attributes[semconv.PSEUDONYM] = call.key.key_id if self._plain else call.key.pseudonym
        return attributes

    def _of_call(self, call: Call) -> "Mapping[str, AttributeValue]":
        """What differs between calls of one usage."""
        attributes = self._ours(call)
        if call.status:
            attributes["http.response.status_code"] = call.status
        if call.request_id:
            attributes["aws.request_id"] = call.request_id
        if call.code:
            attributes["error.type"] = call.code
        host = _host(call.url)
        if host:
            name, _, port = host.rpartition(":") if re.search(_PORT, host) else (host, "", "")
            attributes["server.address"] = name.strip("[]")
            if port:
                attributes["server.port"] = int(port)
        return attributes


class _Described(NamedTuple):
    """What all spans of one usage share: name, our attributes, and these with the conventions' own."""

    name: str
    ours: Mapping[str, Any]
    attributes: Mapping[str, Any]


def _host(url: str) -> str:
    """Return host and port of a URL: nothing of its path, its query or a user's name in it."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]


class Point(NamedTuple):
    """One cumulative point: metric name, attributes (scalars), times in nanoseconds, value."""

    metric: str
    attributes: Mapping[str, semconv.Scalar]
    start_ns: int
    time_ns: int
    value: int


def metrics_data(points: Iterable[Point], resource: "Resource", version: str) -> "MetricsData":
    """Return points as the OpenTelemetry SDK's own record, ready for one of its OTLP exporters."""
    from opentelemetry.sdk.metrics import export as sdk  # noqa: PLC0415 - only where something is exported
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415

    by_metric: dict[str, list[Any]] = {}
    for point in points:
        by_metric.setdefault(point.metric, []).append(
            sdk.NumberDataPoint(
                attributes=dict(point.attributes),
                start_time_unix_nano=point.start_ns,
                time_unix_nano=point.time_ns,
                value=point.value,
            )
        )
    metrics = []
    for name, data_points in by_metric.items():
        unit, meaning = semconv.METRICS[name]
        total = sdk.Sum(
            data_points=data_points, aggregation_temporality=sdk.AggregationTemporality.CUMULATIVE, is_monotonic=True
        )
        metrics.append(sdk.Metric(name=name, description=meaning, unit=unit, data=total))
    scope = sdk.ScopeMetrics(scope=InstrumentationScope(semconv.SCOPE, version), metrics=metrics, schema_url="")
    of_resource = sdk.ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")
    return sdk.MetricsData(resource_metrics=[of_resource])
