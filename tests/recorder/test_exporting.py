"""What goes over the wire to an endpoint: our own never gets the headers meant for another backend."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc

from credwatch import semconv
from credwatch.exporting import OtlpExport, headers_of
from credwatch.settings import Settings, read
from credwatch.telemetry import Point

POINT = Point(semconv.RECORDER_UP, {semconv.PROCESS_ID: "p"}, 1, 2, 3)
VENDOR = "OTEL_EXPORTER_OTLP_HEADERS"


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.got: list[tuple[str, dict[str, str]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


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


@pytest.mark.usefixtures("vendor_key")
def test_grpc_never_gets_a_vendors_key(tmp_path: Path) -> None:
    got: list[dict[str, Any]] = []

    class Service(metrics_service_pb2_grpc.MetricsServiceServicer):
        def Export(self, request: object, context: Any) -> object:
            got.append(dict(context.invocation_metadata()))
            return metrics_service_pb2.ExportMetricsServiceResponse()

    headers = tmp_path / "headers"
    headers.write_text("x-token: ours\n")
    made = grpc.server(futures.ThreadPoolExecutor(1))
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Service(), made)  # type: ignore[no-untyped-call]
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    try:
        for file in ("", str(headers)):
            settings = Settings(endpoint=f"http://127.0.0.1:{port}", protocol="grpc", headers_file=file)
            assert OtlpExport(settings, "1").points([POINT], {})
    finally:
        made.stop(None).wait()
    assert "sentinel" not in str(got)
    assert got[1]["x-token"] == "ours"


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
    got: list[object] = []

    class Service(metrics_service_pb2_grpc.MetricsServiceServicer):
        def Export(self, request: object, context: Any) -> object:
            got.append(request)
            return metrics_service_pb2.ExportMetricsServiceResponse()

    ours, other = self_signed(), self_signed()
    certificate = tmp_path / "ca.pem"
    certificate.write_bytes(ours[1] if trusted else other[1])
    # meant for another backend: it must not make ours trusted
    vendors = tmp_path / "vendor.pem"
    vendors.write_bytes(ours[1])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(vendors))
    monkeypatch.setattr("credwatch.exporting.TIMEOUT", 5.0 if trusted else 0.5)
    made = grpc.server(futures.ThreadPoolExecutor(1))
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Service(), made)  # type: ignore[no-untyped-call]
    port = made.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([ours]))
    made.start()
    try:
        settings = Settings(endpoint=f"https://localhost:{port}", protocol="grpc", certificate=str(certificate))
        assert OtlpExport(settings, "1").points([POINT], {}) is trusted
    finally:
        made.stop(None).wait()
    assert len(got) == trusted


@pytest.mark.parametrize("text", ["no colon", ": value"])
def test_a_line_that_is_no_header_is_named_by_its_number(tmp_path: Path, text: str) -> None:
    headers = tmp_path / "headers"
    headers.write_text(f"a: b\n{text}\n")
    with pytest.raises(ValueError, match="line 2"):
        headers_of(str(headers))


@pytest.mark.parametrize("what", ["missing", "not a header", "certificate"])
def test_a_file_that_cannot_be_used_is_one_warning_and_no_exception(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    file = tmp_path / "file"
    if what == "not a header":
        file.write_text("sentinel")
    path = str(file)
    settings = (
        Settings(endpoint="https://127.0.0.1:9", certificate=path)
        if what == "certificate"
        else Settings(endpoint="http://127.0.0.1:9", headers_file=path)
    )
    export = OtlpExport(settings, "1")
    assert not export.points([POINT], {})
    if what != "certificate":
        assert not export.points([POINT], {})
        export.provider({}).get_tracer("t").start_span("s").end()
        assert not export.flush()
        assert sum("CREDWATCH_HEADERS_FILE" in record.getMessage() for record in caplog.records) == 1
    assert "sentinel" not in caplog.text
