"""Whatever fails in credwatch, the application gets the same result and the same exception as without it."""

from __future__ import annotations

import ast
import inspect
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

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


class Calling(MemoryExport):
    """A receiver that is reached through a call of AWS's: of a client of its own, which is followed like any other."""

    def points(self, points: Sequence[Point], resource: Mapping[str, str]) -> bool:
        client("sqs").list_queues()
        return super().points(points, resource)


def test_an_exporter_that_calls_aws_does_not_call_itself_for_ever(attach: Callable[..., Recording]) -> None:
    recording = attach(export=Calling())
    client("s3").list_buckets()
    held = recording.exported()
    assert {(usage.operation, calls) for usage, calls in held.items()} == {("ListBuckets", 1)}
    requests = len(recording.export.requests)
    assert recording.outcomes() == {("ListBuckets", "allowed"): 1, ("ListQueues", "allowed"): requests}


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


# --- a botocore that is not one of the tested -------------------------------------------------------------


def renamed_sign(original: Any) -> Any:
    def sign(  # type: ignore[no-untyped-def]  # as botocore's
        self, operation, aws_request, region=None, kind="standard", expires_in=None, signing_name=None
    ):
        return original(self, operation, aws_request, region, kind, expires_in, signing_name)

    return sign


def keyword_sign(original: Any) -> Any:
    def sign(self, *, operation_name, request, **more):  # type: ignore[no-untyped-def]
        return original(self, operation_name, request, **more)

    return sign


def grown_sign(original: Any) -> Any:
    def sign(  # type: ignore[no-untyped-def]
        self, operation_name, request, region_name=None, signing_type="standard", *rest, checksum=None, **more
    ):
        assert checksum is None
        return original(self, operation_name, request, region_name, signing_type, *rest, **more)

    return sign


def renamed_url(original: Any) -> Any:
    return lambda self, uri, headers=None: original(self, uri, headers)


def renamed_role(original: Any) -> Any:
    return lambda self, profile, imds_token=None: original(self, profile, imds_token)


def asynchronous(original: Any) -> Any:
    async def method(self: Any, role_name: str, token: Any = None) -> Any:
        return original(self, role_name, token)

    return method


OTHER_BOTOCORES = [
    pytest.param(RequestSigner, "sign", renamed_sign, "which key signed", id="renamed"),
    pytest.param(RequestSigner, "sign", keyword_sign, "which key signed", id="keywords"),
    pytest.param(RequestSigner, "sign", staticmethod, "which key signed", id="static"),
    pytest.param(ContainerMetadataFetcher, "retrieve_full_uri", renamed_url, "the task's role", id="url"),
    pytest.param(InstanceMetadataFetcher, "_get_credentials", renamed_role, "the instance's role", id="role"),
    pytest.param(InstanceMetadataFetcher, "_get_credentials", asynchronous, "the instance's role", id="async"),
    pytest.param(InstanceMetadataFetcher, "_get_credentials", lambda _: 7, "the instance's role", id="no-function"),
]


@pytest.mark.parametrize(("owner", "name", "other", "lost"), OTHER_BOTOCORES)
def test_a_seam_with_another_signature_stays_off_and_says_so(
    owner: type,
    name: str,
    other: Callable[[Any], Any],
    lost: str,
    attach: Callable[..., Recording],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    theirs = other(owner.__dict__[name])
    monkeypatch.setattr(owner, name, theirs)
    recording = attach()
    assert owner.__dict__[name] is theirs
    (record,) = caplog.records
    assert f"{owner.__name__}.{name}" in record.getMessage()
    assert record.getMessage().endswith(f"unknown stay: {lost}")
    assert recording.instrumentation.missing() == {f"{owner.__name__}.{name}": lost}


@pytest.mark.parametrize("other", [renamed_sign, grown_sign, None])
def test_calls_work_whatever_the_signer_looks_like(
    other: Callable[[Any], Any] | None, attach: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    if other is not None:
        monkeypatch.setattr(RequestSigner, "sign", other(RequestSigner.__dict__["sign"]))
    expected = calls()
    recording = attach()
    assert calls() == expected
    assert ("ListBuckets", "allowed") in recording.outcomes() or other is renamed_sign


@pytest.mark.parametrize(
    ("owner", "name", "args", "kwargs"),
    [
        (ContainerMetadataFetcher, "retrieve_full_uri", (), {"full_url": "u", "headers": {}}),
        (ContainerMetadataFetcher, "retrieve_full_uri", ("u",), {"unheard_of": 1}),
        (ContainerMetadataFetcher, "retrieve_full_uri", (), {"uri": "u"}),
        (InstanceMetadataFetcher, "_get_credentials", (), {"role_name": "r", "token": "t"}),
        (InstanceMetadataFetcher, "_get_credentials", ("r", "t", "more"), {}),
        (RequestSigner, "sign", (), {"operation_name": "o", "request": None, "signing_type": "presign-url"}),
        (RequestSigner, "sign", ("o",), {"aws_request": None, "kind": "presign-url"}),
    ],
)
def test_arguments_pass_a_seam_as_they_are_given(
    owner: type,
    name: str,
    args: tuple[object, ...],
    kwargs: dict[str, object],
    attach: Callable[..., Recording],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A later botocore may hand over other arguments to what takes them all."""
    monkeypatch.setattr(owner, name, lambda _, *args, **kwargs: (args, kwargs))
    attach(guard=Guard())
    assert getattr(object.__new__(owner), name)(*args, **kwargs) == (args, kwargs)


def test_a_botocore_without_any_of_the_seams_is_one_warning(
    attach: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr("botocore.utils.ContainerMetadataFetcher")
    monkeypatch.delattr("botocore.credentials.AssumeRoleCredentialFetcher._create_client")
    monkeypatch.setattr(InstanceMetadataFetcher, "_get_credentials", None)
    recording = attach()
    client("s3").list_buckets()
    assert recording.only().outcome == "allowed"
    (record,) = caplog.records
    assert record.getMessage().partition(") ")[2] == (
        "these are missing or not as expected, and left alone: ContainerMetadataFetcher.retrieve_full_uri, "
        "InstanceMetadataFetcher._get_credentials, AssumeRoleCredentialFetcher._create_client; unknown stay: "
        "the task's role, the instance's role, where a profile's chain begins"
    )
    assert len(recording.instrumentation.missing()) == 3


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
    monkeypatch.setattr("credwatch.instrumentation._observed", faults.raising)
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
