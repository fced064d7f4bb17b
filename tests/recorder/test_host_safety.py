"""Whatever fails in credwatch, the application gets the same result and the same exception as without it."""

from __future__ import annotations

import ast
import inspect
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import pytest
from botocore.signers import RequestSigner
from botocore.utils import ContainerMetadataFetcher, InstanceMetadataFetcher

import credwatch
from credwatch import instrumentor
from credwatch.guard import Guard
from credwatch.instrumentation import Instrumentation
from credwatch.recorder import Recorder
from credwatch.settings import Settings
from credwatch.telemetry import Point
from tests.recorder import faults
from tests.recorder.matrix import sources
from tests.recorder.matrix.cloud import ROLE
from tests.recorder.matrix.drivers import Driver
from tests.recorder.matrix.sources import World
from tests.recorder.matrix.walk import Attach
from tests.recorder.support import Answer, MemoryExport, Recording, client, error, swallowed

SEAMS = [
    (RequestSigner, "sign"),
    (ContainerMetadataFetcher, "retrieve_full_uri"),
    (InstanceMetadataFetcher, "_get_credentials"),
]
BUCKETS = b"<ListAllMyBucketsResult><Owner><ID>me</ID></Owner></ListAllMyBucketsResult>"


def calls() -> list[object]:
    """What an application sees of a good, a denied, a refused and a broken call, and of a presigned URL."""
    made = client("s3", Answer(200, BUCKETS), error("AccessDenied", "no"), OSError("down"))
    good = made.list_buckets()["Owner"]
    failures: list[Callable[[], object]] = [made.list_buckets, lambda: made.get_object(Bucket="b"), made.list_buckets]
    failed = [(type(found).__name__, str(found)) for found in map(swallowed, failures)]
    return [good, *failed, made.generate_presigned_url("get_object", {"Bucket": "b", "Key": "k"}).partition("?")[0]]


def chained(profile: str) -> object:
    """What an application sees of a call as a role that its profile assumes."""
    driver = Driver()
    driver.profile = profile
    s3 = driver.session().create_client("s3", region_name="eu-west-1")
    answer = s3.list_buckets()["ResponseMetadata"]["HTTPStatusCode"]
    s3.close()
    return answer


@pytest.mark.slow
def test_a_fault_of_any_function_in_the_path_of_a_call_changes_nothing(world: World, attach: Attach) -> None:
    """Found by running: a handler or a seam that no behaviour here runs fails the test, and so does a new one."""
    sources.ecs_relative(world)
    sources.imds(world)
    places = {"task": "EcsContainer", "host": "Ec2InstanceMetadata"}
    world.config(**{name: {"role_arn": ROLE, "credential_source": place} for name, place in places.items()})
    path, harmed = faults.harm(
        [calls, partial(chained, "task"), partial(chained, "host")], attach, environ=world.environ
    )
    assert harmed == {}
    assert faults.unexercised(attach().instrumentation, path, asynchronous=False) == set()


class Hanging(MemoryExport):
    """A receiver that answers nothing before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.let_go = threading.Event(), threading.Event()

    def points(self, points: Sequence[Point], resource: Mapping[str, str]) -> bool:
        self.asked.set()
        self.let_go.wait()
        return super().points(points, resource)


def test_a_receiver_and_a_metadata_endpoint_that_hang_hold_up_no_call(
    attach: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    export = Hanging()
    asked = threading.Event()

    def fetch(*_: object) -> None:
        asked.set()
        export.let_go.wait()

    monkeypatch.setattr("credwatch.instrumentation.fetch", fetch)
    environ = {"ECS_CONTAINER_METADATA_URI_V4": "http://127.0.0.1:1/v4"}
    recording = attach(environ, export=export, export_interval=0.01)
    made = client("s3")
    made.list_buckets()
    asked.wait()
    for _ in range(10):
        made.list_buckets()  # while the thread asks where it runs
    export.let_go.set()
    export.asked.wait()
    made.list_buckets()
    assert sum(recording.exported().values()) == 12


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
    monkeypatch.setattr(Instrumentation, "_around_imds", property(faults.raising))
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
