"""`credwatch-agent serve`: a real process over loopback, fed by OpenTelemetry's own exporters."""

from __future__ import annotations

import gzip
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc import metric_exporter, trace_exporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from credwatch import semconv
from credwatch_agent import __version__
from credwatch_agent.access import hash_of, new_token
from credwatch_agent.cli import main
from credwatch_agent.receiver import PROTOBUF
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.wire import PROCESS, START, USAGE, S, counter, metrics, point

GOOD = metrics(counter([point()])).SerializeToString()


class Agent(NamedTuple):
    """A serving process and where it listens."""

    process: subprocess.Popen[str]
    url: str
    rpc: str


Start = Callable[[], Agent]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "telemetry.db"


@pytest.fixture
def start(db: Path) -> Iterator[Start]:
    """Start an agent on free ports."""
    started: list[subprocess.Popen[str]] = []

    def run() -> Agent:
        command = [sys.executable, "-m", "credwatch_agent", "serve", "--db", str(db), "--port", "0", "--grpc-port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        places = [process.stdout.readline().removeprefix("listening on ").strip() for _ in range(2)]
        assert re.fullmatch(r"http://127.0.0.1:\d+ grpc://127.0.0.1:\d+", " ".join(places)), process.communicate()
        return Agent(process, places[0], places[1].removeprefix("grpc://"))

    yield run
    for process in started:
        process.kill()
        process.communicate()


def calls(db: Path) -> int:
    store = SqliteStore.open(db, read_only=True)
    found = sum(row.calls for row in store.telemetry().usage)
    store.close()
    return found


def recorded(value: int) -> MetricsData:
    """What a recorder hands to an exporter."""
    attributes = {**semconv.encode(USAGE), semconv.PROCESS_ID: PROCESS}
    sent = NumberDataPoint(attributes, START, START + 60 * S, value)
    calls_metric = Metric(semconv.CALLS, "", "{call}", Sum([sent], AggregationTemporality.CUMULATIVE, True))
    scope = ScopeMetrics(InstrumentationScope(semconv.SCOPE), [calls_metric], "")
    return MetricsData(
        [ResourceMetrics(Resource({"service.name": "orders", semconv.SCHEMA_ATTRIBUTE: 1}), [scope], "")]
    )


def exporters(agent: Agent, protocol: str, compression: str) -> tuple[Any, Any]:
    """OpenTelemetry's own exporters of metrics and of spans."""
    if protocol == "grpc":
        options = {"endpoint": agent.rpc, "insecure": True, "compression": grpc.Compression[compression]}
        return metric_exporter.OTLPMetricExporter(**options), trace_exporter.OTLPSpanExporter(**options)
    zipped = Compression[compression]
    return (
        OTLPMetricExporter(f"{agent.url}/v1/metrics", compression=zipped),
        OTLPSpanExporter(f"{agent.url}/v1/traces", compression=zipped),
    )


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["NoCompression", "Gzip"])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_opentelemetrys_exporters_are_understood(start: Start, db: Path, protocol: str, compression: str) -> None:
    exporter, span_exporter = exporters(start(), protocol, compression)
    for value in (2, 5, 5, 4):
        assert exporter.export(recorded(value)) is MetricExportResult.SUCCESS
    exporter.shutdown()

    provider = TracerProvider(resource=Resource({"service.name": "orders"}))
    provider.add_span_processor(SimpleSpanProcessor(span_exporter))
    tracer = provider.get_tracer(semconv.SCOPE)
    with tracer.start_as_current_span("GET /orders"):
        tracer.start_span("S3.PutObject", attributes=semconv.encode_span(USAGE)).end()
    provider.shutdown()

    store = SqliteStore.open(db, read_only=True)
    found = store.telemetry()
    assert found.processes[PROCESS].resource["service.name"] == "orders"
    assert [(row.usage, row.calls, row.exact) for row in found.usage] == [(USAGE, 5, True)]
    root, child = store.spans()
    assert (root.name, child.name, child.parent_span_id) == ("GET /orders", "S3.PutObject", root.span_id)
    assert child.attributes[semconv.RESOURCES] == ("arn:aws:s3:::orders",)
    store.close()


@pytest.mark.slow
def test_what_was_answered_by_200_survives_kill_9(start: Start, db: Path) -> None:
    for value in (1, 2, 3):
        process, url, _ = start()
        sent = metrics(counter([point(value=value)])).SerializeToString()
        answer = httpx.post(f"{url}/v1/metrics", content=sent, headers={"content-type": PROTOBUF})
        process.kill()
        assert answer.status_code == 200
        process.wait(30)
        assert calls(db) == value


@pytest.mark.slow
def test_sigterm_lets_the_request_in_flight_end_and_exits_0(start: Start, db: Path) -> None:
    process, url, _ = start()
    head = f"POST /v1/metrics HTTP/1.1\r\nHost: agent\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {len(GOOD)}\r\n"
    with connect(url) as connection:
        # the answer to Expect says that the request is being handled
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1024).startswith(b"HTTP/1.1 100")
        process.send_signal(signal.SIGTERM)
        wait_until_refused(url)
        connection.sendall(GOOD)
        assert connection.recv(1024).startswith(b"HTTP/1.1 200")
    out, err = process.communicate()
    assert (process.returncode, out, err) == (0, "", "")
    assert calls(db) == 3


