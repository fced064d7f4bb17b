"""The local AWS: moto over HTTP, in a process of its own (`moto_process`), as the world holds it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from examples.demo.credentials import Issued

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Moto:
    """A running moto: `url` for AWS clients, `control` for the world."""

    url: str
    control: str
    pid: int

    def assume(self, role_arn: str, session: str) -> Issued:
        """Issue keys of a role, without a call that is recorded; moto then applies the role's policies to them."""
        query = urlencode({"role": role_arn, "session": session})
        fields = json.loads(_request(f"{self.control}/assume?{query}", b""))
        fields.update({name: datetime.fromisoformat(fields[name]) for name in ("issued", "expires")})
        return Issued(**fields)

    def principals(self) -> dict[str, str]:
        """Return the ARN of the role or user behind every key that moto has given out."""
        keys: dict[str, str] = json.loads(_request(f"{self.control}/keys"))
        return keys

    def enforce(self, after: str = "0") -> None:
        """From now on, `after` so many requests, each needs a valid signature and a policy that allows it."""
        _request(f"{self.url}/moto-api/reset-auth", after.encode())

    @contextmanager
    def unguarded(self) -> Iterator[None]:
        """Let an owner of the account change it, as before `enforce`."""
        _request(f"{self.url}/moto-api/reset-auth", b"1000000")
        try:
            yield
        finally:
            self.enforce()

    def record(self) -> None:
        """From now on keep each request."""
        _request(f"{self.url}/moto-api/recorder/start-recording", b"")

    def recording(self) -> str:
        """Return what was kept: JSON objects, one a request."""
        return _request(f"{self.url}/moto-api/recorder/download-recording")


def _request(url: str, body: bytes | None = None) -> str:
    # urllib would call a body a form, and moto would then read no text from it
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "text/plain"})
    with urllib.request.urlopen(request, timeout=30) as response:
        text: str = response.read().decode()
    return text


@contextmanager
def running(directory: Path) -> Iterator[Moto]:
    """Start moto; its log and its recording are kept in `directory`. Ended, and waited for, on leaving."""
    (directory / "recording.jsonl").touch()
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "MOTO_RECORDER_FILEPATH": str(directory / "recording.jsonl"),
    }
    log = directory / "moto.log"
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "examples.demo.moto_process"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as process,
    ):
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise RuntimeError(f"moto did not start; the end of its log: {log.read_text()[-500:]}")
            yield Moto(**json.loads(line), pid=process.pid)
        finally:
            process.terminate()
