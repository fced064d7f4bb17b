"""The local AWS: moto over HTTP in a process of its own, with two doors.

The first is moto, for everyone. The second is for the world alone: `POST /assume` issues a role's keys
as EC2 and ECS do for their own (no AssumeRole call, no caller; moto checks no service principals), and
`GET /keys` says to which role or user moto gave each key. Run as a module it prints one line of JSON
with both addresses and ends when its standard input closes, so that it cannot outlive its parent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from examples.demo.credentials import Issued
from examples.demo.httpd import Reply, serving

ROOT = Path(__file__).parents[2]
LIFETIME_SECONDS = 6 * 3600  # what EC2 and ECS issue


@dataclass(frozen=True)
class Moto:
    """A running moto: `url` for AWS clients, `control` for the world."""

    url: str
    control: str
    pid: int

    def assume(self, role_arn: str, session: str) -> Issued:
        """Issue keys of a role; moto then applies the role's policies to them."""
        query = urlencode({"role": role_arn, "session": session})
        fields = json.loads(_request(f"{self.control}/assume?{query}", b""))
        moments = {name: datetime.fromisoformat(fields.pop(name)) for name in ("issued", "expires")}
        return Issued(**fields, **moments)

    def principals(self) -> dict[str, str]:
        """Return the ARN of the role or user behind every key that moto has given out."""
        keys: dict[str, str] = json.loads(_request(f"{self.control}/keys"))
        return keys

    def enforce(self) -> None:
        """From now on each request needs a valid signature and a policy that allows it."""
        _request(f"{self.url}/moto-api/reset-auth", b"0")

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
            [sys.executable, "-m", "examples.demo.moto_server"],
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


def _assume(role_arn: str, session: str) -> Reply:
    from moto.sts.models import sts_backends

    account = role_arn.split(":")[4]
    role = sts_backends[account]["aws"].assume_role(
        region_name="aws-global",
        role_session_name=session,
        role_arn=role_arn,
        policy=None,
        duration=LIFETIME_SECONDS,
        external_id=None,
    )
    fields = {
        "key_id": role.access_key_id,
        "secret": role.secret_access_key,
        "token": role.session_token,
        "issued": datetime.now(timezone.utc).isoformat(),
        "expires": role.expiration.replace(tzinfo=timezone.utc).isoformat(),
    }
    return Reply(200, json.dumps(fields), "application/json")


def _keys() -> Reply:
    from moto.iam.models import iam_backends
    from moto.sts.models import sts_backends

    keys: dict[str, str] = {}
    for partitions in list(sts_backends.values()):
        for backend in list(partitions.values()):
            keys.update({role.access_key_id: role.role_arn for role in list(backend.assumed_roles)})
    for partitions in list(iam_backends.values()):
        for backend in list(partitions.values()):
            for user in list(backend.users.values()):
                keys.update({key.access_key_id: user.arn for key in user.access_keys})
    return Reply(200, json.dumps(keys), "application/json")


def _control(method: str, path: str, headers: Mapping[str, str]) -> Reply:
    del headers
    parts = urlsplit(path)
    if (method, parts.path) == ("POST", "/assume"):
        query = parse_qs(parts.query)
        return _assume(query["role"][0], query["session"][0])
    return _keys() if (method, parts.path) == ("GET", "/keys") else Reply(404)


def main() -> None:
    from moto.moto_api import state_manager
    from moto.server import ThreadedMotoServer

    # by default moto moves a task towards STOPPED each time that someone describes it; ours keep running
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": sys.maxsize})
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with serving(_control) as control:
        print(json.dumps({"url": f"http://{host}:{port}", "control": control}), flush=True)
        sys.stdin.buffer.read()
    server.stop()


if __name__ == "__main__":
    main()
