"""`python -m tests.recorder.coexist ON [OFF]`: switch on in one order, call, and off in another, calling each time.

An order is a list of names with commas, `credwatch` among them. Prints what happened as JSON.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from botocore.client import BaseClient
from botocore.credentials import AssumeRoleCredentialFetcher
from botocore.endpoint import Endpoint
from botocore.parsers import ResponseParser
from botocore.signers import RequestSigner
from botocore.utils import ContainerMetadataFetcher, InstanceMetadataFetcher
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from credwatch import semconv
from credwatch.guard import Guard
from credwatch.instrumentation import Instrumentation
from credwatch.semconv import Usage
from credwatch.settings import Settings
from tests.recorder.coexist import application
from tests.recorder.coexist.tools import TOOLS, Tool, traced
from tests.recorder.support import MemoryExport, Recording

OWNERS = (
    RequestSigner,
    ContainerMetadataFetcher,
    InstanceMetadataFetcher,
    AssumeRoleCredentialFetcher,
    BaseClient,
    Endpoint,
    ResponseParser,
)
"""The classes of botocore that someone wraps."""


def _methods() -> dict[str, object]:
    return {f"{owner.__name__}.{name}": value for owner in OWNERS for name, value in vars(owner).items()}


def _told(usage: Usage) -> str:
    chain = [hop.source for hop in usage.chain]
    words = (usage.service, usage.operation, usage.outcome, usage.source, usage.principal, *chain)
    return " ".join(word for word in words if word)


def _counts(recording: Recording) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for usage, calls in recording.counts().items():
        counted[_told(usage)] += calls
    return dict(counted)


def _spans(exporter: InMemorySpanExporter) -> dict[str, int]:
    """Return whose span -> how many; `enriched` are another's that name our source."""
    found: Counter[str] = Counter()
    for span in exporter.get_finished_spans():
        scope = span.instrumentation_scope
        own = scope is not None and scope.name == semconv.SCOPE
        named = semconv.SOURCE in (span.attributes or {})
        found["own" if own else "enriched" if named else "other"] += 1
    return dict(found)


def main(on: list[str], off: list[str]) -> dict[str, Any]:
    """Return what the application saw, what was counted and what was left behind."""
    application.set_environment()
    before, bare = _methods(), application.results()
    spans, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    export = MemoryExport()
    recorder = Instrumentation(Settings(), {}, export=export, provider=provider, guard=Guard(reraise=True))
    undo: dict[str, Callable[[], object] | None] = {"credwatch": recorder.detach}
    tools: dict[str, Tool] = {}
    for name in on:
        if name == "credwatch":
            recorder.attach()
        else:
            tools[name] = TOOLS[name](provider)
            undo[name] = tools[name].off
    seen = [traced(on, application.results)]
    told = {"spans": _spans(spans), "tools": {name: tool.seen() for name, tool in tools.items() if tool.seen}}
    for name in off:
        switch = undo[name]
        if switch is not None:
            switch()
        seen.append(traced(on, application.results))
    return {
        **told,
        "harmed": [found for found in seen if found != bare],
        "counts": _counts(Recording(recorder, export)),
        "left": sorted(name for name, value in _methods().items() if before.get(name) is not value),
    }


if __name__ == "__main__":
    names = sys.argv[1].split(",")
    print(json.dumps(main(names, sys.argv[2].split(",") if len(sys.argv) > 2 else names[::-1])))
