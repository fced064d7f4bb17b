"""OTLP/HTTP: the protocol's answer to every request, and 200 only for what is kept."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no stubs are published
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.applications import Starlette

from credwatch import semconv
from credwatch_agent import __version__
from credwatch_agent.receiver import JSON, PROTOBUF, Ingest, Limits, create_app
from credwatch_agent.records import Batch
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent import wire
from tests.agent.wire import NOW, counter, metrics, point, span, traces

GOOD = metrics(counter([point()])).SerializeToString()
HALF = metrics(counter([point(), point(value=-1)]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "db", wait_s=0)
    yield opened
    opened.close()


def app(store: SqliteStore, **limits: Any) -> Starlette:
    return create_app(Ingest(store, now_ns=lambda: NOW, limits=Limits(**limits)))


def post(
    application: Starlette,
    content: bytes | AsyncIterator[bytes] = GOOD,
    *,
    path: str = "/v1/metrics",
    method: str = "POST",
    **headers: str,
) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
            sent = {"content-type": PROTOBUF, **{name.replace("_", "-"): value for name, value in headers.items()}}
            return await client.request(method, path, content=content, headers=sent)

    return asyncio.run(send())


def calls(store: SqliteStore) -> int:
    return sum(row.calls for row in store.telemetry().usage)


def status(response: httpx.Response) -> tuple[int, str]:
    """Code and message of the `google.rpc.Status` in a response's body."""
    if response.headers["content-type"] == PROTOBUF:
        parsed = Status.FromString(response.content)
        return parsed.code, parsed.message
    body = response.json()
    return body["code"], body["message"]


def test_accepted_points_are_kept_and_answered_by_an_empty_response(store: SqliteStore) -> None:
    response = post(app(store))
    assert (response.status_code, response.content, response.headers["content-type"]) == (200, b"", PROTOBUF)
    assert calls(store) == 3


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_taken_and_answered_in_json(store: SqliteStore, content_type: str) -> None:
    response = post(app(store), json.dumps(wire.otlp_json(HALF)).encode(), content_type=content_type)
    assert response.status_code == 200
    assert response.headers["content-type"] == JSON
    answer = response.json()["partialSuccess"]
    assert answer["rejectedDataPoints"] == "1"
    assert "negative" in answer["errorMessage"]
    assert calls(store) == 3


def test_what_was_not_taken_is_a_partial_success(store: SqliteStore) -> None:
    answer = ExportMetricsServiceResponse.FromString(post(app(store), HALF.SerializeToString()).content)
    assert answer.partial_success.rejected_data_points == 1
    assert "its value -1 is negative" in answer.partial_success.error_message
    sent = traces(span(), span(span_id=b"")).SerializeToString()
    trace_answer = ExportTraceServiceResponse.FromString(post(app(store), sent, path="/v1/traces").content)
    assert trace_answer.partial_success.rejected_spans == 1
    assert [kept.name for kept in store.spans()] == ["S3.PutObject"]


def test_a_sentence_quotes_what_was_sent_as_one_line_of_valid_text(store: SqliteStore) -> None:
    chain = '[["\\ud800\\nline","x"]]'
    broken = point({**semconv.encode(wire.USAGE), semconv.PROCESS_ID: wire.PROCESS, semconv.CHAIN: chain})
    response = post(app(store), metrics(counter([broken])).SerializeToString())
    message = ExportMetricsServiceResponse.FromString(response.content).partial_success.error_message
    assert message.endswith("attribute `credwatch.credential.chain` has the unknown value `\ufffd\ufffdline`")
    refused = post(app(store), b'{"resourceMetrics": "\\ud800"}', content_type=JSON)
    assert refused.status_code == 400


@pytest.mark.parametrize(
    "body",
    [gzip.compress(GOOD), gzip.compress(GOOD[:40]) + gzip.compress(b"") * 10_000 + gzip.compress(GOOD[40:])],
    ids=["one member", "many members"],
)
def test_gzip_is_taken(store: SqliteStore, body: bytes) -> None:
    assert post(app(store), body, content_encoding="gzip").status_code == 200
    assert calls(store) == 3


