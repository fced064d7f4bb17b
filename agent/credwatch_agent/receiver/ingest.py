"""One export request, whatever protocol brought it: take it or say why not.

Knows OTLP's rules about answers (https://opentelemetry.io/docs/specs/otlp/), no protocol's headers.
Every refusal has an HTTP status and, by `CODES`, a gRPC code: one table for both edges.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from credwatch_agent import __version__, otlp
from credwatch_agent.access import ANYONE, Caller, Tokens, bound, bound_spans
from credwatch_agent.receiver.meters import Meters
from credwatch_agent.records import Batch
from credwatch_agent.store import Store, StoreError

Signal = Literal["metrics", "traces"]

_log = logging.getLogger(__name__)

# HTTP status -> https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 3, 415: 3, 501: 12, 503: 14}
UNKNOWN = 2

NO_LOGS = "this agent takes metrics and traces, no logs; take it out of the logs pipeline"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one agent takes on at once, by all protocols; past it, it answers before memory grows.

    `body_bytes` bounds a request, compressed and decompressed; a Collector's default batch of 8,192
    points has some 8 MB. `requests` are taken at a time, others are told to retry; `workers` of them are
    decoded and written at a time: two keep a core busy while the disk syncs, more would only hold memory.
    """

    body_bytes: int = 16 * 1024 * 1024
    requests: int = 16
    workers: int = 2
    body_s: float = 10.0
    retry_after_s: int = 1


class Body(NamedTuple):
    """What a request carries, as it came over the wire."""

    content: bytes
    gzip: bool = False


class Refused(Exception):
    """The request is not taken: an HTTP status (for gRPC see `CODES`) and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def refusal(error: Exception) -> Refused:
    """Return the refusal that an error of reading or writing means: a store's trouble may pass."""
    match error:
        case Refused():
            return error
        case StoreError():
            return Refused(503, str(error))
        case otlp.Malformed():
            return Refused(400, str(error))
    return Refused(400, "the client went away before the body was complete")


