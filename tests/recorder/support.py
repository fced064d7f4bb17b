"""What stands in for the network: answers at botocore's `before-send`, and an export that keeps points."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.loaders import create_loader
from opentelemetry.sdk.trace import TracerProvider

from credwatch.instrumentation import Instrumentation
from credwatch.semconv import CALLS, Usage, decode
from credwatch.telemetry import Point

# one for all sessions: it keeps the service models that it has read
_LOADER = create_loader()

KEY = "ASIAEXAMPLEEXAMPLE01"
SECRET = "secret-sentinel-of-the-tests"


class MemoryExport:
    """A `worker.Export` that keeps what it is given. `accepts` says whether the receiver takes points."""

    def __init__(self) -> None:
        self.accepts = True
        self.requests: list[tuple[Sequence[Point], Mapping[str, str]]] = []
        self.private = TracerProvider(shutdown_on_exit=False)
        self.forks = 0

    def points(self, points: Sequence[Point], resource: Mapping[str, str]) -> bool:
        if self.accepts:
            self.requests.append((list(points), dict(resource)))
        return self.accepts

    def provider(self, resource: Mapping[str, str]) -> TracerProvider:
        return self.private

    def flush(self) -> bool:
        return self.accepts

    def forked(self) -> None:
        self.forks += 1

    def sent(self, metric: str) -> list[Point]:
        return [point for points, _ in self.requests for point in points if point.metric == metric]


class Recording(NamedTuple):
    """An attached recorder and where its points go."""

    instrumentation: Instrumentation
    export: MemoryExport

    def counts(self) -> dict[Usage, int]:
        """Return every usage as the agent would decode it, and its count."""
        self.instrumentation.recorder.reap()
        counted: Counter[Usage] = Counter()
        for key, calls, *_ in self.instrumentation.ledger.snapshot():
            counted[key.usage()] += calls
        return dict(counted)

    def outcomes(self) -> dict[tuple[str, str], int]:
        """Return (operation, outcome) -> calls."""
        counted: Counter[tuple[str, str]] = Counter()
        for usage, calls in self.counts().items():
            counted[usage.operation, usage.outcome] += calls
        return dict(counted)

    def only(self) -> Usage:
        """Return the one usage that was recorded, once."""
        ((usage, calls),) = self.counts().items()
        assert calls == 1
        return usage

    def exported(self) -> dict[Usage, int]:
        """Close the recorder and return what the receiver would hold: the maximum per usage."""
        self.instrumentation.worker.close(30)
        held: dict[Usage, int] = {}
        for point in self.export.sent(CALLS):
            usage = decode(point.attributes)
            held[usage] = max(held.get(usage, 0), point.value)
        return held


class _Raw(io.BytesIO):
    def stream(self, *_: object, **__: object) -> Iterable[bytes]:
        yield self.read()


class Answer(NamedTuple):
    """What the service answers: status, body, headers."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Sent(NamedTuple):
    """A request as it would have gone out."""

    method: str
    url: str
    headers: Mapping[str, Any]
    body: Any


def error(code: str, message: str = "", status: int = 403) -> Answer:
    """Return an error in S3's and STS's XML."""
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, text.encode())


class Stub:
    """Answers every request of a client or session in turn (the last answer for ever); `requests` keeps them."""

    def __init__(self, *answers: Answer | BaseException) -> None:
        self._answers = list(answers) or [Answer()]
        self.requests: list[Sent] = []

    def __call__(self, request: Any, **_: object) -> AWSResponse:
        # not the request: it would keep alive the context that a finalizer waits for
        self.requests.append(Sent(request.method, request.url, dict(request.headers), request.body))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return AWSResponse(request.url, answer.status, dict(answer.headers), _Raw(answer.body))

    def on(self, emitter: Any) -> Stub:
        emitter.register_last("before-send", self)
        return self


def session(key: str | None = KEY, secret: str = SECRET, token: str | None = "token") -> Any:
    """Return a botocore session with literal keys (None: with none), untouched by files of the machine."""
    made = botocore.session.Session()
    made.register_component("data_loader", _LOADER)
    made.set_config_variable("region", "eu-west-1")
    if key is not None:
        made.set_credentials(key, secret, token)
    return made


def client(name: str, *answers: Answer | BaseException, key: str | None = KEY, retries: int = 0, **options: Any) -> Any:
    """Return a real botocore client whose requests are answered here."""
    from botocore.config import Config

    config = Config(retries={"max_attempts": retries, "mode": "standard"} if retries else {"total_max_attempts": 1})
    if "config" in options:
        config = config.merge(options.pop("config"))
    options = {"region_name": "eu-west-1", **options}
    made = session(key).create_client(name, config=config, **options)
    Stub(*answers).on(made.meta.events)
    return made


def swallowed(call: Callable[[], object]) -> BaseException | None:
    """Return the exception that a call raised, or None."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - what the application would see
        return error
    return None
