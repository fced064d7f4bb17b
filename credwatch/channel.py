"""An exporter over gRPC for an endpoint of our own: it reads no variable of the environment.

OpenTelemetry's reads OTEL_EXPORTER_OTLP_* whatever it is given, and refuses to be made where one holds a bad value
that was meant for another backend. Imported only where something is sent by gRPC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace.export import SpanExportResult

from credwatch.answers import refused

# no proxy, as over HTTP; a receiver that comes back is met at the next interval
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.max_reconnect_backoff_ms", 5_000))


class _Exporter:
    encode: Callable[[Any], Any]
    stub: Callable[[grpc.Channel], Any]
    result: Any

    def __init__(
        self,
        endpoint: str,
        headers: tuple[tuple[str, str], ...],
        timeout: float,
        credentials: grpc.ChannelCredentials | None,
        tell: Callable[[str], object],
    ) -> None:
        """`endpoint` is a URL, `timeout` in seconds; without `credentials` nothing is encrypted."""
        address = endpoint.partition("://")[2].partition("/")[0]
        more = {"compression": grpc.Compression.Gzip, "options": _OPTIONS}
        if credentials is None:
            channel = grpc.insecure_channel(address, **more)
        else:
            channel = grpc.secure_channel(address, credentials, **more)
        self._send = type(self).stub(channel).Export
        self._headers, self._timeout, self._tell = headers, timeout, tell

    def export(self, data: Any) -> Any:
        try:
            answer = self._send(type(self).encode(data), metadata=self._headers, timeout=self._timeout)
        except grpc.RpcError:
            return self.result.FAILURE
        partial = answer.partial_success
        refused(getattr(partial, "rejected_data_points", 0) or getattr(partial, "rejected_spans", 0), self._tell)
        return self.result.SUCCESS


class Points(_Exporter):
    """Sends points."""

    encode, stub, result = staticmethod(encode_metrics), MetricsServiceStub, MetricExportResult


class Spans(_Exporter):
    """Sends spans."""

    encode, stub, result = staticmethod(encode_spans), TraceServiceStub, SpanExportResult
