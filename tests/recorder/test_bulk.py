"""Attributes from below are those from above: the same span whatever the SDK's limits, and the front door elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider

from credwatch import bulk

OURS: Mapping[str, Any] = {"credwatch.a": "x", "credwatch.b": 7, "credwatch.c": True, "credwatch.d": ("s3:GetObject",)}


@pytest.fixture(autouse=True)
def _nothing_tried_before() -> Iterator[None]:
    bulk._tried.clear()
    yield
    bulk._tried.clear()


def started(limits: SpanLimits | None = None, **attributes: Any) -> Any:
    provider = TracerProvider(shutdown_on_exit=False, span_limits=limits)
    return provider.get_tracer("t").start_span("s", attributes=attributes)


def of(span: ReadableSpan) -> tuple[dict[str, Any], int]:
    return dict(span.attributes or {}), span.dropped_attributes


names = st.sampled_from("abcdef")
values = st.one_of(
    st.text(max_size=8), st.integers(-9, 9), st.booleans(), st.lists(st.text(max_size=3), max_size=3).map(tuple)
)
sets = st.lists(st.dictionaries(names, values, max_size=6), max_size=4)
limits = st.builds(
    SpanLimits,
    max_span_attributes=st.one_of(st.just(SpanLimits.UNSET), st.integers(0, 8)),
    max_span_attribute_length=st.one_of(st.just(SpanLimits.UNSET), st.integers(0, 8)),
)


@given(st.dictionaries(names, values, max_size=4), sets, limits)
def test_the_span_is_that_of_the_public_method(
    first: dict[str, Any], added: list[dict[str, Any]], limits: SpanLimits
) -> None:
    above, below = started(limits, **first), started(limits, **first)
    for attributes in added:
        above.set_attributes(attributes)
        bulk.put(below, attributes)
        assert (list(above.attributes.items()), above.dropped_attributes) == (
            list(below.attributes.items()),
            below.dropped_attributes,
        )


def test_the_sdk_under_test_is_one_whose_store_is_used() -> None:
    span = started()
    bulk.put(span, OURS)
    assert bulk._tried[type(span)] is type(span).set_attributes
    assert of(span) == (dict(OURS), 0)


def test_an_ended_span_is_left_to_the_sdk_to_refuse(caplog: pytest.LogCaptureFixture) -> None:
    span = started()
    bulk.put(span, {})
    span.end()
    bulk.put(span, OURS)
    assert of(span) == ({}, 0)
    assert "ended span" in caplog.text


def test_a_patched_method_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    span, seen = started(), []
    bulk.put(span, {"before": 1})
    monkeypatch.setattr(type(span), "set_attributes", lambda self, attributes: seen.append(dict(attributes)))
    bulk.put(span, OURS)
    assert seen == [OURS]
    bulk._tried.clear()
    bulk.put(span, OURS)
    assert seen == [OURS, OURS]


class Foreign(trace.NonRecordingSpan):
    def __init__(self) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)
        self.kept: dict[str, Any] = {}

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.kept.update(attributes)


def test_a_span_of_another_make_is_used_by_its_front_door() -> None:
    span = Foreign()
    bulk.put(span, OURS)
    assert span.kept == OURS


class Lists(BoundedAttributes):
    """A store of a later SDK that counts beside what it keeps."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.sets = 0
        super().__init__(*args, **kwargs)


class Elsewhere(BoundedAttributes):
    """A store of a later SDK that keeps what it has elsewhere."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, ("kept", value))


class Bare(dict[str, Any]):
    """A store without locks or limits."""

    def _set_items(self, attributes: Mapping[str, Any]) -> None:
        self.update(attributes)


@pytest.mark.parametrize("make", [Lists, Elsewhere, Bare])
def test_a_store_that_is_not_as_expected_is_used_by_its_front_door(make: type) -> None:
    span = started()
    span._attributes = make() if make is Bare else make(128, immutable=False)
    expected = started()
    expected._attributes = make() if make is Bare else make(128, immutable=False)
    bulk.put(span, OURS)
    expected.set_attributes(OURS)
    assert dict(span._attributes) == dict(expected._attributes)
    assert bulk._tried[type(span)] is None


def test_types_made_at_run_time_do_not_fill_the_memory() -> None:
    for number in range(100):
        span = type(f"Foreign{number}", (Foreign,), {})()
        bulk.put(span, OURS)
        assert span.kept == OURS
    assert len(bulk._tried) <= bulk._MOST_TYPES


def test_threads_that_set_and_read_lose_nothing() -> None:
    span = started(SpanLimits(max_span_attributes=SpanLimits.UNSET))
    go = threading.Barrier(4)

    def work(thread: int) -> None:
        go.wait()
        for number in range(200):
            bulk.put(span, {f"{thread}.{number}": number})
            dict(span.attributes)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert of(span)[0] == {f"{thread}.{number}": number for thread in range(4) for number in range(200)}
