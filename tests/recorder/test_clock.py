"""A clock that jumps: counts stay exact, and no point or span ends before it starts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from credwatch.guard import Guard
from credwatch.instrumentation import Instrumentation
from credwatch.settings import Settings
from tests.recorder.support import MemoryExport, Recording, client

YEAR = 365 * 86_400 * 10**9
NOW = 1_800_000_000 * 10**9
JUMPS = {
    "forth": [NOW, NOW + YEAR],
    "back": [NOW, NOW - YEAR],
    "back and forth": [NOW, NOW - YEAR, NOW + YEAR, NOW],
    "to the beginning of time and its end": [NOW, 0, 2**63 - 1, 1],
}


def jumping(times: list[int]) -> Iterator[int]:
    while True:
        yield from times


@pytest.mark.parametrize("times", JUMPS.values(), ids=JUMPS)
def test_a_clock_that_jumps_costs_no_count_and_ends_nothing_before_it_starts(times: list[int]) -> None:
    spans, export, clock = InMemorySpanExporter(), MemoryExport(), jumping(times)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    instrumentation = Instrumentation(
        Settings(), {}, export=export, provider=provider, guard=Guard(reraise=True), clock=lambda: next(clock)
    )
    instrumentation.attach()
    try:
        made = client("s3")
        for _ in range(7):
            made.list_buckets()
            instrumentation.worker.turn(False)
        assert sum(Recording(instrumentation, export).exported().values()) == 7
    finally:
        instrumentation.detach()
    points = [point for sent, _ in export.requests for point in sent]
    assert points
    assert all(0 <= point.start_ns <= point.time_ns < 2**64 for point in points)
    finished = spans.get_finished_spans()
    assert len(finished) == 7
    assert all(span.start_time is not None and span.end_time is not None for span in finished)
    assert all(span.start_time <= span.end_time for span in finished)  # type: ignore[operator]  # see above
