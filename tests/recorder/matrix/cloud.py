"""One HTTP server on 127.0.0.1 that answers as every endpoint that credentials come from, and as the services.

The link-local addresses of the metadata endpoints lead to it too, so that botocore and the recorder
ask the addresses that they would ask on a host.
"""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import pytest

from examples.demo.credentials import Issued, Rotating
from examples.demo.ecs_endpoint import EcsEndpoint, Task
from examples.demo.imds import TOKEN_PATH, Imds, Instance

ACCOUNT = "123456789012"
TASK_ROLE = f"arn:aws:iam::{ACCOUNT}:role/task"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/path/app"
SECOND = f"arn:aws:iam::{ACCOUNT}:role/second"
PROFILE = f"arn:aws:iam::{ACCOUNT}:instance-profile/host"
TOKEN = "token-of-the-endpoint"
LINK_LOCAL = frozenset({"169.254.169.254", "169.254.170.2", "169.254.170.23"})

_numbers = count(1)


class Reply(NamedTuple):
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}


def key_id(prefix: str = "ASIA") -> str:
    """Return a key id that no test has seen."""
    return f"{prefix}{next(_numbers):016d}"


def now() -> datetime:
    return datetime.now(timezone.utc)


def later(hours: int = 6) -> str:
    return (now() + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def issue() -> Issued:
    return Issued(key_id(), "secret", "session", now(), now() + timedelta(hours=6))


def fields(names: tuple[str, str, str, str]) -> dict[str, str]:
    """Return new credentials under the names that a service gives their four parts."""
    return dict(zip(names, (key_id(), "secret", "session", later()), strict=True))


STS_NAMES = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")


@dataclass
class Cloud:
    """What one test finds at the endpoints. `script` is answered first, to requests of services alone."""

    v1: bool = False
    look_alike: bool = False
    instance: Imds = field(default_factory=lambda: Imds(_instance(), Rotating(issue, now), now))
    ecs: EcsEndpoint = field(default_factory=EcsEndpoint)
    script: list[Reply] = field(default_factory=list)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if path.startswith("/latest/"):
            return self._imds(method, path, headers)
        if path.startswith(("/v2/credentials/", "/v4/")):
            found = self.ecs.answer(method, path, headers)
            return Reply(found.status, found.body.encode())
        if path.startswith(("/v1/credentials", "/full")):
            return _container(path, headers)
        if path.startswith("/federation/credentials") or path == "/token":
            return _sso(path)
        return self._service(path, headers, body)

    def _imds(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        if self.v1 and path == TOKEN_PATH:
            return Reply(404)
        if self.look_alike and ("identity" in path or "iam/info" in path):
            return Reply(404)
        found = self.instance.answer(method, path, headers)
        return Reply(found.status, found.body.encode())

    def _service(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if b"Action=" in body:
            action = parse_qs(body.decode())["Action"][0]
            if action in _STS:
                return Reply(200, _sts(action))
        if headers.get("x-amz-target") == "AWSCognitoIdentityService.GetCredentialsForIdentity":
            names = ("AccessKeyId", "SecretKey", "SessionToken", "Expiration")
            return _json({"IdentityId": "i", "Credentials": {**fields(names), "Expiration": now().timestamp() + 9_999}})
        if self.script:
            return self.script.pop(0)
        if path.partition("?")[2] == "session":
            return Reply(200, _xml("CreateSessionResult", {"Credentials": fields(STS_NAMES)}))
        if b"Action=" in body:
            return Reply(200, b"<Response/>")
        return Reply(200, b"{}" if headers.get("content-type", "").endswith("json") else b"")


def _container(path: str, headers: Mapping[str, str]) -> Reply:
    if headers.get("authorization") != TOKEN:
        return Reply(401, b"{}")
    return _json({**issue().document(), **({} if path == "/full" else {"AccountId": ACCOUNT})})


def _sso(path: str) -> Reply:
    if path == "/token":
        return _json({"accessToken": "renewed", "expiresIn": 28_800, "tokenType": "Bearer"})
    credentials = fields(("accessKeyId", "secretAccessKey", "sessionToken", "expiration"))
    return _json({"roleCredentials": {**credentials, "expiration": int((now().timestamp() + 9_999) * 1_000)}})


_STS = {"AssumeRole", "AssumeRoleWithWebIdentity", "GetSessionToken", "GetFederationToken"}


def _sts(action: str) -> bytes:
    user = {"Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/app/session", "AssumedRoleId": "AROA:session"}
    federated = {"Arn": f"arn:aws:sts::{ACCOUNT}:federated-user/name", "FederatedUserId": f"{ACCOUNT}:name"}
    result: dict[str, Any] = {"Credentials": fields(STS_NAMES)}
    if action.startswith("AssumeRole"):
        result["AssumedRoleUser"] = user
    if action == "GetFederationToken":
        result["FederatedUser"] = federated
    return _xml(f"{action}Response", {f"{action}Result": result})


def _xml(name: str, value: Any) -> bytes:
    inner = b"".join(_xml(k, v) for k, v in value.items()) if isinstance(value, dict) else str(value).encode()
    return b"<%s>%s</%s>" % (name.encode(), inner, name.encode())


def _json(value: Any) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def event(kind: str, payload: bytes) -> bytes:
    """Return a message of an event stream (vnd.amazon.eventstream): prelude, headers, payload, two CRCs."""
    from binascii import crc32
    from struct import pack

    headers = b""
    for name, value in ((":message-type", "event"), (":event-type", kind)):
        headers += pack("!B", len(name)) + name.encode() + b"\x07" + pack("!H", len(value)) + value.encode()
    prelude = pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + pack("!I", crc32(prelude)) + headers + payload
    return message + pack("!I", crc32(message))


def _instance() -> Instance:
    return Instance(
        instance_id="i-0123456789abcdef0",
        account=ACCOUNT,
        region="eu-west-1",
        zone="eu-west-1a",
        image="ami-1",
        instance_type="m5.large",
        private_ip="10.0.0.1",
        launched=now(),
        role="host",
        profile_arn=PROFILE,
        profile_id="AIPAEXAMPLE",
        v1_allowed=True,
    )


def task() -> Task:
    """Return a task on ECS as its metadata endpoint describes it."""
    return Task(
        cluster_arn=f"arn:aws:ecs:eu-west-1:{ACCOUNT}:cluster/c",
        task_arn=f"arn:aws:ecs:eu-west-1:{ACCOUNT}:task/c/0123",
        family="family",
        revision="1",
        service_name="service",
        launch_type="EC2",
        zone="eu-west-1a",
        container="app",
        container_arn=f"arn:aws:ecs:eu-west-1:{ACCOUNT}:container/c/0123/0456",
        image="image",
        role_arn=TASK_ROLE,
    )


class Server(ThreadingHTTPServer):
    """Serves whichever `cloud` a test has put there."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.cloud = Cloud()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self._chunked() if self.headers.get("Transfer-Encoding") == "chunked" else self._sized()
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.cloud.answer(self.command, self.path, headers, body)
        self.send_response(reply.status)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Connection", "close")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def _sized(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunked(self) -> bytes:
        body = io.BytesIO()
        while size := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
            body.write(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body.getvalue()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def serving() -> Iterator[Server]:
    """Serve on a free port."""
    server = Server()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def route_link_local(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Lead connections to the metadata endpoints' addresses to the server, as a host's kernel would."""
    original: Callable[..., None] = socket.socket.connect

    def connect(made: socket.socket, address: Any) -> None:
        elsewhere = isinstance(address, tuple) and address[0] in LINK_LOCAL
        original(made, ("127.0.0.1", server.server_port) if elsewhere else address)

    monkeypatch.setattr(socket.socket, "connect", connect)
