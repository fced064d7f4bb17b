"""rotel, a forwarder of OTLP that is not the Collector: written in Rust, its queue in memory."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

import httpx

from tests.e2e.collector import free_port, until


class Rotel:
    """One rotel on ports of its own that sends to an agent; what it logs goes to a file."""

    def __init__(self, agent_url: str, log: Path, **settings: str) -> None:
        http_port, grpc_port = free_port(), free_port()
        self.url, self.grpc_url = f"http://127.0.0.1:{http_port}", f"http://127.0.0.1:{grpc_port}"
        self._log = log
        self._environ = {
            "ROTEL_OTLP_HTTP_ENDPOINT": f"127.0.0.1:{http_port}",
            "ROTEL_OTLP_GRPC_ENDPOINT": f"127.0.0.1:{grpc_port}",
            "ROTEL_EXPORTER": "otlp",
            "ROTEL_OTLP_EXPORTER_PROTOCOL": "http",
            "ROTEL_OTLP_EXPORTER_ENDPOINT": agent_url,
            **{f"ROTEL_OTLP_EXPORTER_{name.upper()}": value for name, value in settings.items()},
        }

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run it from when it takes telemetry; at the end it is killed."""
        program = distribution("rotel").locate_file("rotel/rotel-agent")
        with (
            self._log.open("wb") as log,
            subprocess.Popen([str(program), "start"], env=self._environ, stdout=log, stderr=log) as process,
        ):
            try:
                until(lambda: self._answers() or process.poll() is not None, "rotel to start")
                assert process.poll() is None, self._log.read_text(encoding="utf-8")
                yield process
            finally:
                process.kill()

    def _answers(self) -> bool:
        try:
            return httpx.get(self.url).status_code > 0
        except httpx.TransportError:
            return False
