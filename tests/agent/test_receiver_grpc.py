"""OTLP/gRPC: the same answers as over HTTP in gRPC's words, and nothing said twice in code."""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # no stubs are published
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from credwatch_agent.otlp import Malformed
from credwatch_agent.receiver import Ingest, Limits, create_server
from credwatch_agent.receiver.ingest import Body
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.wire import NOW, counter, metrics, point, span, traces

METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
GOOD = metrics(counter([point()])).SerializeToString()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "db", wait_s=0)
    yield opened
    opened.close()


@asynccontextmanager
async def serving(ingest: Ingest) -> AsyncIterator[Any]:
    """A real server on a free port; gives a channel to it."""
    server = create_server(ingest)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(None)


def run(store: SqliteStore, scenario: Callable[[Any], Awaitable[Any]], **limits: Any) -> Any:
    async def within() -> Any:
        async with serving(Ingest(store, now_ns=lambda: NOW, limits=Limits(**limits))) as channel:
            return await scenario(channel)

    return asyncio.run(within())


def send(
    store: SqliteStore, content: bytes = GOOD, *, method: str = METRICS, compression: Any = None, **limits: Any
) -> Any:
    """Return the answer's bytes, or the error."""

    return run(store, lambda channel: outcome(channel.unary_unary(method)(content, compression=compression)), **limits)


async def outcome(call: Awaitable[bytes]) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        return error


def calls(store: SqliteStore) -> int:
    return sum(row.calls for row in store.telemetry().usage)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_accepted_points_are_kept_and_answered_by_an_empty_response(store: SqliteStore, compression: Any) -> None:
    assert send(store, compression=compression) == b""
    assert calls(store) == 3


def test_what_was_not_taken_is_a_partial_success(store: SqliteStore) -> None:
    half = metrics(counter([point(), point(value=-1)])).SerializeToString()
    answer = ExportMetricsServiceResponse.FromString(send(store, half)).partial_success
    assert (answer.rejected_data_points, calls(store)) == (1, 3)
    assert "its value -1 is negative" in answer.error_message
    sent = traces(span(), span(span_id=b"")).SerializeToString()
    assert ExportTraceServiceResponse.FromString(send(store, sent, method=TRACES)).partial_success.rejected_spans == 1
    assert [kept.name for kept in store.spans()] == ["S3.PutObject"]


@pytest.mark.parametrize(
    ("request_", "code", "sentence"),
    [
        ({"content": b"garbage"}, "INVALID_ARGUMENT", "the body is no OTLP request in protobuf"),
        ({"content": gzip.compress(GOOD)[:-9]}, "INVALID_ARGUMENT", "the body is not gzip: Compressed file ended"),
        ({"content": bytes(100_001)}, "INVALID_ARGUMENT", "the body is larger than 100000 bytes; send smaller batches"),
        ({"content": gzip.compress(bytes(50_000_000))}, "INVALID_ARGUMENT", "the body is larger than 100000 bytes"),
        # gRPC's own answers
        ({"content": bytes(200_000)}, "RESOURCE_EXHAUSTED", "larger than max"),
        ({"compression": grpc.Compression.Deflate, "content": bytes(999)}, "UNIMPLEMENTED", "deflate"),
        ({"method": LOGS}, "UNIMPLEMENTED", "this agent takes metrics and traces, no logs"),
        ({"method": "/x.Y/Export"}, "UNIMPLEMENTED", "Method not found!"),
    ],
)
def test_a_request_that_cannot_be_taken_is_refused_for_good(
    store: SqliteStore, request_: dict[str, Any], code: str, sentence: str
) -> None:
    error = send(store, **request_, body_bytes=100_000)
    assert (error.code().name, calls(store)) == (code, 0)
    assert sentence in error.details()
    assert "google.rpc.retryinfo-bin" not in dict(error.trailing_metadata())


def test_a_store_that_is_busy_is_answered_as_retryable_and_then_taken(store: SqliteStore, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    error = send(store, retry_after_s=7)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "is being written by another process" in error.details()
    trailers = dict(error.trailing_metadata())
    info = RetryInfo()
    status = Status.FromString(trailers["grpc-status-details-bin"])
    assert status.details[0].Unpack(info)
    assert (status.code, info.retry_delay.seconds) == (14, 7)
    assert RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"]) == info
    other.close()
    assert send(store) == b""
    assert calls(store) == 3


def test_a_request_that_does_not_arrive_is_given_up(store: SqliteStore) -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    error = run(store, lambda channel: outcome(channel.stream_unary(METRICS)(never())), body_s=0.05)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "the body did not arrive within 0.05 seconds"


def test_a_connection_is_told_how_many_streams_it_may_have(store: SqliteStore) -> None:
    async def told() -> dict[int, int]:
        server = create_server(Ingest(store, now_ns=lambda: NOW, limits=Limits(requests=3)))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4\0" + bytes(4))
            length, kind = struct.unpack(">IB", b"\0" + (await reader.readexactly(9))[:4])
            assert kind == 4  # SETTINGS, the first frame of a server
            return dict(struct.iter_unpack(">HI", await reader.readexactly(length)))
        finally:
            writer.close()
            await writer.wait_closed()
            await server.stop(None)

    assert asyncio.run(told())[3] == 12  # SETTINGS_MAX_CONCURRENT_STREAMS


def test_requests_of_all_protocols_are_counted_together(store: SqliteStore) -> None:
    async def scenario() -> tuple[Any, Any]:
        ingest = Ingest(store, now_ns=lambda: NOW, limits=Limits(requests=1))
        go_on = asyncio.Event()

        async def read() -> Body:
            await go_on.wait()
            return Body(GOOD)

        slow = asyncio.create_task(ingest.export("metrics", "json", read))
        await asyncio.sleep(0)
        async with serving(ingest) as channel:
            refused = await outcome(channel.unary_unary(METRICS)(GOOD))
            go_on.set()
            with pytest.raises(Malformed):
                await slow
            return refused, await outcome(channel.unary_unary(METRICS)(GOOD))

    refused, taken = asyncio.run(scenario())
    assert (refused.code(), taken) == (grpc.StatusCode.UNAVAILABLE, b"")
    assert "the agent is handling 1 requests; try again" in refused.details()