async def chunks(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def never() -> AsyncIterator[bytes]:
    yield b"\n"
    await asyncio.Event().wait()


ENDLESS = b'{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"sum": {"aggregationTemporality": 1e999}}]}]}]}'
BOMB = gzip.compress(bytes(50_000_000))

REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"content": b"garbage"}, 400, "the body is no OTLP request in protobuf"),
    ({"content": b"{", "content_type": JSON}, 400, "the body is no OTLP request in json"),
    ({"content": b"garbage", "content_encoding": "gzip"}, 400, "the body is not gzip"),
    (
        {"content": gzip.compress(GOOD)[:-9], "content_encoding": "gzip"},
        400,
        "the body is not gzip: Compressed file ended",
    ),
    ({"content": gzip.compress(GOOD)[:-9] + bytes(9), "content_encoding": "gzip"}, 400, "the body is not gzip"),
    ({"content": gzip.compress(GOOD) + b"tail", "content_encoding": "gzip"}, 400, "the body is not gzip"),
    ({"content": bytes(200_000)}, 413, "the body is larger than 100000 bytes; send smaller batches"),
    ({"content": chunks([bytes(60_000)] * 2)}, 413, "the body is larger than 100000 bytes"),
    ({"content": BOMB, "content_encoding": "gzip"}, 413, "the body is larger than 100000 bytes"),
    ({"content_type": "text/plain"}, 415, "content type `text/plain` is not taken"),
    ({"content_type": ""}, 415, "content type `` is not taken"),
    ({"content_encoding": "br"}, 415, "content encoding `br` is not taken; send gzip or none"),
    ({"content": never()}, 503, "the body did not arrive within 0.05 seconds"),
    ({"path": "/v1/logs"}, 404, "this agent takes metrics and traces, no logs"),
    ({"path": "/v2"}, 404, "Not Found"),
    ({"path": "/v1/metrics/"}, 404, "Not Found"),
    ({"content": b'{"resourceMetrics": [{"\\ud800": 1}]}', "content_type": JSON}, 400, "surrogates not allowed"),
    ({"content": ENDLESS, "content_type": JSON}, 400, "cannot convert float infinity to integer"),
    ({"method": "GET"}, 405, "Method Not Allowed"),
]


@pytest.mark.parametrize(("request_", "code", "sentence"), REFUSED, ids=[f"{row[1]} {row[2][:30]}" for row in REFUSED])
def test_a_request_that_cannot_be_taken_is_refused_with_a_sentence(
    store: SqliteStore, request_: dict[str, Any], code: int, sentence: str
) -> None:
    response = post(app(store, body_bytes=100_000, body_s=0.05), **request_)
    assert response.status_code == code
    assert sentence in status(response)[1]
    assert status(response)[0] > 0
    assert calls(store) == 0