def connect(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=30)


def wait_until_refused(url: str) -> None:
    with pytest.raises(ConnectionError):  # noqa: PT012 - refused, or reset while the listener closes
        while True:
            connect(url).close()


@pytest.mark.slow
def test_garbage_is_answered_and_the_agent_goes_on(start: Start, db: Path) -> None:
    process, url, _ = start()
    headers = {"content-type": PROTOBUF}
    with connect(url) as connection:
        connection.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        assert connection.recv(1024).startswith(b"HTTP/1.1 400")
    bomb = gzip.compress(bytes(20_000_000))
    answers = [
        httpx.post(f"{url}/v1/metrics", content=b"garbage", headers=headers).status_code,
        httpx.post(f"{url}/v1/metrics", content=bomb, headers={**headers, "content-encoding": "gzip"}).status_code,
        httpx.post(f"{url}/v1/metrics", content=GOOD, headers=headers).status_code,
    ]
    assert answers == [400, 413, 200]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert calls(db) == 3


@pytest.mark.slow
def test_a_wider_address_needs_tokens_and_says_its_events_as_json(db: Path, tmp_path: Path) -> None:
    secret = new_token()
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[[token]]\nname = "boss"\nrole = "admin"\nsha256 = "{hash_of(secret).hex()}"\n')
    tokens.chmod(0o600)
    config = tmp_path / "agent.toml"
    config.write_text(f'db = "{db}"\nhost = "0.0.0.0"\ntokens = "{tokens}"\nlog_format = "json"\nlog_level = "info"\n')
    command = [sys.executable, "-m", "credwatch_agent", "serve", "--config", str(config), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--grpc-port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening on ").strip().replace("0.0.0.0", "127.0.0.1")
        place = process.stdout.readline().removeprefix("listening on grpc://").strip().replace("0.0.0.0", "127.0.0.1")
        headers = {"content-type": PROTOBUF}
        assert httpx.post(f"{url}/v1/metrics", content=GOOD, headers=headers).status_code == 401
        headers["authorization"] = f"Bearer {secret}"
        assert httpx.post(f"{url}/v1/metrics", content=GOOD, headers=headers).status_code == 200
        options: dict[str, Any] = {
            "endpoint": place,
            "insecure": True,
            "headers": (("authorization", f"Bearer {secret}"),),
        }
        exporter = metric_exporter.OTLPMetricExporter(**options)
        assert exporter.export(recorded(5)) is MetricExportResult.SUCCESS
        exporter.shutdown()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    events = [json.loads(line) for line in err.splitlines()]
    names = [event["event"] for event in events]
    assert names[0].startswith("tokens and telemetry cross the network in the clear")
    assert names[1:] == ["listening", "listening", "request refused", "draining"]
    assert (process.returncode, calls(db)) == (0, 5)
    assert secret not in err


def test_an_unusable_database_is_one_sentence_and_exit_code_3(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db.write_bytes(b"somebody's only copy of something\n" * 100)
    before = db.read_bytes()
    assert main(["serve", "--db", str(db), "--port", "0"]) == 3
    assert_one_sentence(capsys, f"the database `{db}` is no SQLite database; it was left as it is")
    assert db.read_bytes() == before
    assert main(["serve", "--db", str(db.parent / "missing" / "x.db")]) == 3
    assert_one_sentence(capsys, "cannot be opened: no such file or directory; give a path that you may write")


def test_a_port_in_use_is_one_sentence_and_exit_code_3(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for option in ("--port", "--grpc-port"):
            ports = {"--port": "0", "--grpc-port": "0", option: str(port)}
            assert main(["serve", "--db", str(db), *(word for pair in ports.items() for word in pair)]) == 3
            assert_one_sentence(
                capsys, f"cannot listen on 127.0.0.1 port {port}: address already in use; give another `{option}`"
            )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["serve", "--host", "0.0.0.0"], "`--host 0.0.0.0` is no loopback address"),
        (["serve", "--host", "agent.example"], "`--host agent.example` is no loopback address"),
        (["serve", "--port", "65536"], "--port"),
        (["serve", "--grpc-port", "65536"], "`--grpc-port 65536` is no port: give a number from 0 to 65535, or `off`"),
        (["serve", "--grpc-port", "yes"], "`--grpc-port yes` is no port"),
        (["serve", "--colour"], "No such option: --colour"),
        (["observe"], "No such command 'observe'"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_exit_code_2(
    db: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    command, *rest = arguments
    assert main([command, *(["--db", str(db)] if command == "serve" else []), *rest]) == 2
    assert_one_sentence(capsys, sentence)
    assert not db.exists()


def test_a_command_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert_one_sentence(capsys, "try `credwatch-agent --help`")


def test_help_and_version_exit_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"credwatch-agent {__version__}\n"
    assert main(["serve", "--help"]) == 0
    assert "--db" in capsys.readouterr().out


def assert_one_sentence(capsys: pytest.CaptureFixture[str], part: str) -> None:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("credwatch-agent: ")
    assert captured.err.count("\n") == 1
    assert part in captured.err
