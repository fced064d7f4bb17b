"""What the application copies, pickles and subclasses works as without credwatch, and its calls are counted."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import boto3.session
import botocore.session
import pytest
from botocore.client import BaseClient
from botocore.hooks import EventAliaser, HierarchicalEmitter
from opentelemetry.sdk.trace import TracerProvider

from tests.recorder.support import KEY, Answer, Recording, Stub, client, session


def calls(made: Any) -> None:
    """Make two calls with a client of the session."""
    s3 = made.create_client("s3", region_name="eu-west-1")
    Stub().on(s3.meta.events)
    s3.list_buckets()
    s3.list_buckets()
    s3.close()


TWICE = {("ListBuckets", "allowed"): 2}


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("first", ["copied", "attached"])
def test_a_copied_session_is_followed(attach: Callable[..., Recording], how: Callable[[Any], Any], first: str) -> None:
    made = how(session()) if first == "copied" else None
    recording = attach()
    calls(made or how(session()))
    assert recording.outcomes() == TWICE


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_a_copied_session_of_boto3_is_followed(recording: Recording, how: Callable[[Any], Any]) -> None:
    made = how(boto3.session.Session(botocore_session=session()))
    calls(made._session)
    assert recording.outcomes() == TWICE


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda emitter: pickle.loads(pickle.dumps(emitter))])
def test_a_copied_emitter_is_followed_once(recording: Recording, how: Callable[[Any], Any]) -> None:
    hooked = HierarchicalEmitter()
    recording.instrumentation.hook(hooked)
    made = botocore.session.Session(event_hooks=how(hooked))
    made.set_credentials(KEY, "s", "t")
    calls(made)
    assert recording.outcomes() == TWICE


ELSEWHERE = """
import pickle, sys
from credwatch.guard import Guard
from credwatch.instrumentation import Instrumentation
from credwatch.settings import Settings
from tests.recorder.support import KEY, MemoryExport, Recording
from tests.recorder.test_copies import TWICE, calls
import botocore.session
instrumentation = Instrumentation(Settings(), {}, export=MemoryExport(), guard=Guard(reraise=True))
if "on" in sys.argv:
    instrumentation.attach()
made = botocore.session.Session(event_hooks=pickle.load(sys.stdin.buffer))
made.set_credentials(KEY, "s", "t")
calls(made)
assert Recording(instrumentation, MemoryExport()).outcomes() == (TWICE if "on" in sys.argv else {})
"""


@pytest.mark.slow
@pytest.mark.parametrize("there", ["on", "off"])
def test_an_emitter_that_went_to_another_process_is_followed_by_the_recorder_there(
    recording: Recording, there: str
) -> None:
    hooked = HierarchicalEmitter()
    recording.instrumentation.hook(hooked)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, there], input=pickle.dumps(hooked), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


class OwnSession(botocore.session.Session):  # type: ignore[misc]  # botocore has no types
    """An application's session."""

    def create_client(self, *args: Any, **options: Any) -> Any:
        return super().create_client(*args, **options)


class OwnEmitter(HierarchicalEmitter):  # type: ignore[misc]  # botocore has no types
    """An application's emitter: it hands everything on."""

    def emit(self, event_name: str, **kwargs: Any) -> Any:
        return super().emit(event_name, **kwargs)


@pytest.mark.parametrize("emitter", [None, OwnEmitter, lambda: EventAliaser(OwnEmitter())])
def test_subclasses_are_followed(recording: Recording, emitter: Callable[[], Any] | None) -> None:
    made = OwnSession(event_hooks=emitter() if emitter else None)
    made.set_credentials(KEY, "s", "t")
    calls(made)
    assert recording.outcomes() == TWICE


def test_a_subclass_of_a_client_is_followed(recording: Recording) -> None:
    class Mixin:
        def list_buckets(self, **params: Any) -> Any:
            return super().list_buckets(**params)  # type: ignore[misc]

    def mixed(base_classes: list[type], **_: object) -> None:
        base_classes.insert(0, Mixin)

    made = session()
    made.register("creating-client-class.s3", mixed)
    calls(made)
    assert isinstance(made.create_client("s3", region_name="eu-west-1"), BaseClient)
    assert recording.outcomes() == TWICE


def test_a_request_that_botocore_copies_within_a_span_is_signed_and_sent(
    recording: Recording, provider: TracerProvider
) -> None:
    """CopySnapshot signs a copy of its request for the other region; a span that records holds a lock."""
    made = client("ec2", Answer(200, b"<R/>"))
    with provider.get_tracer("application").start_as_current_span("outer"):
        made.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId="snap-1")
    assert recording.outcomes() == {("CopySnapshot", "signed"): 1, ("CopySnapshot", "allowed"): 1}


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda context: pickle.loads(pickle.dumps(context))])
@pytest.mark.parametrize("event", ["before-call", "before-sign"])
def test_an_application_may_copy_the_context_of_a_request(
    recording: Recording, provider: TracerProvider, how: Callable[[Any], Any], event: str
) -> None:
    made = client("s3")
    kept: list[Any] = []

    def keep(params: Any = None, request: Any = None, **_: object) -> None:
        context = params["context"] if params is not None else request.context
        kept.append(how({name: value for name, value in context.items() if name == "credwatch"}))

    made.meta.events.register(event, keep)
    with provider.get_tracer("application").start_as_current_span("outer"):
        made.list_buckets()
    assert len(kept) == 1
    kept.clear()
    assert recording.outcomes() == {("ListBuckets", "allowed"): 1}
