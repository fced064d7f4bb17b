"""The OTLP/gRPC edge (https://opentelemetry.io/docs/specs/otlp/#otlpgrpc).

Messages are read as a stream of one and decompressed here, not by gRPC: a slot is taken before
memory is, and what a compressed message may grow to is our limit, the same as over HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # no stubs are published
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from credwatch_agent import otlp
from credwatch_agent.receiver.ingest import CODES, NO_LOGS, UNKNOWN, Body, Ingest, Refused, Signal
from credwatch_agent.store import StoreError

_SERVICE = "opentelemetry.proto.collector"
_GZIP = b"\x1f\x8b"  # no protobuf message begins so: 0x1f has a wire type that does not exist
_CODES = {code.value[0]: code for code in grpc.StatusCode}

_Context = Any  # grpc.aio.ServicerContext is generic over messages; here they are bytes
_Handler = Callable[[AsyncIterator[bytes], _Context], Awaitable[bytes]]


def create_server(ingest: Ingest) -> grpc.aio.Server:
    """Return a gRPC server, no port added and not started, that hands requests to `ingest`.

    Must be called within the event loop that it will run in.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),  # two agents must not share a port unnoticed
            ("grpc.per_message_decompression", 0),
            ("grpc.compression_enabled_algorithms_bitset", 0b101),  # identity and gzip
            ("grpc.max_receive_message_length", ingest.limits.body_bytes + 1),
            ("grpc.max_concurrent_streams", 4 * ingest.limits.requests),
            ("grpc.max_metadata_size", 16 * 1024),
        ]
    )
    server.add_generic_rpc_handlers(
        (
            _service("metrics.v1.MetricsService", _exporter(ingest, "metrics")),
            _service("trace.v1.TraceService", _exporter(ingest, "traces")),
            _service("logs.v1.LogsService", _refuse_logs),
        )
    )
    return server


def _service(name: str, handler: _Handler) -> grpc.GenericRpcHandler:
    # to the wire a call with one request is a stream of one
    methods = {"Export": grpc.stream_unary_rpc_method_handler(handler)}
    return grpc.method_handlers_generic_handler(f"{_SERVICE}.{name}", methods)


def _exporter(ingest: Ingest, signal: Signal) -> _Handler:
    async def export(requests: AsyncIterator[bytes], context: _Context) -> bytes:
        async def read() -> Body:
            async for message in requests:
                return Body(message, message.startswith(_GZIP))
            raise Refused(400, "the call carries no request")

        try:
            caller = ingest.admit(_authorization(context), _peer(context), "ingest")
            return (await ingest.export(signal, "protobuf", read, caller)).SerializeToString()
        except (Refused, StoreError, otlp.Malformed) as error:
            return await _abort(context, ingest.refused(error), ingest.limits.retry_after_s)

    return export


def _authorization(context: _Context) -> str | None:
    found = (value for key, value in context.invocation_metadata() or () if key == "authorization")
    value = next(found, None)
    return value if value is None or isinstance(value, str) else ""


def _peer(context: _Context) -> list[str]:
    """Return the alternative names of the client's verified certificate."""
    said = context.auth_context()
    return [
        f"{kind}:{name.decode(errors='replace')}" for kind in ("dns", "uri") for name in said.get(f"peer_{kind}", ())
    ]


async def _refuse_logs(_: AsyncIterator[bytes], context: _Context) -> bytes:
    return await _abort(context, Refused(501, NO_LOGS), 0)


async def _abort(context: _Context, refused: Refused, retry_after_s: int) -> bytes:
    """End the call with the refusal's status; never returns, the type is that of the handlers."""
    code = CODES.get(refused.status, UNKNOWN)
    status = Status(code=code, message=str(refused))
    trailers: list[tuple[str, bytes]] = []
    if refused.status == 503:
        info = RetryInfo()
        info.retry_delay.seconds = retry_after_s
        packed = AnyMessage()
        packed.Pack(info)
        status.details.append(packed)
        # the second is what OpenTelemetry's exporter for Python reads
        trailers.append(("google.rpc.retryinfo-bin", info.SerializeToString()))
    trailers.append(("grpc-status-details-bin", status.SerializeToString()))
    await context.abort(_CODES[code], str(refused), tuple(trailers))
    return b""
