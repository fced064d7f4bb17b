"""Whatever fails in credwatch, the application gets the same result and the same exception as without it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator

import pytest
from botocore.signers import RequestSigner
from botocore.utils import ContainerMetadataFetcher, InstanceMetadataFetcher

import credwatch
from credwatch import instrumentor
from credwatch.guard import Guard
from credwatch.instrumentation import Instrumentation
from credwatch.recorder import Recorder
from credwatch.settings import Settings
from tests.recorder.support import Answer, Recording, client, error, swallowed

SEAMS = [
    (RequestSigner, "sign"),
    (ContainerMetadataFetcher, "retrieve_full_uri"),
    (InstanceMetadataFetcher, "_get_credentials"),
]
INNER = [
    "credwatch.recorder.OpenCall",
    "credwatch.recorder.Recorder._signed",
    "credwatch.recorder.Recorder._close",
    "credwatch.recorder.Recorder._usage",
    "credwatch.recorder._ended",
    "credwatch.recorder._refused",
    "credwatch.recorder.beginning",
    "credwatch.instrumentation.Instrumentation.hook",
    "credwatch.recorder.from_request",
    "credwatch.recorder.key_of",
    "credwatch.instrumentation.resolve",
    "credwatch.recorder.decider",
    "credwatch.callsite.find",
    "credwatch.recorder.classify",
    "credwatch.provenance.Registry.sighted",
    "credwatch.ledger.Ledger.add",
    "credwatch.worker.Worker.finished",
    "credwatch.telemetry.Spans.emit",
]


def behaviour() -> list[object]:
    """What an application sees of a good, a denied and a refused call."""
    body = b"<ListAllMyBucketsResult><Owner><ID>me</ID></Owner></ListAllMyBucketsResult>"
    good = client("s3", Answer(200, body)).list_buckets()["Owner"]
    denied = swallowed(client("s3", error("AccessDenied", "no")).list_buckets)
    refused = swallowed(lambda: client("s3").get_object(Bucket="b"))
    broken = swallowed(client("s3", OSError("down")).list_buckets)
    presigned = client("s3").generate_presigned_url("get_object", {"Bucket": "b", "Key": "k"}).partition("?")[0]
    return [good, *((type(e).__name__, str(e)) for e in (denied, refused, broken)), presigned]


def raising(*_: object, **__: object) -> object:
    raise RuntimeError("a fault of credwatch")


def rubbish(*_: object, **__: object) -> object:
    return object()


@pytest.mark.parametrize("fault", [raising, rubbish])
@pytest.mark.parametrize("name", INNER)
def test_a_fault_anywhere_changes_nothing(
    name: str, fault: Callable[..., object], attach: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = behaviour()
    monkeypatch.setattr(name, fault)
    attach(guard=Guard())
    assert behaviour() == expected


def test_the_guard_trips_after_its_limit_and_then_nothing_runs(
    attach: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def fault(*_: object, **__: object) -> None:
        calls.append(1)
        raise RuntimeError("sentinel")

    monkeypatch.setattr("credwatch.recorder.beginning", fault)
    guard = Guard(limit=3)
    attach(guard=guard)
    made = client("s3")
    for _ in range(10):
        made.list_buckets()
    assert (guard.tripped, len(calls)) == (True, 3)
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "credwatch switched itself off after 3 internal errors"
    ]
    assert "sentinel" not in caplog.text


def test_what_is_not_an_exception_passes_the_guard() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Guard().wrap(interrupted)()


def test_handlers_answer_nothing(recording: Recording) -> None:
    made = client("s3", Answer(200))
    answers: list[tuple[object, object]] = []
    emit = made.meta.events.emit

    def listening(event: str, **kwargs: object) -> object:
        result = emit(event, **kwargs)
        answers.extend((handler, answer) for handler, answer in result)
        return result

    made.meta.events.emit = listening
    made.list_buckets()
    ours = [answer for handler, answer in answers if "credwatch" in getattr(handler, "__module__", "")]
    assert len(ours) == 2
    assert set(ours) == {None}


def test_detach_restores_exactly() -> None:
    before = [owner.__dict__[name] for owner, name in SEAMS]
    instrumentation = Instrumentation(Settings(), {}, guard=Guard(reraise=True))
    instrumentation.attach()
    assert all(owner.__dict__[name] is not old for (owner, name), old in zip(SEAMS, before, strict=True))
    instrumentation.detach()
    instrumentation.detach()
    assert [owner.__dict__[name] for owner, name in SEAMS] == before


def test_a_wrapper_around_ours_stays_and_works(
    attach: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = RequestSigner.__dict__["sign"]
    recording = attach()
    inner = RequestSigner.__dict__["sign"]
    seen: list[object] = []

    def outer(*args: object, **kwargs: object) -> object:
        seen.append(args)
        return inner(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(RequestSigner, "sign", outer)
        recording.instrumentation.detach()
        client("s3").list_buckets()
    assert seen
    assert recording.counts() == {}
    RequestSigner.sign = original


def test_a_seam_that_is_missing_is_said_and_the_rest_works(
    attach: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(InstanceMetadataFetcher, "_get_credentials")
    recording = attach()
    client("s3").list_buckets()
    assert recording.only().outcome == "allowed"
    assert "InstanceMetadataFetcher._get_credentials" in caplog.text


@pytest.fixture
def activated() -> Iterator[None]:
    yield
    credwatch.uninstrument()


@pytest.mark.usefixtures("activated")
def test_switched_on_twice_is_once_and_off_is_off() -> None:
    before = RequestSigner.__dict__["sign"]
    instrumentor.CredwatchInstrumentor().instrument(skip_dep_check=True, tracer_provider="rubbish", unknown=1)
    first = instrumentor.active()
    once = RequestSigner.__dict__["sign"]
    credwatch.instrument(settings=Settings())
    assert first is not None
    assert instrumentor.active() is first
    assert RequestSigner.__dict__["sign"] is once
    instrumentor.CredwatchInstrumentor().uninstrument(anything=1)
    credwatch.uninstrument()
    assert RequestSigner.__dict__["sign"] is before


@pytest.mark.usefixtures("activated")
def test_what_cannot_be_attached_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = [owner.__dict__[name] for owner, name in SEAMS]
    monkeypatch.setattr(Instrumentation, "_around_imds", property(raising))
    credwatch.instrument(settings=Settings())
    assert instrumentor.active() is None
    assert [owner.__dict__[name] for owner, name in SEAMS] == before
    assert "could not be switched on (RuntimeError)" in caplog.text


@pytest.mark.parametrize("name", ["opened", "signed", "answered", "failed"])
def test_a_handler_does_nothing_outside_its_try(name: str) -> None:
    """They guard themselves, because a wrapper would cost more than what they do."""
    function = ast.parse(textwrap.dedent(inspect.getsource(getattr(Recorder, name)))).body[0]
    assert isinstance(function, ast.FunctionDef)
    docstring, attempt = function.body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(attempt, ast.Try)
    (handler,) = attempt.handlers
    assert ast.unparse(handler).startswith(f"except Exception as error:\n    self._guard.failed('{name}', error)")
    assert attempt.orelse == attempt.finalbody == []
