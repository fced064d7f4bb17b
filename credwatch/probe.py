"""The edge to metadata endpoints: whether there is one, and one bounded HTTP request, off the application's path."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

TIMEOUT = 1.0
_MOST = 65_536


class _Limited(socket.socket):
    """Receives until a moment and not after it: a limit of each read alone lets an endpoint drip for ever."""

    until = 0.0

    def recv_into(self, *args: Any) -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
        return super().recv_into(*args)


class _Connection(HTTPConnection):
    def connect(self) -> None:
        until = time.monotonic() + TIMEOUT
        super().connect()
        limited = _Limited(self.sock.family, self.sock.type, self.sock.proto, self.sock.detach())
        limited.until = until
        self.sock = limited


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_Connection, request)


# no proxy: these endpoints are on the host or the link; no redirect: they never send one
_opener = urllib.request.OpenerDirector()
_opener.add_handler(_Handler())
_opener.add_handler(urllib.request.HTTPSHandler())


def fetch(method: str, url: str, headers: Mapping[str, str]) -> bytes | None:
    """Return the body of a 200 answer of at most 64 KiB, b"" for any other answer, None where nothing answered.

    Takes about a second at most.
    """
    try:
        request = urllib.request.Request(url, method=method, headers=dict(headers))  # noqa: S310 - checked below
        if request.type not in ("http", "https"):
            return b""
        with _opener.open(request, timeout=TIMEOUT) as response:
            return response.read(_MOST) if response.status == 200 else b""
    except OSError:
        return None
    except (ValueError, HTTPException):  # no URL, or something speaks there that is no HTTP
        return b""


def expects_imds(environ: Mapping[str, str], system: Path = Path("/sys")) -> bool:
    """Return whether this is an EC2 instance, or an endpoint is named; asks nothing of the network.

    The marks are those of the EC2 user guide, "Identify EC2 instances": the vendor on Nitro, the
    UUID of the hypervisor on Xen.
    """
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    if environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        return True
    marks = (("devices/virtual/dmi/id/sys_vendor", "amazon ec2"), ("hypervisor/uuid", "ec2"))
    return any(_text(system / name).startswith(mark) for name, mark in marks)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("ascii", "replace").strip().lower()  # imports no codec: see `fingerprint`
    except OSError:
        return ""
