"""What the tests of whoami stand on: real metadata endpoints on loopback, and worlds that reach them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from credwatch.identity import edges
from credwatch.identity.model import World

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
LATER = "2099-01-01T00:00:00Z"
EXPIRES = "2026-03-01T17:12:00Z"
ACCOUNT = "123456789012"
TOKEN = "imds-session-token-SENTINEL"
LONG_LIVED = "AKIAIOSFODNN7EXAMPLE"
TEMPORARY = "ASIAIOSFODNN7EXAMPLE"


def answer(key_id: str = TEMPORARY, **more: object) -> dict[str, object]:
    """Return the credentials that an endpoint gives."""
    secret = {"SecretAccessKey": "endpoint-secret-SENTINEL", "Token": "endpoint-token-SENTINEL"}
    return {"AccessKeyId": key_id, **secret, "Expiration": EXPIRES, **more}


@dataclass
class Endpoints:
    """An instance metadata service (version 2), a container endpoint and a task endpoint in one server.

    `put_status`: what the token request is answered with; `role`: "" for no instance profile;
    `proved`: instance identity and `iam/info` are there; `authorization`: what the container asks for.
    """

    role: str = "ecsInstanceRole"
    instance: Mapping[str, object] = field(default_factory=answer)
    proved: bool = True
    put_status: int = 200
    require_token: bool = True
    container: object = field(default_factory=lambda: answer(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/orders"))
    authorization: str | None = None
    task: Mapping[str, object] = field(
        default_factory=lambda: {
            "TaskARN": f"arn:aws:ecs:eu-west-1:{ACCOUNT}:task/shop/0f6c",
            "Cluster": "shop",
            "Family": "thumbnailer",
            "Revision": "3",
            "LaunchType": "EC2",
        }
    )
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def get(self, path: str, headers: Mapping[str, str]) -> tuple[int, object]:
        if path.startswith("/latest/"):
            if self.require_token and headers.get("x-aws-ec2-metadata-token") != TOKEN:
                return 401, ""
            return self._instance(path.removeprefix("/latest/"))
        if path.startswith("/v4/"):
            return (200, self.task) if path.endswith("/task") else (404, "")
        if self.authorization is not None and headers.get("Authorization") != self.authorization:
            return 401, "endpoint-error-SENTINEL"
        return 200, self.container

    def _instance(self, path: str) -> tuple[int, object]:
        base = "meta-data/iam/security-credentials/"
        found: dict[str, object] = {}
        if self.role:
            found = {base: self.role, base + self.role: self.instance}
        if self.proved:
            found["meta-data/iam/info"] = {
                "InstanceProfileArn": f"arn:aws:iam::{ACCOUNT}:instance-profile/ecsInstanceRole"
            }
            found["dynamic/instance-identity/document"] = {"instanceId": "i-0abc", "accountId": ACCOUNT}
        return (200, found[path]) if path in found else (404, "")

    @property
    def instance_environ(self) -> dict[str, str]:
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url}

    @property
    def container_environ(self) -> dict[str, str]:
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}/creds/uri-path-SENTINEL"}

    @property
    def task_environ(self) -> dict[str, str]:
        return {"ECS_CONTAINER_METADATA_URI_V4": f"{self.url}/v4/abc", "AWS_EXECUTION_ENV": "AWS_ECS_EC2"}


@contextmanager
def serve(endpoints: Endpoints) -> Iterator[Endpoints]:
    """Serve the endpoints on a loopback port for a while; `endpoints.url` says where."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            endpoints.asked.append(f"PUT {self.path}")
            self._send(endpoints.put_status, TOKEN if endpoints.put_status == 200 else "")

        def do_GET(self) -> None:
            endpoints.asked.append(f"GET {self.path}")
            self._send(*endpoints.get(self.path, dict(self.headers.items())))

        def _send(self, status: int, body: object) -> None:
            data = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    endpoints.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield endpoints
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def world(home: Path, environ: Mapping[str, str], **more: Any) -> World:
    """Return a world with these variables and home; no instance metadata unless an endpoint is named."""
    environ = dict(environ)
    if "AWS_EC2_METADATA_SERVICE_ENDPOINT" not in environ:
        environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    order = edges.chain_order()
    return World(environ, str(home), NOW, edges.fetch, order, cwd=str(home), **more)


def aws_files(home: Path, *, config: str = "", credentials: str = "") -> None:
    """Write `~/.aws/config` and `~/.aws/credentials`, those that have text."""
    (home / ".aws").mkdir(parents=True, exist_ok=True)
    for name, text in (("config", config), ("credentials", credentials)):
        if text:
            (home / ".aws" / name).write_text(text, encoding="utf-8")


@contextmanager
def as_nobody(directory: Path) -> Iterator[Path]:
    """Act as a user without rights for a while, if this is root; yields a home inside `directory`."""
    directory.chmod(0o755)
    home = directory / "home"
    home.mkdir(mode=0o755)
    root = os.geteuid() == 0
    if root:
        os.chown(home, 65534, -1)
        os.seteuid(65534)
    try:
        yield home
    finally:
        if root:
            os.seteuid(0)
