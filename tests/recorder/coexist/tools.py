"""The other instrumentations of botocore, each as its documentation switches it on, with what it records kept here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from opentelemetry.sdk.trace import TracerProvider


class Tool(NamedTuple):
    """One that is switched on: `seen` tells how many calls it has spans of, None where these are the provider's.

    `off` is None where it cannot be undone.
    """

    seen: Callable[[], int] | None = None
    off: Callable[[], object] | None = None


def _contrib(provider: TracerProvider) -> Tool:
    from opentelemetry.instrumentation.botocore import BotocoreInstrumentor

    instrumentor = BotocoreInstrumentor()  # type: ignore[no-untyped-call]  # contrib is untyped
    instrumentor.instrument(tracer_provider=provider)
    return Tool(None, instrumentor.uninstrument)


def _adot(provider: TracerProvider) -> Tool:
    # what its distro does before it loads the instrumentors
    from amazon.opentelemetry.distro.patches._instrumentation_patch import apply_instrumentation_patches

    apply_instrumentation_patches()
    return _contrib(provider)


def _ddtrace(_: TracerProvider) -> Tool:
    import ddtrace
    from ddtrace.contrib.internal.botocore.patch import unpatch
    from ddtrace.trace import TraceFilter, tracer

    seen: list[Any] = []

    class Keep(TraceFilter):  # type: ignore[misc]  # its types are in an environment of its own
        def process_trace(self, trace: list[Any]) -> None:
            """Keep the spans, and let nothing be sent."""
            seen.extend(span for span in trace if span.name.endswith(".command") or "aws.operation" in span.get_tags())

    tracer.configure(trace_processors=[Keep()])
    ddtrace.patch(botocore=True)
    return Tool(lambda: len(seen), unpatch)


def _sentry(_: TracerProvider) -> Tool:
    import sentry_sdk
    from sentry_sdk.integrations.boto3 import Boto3Integration

    seen: list[Any] = []

    def keep(event: Any, _: Any) -> None:
        seen.extend(span for span in event["spans"] if span["op"] == "http.client")

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",  # everything is dropped before it would be sent
        traces_sample_rate=1.0,
        before_send=lambda *_: None,
        before_send_transaction=keep,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[Boto3Integration()],
    )
    return Tool(lambda: len(seen))


def _xray(_: TracerProvider) -> Tool:
    from aws_xray_sdk.core import patch, xray_recorder

    seen: list[Any] = []

    class Keep:
        def send_entity(self, entity: Any) -> None:
            seen.extend(entity.subsegments)

    xray_recorder.configure(emitter=Keep(), sampling=False, context_missing="IGNORE_ERROR")
    patch(["botocore"])
    return Tool(lambda: len(seen))


TOOLS: dict[str, Callable[[TracerProvider], Tool]] = {
    "contrib": _contrib,
    "adot": _adot,
    "ddtrace": _ddtrace,
    "sentry": _sentry,
    "xray": _xray,
}


def traced(on: list[str], work: Callable[[], list[object]]) -> list[object]:
    """Do the work inside a transaction of Sentry and a segment of X-Ray, without which they record nothing."""
    if "sentry" in on:
        import sentry_sdk

        with sentry_sdk.start_transaction(name="work"):
            return traced([name for name in on if name != "sentry"], work)
    if "xray" in on:
        from aws_xray_sdk.core import xray_recorder

        with xray_recorder.in_segment("work"):
            return work()
    return work()


LEAVES: dict[str, set[str]] = {
    "contrib": set(),
    "adot": set(),
    "ddtrace": {"BaseClient._datadog_pin", "ResponseParser._datadog_pin"},
    "sentry": {"BaseClient.__init__", "BaseClient._make_api_call"},
    "xray": {"BaseClient._make_api_call", "Endpoint.prepare_request"},
}
"""What each leaves in botocore after it was switched off, or because it cannot be."""
