"""credwatch keeps nothing of the application alive: no client, no session, no credentials."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import credwatch
from credwatch import instrumentor
from credwatch.guard import LIMIT
from credwatch.instrumentation import Instrumentation
from credwatch.settings import Settings
from tests.recorder.support import Recording, Stub, client, error, session, swallowed
from tests.recorder.test_host_safety import SEAMS


def used(number: int) -> list[weakref.ref[Any]]:
    """Use a session and a client in every way that ends; return what must be gone then."""
    made = session(f"ASIALIFE{number:012}")
    s3 = made.create_client("s3", region_name="eu-west-1")
    Stub(error("AccessDenied"), OSError("down"), KeyboardInterrupt()).on(s3.meta.events)
    bucket = f"bucket{number}"
    for _ in range(3):
        swallowed(lambda: s3.list_objects_v2(Bucket=bucket))
    s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"})
    watched = [made, s3, s3.meta.events, s3._request_signer, s3._request_signer._credentials]
    return [weakref.ref(one) for one in watched]


@pytest.mark.parametrize("number", [10, pytest.param(500, marks=pytest.mark.verify)])
def test_clients_and_sessions_that_are_dropped_are_gone(
    recording: Recording, provider: TracerProvider, number: int
) -> None:
    alive: set[str] = set()
    for turn in range(number):
        with provider.get_tracer("application").start_as_current_span("outer"):
            watched = used(turn)
        gc.collect()
        alive |= {type(one).__name__ for reference in watched if (one := reference()) is not None}
    assert alive == set()
    assert sum(recording.counts().values()) == 4 * number


def handlers(emitter: Any) -> list[object]:
    """Return what an emitter calls at the events that we listen to, and the names of what it calls."""
    inner = emitter._emitter
    events = ("before-parameter-build", "after-call", "after-call-error")
    called = [one for event in events for one in inner._handlers.prefix_search(f"{event}.sqs.ListQueues")]
    return called + list(inner._unique_id_handlers)


def ours(emitter: Any) -> int:
    return sum("credwatch" in str(handler) for handler in handlers(emitter))


def test_activations_that_ended_are_gone_and_emitters_are_as_they_were() -> None:
    """A client is older than all of them; a session too, of which each activation sees a new client."""
    made, oldest = session(), client("sqs")
    Stub().on(made.get_component("event_emitter"))
    emitters = [made.get_component("event_emitter"), oldest.meta.events]
    before = [handlers(emitter) for emitter in emitters]
    ended: list[weakref.ref[Any]] = []
    try:
        for _ in range(50):
            credwatch.instrument(settings=Settings())
            active = instrumentor.active()
            assert active is not None
            newest = made.create_client("sqs")
            for one in (oldest, newest, oldest):
                one.list_queues()
            emitters.append(newest.meta.events)
            assert [ours(oldest.meta.events), sum(calls for _, calls, *_ in active.ledger.snapshot())] == [6, 3]
            parts = (active, active.ledger, active.registry, active.recorder, active.worker)
            ended += [weakref.ref(part) for part in parts]
            credwatch.uninstrument()
            del active, parts
    finally:
        credwatch.uninstrument()
    gc.collect()
    assert {type(part).__name__ for reference in ended if (part := reference()) is not None} == set()
    assert [handlers(emitter) for emitter in emitters[:2]] == before
    assert [ours(emitter) for emitter in emitters] == [0] * 52


@pytest.fixture
def active() -> Iterator[Instrumentation]:
    """An activation as an application makes one, whose guard keeps faults back; off at the end."""
    credwatch.instrument(settings=Settings())
    made = instrumentor.active()
    assert made is not None
    yield made
    credwatch.uninstrument()


def test_what_switched_itself_off_is_taken_away_all_the_same(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    before = [owner.__dict__[name] for owner, name in SEAMS]
    active: Instrumentation = request.getfixturevalue("active")
    made = session()
    newest = made.create_client("sqs")
    for _ in range(LIMIT):
        active.guard.failed("test", RuntimeError())
    assert (active.guard.tripped, ours(newest.meta.events)) == (True, 6)
    credwatch.uninstrument()
    assert [owner.__dict__[name] for owner, name in SEAMS] == before
    emitters = [one.get_component("event_emitter") for one in (made, session())]
    assert [ours(emitter) for emitter in (newest.meta.events, *emitters)] == [0, 0, 0]
    assert len(caplog.records) == 1


@pytest.mark.usefixtures("active")
def test_a_client_that_the_collector_does_not_see_keeps_handlers_that_do_nothing() -> None:
    hidden, ended = client("sqs"), instrumentor.active()
    assert ended is not None
    gc.freeze()
    try:
        credwatch.uninstrument()
    finally:
        gc.unfreeze()
    hidden.list_queues()
    assert (ours(hidden.meta.events), ended.ledger.snapshot()) == (6, [])
    credwatch.instrument(settings=Settings())
    active = instrumentor.active()
    assert active is not None
    hidden.list_queues()
    assert ([calls for _, calls, *_ in active.ledger.snapshot()], ended.ledger.snapshot()) == ([1], [])
    credwatch.uninstrument()
    assert ours(hidden.meta.events) == 6


@pytest.mark.parametrize("number", [50, pytest.param(10_000, marks=pytest.mark.verify)])
def test_any_number_of_dropped_clients_leaves_registry_and_ledger_as_small_as_one(
    recording: Recording, number: int
) -> None:
    one, alive = session(), []
    Stub().on(one.get_component("event_emitter"))
    for _ in range(number):
        made = one.create_client("sqs")
        made.list_queues()
        alive.append(weakref.ref(made))
        del made
        if len(alive) >= 1_000:
            gc.collect()
            alive = [reference for reference in alive if reference() is not None]
    gc.collect()
    assert [reference() for reference in alive if reference() is not None] == []
    recorder, registry = recording.instrumentation.recorder, recording.instrumentation.registry
    assert list(recording.counts().values()) == [number]
    assert len(recording.instrumentation.ledger) == len(registry.sightings()) == len(registry.signers) == 1
    assert (len(recorder._usages), len(recorder._routes)) == (1, 1)
