"""Fuzz of the real gRPC port: calls, HTTP/2 frames and bytes that nobody should send harm nothing that follows.

`make test` sends some hundred, `make verify` more.
"""

from __future__ import annotations

import asyncio
import gzip
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no stubs are published
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from credwatch_agent.receiver import PROTOBUF, Ingest, Limits, create_server
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.fuzz import METRICS, SEEDS, SPOILERS
from tests.agent.test_fuzz import canary, quiet
from tests.agent.wire import NOW

LIMIT = 1_000_000
AT_ONCE = 8
"""Calls under way at a time; the agent refuses none for their number."""

SERVICE = "/opentelemetry.proto.collector.{}Service/Export"
EXPORTS = {METRICS: SERVICE.format("metrics.v1.Metrics"), "/v1/traces": SERVICE.format("trace.v1.Trace")}
RESPONSES: dict[str, Any] = {
    EXPORTS[METRICS]: ExportMetricsServiceResponse,
    EXPORTS["/v1/traces"]: ExportTraceServiceResponse,
}
_METHODS = [*RESPONSES, SERVICE.format("logs.v1.Logs"), "/x.Y/Export", "/", f"{EXPORTS[METRICS]}/", "/" + "y" * 900]
_METADATA = [("authorization", "Bearer nobody"), ("authorization", ""), ("x-bin", b"\xff\0"), ("grpc-x", "~" * 4_000)]
REFUSALS = {"INVALID_ARGUMENT", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"}

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS = struct.pack(">I", 0)[1:] + b"\x04\0" + bytes(4)
_SEEDS = [seed for seed in SEEDS if seed.content_type == PROTOBUF]


async def call(channel: Any, rng: Random) -> str:
    """Make one call, most likely a spoilt one; return the kind of answer, which must be the protocol's."""
    seed = rng.choice(_SEEDS)
    content = rng.choice(SPOILERS)(rng, seed.body)
    if rng.random() < 0.15:
        content = rng.choice(SPOILERS)(rng, gzip.compress(content, 1))
    method = EXPORTS[seed.path] if rng.random() < 0.9 else rng.choice(_METHODS)
    metadata = rng.sample(_METADATA, 1) if rng.random() < 0.1 else []
    compression = rng.choice([*[None] * 8, grpc.Compression.Gzip, grpc.Compression.Deflate])
    count = 1 if rng.random() < 0.95 else rng.choice([0, 2, 5])
    kind, sent = (channel.unary_unary, content) if count == 1 else (channel.stream_unary, iter([content] * count))
    try:
        answer = await kind(method)(sent, metadata=metadata, compression=compression)
    except grpc.aio.AioRpcError as error:
        if count > 1 and "SendMessageOperation" in (error.debug_error_string() or ""):
            return "answered before the end"  # the client's own error: it had more to send
        return refusal(error)
    RESPONSES[method].FromString(answer)
    return "taken"


def refusal(error: grpc.aio.AioRpcError) -> str:
    """Return the code of a refusal; it has a sentence, and details that say the same where they are ours."""
    name: str = error.code().name
    assert name in REFUSALS, error
    assert error.details()
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if isinstance(details, bytes):
        status = Status.FromString(details)
        assert (status.code, status.message) == (error.code().value[0], error.details())
    return name


def _frame(rng: Random) -> bytes:
    """Return an HTTP/2 frame: its type, flags and stream at random, its length perhaps wrong."""
    payload = rng.randbytes(rng.choice([0, 1, 4, 5, 6, 8, 40]))
    length = len(payload) if rng.random() < 0.8 else rng.choice([0, 1, 16_384, 2**24 - 1])
    head = struct.pack(">I", length)[1:] + bytes([rng.randrange(12), rng.randrange(256)])
    return head + struct.pack(">I", rng.choice([0, 1, 1, 2, 3, 2**31, 2**32 - 1])) + payload


def raw(rng: Random) -> bytes:
    """Return the bytes of one connection that speaks HTTP/2 badly, or not at all."""
    kind = rng.random()
    if kind < 0.1:
        return rng.randbytes(rng.randrange(1, 300))
    if kind < 0.2:
        return b"POST /v1/metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    if kind < 0.3:
        return rng.choice(SPOILERS)(rng, PREFACE + _SETTINGS)
    return PREFACE + _SETTINGS + b"".join(_frame(rng) for _ in range(rng.randint(1, 6)))


async def connect(port: int, sent: bytes) -> None:
    """Send bytes on a connection of their own and close it; whatever is answered is read and ignored."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(ConnectionError):
        writer.write(sent)
        writer.write_eof()
        await reader.read(65_536)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def fuzz(store: SqliteStore, rng: Random, calls: int, connections: int) -> Counter[str]:
    """Send both kinds, and good requests between that must all be counted; return what was answered."""
    server = create_server(Ingest(store, now_ns=lambda: NOW, limits=Limits(body_bytes=LIMIT)))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    seen: Counter[str] = Counter()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            good = channel.unary_unary(EXPORTS[METRICS])
            for number, share in enumerate(shares := _shares(calls, connections)):
                seen.update(await asyncio.gather(*(call(channel, rng) for _ in range(share[0]))))
                await asyncio.gather(*(connect(port, raw(rng)) for _ in range(share[1])))
                assert await good(canary(number).body) == b""
    finally:
        await server.stop(None)
    held = {row.process_id: row.calls for row in store.telemetry().usage}
    kept = {name: count for name, count in held.items() if name.startswith("canary ")}
    assert kept == {f"canary {number}": number + 1 for number in range(len(shares))}
    return seen


def _shares(calls: int, connections: int) -> list[tuple[int, int]]:
    rounds = calls // AT_ONCE
    return [(AT_ONCE, connections * (n + 1) // rounds - connections * n // rounds) for n in range(rounds)]


def told(directory: Path, seed: int, calls: int, connections: int) -> str:
    with closing(SqliteStore.open(directory / "db")) as store, quiet():
        seen = asyncio.run(fuzz(store, Random(seed), calls, connections))
    answers = ", ".join(f"{count:,} {kind}" for kind, count in sorted(seen.items()))
    return f"N = {calls:,} calls: {answers}; {connections:,} broken connections; every good request between counted"


@pytest.mark.slow
def test_some_hundred_malformed_calls_harm_no_good_one(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("fuzz, gRPC", told(tmp_path, 1, 400, 100))


@pytest.mark.verify
def test_many_malformed_calls_harm_no_good_one(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("fuzz, gRPC", told(tmp_path, 2, 20_000, 5_000))
