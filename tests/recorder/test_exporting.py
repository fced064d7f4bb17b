"""What goes over the wire to an endpoint: our own never gets the headers meant for another backend."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from opentelemetry.exporter.otlp.proto.http import metric_exporter as http
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.resources import Resource

from credwatch import exporting as edge
from credwatch import over_http, semconv
from credwatch.exporting import OtlpExport
from credwatch.headers import headers_of
from credwatch.settings import Settings, read
from credwatch.standard import ROWS, Options
from credwatch.telemetry import Point, metrics_data

POINT = Point(semconv.RECORDER_UP, {semconv.PROCESS_ID: "p"}, 1, 2, 3)
VENDOR = "OTEL_EXPORTER_OTLP_HEADERS"


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.got: list[tuple[str, dict[str, str]]] = []
        self.status, self.kind, self.body, self.location = 200, "", b"", ""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        if self.server.location:
            self.send_header("Location", self.server.location)
        if self.server.kind:
            self.send_header("Content-Type", self.server.kind)
        self.end_headers()
        self.wfile.write(self.server.body)

    do_GET = do_POST  # noqa: N815 - the base class's name: what a client that follows a redirect asks

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def running(made: Server) -> Iterator[Server]:
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with running(Server()) as made:
        yield made


@pytest.fixture(params=[VENDOR, "OTEL_EXPORTER_OTLP_METRICS_HEADERS"])
def vendor_key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(request.param, "x-vendor-key=sentinel,authorization=sentinel")


@pytest.mark.usefixtures("vendor_key")
@pytest.mark.parametrize("with_file", [True, False])
def test_our_own_endpoint_never_gets_a_vendors_key(server: Server, tmp_path: Path, with_file: bool) -> None:
    headers = tmp_path / "headers"
    headers.write_text("# ours\nX-Token: ours\n\n")
    settings = Settings(endpoint=server.url, headers_file=str(headers) if with_file else "")
    assert OtlpExport(settings, "1").points([POINT], {})
    ((path, got),) = server.got
    assert path == "/v1/metrics"
    assert "sentinel" not in str(got)
    assert got.get("x-token") == ("ours" if with_file else None)


def test_the_standard_endpoint_gets_the_standard_headers(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
    monkeypatch.setenv(VENDOR, "x-vendor-key=key")
    assert OtlpExport(Settings(otlp_endpoint=server.url), "1").points([POINT], {})
    assert server.got[0][1]["x-vendor-key"] == "key"


@pytest.mark.parametrize("spans_too", [False, True])
def test_the_standard_endpoint_of_a_signal_is_used_as_it_is(
    server: Server, monkeypatch: pytest.MonkeyPatch, spans_too: bool
) -> None:
    environ = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{server.url}/counts"}
    if spans_too:
        environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{server.url}/spans"
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    settings, problems = read(environ)
    export = OtlpExport(settings, "1")
    assert export.points([POINT], {})
    export.provider({}).get_tracer("t").start_span("s").end()
    assert export.flush() is spans_too
    assert problems == []
    assert [path for path, _ in server.got] == ["/counts", "/spans"][: 1 + spans_too]


def test_spans_of_the_private_provider_are_sent_to_the_same_place(server: Server) -> None:
    export = OtlpExport(Settings(endpoint=server.url), "1")
    export.provider({}).get_tracer("t").start_span("s").end()
    assert export.flush()
    assert [path for path, _ in server.got] == ["/v1/traces"]
    export.forked()
    assert export.flush()


def test_a_span_exporter_that_raises_as_older_ones_do_has_delivered_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise requests.ConnectionError

    export = OtlpExport(Settings(endpoint=server.url), "1")
    provider = export.provider({})
    monkeypatch.setattr(export._spans, "export", refused)
    provider.get_tracer("t").start_span("s").end()
    assert not export.flush()
    monkeypatch.undo()
    provider.get_tracer("t").start_span("s").end()
    assert export.flush()


class Collector:
    """A gRPC server that keeps what it is sent: (signal, metadata)."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.rejects = 0
        self._server = grpc.server(futures.ThreadPoolExecutor(1))
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(  # type: ignore[no-untyped-call]
            self._service("metrics", metrics_service_pb2_grpc.MetricsServiceServicer, metrics_service_pb2), self._server
        )
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]
            self._service("traces", trace_service_pb2_grpc.TraceServiceServicer, trace_service_pb2), self._server
        )
        if credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)

    def _service(self, signal: str, base: type, messages: Any) -> Any:
        answer = getattr(messages, "ExportMetricsServiceResponse", None) or messages.ExportTraceServiceResponse

        def export(_: object, __: object, context: Any) -> object:
            self.got.append((signal, dict(context.invocation_metadata())))
            made = answer()
            if self.rejects:
                field = "rejected_data_points" if signal == "metrics" else "rejected_spans"
                setattr(made.partial_success, field, self.rejects)
            return made

        return type("Service", (base,), {"Export": export})()

    def __enter__(self) -> Collector:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()


