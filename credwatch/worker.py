"""The one thread of the recorder: confirms sources, makes the spans that waited, sends the counts.

Started by the first call of a process, never before; a forked child starts its own. It is a daemon,
and the application waits for it at its exit for `EXIT_SECONDS`, unless configured otherwise. Its edges (time, metadata
endpoints, exporters) are given.
"""

import logging
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from opentelemetry import trace
from opentelemetry.trace import TracerProvider

from credwatch import semconv
from credwatch.counter import BySource
from credwatch.guard import Guard
from credwatch.ledger import Ledger
from credwatch.provenance import Answer, Question, Registry, account_of
from credwatch.recorder import Call, Recorder, UsageKey
from credwatch.reporting import Report
from credwatch.telemetry import Point, Spans
from credwatch.workload import Fetch, describe, ec2, ecs, imds_base, probe

if TYPE_CHECKING:
    from credwatch.advice import Warned

logger = logging.getLogger("credwatch")

EXIT_SECONDS = 1.0
RESEND_SECONDS = 3_600.0
_TICK = 5.0
_ROUNDS = 5  # in which an endpoint that does not answer is asked
_ROUND_SECONDS = 5.0  # more than a round takes
_WAITING_SPANS = 2_048


class Export(Protocol):
    """Where telemetry goes. Each method returns whether the receiver has it; none may raise."""

    def points(self, points: Sequence[Point], resource: Mapping[str, str]) -> bool: ...

    def provider(self, resource: Mapping[str, str]) -> TracerProvider:
        """Return the provider of spans for a process that has none of its own."""

    def flush(self) -> bool:
        """Send the spans that the private provider holds."""

    def forked(self) -> None:
        """In a child: share no connection with the parent."""


class Edges(NamedTuple):
    """What the worker needs of the world: nanosecond clock, metadata endpoints, environment, exporters.

    `identity` names the process itself. `export` is None where no endpoint is configured: then
    nothing is sent. `provider` takes spans instead of the application's global one.
    `on_ec2` tells without a request whether an instance metadata endpoint can be expected. `counter`
    and `advise` speak to the application itself; `began` is called when its first call starts the thread.
    `probe_imds`: somebody asked whether a task reaches its host's metadata service.
    """

    clock: Callable[[], int]
    fetch: Fetch
    environ: Mapping[str, str]
    identity: Callable[[], Mapping[str, str]]
    export: Export | None = None
    provider: TracerProvider | None = None
    on_ec2: Callable[[], bool] = bool
    counter: BySource | None = None
    advise: Callable[[Iterable[UsageKey], Mapping[str, str]], Iterable["Warned"]] | None = None
    began: Callable[[], object] = bool
    probe_imds: bool = False