def test_a_store_that_is_busy_is_answered_as_retryable_and_then_taken(store: SqliteStore, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    response = post(app(store, retry_after_s=7))
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")
    assert "is being written by another process" in status(response)[1]
    ready = post(app(store), b"", path="/readyz", method="GET")
    assert ready.status_code == 503
    other.close()
    assert post(app(store)).status_code == 200
    assert calls(store) == 3


def test_past_the_number_of_requests_at_a_time_clients_are_told_to_retry(store: SqliteStore) -> None:
    application = app(store, requests=1)

    async def scenario() -> tuple[int, httpx.Response, httpx.Response]:
        started, go_on = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            started.set()
            await go_on.wait()
            yield GOOD

        transport = httpx.ASGITransport(application)
        headers = {"content-type": PROTOBUF}
        async with httpx.AsyncClient(transport=transport, base_url="http://agent", headers=headers) as client:
            first = asyncio.create_task(client.post("/v1/metrics", content=slow()))
            await started.wait()
            second = await client.post("/v1/metrics", content=GOOD)
            alive = await client.get("/healthz")
            go_on.set()
            return (await first).status_code, second, alive

    first, second, alive = asyncio.run(scenario())
    assert (first, second.status_code, alive.status_code) == (200, 503, 200)
    assert second.headers["retry-after"] == "1"
    assert "try again" in status(second)[1]
    # the slot was given back
    assert post(application).status_code == 200


class Gate(SqliteStore):
    """A real store whose `put` waits until it is let through."""

    entered = threading.Event()
    leave = threading.Event()

    def put(self, batches: Iterable[Batch]) -> int:
        self.entered.set()
        self.leave.wait()
        return super().put(batches)


def test_a_slow_write_does_not_stop_the_event_loop(tmp_path: Path) -> None:
    store = Gate.open(tmp_path / "db")
    application = app(store)

    async def scenario() -> tuple[int, int]:
        transport = httpx.ASGITransport(application)
        headers = {"content-type": PROTOBUF}
        async with httpx.AsyncClient(transport=transport, base_url="http://agent", headers=headers) as client:
            writing = asyncio.create_task(client.post("/v1/metrics", content=GOOD))
            await asyncio.to_thread(Gate.entered.wait)
            alive = (await client.get("/healthz")).status_code
            assert not writing.done()
            Gate.leave.set()
            return alive, (await writing).status_code

    assert asyncio.run(scenario()) == (200, 200)
    assert calls(store) == 3
    store.close()


def test_the_agent_counts_what_it_does_as_prometheus_text(store: SqliteStore) -> None:
    application = app(store)
    errors = point({semconv.PROCESS_ID: wire.PROCESS}, value=2)
    sent = metrics(counter([point(), point(value=-1)]), counter([errors], name=semconv.RECORDER_ERRORS))
    post(application, sent.SerializeToString())
    post(application, traces(span()).SerializeToString(), path="/v1/traces")
    post(application, b"garbage")
    answer = post(application, b"", path="/metrics", method="GET")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9.]+')
    assert all(sample.fullmatch(line) for line in lines if not line.startswith("# "))
    assert {
        "credwatch_agent_points_accepted_total 2",
        "credwatch_agent_points_rejected_total 1",
        "credwatch_agent_points_folded_total 0",
        "credwatch_agent_spans_accepted_total 1",
        'credwatch_agent_requests_refused_total{status="400"} 1',
        "credwatch_agent_processes 1",
        "credwatch_recorder_errors 2",
        "credwatch_recorder_coarsened_calls 0",
        "credwatch_agent_store_up 1",
        "credwatch_agent_store_write_seconds_count 2",
        f'credwatch_agent_build_info{{version="{__version__}"}} 1',
    } <= set(lines)
    store.close()
    assert "credwatch_agent_store_up 0" in post(application, b"", path="/metrics", method="GET").text


def test_whether_a_process_was_seen_is_answered(store: SqliteStore) -> None:
    def ask(query: str) -> httpx.Response:
        return post(app(store), b"", path=f"/v1/processes{query}", method="GET")

    assert post(app(store)).status_code == 200
    known = {"process_id": wire.PROCESS, "folded": False, "calls": 3, "closed": False, "claimed": True}
    times = {"first_ns": wire.START, "last_ns": wire.START + 60 * wire.S}
    assert ask(f"?id={wire.PROCESS}").json() == {"version": 1, "processes": [known | times]}
    assert ask("?id=other").json() == ask("?fingerprint=f").json() == {"version": 1, "processes": []}
    for wrong in ("", "?id=", "?id=a&fingerprint=b", "?pid=1"):
        assert ask(wrong).status_code == 400
    store.retain(NOW, 0)
    assert ask(f"?id={wire.PROCESS}").json()["processes"] == [{"process_id": wire.PROCESS, "folded": True}]


@pytest.mark.parametrize(("path", "said"), [("/healthz", "credwatch-agent ok\n"), ("/readyz", "ok\n")])
def test_a_healthy_agent_says_so(store: SqliteStore, path: str, said: str) -> None:
    response = post(app(store), b"", path=path, method="GET")
    assert (response.status_code, response.text) == (200, said)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["/v1/metrics", "/v1/traces"]),
    st.sampled_from([PROTOBUF, JSON]),
    st.sampled_from(["identity", "gzip"]),
    st.one_of(
        st.binary(max_size=60),
        st.builds(lambda n, b: GOOD[:n] + b + GOOD[n:], st.integers(0, len(GOOD)), st.binary(max_size=4)),
        st.binary(max_size=60).map(gzip.compress),
    ),
)
def test_no_request_is_answered_by_a_server_error(
    store: SqliteStore, path: str, content_type: str, encoding: str, body: bytes
) -> None:
    response = post(app(store), body, path=path, content_type=content_type, content_encoding=encoding)
    assert response.status_code in (200, 400)
