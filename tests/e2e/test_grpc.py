"""The recorder over gRPC: a real process on one side, a real server on the other."""

from __future__ import annotations

import datetime
import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from credwatch_agent.store.sqlite import SqliteStore

pytestmark = pytest.mark.slow

APPLICATION = """
import io, boto3, urllib3
from botocore.awsrequest import AWSResponse
s3 = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x")
def answer(request, **_):
    return AWSResponse(request.url, 200, {}, urllib3.HTTPResponse(io.BytesIO(), preload_content=False))
s3.meta.events.register("before-send", answer)
for _ in range(3):
    s3.head_bucket(Bucket="orders")
"""


def run_application(endpoint: str, **settings: str) -> str:
    """Run it, unharmed; return what it wrote to stderr."""
    environment = {
        "PATH": os.environ["PATH"],
        "CREDWATCH_ENABLED": "1",
        "CREDWATCH_ENDPOINT": endpoint,
        "CREDWATCH_PROTOCOL": "grpc",
        # meant for other backends: neither may reach the endpoint, nor stand in its way
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=vendor-secret",
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "api-key=vendor-secret",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "missing.pem",
        "http_proxy": "http://127.0.0.1:9",
        **settings,
    }
    done = subprocess.run(
        [sys.executable, "-c", APPLICATION], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr


def test_the_counts_of_a_process_reach_the_agent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "credwatch_agent", "serve", "--port", "0", "--grpc-port", "0", "--db", "db"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as agent:
        try:
            assert agent.stdout is not None
            agent.stdout.readline()
            url = agent.stdout.readline().strip().replace("listening on grpc://", "http://")
            assert run_application(url) == ""
        finally:
            agent.terminate()
    store = SqliteStore.open(tmp_path / "db", read_only=True)
    telemetry, spans = store.telemetry(), store.spans()
    store.close()
    assert [(row.usage.operation, row.calls) for row in telemetry.usage] == [("HeadBucket", 3)]
    assert [process.closed for process in telemetry.processes.values()] == [3]
    assert len(spans) == 3


class Recording(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Takes every call, and keeps its metadata and its message as it came over the wire."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Mapping[str, str], bytes]] = []

    def service(self, details: Any) -> Any:
        def take(message: bytes, context: Any) -> bytes:
            self.seen.append((details.method, dict(context.invocation_metadata()), message))
            return b""

        return grpc.unary_unary_rpc_method_handler(take)


@pytest.fixture(scope="module")
def certificate() -> tuple[bytes, bytes]:
    """Key and certificate of 127.0.0.1, its own authority, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "agent")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return secret, made.public_bytes(pem)


@pytest.fixture
def recording(certificate: tuple[bytes, bytes]) -> Iterator[tuple[Recording, int]]:
    handler = Recording()
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads, handlers=[handler], options=[("grpc.per_message_decompression", 0)])
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([certificate]))
        server.start()
        yield handler, port
        server.stop(None).wait()


def test_over_tls_only_our_own_headers_are_sent_and_bodies_are_compressed(
    recording: tuple[Recording, int], certificate: tuple[bytes, bytes], tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_bytes(certificate[1])
    (tmp_path / "headers").write_text("Authorization: Bearer ours\n", encoding="utf-8")
    handler, port = recording
    settings = {"CREDWATCH_CERTIFICATE": str(tmp_path / "ca.pem"), "CREDWATCH_HEADERS_FILE": str(tmp_path / "headers")}
    assert run_application(f"https://127.0.0.1:{port}", **settings) == ""
    methods = {method.rsplit(".", 1)[-1] for method, _, _ in handler.seen}
    assert methods == {"MetricsService/Export", "TraceService/Export"}
    for _, metadata, message in handler.seen:
        assert metadata["authorization"] == "Bearer ours"
        assert "vendor-secret" not in str(metadata)
        assert message.startswith(b"\x1f\x8b")


def test_without_its_certificate_nothing_is_sent(recording: tuple[Recording, int]) -> None:
    handler, port = recording
    run_application(f"https://127.0.0.1:{port}")
    assert handler.seen == []
