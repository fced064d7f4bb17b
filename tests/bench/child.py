"""One process with one configuration: makes stubbed calls in batches and says how long each took.

`python -m tests.bench.child CONFIGURATION CALL [--counted]` reads batch sizes on its input, a line each, and
answers each with the nanoseconds per call. A batch ends with the ledger's counting, so that none of it is left
out, and is enclosed in `os.getppid()`: callgrind cuts its counts there.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

WARM_UP = 30
OURS = frozenset({"ledger", "own", "enrich"})


def _provide(sampler: Any) -> None:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())  # its methods do nothing: a span that nobody exports
    trace.set_tracer_provider(provider)


def _contrib() -> None:
    from opentelemetry.instrumentation.botocore import BotocoreInstrumentor

    BotocoreInstrumentor().instrument()  # type: ignore[no-untyped-call]  # contrib is untyped


def _credwatch(spans: str) -> None:
    import credwatch

    os.environ["CREDWATCH_SPANS"] = spans
    credwatch.instrument()


def _adot() -> None:
    # what its distro does before it loads the instrumentors
    from amazon.opentelemetry.distro.patches._instrumentation_patch import apply_instrumentation_patches

    apply_instrumentation_patches()
    _contrib()


def _ddtrace() -> None:
    os.environ.update(DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_REMOTE_CONFIGURATION_ENABLED="false")
    import ddtrace
    from ddtrace.trace import TraceFilter, tracer

    class Drop(TraceFilter):  # type: ignore[misc]  # its types are in an environment of its own
        def process_trace(self, trace: list[Any]) -> None:
            """Send nothing, as the other rows do."""

    tracer.configure(trace_processors=[Drop()])
    ddtrace.patch(botocore=True)


def _configure(name: str) -> None:
    """`what[:sampled|unsampled]`: the rows of `tests.bench.measure`, without their environment."""
    what, _, sampled = name.partition(":")
    if sampled:
        _provide(ALWAYS_ON if sampled == "sampled" else ALWAYS_OFF)
    if what in {"contrib", "enrich"}:
        _contrib()
    elif what == "adot":
        _adot()
    elif what == "ddtrace":
        _ddtrace()
    elif what == "csm":
        os.environ["AWS_CSM_ENABLED"] = "true"  # datagrams to a local port, where nothing listens
    if what in OURS:
        _credwatch({"ledger": "off", "own": "own", "enrich": "auto"}[what])


def _answer(body: bytes) -> Callable[..., Any]:
    from botocore.awsrequest import AWSResponse

    class Raw:
        """A body that was received whole."""

        def stream(self, *_: object, **__: object) -> list[bytes]:
            return [body]

        def read(self, *_: object, **__: object) -> bytes:
            return body

    headers = {"x-amzn-requestid": "R" * 36, "x-amz-request-id": "R" * 16, "content-length": str(len(body))}

    def answer(request: Any, **_: object) -> Any:
        return AWSResponse(request.url, 200, headers, Raw())

    return answer


def _call(name: str) -> Callable[[], object]:
    """A call of a real client that resolves, serialises, signs and parses; only the network is left out."""
    from botocore.session import Session

    if name == "resolve":
        from credwatch.operations import resolve

        params = {"Bucket": "orders", "Key": "2026/01/01/invoice.pdf"}
        return lambda: resolve("s3", "GetObject", params, region="eu-west-1", account="{account}")
    service, body = {"s3": ("s3", b""), "dynamodb": ("dynamodb", b'{"Item":{"id":{"S":"1"}}}')}[name]
    client = Session().create_client(service, region_name="eu-west-1")
    client.meta.events.register("before-send", _answer(body))
    if name == "s3":
        return lambda: client.get_object(Bucket="orders", Key="2026/01/01/invoice.pdf")
    return lambda: client.get_item(TableName="orders", Key={"id": {"S": "1"}})


def _drain(configuration: str) -> Callable[[], None]:
    if configuration.partition(":")[0] not in OURS:
        return lambda: None
    from credwatch.instrumentor import active

    instrumentation = active()
    if instrumentation is None:
        sys.exit("credwatch could not be switched on")
    return instrumentation.ledger.drain


def _batch(call: Callable[[], object], drain: Callable[[], None], calls: int) -> float:
    gc.collect()
    os.getppid()
    start = time.perf_counter_ns()
    for _ in range(calls):
        call()
    drain()
    took = time.perf_counter_ns() - start
    os.getppid()
    return took / calls


def main() -> None:
    """Answer batch sizes with nanoseconds per call until the input ends."""
    configuration, name, *counted = sys.argv[1:]
    _configure(configuration)
    call, drain = _call(name), _drain(configuration)
    for _ in range(WARM_UP):
        call()
    if counted:
        # a collection walks over botocore's models, in one batch and not in the next: more than all that is counted.
        # What a row adds to it is small (one tuple a call that lives until it is counted) and is in the microseconds.
        gc.disable()
        # only now: everything before would take most of a minute under callgrind
        subprocess.run(["callgrind_control", "-i", "on", str(os.getpid())], check=True, stdout=subprocess.DEVNULL)
    for line in sys.stdin:
        print(_batch(call, drain, int(line)), flush=True)


if __name__ == "__main__":
    main()
