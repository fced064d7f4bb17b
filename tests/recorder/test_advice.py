"""The opt-in warnings and the application's own counter: once each, from the recorder's thread, and true."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from credwatch import semconv
from credwatch.advice import advise
from credwatch.callsite import NOWHERE
from credwatch.counter import BySource
from credwatch.guard import Guard
from credwatch.operations import Resolution
from credwatch.outcome import ALLOWED, Outcome
from credwatch.provenance import Identity, Origin, Question
from credwatch.recorder import UsageKey
from credwatch.semconv import Hop
from tests.recorder.support import Recording, client, error, swallowed

ECS = {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/x"}
OFFERED = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"}
HOST = Identity("ec2-instance-profile", "iam-role", "temporary", principal_name="host")
KEY = Identity("environment", "env", "long-lived")
TASK = Identity("ecs-task-role", "container-role", "temporary")
LITERAL = Identity("ecs-task-role", "container-role", "temporary", laundered=True)
CHAINED = Identity("assumed-role", "assume-role", "temporary", chain=(Hop("ec2-instance-profile", "host"),))
REFUSED = Outcome("auth-failed")


def usage(identity: Identity, outcome: Outcome = ALLOWED, origin: Origin | None = None) -> UsageKey:
    mapped = Resolution((), (), "unknown", "", "container")
    return UsageKey.of(origin or Origin(identity, None), "s3", "ListBuckets", mapped, "eu-west-1", outcome, NOWHERE)


@pytest.mark.parametrize(
    ("used", "environ", "kinds"),
    [
        ([usage(TASK)], {**ECS, **OFFERED}, []),
        ([usage(HOST)], {}, []),
        ([usage(HOST)], ECS, ["wrong-layer"]),
        ([usage(CHAINED)], ECS, ["wrong-layer"]),
        ([usage(HOST)], {**ECS, "CODEBUILD_BUILD_ID": "x"}, []),
        ([usage(KEY)], {}, []),
        ([usage(KEY)], OFFERED, ["shadowing-key"]),
        ([usage(TASK, REFUSED)], ECS, []),
        ([usage(LITERAL, REFUSED)], {}, ["stale-keys"]),
        ([usage(KEY, REFUSED)], {}, []),
        ([usage(TASK), usage(KEY)], {}, ["source-changed"]),
        ([usage(TASK), usage(Identity("explicit")), usage(LITERAL)], {}, []),
    ],
)
def test_only_what_is_wrong_is_warned_of(used: list[UsageKey], environ: Mapping[str, str], kinds: list[str]) -> None:
    assert [warned.kind for warned in advise(used, environ)] == kinds


def test_a_warning_is_one_line_once_and_opt_in(
    attach: Callable[..., Recording], caplog: pytest.LogCaptureFixture
) -> None:
    for wanted in (False, True):
        recording = attach(environ=OFFERED, warnings=wanted)
        recording.instrumentation.registry.held("AKIAEXAMPLE", "env")
        made = client("s3", key="AKIAEXAMPLE")
        for _ in range(3):
            made.list_buckets()
            recording.instrumentation.worker.turn(False)
        recording.exported()
        recording.instrumentation.detach()
        lines = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING and r.name == "credwatch"]
        assert [line.count("\n") for line in lines] == [0] * wanted
        assert all("shadowing-key" in line and "AKIAEXAMPLE" not in line for line in lines)


def test_a_source_that_changes_to_and_fro_is_told_once(
    attach: Callable[..., Recording], caplog: pytest.LogCaptureFixture
) -> None:
    recording = attach(warnings=True)
    held = {"AKIAEXAMPLE1": "env", "AKIAEXAMPLE2": "shared-credentials-file"}
    for key, method in held.items():
        recording.instrumentation.registry.held(key, method)
    for _ in range(3):
        for key in held:
            client("s3", key=key).list_buckets()
            recording.instrumentation.worker.turn(False)
    recording.exported()
    (line,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING and r.name == "credwatch")
    assert "`environment`" in line
    assert "`shared-credentials-file`" in line


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    """The application's MeterProvider, as the global one."""
    made = InMemoryMetricReader()
    provider = MeterProvider([made], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    yield made
    provider.shutdown()


def counted(reader: InMemoryMetricReader) -> dict[tuple[object, ...], int]:
    data = reader.get_metrics_data()
    if data is None:
        return {}
    points = [p for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics for p in m.data.data_points]
    names = (semconv.SOURCE, semconv.SERVICE, semconv.OUTCOME)
    return {tuple((p.attributes or {})[n] for n in names): p.value for p in points}  # type: ignore[union-attr, misc]


def test_the_applications_counter_follows_the_ledger(
    attach: Callable[..., Recording], reader: InMemoryMetricReader
) -> None:
    recording = attach()
    made = client("s3")
    for calls in (3, 2):
        for _ in range(calls):
            made.list_buckets()
        recording.instrumentation.worker.hurry(30)
    swallowed(client("s3", error("AccessDenied")).list_buckets)
    recording.exported()
    assert counted(reader) == {("explicit", "s3", "allowed"): 5, ("explicit", "s3", "denied"): 1}


def test_a_provider_that_raises_costs_its_counter_and_no_export(
    attach: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def get_meter(self, *_: object) -> None:
            raise KeyError

    monkeypatch.setattr(metrics, "get_meter_provider", Broken)
    guard = Guard()
    recording = attach(guard=guard)
    for _ in range(3):
        client("s3").list_buckets()
        recording.instrumentation.worker.hurry(30)
    assert sum(recording.exported().values()) == 3
    assert guard.errors == 1


def test_what_is_not_settled_is_not_counted_yet(reader: InMemoryMetricReader) -> None:
    waiting = Origin(Identity("unknown"), Question("imds", ""))
    counter = BySource("1")
    counter.update([(usage(TASK, origin=waiting), 2, 0, 1)])
    assert counted(reader) == {}
    waiting.identity, waiting.settled = HOST, True
    counter.update([(usage(HOST, origin=waiting), 3, 0, 1)])
    assert counted(reader) == {("ec2-instance-profile", "s3", "allowed"): 3}


def test_without_a_provider_there_is_no_counter() -> None:
    counter = BySource("1")
    counter.update([(usage(TASK), 2, 0, 1)])
    assert counter._counter is None


_LATE = """
import credwatch
credwatch.instrument()  # before the application's provider, whose end comes before ours
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

class Printed(SpanExporter):
    def export(self, spans):
        for span in spans:
            print(span.name, span.attributes["credwatch.credential.source"], flush=True)
        return SpanExportResult.SUCCESS

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Printed()))
trace.set_tracer_provider(provider)
from credwatch import instrumentor
from tests.recorder.support import client
worker = instrumentor.active().worker
place = worker._place
import threading, atexit
go = threading.Event()
worker._place = lambda fetch: (go.wait(30), place(fetch))[1]  # the endpoint answers while the process ends
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)  # answers, but is no metadata service
threading.Thread(target=server.serve_forever, daemon=True).start()
instrumentor.active().registry.imds("ASIAEXAMPLEEXAMPLE01", f"http://127.0.0.1:{server.server_port}", "host")
client("s3").list_buckets()
assert worker._waiting
atexit.register(go.set)
"""


@pytest.mark.slow
def test_a_span_still_unsettled_at_exit_reaches_the_applications_provider() -> None:
    environ = {"PATH": "", "PYTHONPATH": ".", "CREDWATCH_EXIT_TIMEOUT": "30", "AWS_EC2_METADATA_DISABLED": "true"}
    done = subprocess.run([sys.executable, "-c", _LATE], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "S3.ListBuckets imds-other\n"), done.stderr