@pytest.mark.usefixtures("vendor_key")
def test_grpc_never_gets_a_vendors_key(tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    headers.write_text("x-token: ours\n")
    with Collector() as collector:
        for file in ("", str(headers)):
            settings = Settings(endpoint=f"http://127.0.0.1:{collector.port}", protocol="grpc", headers_file=file)
            assert OtlpExport(settings, "1").points([POINT], {})
    assert "sentinel" not in str(collector.got)
    assert collector.got[1][1]["x-token"] == "ours"


def self_signed() -> tuple[bytes, bytes]:
    """Return key and certificate of `localhost`, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain), made.public_bytes(pem)


@pytest.mark.parametrize("trusted", [True, False])
def test_grpc_trusts_the_certificate_that_the_settings_name_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    ours, other = self_signed(), self_signed()
    certificate = tmp_path / "ca.pem"
    certificate.write_bytes(ours[1] if trusted else other[1])
    # meant for another backend: it must not make ours trusted
    vendors = tmp_path / "vendor.pem"
    vendors.write_bytes(ours[1])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(vendors))
    monkeypatch.setattr("credwatch.exporting.TIMEOUT", 5.0 if trusted else 0.5)
    with Collector(grpc.ssl_server_credentials([ours])) as collector:
        settings = Settings(
            endpoint=f"https://localhost:{collector.port}", protocol="grpc", certificate=str(certificate)
        )
        assert OtlpExport(settings, "1").points([POINT], {}) is trusted
    assert len(collector.got) == trusted


# --- the standard endpoint, signal by signal -------------------------------------------------------------


def exporting(monkeypatch: pytest.MonkeyPatch, **variables: str) -> OtlpExport:
    """Return the exporter of an environment; the names lack their common beginning."""
    environ = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)  # OpenTelemetry's exporters read it too
    return OtlpExport(read(environ)[0], "1", environ=environ)


def span(export: OtlpExport) -> bool:
    export.provider({}).get_tracer("t").start_span("s").end()
    return export.flush()


@pytest.mark.parametrize("counts", ["grpc", "http/protobuf"])
def test_each_signal_has_its_protocol_endpoint_headers_and_compression(
    server: Server, monkeypatch: pytest.MonkeyPatch, counts: str
) -> None:
    with Collector() as collector:
        by = {"grpc": f"127.0.0.1:{collector.port}", "http/protobuf": f"{server.url}/own/path"}
        other = "grpc" if counts == "http/protobuf" else "http/protobuf"
        export = exporting(
            monkeypatch,
            HEADERS="general=1",
            METRICS_PROTOCOL=counts,
            METRICS_ENDPOINT=by[counts],
            METRICS_HEADERS="own=1",
            METRICS_COMPRESSION="gzip",
            TRACES_PROTOCOL=other,
            TRACES_ENDPOINT=by[other],
            TRACES_COMPRESSION="none",
            INSECURE="true",
        )
        assert (export.points([POINT], {}), span(export)) == (True, True)
    ((signal, metadata),), ((path, headers),) = collector.got, server.got
    assert (signal, path) == ("metrics" if counts == "grpc" else "traces", "/own/path")
    of_counts, of_spans = (metadata, headers) if counts == "grpc" else (headers, metadata)
    assert (of_counts.get("own"), of_counts.get("general"), of_spans.get("general")) == ("1", None, "1")
    assert (headers.get("content-encoding") == "gzip") is (counts != "grpc")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_each_signal_has_its_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    ours = self_signed()
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key.write_bytes(ours[0])
    certificate.write_bytes(ours[1])
    files = {
        "METRICS_CERTIFICATE": str(certificate),
        "METRICS_CLIENT_KEY": str(key),
        "METRICS_CLIENT_CERTIFICATE": str(certificate),
        "CERTIFICATE": "/nowhere/ca.pem",
    }
    if protocol == "grpc":
        credentials = grpc.ssl_server_credentials([ours], ours[1], require_client_auth=True)
        with Collector(credentials) as collector:
            endpoint = f"https://localhost:{collector.port}"
            export = exporting(monkeypatch, PROTOCOL=protocol, METRICS_ENDPOINT=endpoint, **files)
            assert export.points([POINT], {})
        return
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # in `requests` they win
        monkeypatch.delenv(variable, raising=False)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    with running(Server()) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        endpoint = f"https://localhost:{server.server_port}/v1/metrics"
        assert exporting(monkeypatch, METRICS_ENDPOINT=endpoint, **files).points([POINT], {})
    assert len(server.got) == 1


BAD = {
    "HEADERS": "sentinel",
    "TIMEOUT": "sentinel",
    "COMPRESSION": "sentinel",
    "INSECURE": "sentinel",
}


@pytest.mark.parametrize("signal", ["", "METRICS_"])
@pytest.mark.parametrize("end", BAD)
def test_a_bad_value_is_one_warning_and_the_counts_are_sent(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, end: str, signal: str
) -> None:
    export = exporting(monkeypatch, ENDPOINT=server.url, **{f"{signal}{end}": BAD[end]})
    assert (export.points([POINT], {}), export.points([POINT], {})) == (True, True)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"credwatch: OTEL_EXPORTER_OTLP_{signal}{end} is ignored: expected ")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"CERTIFICATE": "/nowhere/sentinel"}, "a file of OTEL_EXPORTER_OTLP_* cannot be used (FileNotFoundError)"),
        ({"METRICS_CLIENT_KEY": "/"}, "a file of OTEL_EXPORTER_OTLP_* cannot be used (IsADirectoryError)"),
    ],
)
def test_a_file_of_the_standard_variables_that_is_not_there_is_one_warning(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    protocol: str,
    variables: dict[str, str],
    words: str,
) -> None:
    export = exporting(monkeypatch, ENDPOINT="https://127.0.0.1:9", PROTOCOL=protocol, **variables)
    assert (export.points([POINT], {}), export.points([POINT], {})) == (False, False)
    (record,) = caplog.records
    assert words in record.getMessage()
    assert "sentinel" not in caplog.text


def test_what_an_exporter_itself_refuses_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "sentinel")  # gRPC's reads it, asked or not
    export = OtlpExport(Settings(otlp_endpoint="http://127.0.0.1:9", otlp_protocol="grpc"), "1", environ={})
    assert (export.points([POINT], {}), export.points([POINT], {})) == (False, False)
    (record,) = caplog.records
    assert "refuses a value of the OTEL_EXPORTER_OTLP_* variables (ValueError)" in record.getMessage()


@pytest.mark.parametrize("end", [end for _, end, *_ in ROWS])
def test_our_own_endpoint_by_grpc_reads_no_standard_variable(
    end: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for signal in ("", "METRICS_", "TRACES_"):
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal}{end}", "sentinel")
    with Collector() as collector:
        export = OtlpExport(Settings(endpoint=f"http://127.0.0.1:{collector.port}", protocol="grpc"), "1")
        assert (export.points([POINT], {}), span(export)) == (True, True)
    assert [signal for signal, _ in collector.got] == ["metrics", "traces"]
    assert "sentinel" not in str(collector.got)
    assert caplog.records == []


PROTOBUF, JSON = "application/x-protobuf", "application/json; charset=utf-8"
REJECTS = metrics_service_pb2.ExportMetricsServiceResponse()
REJECTS.partial_success.rejected_data_points = 1
REJECTED = "credwatch: the receiver rejected a part of what it was sent; its own log says why"
NO_RECEIVER = "credwatch: what answers at the configured endpoint is no OTLP receiver; counts are kept and sent again"


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("kind", "body", "delivered", "said"),
    [
        (PROTOBUF, b"", True, []),
        ("text/html", b"", True, []),
        (JSON, b"{}", True, []),
        (JSON, b'{"partialSuccess":{}}', True, []),
        (PROTOBUF, REJECTS.SerializeToString(), True, [REJECTED]),
        (JSON, b'{"partialSuccess":{"rejectedDataPoints":"1"}}', True, [REJECTED]),
        (JSON, b'{"partialSuccess":{"rejectedSpans":2}}', True, [REJECTED]),
        ("text/html; charset=utf-8", b"<html>Sign in</html>", False, [NO_RECEIVER]),
        ("", b"<html>Sign in</html>", False, [NO_RECEIVER]),
        (PROTOBUF, b"<html>Sign in</html>", False, [NO_RECEIVER]),
        (JSON, b"<html>Sign in</html>", False, [NO_RECEIVER]),
        (JSON, b"[1]", False, [NO_RECEIVER]),
        (JSON, b'{"partialSuccess":7}', False, [NO_RECEIVER]),
    ],
)
def test_an_answer_is_success_only_if_it_is_one_of_otlp(
    server: Server,
    caplog: pytest.LogCaptureFixture,
    own: bool,
    kind: str,
    body: bytes,
    delivered: bool,
    said: list[str],
) -> None:
    server.kind, server.body = kind, body
    settings = Settings(endpoint=server.url) if own else Settings(otlp_endpoint=server.url)
    export = OtlpExport(settings, "1", environ={})
    assert [export.points([POINT], {}), export.points([POINT], {}), span(export)] == [delivered] * 3
    assert [record.getMessage() for record in caplog.records] == said
    assert len(server.got) == 3  # sent again when it is due, not at once


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_a_redirect_is_no_answer_and_is_not_followed(
    server: Server, caplog: pytest.LogCaptureFixture, own: bool, status: int
) -> None:
    with running(Server()) as other:
        server.status, server.location = status, f"{other.url}/login"
        settings = Settings(endpoint=server.url) if own else Settings(otlp_endpoint=server.url)
        export = OtlpExport(settings, "1", environ={})
        assert [export.points([POINT], {}), export.points([POINT], {}), span(export)] == [False] * 3
    assert [record.getMessage() for record in caplog.records] == [NO_RECEIVER]
    assert (len(server.got), other.got) == (3, [])


@pytest.mark.parametrize("own", [True, False])
def test_a_redirect_is_not_followed_for_an_exporter_that_would(server: Server, own: bool) -> None:
    """OpenTelemetry's exporters before 1.43 post without a word about redirects."""
    settings = Settings(endpoint=server.url) if own else Settings(otlp_endpoint=server.url)
    session = over_http.arguments(settings.target, Options(), lambda _: None, signs=False)["session"]
    with running(Server()) as other:
        server.status, server.location = 302, f"{other.url}/login"
        assert not session.post(f"{server.url}/v1/metrics", data=b"counts").ok
    assert (len(server.got), other.got) == (1, [])


@pytest.mark.parametrize("signal", ["metrics", "traces"])
def test_what_a_receiver_rejects_by_grpc_is_said_once(signal: str, caplog: pytest.LogCaptureFixture) -> None:
    with Collector() as collector:
        collector.rejects = 3
        export = OtlpExport(Settings(endpoint=f"http://127.0.0.1:{collector.port}", protocol="grpc"), "1")
        for _ in range(2):
            assert export.points([POINT], {}) if signal == "metrics" else span(export)
    assert [record.getMessage() for record in caplog.records] == [REJECTED]


def test_an_endpoint_for_spans_alone_gets_no_counts(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    export = exporting(monkeypatch, TRACES_ENDPOINT=f"{server.url}/spans")
    assert (export.points([POINT], {}), span(export)) == (True, True)
    assert [path for path, _ in server.got] == ["/spans"]


def test_our_own_endpoint_gets_nothing_of_any_standard_variable(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for _, end, *_ in ROWS:
        for signal in ("", "METRICS_", "TRACES_"):
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{signal}{end}", "sentinel=sentinel")
    export = OtlpExport(Settings(endpoint=server.url), "1")
    assert (export.points([POINT], {}), span(export)) == (True, True)
    assert "sentinel" not in str(server.got)
    assert caplog.records == []


# in a process of its own: here all has been imported long ago
WATCHED = """
import sys
from importlib.machinery import PathFinder
from credwatch import exporting, semconv
from credwatch.settings import read
from credwatch.telemetry import Point
import os
unlocked = []
class Watch:
    def find_spec(name, path=None, target=None):
        if not exporting.importing.locked() and PathFinder.find_spec(name, path) is not None:
            unlocked.append(name)
settings, _ = read(os.environ)
export = exporting.OtlpExport(settings, "1")
sys.meta_path.insert(0, Watch)
sent = [export.points([Point(semconv.RECORDER_UP, {semconv.PROCESS_ID: "p"}, 1, 2, 3)], {})]
export.provider({}).get_tracer("t").start_span("s").end()
sent += [export.flush(), export.points([], {})]
print(sent, unlocked)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "variable"),
    [
        ("http/protobuf", "CREDWATCH_ENDPOINT"),
        ("http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("http/protobuf signer", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("http/protobuf", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ("grpc", "CREDWATCH_ENDPOINT"),
        ("grpc", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("grpc", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    ],
)
def test_what_sending_imports_is_imported_with_the_lock_that_a_fork_waits_for(
    server: Server, tmp_path: Path, protocol: str, variable: str
) -> None:
    protocol, _, signer = protocol.partition(" ")
    (tmp_path / "signer.py").write_text("import requests\nfrom requests import Session")
    (tmp_path / "signer-1.dist-info").mkdir()
    group = f"[opentelemetry_otlp_credential_provider]\n{signer} = signer:Session" if signer else ""
    (tmp_path / "signer-1.dist-info" / "entry_points.txt").write_text(group)
    server.kind, server.body = PROTOBUF, REJECTS.SerializeToString()
    with Collector() as collector:
        url = server.url if protocol == "http/protobuf" else f"http://127.0.0.1:{collector.port}"
        environ = {
            **os.environ,
            variable: url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": signer,
            "PYTHONPATH": str(tmp_path),
        }
        done = subprocess.run([sys.executable, "-c", WATCHED], env=environ, capture_output=True, text=True, check=False)
    assert done.stdout == "[True, True, True] []\n", done.stderr


@pytest.mark.parametrize("signal", ["metrics", "traces"])
def test_no_fork_waits_for_a_file_that_is_slow(server: Server, tmp_path: Path, signal: str) -> None:
    pipe = tmp_path / "headers"
    os.mkfifo(pipe)
    export = OtlpExport(Settings(endpoint=server.url, headers_file=str(pipe)), "1")
    worker = threading.Thread(
        target=(lambda: export.points([POINT], {})) if signal == "metrics" else lambda: span(export)
    )
    worker.start()
    with pipe.open("w") as held:  # open once the other side reads
        forking = edge.importing.acquire(blocking=False)
        held.write("x-token: ours")
    if forking:
        edge.importing.release()
    worker.join()
    ((_, headers),) = server.got
    assert (forking, headers["x-token"]) == (True, "ours")


def test_the_applications_own_exporters_go_on_to_log(caplog: pytest.LogCaptureFixture) -> None:
    """Only while we export, and only in our thread, is what they say kept back."""
    with socket.socket() as unheard:  # bound and not listening
        unheard.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        ours = OtlpExport(Settings(endpoint=endpoint), "1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("credwatch.exporting.TIMEOUT", 0.1)
            assert not ours.points([POINT], {})
        assert caplog.records == []
        theirs = http.OTLPMetricExporter(f"{endpoint}/v1/metrics", timeout=0.1)
        theirs.export(metrics_data([POINT], Resource({}), "1"))
    assert caplog.records


@pytest.mark.parametrize("text", ["no colon", ": value", "a b: c", "a\u00fc: b", "a: \u00fc", "a: b\x7f", "a: \x1b[2J"])
def test_a_line_that_is_no_header_is_named_by_its_number(tmp_path: Path, text: str) -> None:
    headers = tmp_path / "headers"
    headers.write_text(f"A-b: c: d\n{text}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2"):
        headers_of(str(headers))


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize(
    ("field", "text", "error"),
    [
        ("headers_file", None, "FileNotFoundError"),
        ("headers_file", "sentinel", "ValueError"),
        ("certificate", None, "FileNotFoundError"),
        ("certificate", "sentinel", "SSLError"),
        ("certificate", "", "SSLError"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_warning_and_no_exception(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str, field: str, text: str | None, error: str
) -> None:
    file = tmp_path / "file"
    if text is not None:
        file.write_text(text)
    named: dict[str, Any] = {field: str(file)}
    settings = Settings(endpoint="https://127.0.0.1:9", protocol=protocol, **named)
    export = OtlpExport(settings, "1")
    assert [export.points([POINT], {}), export.points([POINT], {}), span(export)] == [False] * 3
    (record,) = caplog.records
    assert f"CREDWATCH_HEADERS_FILE or CREDWATCH_CERTIFICATE cannot be used ({error})" in record.getMessage()
    assert "sentinel" not in caplog.text


def test_without_tls_no_certificate_is_read(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    export = OtlpExport(Settings(endpoint=server.url, certificate="/nowhere/ca.pem"), "1")
    assert (export.points([POINT], {}), caplog.records) == (True, [])