class Ingest:
    """Takes export requests into `store`, which stays the caller's to close; `now_ns` is the clock.

    `tokens` gives those that are valid now; without it everyone may do all, and what they say is claimed.
    Belongs to one event loop; the edges that share it share its limits.
    """

    def __init__(
        self,
        store: Store,
        *,
        now_ns: Callable[[], int],
        limits: Limits | None = None,
        tokens: Callable[[], Tokens] | None = None,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.store = store
        self.limits = limits or Limits()
        self.meters = Meters()
        self._tokens = tokens
        self._timer = timer
        self._now_ns = now_ns
        self._taken = 0
        self._workers = asyncio.Semaphore(self.limits.workers)

    def admit(self, authorization: str | None, peer: Sequence[str], what: Literal["ingest", "read"]) -> Caller:
        """Return who sends a request, else refuse: before anything of it is read.

        By its `Authorization` header, else by `peer`, the alternative names of its verified certificate.
        """
        if self._tokens is None:
            return ANYONE
        tokens = self._tokens()
        if authorization or not peer:
            scheme, _, token = (authorization or "").partition(" ")
            caller = tokens.find(token.strip()) if scheme.lower() == "bearer" else None
            what_is_wrong = "the token is not one of this agent's" if authorization else "no token was sent"
        else:
            caller, what_is_wrong = tokens.of_certificate(peer), "the certificate is not one of this agent's"
        if caller is None:
            raise Refused(401, f"{what_is_wrong}: send `Authorization: Bearer TOKEN`")
        if caller.expired(self._now_ns()):
            raise Refused(401, f"the time of `{caller.name}` is over: it `expires` in the agent's file of tokens")
        if not caller.may(what):
            raise Refused(403, f"`{caller.name}` has the role `{caller.role}`, which may not {what}")
        return caller

    def refused(self, error: Exception) -> Refused:
        """Return the refusal that an error means (see `refusal`), counted and logged."""
        found = refusal(error)
        self.meters.add("credwatch_agent_requests_refused_total", labels=f'status="{found.status}"')
        level = logging.ERROR if isinstance(error, StoreError) else logging.WARNING
        _log.log(level, "request refused", extra={"fields": {"status": found.status, "reason": str(found)}})
        return found

    def exposition(self) -> str:
        """Return the agent's own metrics as Prometheus text; blocks on the store."""
        try:
            summary = self.store.summary()
        except StoreError:
            summary = None
        return self.meters.render(summary, __version__)

    async def export(
        self, signal: Signal, encoding: otlp.Encoding, read: Callable[[], Awaitable[Body]], caller: Caller = ANYONE
    ) -> Message:
        """Return the answer to one request, committed; its body is read only once there is room for it.

        Raises `Refused`, `StoreError` or `Malformed` (see `refusal`), and what `read` raises.
        """
        task = asyncio.ensure_future(self._export(signal, encoding, read, caller))
        # a caller that goes away must not free the slot of a thread that still works
        task.add_done_callback(lambda done: None if done.cancelled() else done.exception() and None)
        return await asyncio.shield(task)

    async def _export(
        self, signal: Signal, encoding: otlp.Encoding, read: Callable[[], Awaitable[Body]], caller: Caller
    ) -> Message:
        async with self._slot():
            try:
                body = await asyncio.wait_for(read(), self.limits.body_s)
            except asyncio.TimeoutError:
                raise Refused(503, f"the body did not arrive within {self.limits.body_s:g} seconds") from None
            # decompressing, decoding and writing all block: off the event loop
            async with self._workers:
                return await asyncio.to_thread(self._take, signal, encoding, body, caller)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        # taken before the body is read, so that slots times body size bounds the memory
        if self._taken >= self.limits.requests:
            # not 429: the older of the OpenTelemetry exporters for Python that we support do not retry it
            raise Refused(503, f"the agent is handling {self._taken} requests; try again")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    def _take(self, signal: Signal, encoding: otlp.Encoding, body: Body, caller: Caller) -> Message:
        content = _gunzip(body.content, self.limits.body_bytes) if body.gzip else body.content
        if len(content) > self.limits.body_bytes:
            raise too_large(self.limits.body_bytes)
        export = self._metrics if signal == "metrics" else self._traces
        return export(content, encoding, caller)

    def _metrics(self, body: bytes, encoding: otlp.Encoding, caller: Caller) -> Message:
        decoded = otlp.decode_metrics(body, encoding, now_ns=self._now_ns())
        batches: list[Batch] = []
        rejected, sentences = decoded.rejected, [decoded.message]
        for batch in decoded.batches:
            parts, refused, sentence = bound(batch, caller)
            batches += parts
            rejected += refused
            sentences.append(sentence)
        if batches:
            with self._timed():
                late = self.store.put(batches)
            self.meters.add("credwatch_agent_points_folded_total", late)
            accepted = sum(len(b.usage) + len(b.keys) + len(b.health) for b in batches) - late
            self.meters.add("credwatch_agent_points_accepted_total", accepted)
        answer = ExportMetricsServiceResponse()
        if rejected:
            self.meters.add("credwatch_agent_points_rejected_total", rejected)
            answer.partial_success.rejected_data_points = rejected
            answer.partial_success.error_message = _joined(sentences)
        return answer

    def _traces(self, body: bytes, encoding: otlp.Encoding, caller: Caller) -> Message:
        decoded = otlp.decode_traces(body, encoding, now_ns=self._now_ns())
        spans, refused, sentence = bound_spans(decoded.spans, caller)
        if spans:
            with self._timed():
                self.store.put_spans(spans)
            self.meters.add("credwatch_agent_spans_accepted_total", len(spans))
        answer = ExportTraceServiceResponse()
        if decoded.rejected or refused:
            self.meters.add("credwatch_agent_spans_rejected_total", decoded.rejected + refused)
            answer.partial_success.rejected_spans = decoded.rejected + refused
            answer.partial_success.error_message = _joined([decoded.message, sentence])
        return answer

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = self._timer()
        yield
        self.meters.wrote(self._timer() - began)


def _joined(sentences: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, sentences)))


def too_large(limit: int) -> Refused:
    return Refused(413, f"the body is larger than {limit} bytes; send smaller batches")


def _gunzip(body: bytes, limit: int) -> bytes:
    """Return the content of a gzip body of one or more members, never more than `limit` bytes and one."""
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(body)).read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(400, f"the body is not gzip: {error}") from None
