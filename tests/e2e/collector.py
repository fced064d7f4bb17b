"""A real Collector with the configuration that we ship, and what stands around it: the application, a trace backend,
and a line to the agent that can fail.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.conftest import COLLECTOR

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "otel-collector.yaml"
WITH_TOKEN = ROOT / "examples" / "collector" / "token.yaml"

Tally = Counter[tuple[str, str, str]]
"""(service.name, operation, bucket) -> calls."""

# an ordinary boto3 program that knows nothing of credwatch: it counts its own calls and prints them at the end
APPLICATION = """
import io, json, sys, boto3, urllib3
from botocore.awsrequest import AWSResponse
s3 = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x")
def answer(request, **_):
    return AWSResponse(request.url, 200, {}, urllib3.HTTPResponse(io.BytesIO(), preload_content=False))
s3.meta.events.register("before-send", answer)
operations = {
    "HeadBucket": s3.head_bucket, "GetBucketVersioning": s3.get_bucket_versioning, "ListObjects": s3.list_objects
}
tally = {}
for i in range(int(sys.argv[1])):
    operation, bucket = list(operations)[i % 3], f"bucket-{i % 7}"
    operations[operation](Bucket=bucket)
    tally[f"{operation} {bucket}"] = tally.get(f"{operation} {bucket}", 0) + 1
print(json.dumps(tally))
"""


def until(true: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)


_held: list[socket.socket] = []


def free_port() -> int:
    """Return a port of 127.0.0.1 for a server that cannot be asked for its own; nobody else gets it in our lifetime.

    It stays bound and refuses connections. Who sets SO_REUSEADDR, as servers do, can listen on it; the system gives
    it neither to who asks for any port nor to who connects.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _held.append(held)
    port: int = held.getsockname()[1]
    return port


def run_collector(*arguments: str, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a command of the Collector that sees `environ` alone; its log comes on stderr."""
    if not COLLECTOR.exists():
        pytest.fail("there is no Collector in `.collector`: run `make collector`, which needs Go")
    return subprocess.Popen([COLLECTOR, *arguments], env=dict(environ), stderr=subprocess.PIPE, text=True)


class Collector:
    """One Collector on ports and a directory of its own; it may be ended and started again."""

    def __init__(self, storage: Path, agent_url: str, traces_url: str, *options: str, token: str = "") -> None:
        http_port, grpc_port = free_port(), free_port()
        self.url, self.grpc_url = f"http://127.0.0.1:{http_port}", f"http://127.0.0.1:{grpc_port}"
        self.log: list[str] = []
        self._environ = {
            "CREDWATCH_AGENT_ENDPOINT": agent_url,
            "CREDWATCH_AGENT_TOKEN": token,
            "TRACES_ENDPOINT": traces_url,
            "COLLECTOR_HTTP_LISTEN": f"127.0.0.1:{http_port}",
            "COLLECTOR_GRPC_LISTEN": f"127.0.0.1:{grpc_port}",
            "COLLECTOR_STORAGE": str(storage),
        }
        # no Prometheus endpoint: its port is fixed
        self._options = ["--set=service.telemetry.metrics.level=none", *options]

    def start(self) -> None:
        """Start it; return when it takes telemetry."""
        self.process = self._run()
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr, ready))
        self._reader.start()
        until(lambda: ready.is_set() or self.process.poll() is not None, "the Collector to start")
        assert self.process.poll() is None, "".join(self.log)

    def _run(self) -> subprocess.Popen[str]:
        return run_collector("--config", str(CONFIG), *self._options, environ=self._environ)

    def _read(self, lines: Iterable[str], ready: threading.Event) -> None:
        for line in lines:
            self.log.append(line)
            if "Everything is ready" in line:
                ready.set()

    def end(self, number: int) -> None:
        """Send it a signal and wait for its end."""
        self.process.send_signal(number)
        self.process.wait(60)
        self._reader.join()
        if self.process.stderr:
            self.process.stderr.close()


@contextmanager
def served(server: ThreadingHTTPServer) -> Iterator[str]:
    """Run an HTTP server; the value is its URL."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/x-protobuf", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class Backend(ThreadingHTTPServer):
    """A trace backend: keeps the ids of the spans that it is sent, and which paths were asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Keep)
        self.spans: list[bytes] = []
        self.paths: set[str] = set()


class _Keep(_Handler):
    server: Backend

    def do_POST(self) -> None:
        body = self.body()
        self.server.paths.add(self.path)
        if self.path == "/v1/traces":
            content = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            for resource in ExportTraceServiceRequest.FromString(content).resource_spans:
                self.server.spans += [span.span_id for scope in resource.scope_spans for span in scope.spans]
        self.answer(200)


class Line(ThreadingHTTPServer):
    """A line to the agent. The next requests of a path meet its `faults`, one each; then all is well.

    `busy`: 503, the agent sees nothing. `lost`: the agent has it, the connection breaks before the answer.
    `slow`: the agent has it, the answer comes later than the Collector waits. `slow` holds until `release`.
    """

    daemon_threads = True

    def __init__(self, agent_url: str, faults: Mapping[str, Iterable[str]]) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.agent = agent_url.removeprefix("http://")
        self.faults = {path: deque(names) for path, names in faults.items()}
        self.seen: Counter[tuple[str, str]] = Counter()
        self.release = threading.Event()


class _Pass(_Handler):
    server: Line

    def do_POST(self) -> None:
        body, waiting = self.body(), self.server.faults[self.path]
        try:
            fault = waiting.popleft()
        except IndexError:
            fault = "none"
        self.server.seen[self.path, fault] += 1
        if fault == "busy":
            self.answer(503, headers={"Retry-After": "1"})
            return
        status, answer = self._forward(body)
        if fault == "slow":
            self.server.release.wait()
        if fault != "none":
            self.close_connection = True
            return
        self.answer(status, answer)

    def _forward(self, body: bytes) -> tuple[int, bytes]:
        names = ("Content-Type", "Content-Encoding")
        connection = http.client.HTTPConnection(self.server.agent, timeout=60)
        try:
            connection.request("POST", self.path, body, {n: self.headers[n] for n in names if n in self.headers})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


class Forwarder(Protocol):
    """What takes OTLP over both protocols and passes it on."""

    url: str
    grpc_url: str


def run_applications(forwarder: Forwarder, calls: int) -> Tally:
    """Run two processes to their end, one a protocol; return what they counted themselves."""
    ways = {"over-http": ("http/protobuf", forwarder.url), "over-grpc": ("grpc", forwarder.grpc_url)}
    started = {name: _start(name, calls, *way) for name, way in ways.items()}
    tally: Tally = Counter()
    for name, process in started.items():
        output, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
        counted: dict[str, int] = json.loads(output)
        for key, count in counted.items():
            operation, bucket = key.split()
            tally[name, operation, bucket] = count
    return tally


def _start(name: str, calls: int, protocol: str, url: str) -> subprocess.Popen[Any]:
    environ = {
        "PATH": os.environ["PATH"],
        "OTEL_SERVICE_NAME": name,
        "CREDWATCH_ENABLED": "1",
        "CREDWATCH_ENDPOINT": url,
        "CREDWATCH_PROTOCOL": protocol,
        "CREDWATCH_EXPORT_INTERVAL": "0.05",
        "CREDWATCH_EXIT_TIMEOUT": "60",
    }
    command = [sys.executable, "-c", APPLICATION, str(calls)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