class _Round:
    """One round of requests to metadata endpoints; `unanswered` where it ended without an answer."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self.unanswered = False

    def __call__(self, method: str, url: str, headers: Mapping[str, str]) -> bytes | None:
        body = None if self.unanswered else self._fetch(method, url, headers)  # one wait is enough
        self.unanswered = body is None
        return body


class Worker:
    """Owns the life of the recorder's thread and what one process has sent."""

    def __init__(
        self,
        edges: Edges,
        recorder: Recorder,
        ledger: Ledger[UsageKey],
        spans: Spans,
        guard: Guard,
        interval: float,
        *,
        plain_key_ids: bool = False,
    ) -> None:
        self._edges = edges
        self._recorder = recorder
        self._registry: Registry = recorder.registry
        self._ledger = ledger
        self._spans = spans
        self._guard = guard
        self._interval = interval
        self._plain = plain_key_ids
        self._begin_process()

    def forked(self) -> None:
        """Begin anew: in a forked child, whose parent keeps its own counts and connections."""
        if self._edges.export is not None:
            self._edges.export.forked()
        if self._edges.counter is not None:
            self._edges.counter.forked()
        self._begin_process()

    def _begin_process(self) -> None:
        self.process_id = str(uuid.uuid4())
        self._epoch_ns = self._edges.clock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._turned = threading.Event()
        self._told: set[str] = set()
        self._mute = False
        self._start = threading.Lock()
        self._closing = self._hurried = False
        self._exit_seconds = 0.0
        self._private: TracerProvider | None = None
        self._waiting: deque[Call] = deque(maxlen=_WAITING_SPANS)
        self._spans_dropped = 0
        self._resource: dict[str, str] = {}
        self._place_rounds = _ROUNDS
        self._rounds: Counter[Question] = Counter()
        self._warned = False
        self._resent = self._sent = time.monotonic()

    # --- the application's side: never waits

    def finished(self, call: Call) -> None:
        """Take a closed call: make its span now where that is possible, else leave it to the thread."""
        if self._thread is None:
            self._begin()
        settled = call.usage is None or call.usage.origin.settled
        if not settled:
            self._wake.set()
        if not self._spans.wanted(call):
            return
        provider = self._application_provider()
        # another's span cannot wait: it ends with the call
        if self._spans.enrich(call) or (settled and provider is not None and self._spans.emit(call, provider)):
            return
        self._wait(call)

    def _wait(self, call: Call) -> None:
        if self._edges.export is None and self._application_provider() is None:
            return
        if len(self._waiting) == _WAITING_SPANS:
            self._spans_dropped += 1
        self._waiting.append(call)

    def _application_provider(self) -> TracerProvider | None:
        provider = self._edges.provider or trace.get_tracer_provider()
        return None if isinstance(provider, trace.ProxyTracerProvider) else provider

    def _begin(self) -> None:
        if not self._start.acquire(blocking=False):
            return  # another thread is starting it
        if self._thread is None and not self._closing:
            thread = threading.Thread(target=self._run, name="credwatch", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down
                self._closing = True
            self._thread = thread
            self._edges.began()
        self._start.release()

    def hurry(self, seconds: float) -> None:
        """Let the thread use the application's providers while they live; waits `seconds` at most."""
        spans = bool(self._waiting) and self._application_provider() is not None
        counter = self._edges.counter
        if not spans and (counter is None or not counter.wanted()):
            return  # the time is better spent on the last counts
        self._hurried = True
        thread, until = self._thread, time.monotonic() + seconds
        for _ in range(2):  # the first turn to end may have begun before this
            if thread is None or not thread.is_alive():
                return
            self._turned.clear()
            self._wake.set()
            self._turned.wait(max(0.0, until - time.monotonic()))

    def close(self, seconds: float = EXIT_SECONDS) -> None:
        """Send what is left and say that the counts are final; waits `seconds` at most."""
        thread = self._thread
        self._exit_seconds = seconds
        self._closing = True
        self._wake.set()
        if thread is not None and thread.is_alive():
            thread.join(seconds)

    # --- the thread's side

    def _run(self) -> None:
        turn = self._guard.wrap(self.turn)
        pause = 0.0  # where we run is asked at once: spans wait for it
        while True:
            self._wake.wait(pause)
            pause = min(self._interval, _TICK)
            self._wake.clear()
            closing = self._closing
            turn(closing)
            self._turned.set()
            if closing or self._guard.tripped:
                return

    def turn(self, closing: bool) -> None:
        """Do all that is due. Public for tests: the thread does nothing else."""
        self._recorder.reap()
        # at the exit the counts come first: an endpoint that hung is asked again only if there is time for both
        if not closing or not self._asked_in_vain or self._exit_seconds > _ROUND_SECONDS:
            self._guard.wrap(self._look_around)()  # a fault of it costs what it would tell, never the counts
        if closing:
            self._registry.settle()
        self._guard.wrap(self._tell)()
        # counts before spans: at the exit there may be time for one of them only
        if closing or time.monotonic() - self._sent >= self._interval:
            self._send(closing)
        self._emit(last=closing or self._hurried)

    def _tell(self) -> None:
        """Tell the application itself: its own small counter, and the warnings that it asked for."""
        counter, advise = self._edges.counter, self._edges.advise
        if self._mute:
            return
        self._mute = True  # a fault of the application's provider is met once
        counting = counter is not None and counter.wanted()
        # most applications want neither: then nothing of the ledger is copied
        entries = self._ledger.snapshot() if counting or advise is not None else []
        if counter is not None and counting:
            counter.update(entries)
        if advise is not None:
            settled = (key for key, *_ in entries if key.origin.settled)
            for kind, sentence in advise(settled, self._edges.environ):
                if kind not in self._told:
                    self._told.add(kind)
                    logger.warning("credwatch: %s: %s", kind, sentence)
        self._mute = False

    @property
    def _asked_in_vain(self) -> bool:
        return 0 < self._place_rounds < _ROUNDS or bool(self._rounds)

    def _look_around(self) -> None:
        """Ask where this process runs and what its sources are; what does not answer is asked again, for a while."""
        if self._place_rounds:
            asked = _Round(self._edges.fetch)
            self._resource = {**self._resource, **self._edges.identity(), **self._place(asked)}
            self._place_rounds = self._place_rounds - 1 if asked.unanswered else 0
        for question in self._registry.questions():
            self._put(question)

    def _put(self, question: Question) -> None:
        if self._rounds[question] >= _ROUNDS:
            return
        asked = _Round(self._edges.fetch)
        answer = self._ask(question, asked)
        if not asked.unanswered:
            self._registry.answer(question, answer)
            return
        # a busy endpoint is no other endpoint: what it is stays unknown
        self._rounds[question] += 1
        if self._rounds[question] >= _ROUNDS:
            self._registry.settle(question)

    def _place(self, fetch: Fetch) -> Mapping[str, str]:
        place = describe(self._edges.environ, fetch)
        if self._edges.probe_imds and place.get("cloud.platform") == "aws_ecs":
            # not by the round: that nothing answers is the answer hoped for
            return {**place, **probe(imds_base(self._edges.environ), self._edges.fetch)}
        if place or not self._edges.on_ec2():
            return place
        # a key from the environment asks no metadata endpoint, yet what the host offers is then the point
        found = ec2(imds_base(self._edges.environ), fetch) or {}
        return {name: value for name, value in found.items() if value and name != "credwatch.instance_profile.arn"}

    def _ask(self, question: Question, fetch: Fetch) -> Answer:
        resource = self._resource
        if question.kind == "imds":
            found = ec2(question.url or imds_base(self._edges.environ), fetch)
            if found is None:
                return Answer(False)
            profile = found.pop("credwatch.instance_profile.arn")
            resource.update({name: value for name, value in found.items() if value and name not in resource})
            return Answer(True, account_of(profile), profile)
        metadata = self._edges.environ.get("ECS_CONTAINER_METADATA_URI_V4", "")
        return Answer("aws.ecs.task.arn" in resource or ecs(metadata, fetch) is not None)

    def _emit(self, *, last: bool) -> None:
        private = False
        for _ in range(len(self._waiting)):
            call = self._waiting.popleft()
            if not (last or call.usage is None or call.usage.origin.settled):
                self._waiting.append(call)
                continue
            provider = self._application_provider()
            if provider is None:
                provider = self._private_provider()
                private = True
            if provider is not None:
                self._spans.emit(call, provider)
        if private and self._edges.export is not None:
            self._edges.export.flush()

    def _private_provider(self) -> TracerProvider | None:
        if self._private is None and self._edges.export is not None:
            self._private = self._edges.export.provider(self._resource)
        return self._private

    def _send(self, closing: bool) -> None:
        self._sent = now = time.monotonic()
        export, resource = self._edges.export, self._resource
        if export is None:
            self._ledger.drain()
            return
        everything = now - self._resent >= RESEND_SECONDS
        report = Report(self.process_id, self._epoch_ns, self._edges.clock(), plain_key_ids=self._plain)
        for request in report.requests(self._ledger.snapshot(), self._registry.sightings(), everything):
            if not export.points(request.points, resource):
                self._warn()
                return
            self._ledger.acknowledge(request.usages)
            for key, calls in request.keys:
                key.sent = calls
        if everything:
            self._resent = now
        export.points(report.health(self._health(closing)), resource)

    def _health(self, closing: bool) -> dict[str, int]:
        values = {
            semconv.RECORDER_UP: self._ledger.total,
            semconv.RECORDER_ERRORS: self._guard.errors,
            semconv.RECORDER_COARSENED: self._ledger.coarsened,
            semconv.SPANS_DROPPED: self._spans_dropped,
        }
        if closing:
            values[semconv.RECORDER_CLOSED] = self._ledger.total
        return values

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("credwatch: nothing takes the telemetry at the configured endpoint; counts are kept")
