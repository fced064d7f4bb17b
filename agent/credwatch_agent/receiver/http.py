"""The OTLP/HTTP edge (https://opentelemetry.io/docs/specs/otlp/#otlphttp), and the agent's health."""

from __future__ import annotations

import json
from typing import Any, Literal

from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no stubs are published
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from credwatch_agent import otlp
from credwatch_agent.access import Caller
from credwatch_agent.receiver.ingest import CODES, NO_LOGS, UNKNOWN, Body, Ingest, Refused, Signal, too_large
from credwatch_agent.receiver.meters import CONTENT_TYPE
from credwatch_agent.records import Seen
from credwatch_agent.store import StoreError

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
PEER = "credwatch.peer"
"""Key of the connection's state: the alternative names of the client's verified certificate."""
_ENCODINGS: dict[str, otlp.Encoding] = {PROTOBUF: "protobuf", JSON: "json"}


def create_app(ingest: Ingest) -> Starlette:
    """Return the ASGI application that hands OTLP/HTTP requests to `ingest`."""
    edge = _Edge(ingest)
    app = Starlette(
        routes=[
            Route("/v1/metrics", edge.metrics, methods=["POST"]),
            Route("/v1/traces", edge.traces, methods=["POST"]),
            Route("/v1/logs", edge.logs, methods=["POST"]),
            Route("/v1/processes", edge.processes, methods=["GET"]),
            Route("/healthz", edge.healthz, methods=["GET"]),
            Route("/readyz", edge.readyz, methods=["GET"]),
            Route("/metrics", edge.own_metrics, methods=["GET"]),
        ],
        exception_handlers=dict.fromkeys(
            (Refused, HTTPException, StoreError, otlp.Malformed, ClientDisconnect), edge.answer
        ),
    )
    # OTLP knows no redirect, least of all to where the request's `Host` says
    app.router.redirect_slashes = False
    return app


class _Edge:
    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def metrics(self, request: Request) -> Response:
        return await self._export(request, "metrics")

    async def traces(self, request: Request) -> Response:
        return await self._export(request, "traces")

    async def logs(self, _: Request) -> Response:
        # a 200 would say that they were kept
        raise Refused(404, NO_LOGS)

    async def healthz(self, _: Request) -> Response:
        # `credwatch doctor` knows the agent by this word
        return PlainTextResponse("credwatch-agent ok\n")

    async def own_metrics(self, request: Request) -> Response:
        self._admit(request, "read")
        return Response(await run_in_threadpool(self._ingest.exposition), media_type=CONTENT_TYPE)

    async def processes(self, request: Request) -> Response:
        # `credwatch doctor` asks whether a process was seen
        self._admit(request, "read")
        asked = {name: value for name in ("id", "fingerprint") if (value := request.query_params.get(name))}
        if len(asked) != 1:
            raise Refused(400, "ask for one process: `/v1/processes?id=…` or `/v1/processes?fingerprint=…`")
        found = await run_in_threadpool(self._ingest.store.seen, asked.get("id", ""), asked.get("fingerprint", ""))
        document = {"version": 1, "processes": [_told(each) for each in found]}
        return Response(json.dumps(document), media_type=JSON)

    async def readyz(self, _: Request) -> Response:
        await run_in_threadpool(self._ingest.store.check)
        return PlainTextResponse("ok\n")

    def _admit(self, request: Request, what: Literal["ingest", "read"]) -> Caller:
        peer = request.scope.get("state", {}).get(PEER, ())
        return self._ingest.admit(request.headers.get("authorization"), peer, what)

    async def _export(self, request: Request, signal: Signal) -> Response:
        caller = self._admit(request, "ingest")
        content_type, compressed = _headers(request)

        async def read() -> Body:
            return Body(await _read(request, self._ingest.limits.body_bytes), compressed)

        answer = await self._ingest.export(signal, _ENCODINGS[content_type], read, caller)
        return _response(200, answer, content_type)

    async def answer(self, request: Request, error: Exception) -> Response:
        """Turn every error into OTLP's answer: a `google.rpc.Status` in the request's encoding."""
        headers: dict[str, str] = {}
        if isinstance(error, HTTPException):
            status, sentence = error.status_code, str(error.detail)
            headers.update(error.headers or {})
        else:
            refused = self._ingest.refused(error)
            status, sentence = refused.status, str(refused)
        if status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="credwatch-agent"'
        if status == 503:
            headers["Retry-After"] = str(self._ingest.limits.retry_after_s)
        content_type = _media_type(request)
        message = Status(code=CODES.get(status, UNKNOWN), message=sentence)
        return _response(status, message, content_type if content_type in _ENCODINGS else JSON, headers)


def _told(seen: Seen) -> dict[str, Any]:
    process = seen.process
    if seen.folded:
        return {"process_id": process.process_id, "folded": True}
    return {
        "process_id": process.process_id,
        "folded": False,
        "first_ns": process.first_ns,
        "last_ns": process.last_ns,
        "calls": seen.calls,
        "closed": process.closed is not None,
        "claimed": process.claimed,
    }


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
            raise too_large(limit)
    return bytes(content)


def _response(status: int, message: Message, content_type: str, headers: dict[str, str] | None = None) -> Response:
    if content_type == PROTOBUF:
        content = message.SerializeToString()
    else:
        content = json.dumps(json_format.MessageToDict(message)).encode()
    return Response(content, status, headers, media_type=content_type)
