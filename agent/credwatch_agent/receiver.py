"""The OTLP/HTTP edge: requests in, records to the store, the protocol's answers out.

Knows HTTP and OTLP's rules about answers (https://opentelemetry.io/docs/specs/otlp/#otlphttp), nothing
of what a point means. Store, clock and limits are arguments. 200 is said only after the commit.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no stubs are published
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from credwatch_agent import otlp
from credwatch_agent.store import Store, StoreError

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_ENCODINGS: dict[str, otlp.Encoding] = {PROTOBUF: "protobuf", JSON: "json"}

# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_CODES = {400: 3, 404: 5, 405: 12, 408: 4, 413: 3, 415: 3, 503: 14}
_UNKNOWN = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """What one agent takes on at once; past them it answers, before memory grows.

    `body_bytes` bounds a request, compressed and decompressed; a Collector's default batch of 8,192
    points has some 8 MB. `requests` are taken at a time, others are told to retry; `workers` of them are
    decoded and written at a time: two keep a core busy while the disk syncs, more would only hold memory.
    """

    body_bytes: int = 16 * 1024 * 1024
    requests: int = 16
    workers: int = 2
    body_s: float = 10.0
    retry_after_s: int = 1


class Refused(Exception):
    """The answer to a request is an HTTP error; the text is its one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


Take = Callable[[bytes, otlp.Encoding], Message]


def create_app(store: Store, *, now_ns: Callable[[], int], limits: Limits | None = None) -> Starlette:
    """Return the ASGI application that puts telemetry into `store`; `now_ns` is the clock.

    The store stays the caller's to close.
    """
    receiver = _Receiver(store, now_ns, limits or Limits())
    return Starlette(
        routes=[
            Route("/v1/metrics", receiver.metrics, methods=["POST"]),
            Route("/v1/traces", receiver.traces, methods=["POST"]),
            Route("/v1/logs", receiver.logs, methods=["POST"]),
            Route("/healthz", receiver.healthz, methods=["GET"]),
            Route("/readyz", receiver.readyz, methods=["GET"]),
        ],
        exception_handlers={
            Refused: receiver.answer,
            HTTPException: receiver.answer,
            StoreError: receiver.answer,
            ClientDisconnect: receiver.answer,
        },
    )


class _Receiver:
    def __init__(self, store: Store, now_ns: Callable[[], int], limits: Limits) -> None:
        self._store = store
        self._now_ns = now_ns
        self._limits = limits
        self._taken = 0
        self._workers = asyncio.Semaphore(limits.workers)

    async def metrics(self, request: Request) -> Response:
        return await self._export(request, self._put_metrics)

    async def traces(self, request: Request) -> Response:
        return await self._export(request, self._put_traces)

    async def logs(self, _: Request) -> Response:
        # a 200 would say that they were kept
        raise Refused(404, "this agent takes metrics and traces, no logs; take it out of the logs pipeline")

    async def healthz(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(self, _: Request) -> Response:
        await run_in_threadpool(self._store.check)
        return PlainTextResponse("ok\n")

    async def _export(self, request: Request, put: Take) -> Response:
        content_type, compressed = _headers(request)
        async with self._slot():
            body = await self._body(request)
            # decompressing, decoding and writing all block: off the event loop
            async with self._workers:
                answer = await run_in_threadpool(self._take, body, compressed, _ENCODINGS[content_type], put)
        return _response(200, answer, content_type)

    def _take(self, body: bytes, compressed: bool, encoding: otlp.Encoding, put: Take) -> Message:
        try:
            return put(_gunzip(body, self._limits.body_bytes) if compressed else body, encoding)
        except otlp.Malformed as error:
            raise Refused(400, str(error)) from None

    def _put_metrics(self, body: bytes, encoding: otlp.Encoding) -> Message:
        decoded = otlp.decode_metrics(body, encoding, now_ns=self._now_ns())
        if decoded.batches:
            self._store.put(decoded.batches)
        answer = ExportMetricsServiceResponse()
        if decoded.rejected:
            answer.partial_success.rejected_data_points = decoded.rejected
            answer.partial_success.error_message = decoded.message
        return answer

    def _put_traces(self, body: bytes, encoding: otlp.Encoding) -> Message:
        decoded = otlp.decode_traces(body, encoding, now_ns=self._now_ns())
        if decoded.spans:
            self._store.put_spans(decoded.spans)
        answer = ExportTraceServiceResponse()
        if decoded.rejected:
            answer.partial_success.rejected_spans = decoded.rejected
            answer.partial_success.error_message = decoded.message
        return answer

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        # taken before the body is read, so that slots times body size bounds the memory
        if self._taken >= self._limits.requests:
            # not 429: the older of the OpenTelemetry exporters for Python that we support do not retry it
            raise Refused(503, f"the agent is handling {self._taken} requests; try again")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def _body(self, request: Request) -> bytes:
        try:
            return await asyncio.wait_for(_read(request, self._limits.body_bytes), self._limits.body_s)
        except asyncio.TimeoutError:
            raise Refused(408, f"the body did not arrive within {self._limits.body_s:g} seconds") from None

    async def answer(self, request: Request, error: Exception) -> Response:
        """Turn every error into OTLP's answer: a `google.rpc.Status` in the request's encoding."""
        headers: dict[str, str] = {}
        match error:
            case Refused():
                status, sentence = error.status, str(error)
            case HTTPException():
                status, sentence = error.status_code, str(error.detail)
                headers.update(error.headers or {})
            case StoreError():
                status, sentence = 503, str(error)
            case _:
                status, sentence = 400, "the client went away before the body was complete"
        if status == 503:
            headers["Retry-After"] = str(self._limits.retry_after_s)
        content_type = _media_type(request)
        message = Status(code=_CODES.get(status, _UNKNOWN), message=sentence)
        return _response(status, message, content_type if content_type in _ENCODINGS else JSON, headers)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _headers(request: Request) -> tuple[str, bool]:
    """Return the content type and whether the body is gzip, else refuse."""
    content_type = _media_type(request)
    if content_type not in _ENCODINGS:
        raise Refused(415, f"content type `{content_type[:80]}` is not taken; send {PROTOBUF} or {JSON}")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise Refused(415, f"content encoding `{encoding[:80]}` is not taken; send gzip or none")
    return content_type, encoding == "gzip"


async def _read(request: Request, limit: int) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise _too_large(limit)
    return bytes(content)


def _gunzip(body: bytes, limit: int) -> bytes:
    """Return the content of a gzip body of one or more members, never more than `limit` bytes."""
    try:
        content = gzip.GzipFile(fileobj=io.BytesIO(body)).read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(400, f"the body is not gzip: {error}") from None
    if len(content) > limit:
        raise _too_large(limit)
    return content


def _too_large(limit: int) -> Refused:
    return Refused(413, f"the body is larger than {limit} bytes; send smaller batches")


def _response(status: int, message: Message, content_type: str, headers: dict[str, str] | None = None) -> Response:
    if content_type == PROTOBUF:
        content = message.SerializeToString()
    else:
        content = json.dumps(json_format.MessageToDict(message)).encode()
    return Response(content, status, headers, media_type=content_type)
