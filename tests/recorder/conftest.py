"""Fixtures of the recorder's tests: an attached recorder whose own faults are seen, and is always detached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from credwatch.guard import Guard
from credwatch.instrumentation import Instrumentation
from credwatch.settings import Settings
from tests.recorder.matrix import cloud
from tests.recorder.matrix.sources import World
from tests.recorder.matrix.walk import make_world
from tests.recorder.support import MemoryExport, Recording


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """The spans that the application's provider exported."""
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.clear()


@pytest.fixture
def provider(spans: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """The application's provider, given to credwatch and never made global."""
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(spans))
    yield made
    made.shutdown()


@pytest.fixture
def attach(provider: TracerProvider) -> Iterator[Callable[..., Recording]]:
    """Attach a recorder; `reraise=False` keeps its faults from the application, as in production."""
    attached: list[Instrumentation] = []

    def make(
        environ: dict[str, str] | None = None,
        *,
        guard: Guard | None = None,
        export: MemoryExport | None = None,
        own_provider: bool = False,
        **settings: object,
    ) -> Recording:
        export = export or MemoryExport()
        instrumentation = Instrumentation(
            Settings(**settings),  # type: ignore[arg-type]  # a test names fields of Settings
            environ or {},
            export=export,
            provider=None if own_provider else provider,
            guard=guard or Guard(reraise=True),
        )
        attached.append(instrumentation)
        try:
            instrumentation.attach()
        except Exception:
            instrumentation.detach()  # as `credwatch.instrument` does
            raise
        return Recording(instrumentation, export)

    yield make
    for instrumentation in reversed(attached):
        instrumentation.detach()


@pytest.fixture
def recording(attach: Callable[..., Recording]) -> Recording:
    """A recorder with the default settings, attached."""
    return attach()


@pytest.fixture(scope="module")
def server() -> Iterator[cloud.Server]:
    """Every endpoint of AWS and of its hosts, over HTTP."""
    with cloud.serving() as made:
        yield made


@pytest.fixture
def world(server: cloud.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A process around which there is nothing but these endpoints: no credentials yet."""
    return make_world(server, tmp_path, monkeypatch)
