"""Fuzz: requests that nobody should send get the protocol's answer, and harm nothing that follows.

In process, through the real application, decoder and store. `make test` sends some thousand, `make verify` a million.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no stubs are published
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.types import ASGIApp

from credwatch import semconv
from credwatch_agent.receiver import JSON, PROTOBUF, Ingest, Limits, create_app
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.fuzz import METRICS, TRACES, Case, case
from tests.agent.wire import NOW, USAGE, counter, metrics, point
from tests.soak.memory import resident

FULL_SIZE, SHARDS, SAMPLE = 1_000_000, 4, 4_000
LIMIT = 1_000_000
EVERY = 1_000
"""A good request follows so many bad ones, and must be counted exactly."""

REFUSALS = {400, 404, 405, 413, 415}
_HANGS_S = 120
_REQUEST: dict[str, type[Message]] = {METRICS: ExportMetricsServiceRequest, TRACES: ExportTraceServiceRequest}
_RESPONSE: dict[str, type[Message]] = {METRICS: ExportMetricsServiceResponse, TRACES: ExportTraceServiceResponse}


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(app: ASGIApp, sent: Case) -> Answer:
    """Call the application as a server does; it answers exactly once."""
    path, _, query = sent.path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": sent.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.headers],
        "client": ("127.0.0.1", 1),
        "server": ("agent", 4318),
    }
    half = len(sent.body) // 2
    chunks = iter([(sent.body[:half], True), (sent.body[half:], False)])
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        body, more = next(chunks)
        return {"type": "http.request", "body": body, "more_body": more}

    async def send(message: Any) -> None:
        said.append(message)

    await asyncio.wait_for(app(scope, receive, send), _HANGS_S)
    start, *bodies = said
    headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in bodies))


def readable(sent: Case) -> bool:
    """Tell whether the generated OTLP messages can read a body: what the answer should depend on."""
    try:
        body = gzip.decompress(sent.body) if sent.encoding == "gzip" else sent.body
        request = _REQUEST[sent.path]()
        if sent.content_type == PROTOBUF:
            request.ParseFromString(body)
        else:
            document = json.loads(body.decode())
            json.dumps(document, ensure_ascii=False).encode()  # no half surrogate pairs
            if not isinstance(document, dict):  # protobuf's reader would raise what it does not name
                return False
            json_format.ParseDict(document, request, ignore_unknown_fields=True)
    except (DecodeError, json_format.Error, ValueError, OverflowError, OSError, EOFError, zlib.error, RecursionError):
        return False
    return True


def check(sent: Case, answer: Answer) -> str:
    """Return what kind of answer it was; raises where it is not the protocol's."""
    content_type = answer.headers.get("content-type", "")
    parse = Status.FromString if content_type == PROTOBUF else _status_of_json
    if answer.status == 200:
        assert (sent.method, sent.path.partition("?")[0] in _RESPONSE) == ("POST", True)
        return "partly taken" if _rejected(sent.path.partition("?")[0], content_type, answer.body) else "taken"
    assert answer.status in REFUSALS, answer
    if sent.method != "HEAD":
        status = parse(answer.body)
        assert status.code
        assert status.message.isprintable()
        assert status.message
    return str(answer.status)


def _status_of_json(body: bytes) -> Any:
    return json_format.Parse(body, Status())


def _rejected(path: str, content_type: str, body: bytes) -> bool:
    response: Any = _RESPONSE[path]()
    if content_type == PROTOBUF:
        response.ParseFromString(body)
    else:
        json_format.Parse(body, response)
    partial = response.partial_success
    count = partial.rejected_data_points if path == METRICS else partial.rejected_spans
    assert count >= 0
    assert bool(count) <= bool(partial.error_message)
    return bool(count)


def plain(sent: Case) -> bool:
    """Tell whether only the body decides on the answer."""
    return (
        sent.path in _REQUEST
        and sent.method == "POST"
        and sent.content_type in {PROTOBUF, JSON}
        and sent.encoding in {"identity", "gzip"}
    )


def canary(number: int) -> Case:
    attributes = {**semconv.encode(USAGE), semconv.PROCESS_ID: f"canary {number}"}
    body = metrics(counter([point(attributes, value=number + 1)])).SerializeToString()
    return Case(METRICS, "POST", (("content-type", PROTOBUF),), body)


class Fuzz:
    """One application, what it was sent and what it said."""

    def __init__(self, store: SqliteStore, seed: int) -> None:
        self._store = store
        self._app = create_app(Ingest(store, now_ns=lambda: NOW, limits=Limits(body_bytes=LIMIT)))
        self._rng = Random(seed)
        self.seen: Counter[str] = Counter()
        self.slowest_s = 0.0
        self.grown = 0

    async def run(self, size: int) -> None:
        rounds = size // EVERY
        warm = rounds // 4
        for number in range(rounds):
            for _ in range(EVERY):
                await self.one(case(self._rng))
            good = await ask(self._app, canary(number))
            assert good.status == 200
            if number % 20 == 19 or number == rounds - 1:
                self.counted(number)
            if number == warm:
                before = resident()
        self.grown = resident() - before

    async def one(self, sent: Case) -> None:
        began = time.perf_counter()
        answer = await ask(self._app, sent)
        self.slowest_s = max(self.slowest_s, time.perf_counter() - began)
        kind = check(sent, answer)
        self.seen[kind] += 1
        if plain(sent) and answer.status != 413:
            good = readable(sent)
            # of protobuf, what the agent does not look at may be broken
            assert (answer.status == 200) == good or (not good and sent.content_type == PROTOBUF), (sent, answer)

    def counted(self, last: int) -> None:
        """Hold what was kept of the good requests against what was sent, and forget all."""
        held = {row.process_id: row.calls for row in self._store.telemetry().usage}
        first = last - last % 20
        expected = {f"canary {number}": number + 1 for number in range(first, last + 1)}
        assert {name: calls for name, calls in held.items() if name.startswith("canary ")} == expected
        self._store.retain(0, 2**63 - 1)


@contextmanager
def quiet() -> Iterator[None]:
    # a line for each refusal: pytest would keep them
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def fuzz(seed: int, size: int) -> str:
    """Send `size` requests; return in figures what came back."""
    # in memory: a test of answers, not of disks
    shared = Path("/dev/shm")
    with (
        TemporaryDirectory(dir=shared if shared.is_dir() else None) as directory,
        closing(SqliteStore.open(Path(directory, "db"))) as store,
        quiet(),
    ):
        run = Fuzz(store, seed)
        asyncio.run(run.run(size))
    answers = ", ".join(f"{count:,} {kind}" for kind, count in sorted(run.seen.items()))
    assert run.grown < 64_000_000, f"grew by {run.grown / 1e6:.0f} MB"
    return (
        f"N = {run.seen.total():,} requests: {answers}; no crash, every answer the protocol's, "
        f"slowest {run.slowest_s * 1e3:.0f} ms, grown by {run.grown / 1e6:.1f} MB"
    )


@pytest.mark.slow
def test_some_thousand_malformed_requests_get_the_right_answers(
    record_property: Callable[[str, object], None],
) -> None:
    record_property("fuzz", fuzz(1, SAMPLE))


@pytest.mark.verify
@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_million_malformed_requests_get_the_right_answers(
    record_property: Callable[[str, object], None], shard: int
) -> None:
    record_property("fuzz", fuzz(100 + shard, FULL_SIZE // SHARDS))
