"""A real Jaeger with the configuration that we ship, and its query API."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest

from tests.conftest import JAEGER, ROOT
from tests.e2e.collector import Collector, free_port

CONFIG = ROOT / "examples" / "jaeger" / "jaeger.yaml"


class Jaeger(Collector):
    """One Jaeger on ports of its own. It is built from the parts of a Collector, and starts and ends as one."""

    def __init__(self) -> None:
        ports = [free_port() for _ in range(3)]
        self.log = []
        self.url, self.query_url = (f"http://127.0.0.1:{port}" for port in ports[:2])
        names = ("JAEGER_OTLP_LISTEN", "JAEGER_QUERY_LISTEN", "JAEGER_GRPC_LISTEN")
        self._environ = {name: f"127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)}

    def _run(self) -> subprocess.Popen[str]:
        if not JAEGER.exists():
            pytest.fail("there is no Jaeger in `.jaeger`: run `make jaeger`, which needs Go")
        return subprocess.Popen([JAEGER, "--config", CONFIG], env=self._environ, stderr=subprocess.PIPE, text=True)

    def traces(self, service: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the traces of a service that have a span with all these tags: what the page's search asks for."""
        now = time.time_ns() // 1000
        query = {
            "service": service,
            "limit": 10_000,
            "start": now - 3_600_000_000,
            "end": now,
            "tags": json.dumps(tags),
        }
        found: list[dict[str, Any]] = self._get(f"/api/traces?{urllib.parse.urlencode(query)}")
        return found

    def services(self) -> list[str]:
        """Return the names of the services that sent spans."""
        names: list[str] = self._get("/api/services") or []
        return names

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.query_url + path, timeout=60) as answer:
            return json.load(answer)["data"]
