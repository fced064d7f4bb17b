"""The world as it is: this process or another one, its files, the clock, the network.

The only module of the room that touches them (`verify` calls AWS, on request).
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

import botocore.session
from botocore.credentials import ProfileProviderBuilder

from credwatch.identity.model import Answer, Unreachable, World
from credwatch.identity.providers import PROFILE_METHODS

PROC = Path("/proc")

_GONE = "process {} does not exist (or this system has no /proc)"
_LONGEST_ANSWER = 1 << 20


class CannotRead(Exception):
    """Another process cannot be looked at; the text is one sentence that says why and what to do."""


def this_process(*, parents: bool = False) -> World:
    """Return the world of this process; with `parents`, the environments of its parent and PID 1 too."""
    return World(
        environ=dict(os.environ),
        home=str(Path("~").expanduser()),
        cwd=_here(),
        now=datetime.now(timezone.utc),
        fetch=fetch,
        order=chain_order(),
        on_ec2=_on_ec2(),
        has_crt=importlib.util.find_spec("awscrt") is not None,
        ancestors=_ancestors(os.getpid()) if parents else (),
    )


def other_process(pid: int, *, parents: bool = False) -> World:
    """Return the world of another process: its environment, its files. Raises `CannotRead`.

    The endpoints are asked from here: `notes` says so where its network is another one.
    """
    environ, owner = _environ(pid), _owner(pid)
    return World(
        environ=environ,
        home=environ.get("HOME") or _home_of(owner),
        root=_link(pid, "root").rstrip("/"),
        cwd=_target(pid, "cwd"),
        now=datetime.now(timezone.utc),
        fetch=fetch,
        order=chain_order(),
        foreign=owner != os.getuid(),
        on_ec2=_on_ec2(),
        has_crt=importlib.util.find_spec("awscrt") is not None,
        ancestors=_ancestors(pid) if parents else (),
        notes=_other_network(pid),
    )


# --- /proc --------------------------------------------------------------------------------------


def _environ(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with; what it set itself later is not in /proc."""
    try:
        data = (PROC / str(pid) / "environ").read_bytes()
    except PermissionError:
        raise CannotRead(f"the environment of process {pid} may not be read: run as its user or as root") from None
    except OSError:
        raise CannotRead(_GONE.format(pid)) from None
    entries = (entry.partition(b"=") for entry in data.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in entries}


def _owner(pid: int) -> int:
    try:
        return (PROC / str(pid)).stat().st_uid
    except OSError:
        raise CannotRead(_GONE.format(pid)) from None


def _ancestors(pid: int) -> tuple[tuple[str, Mapping[str, str]], ...]:
    parent = _parent(pid)
    found: dict[str, Mapping[str, str]] = {}
    for name, ancestor in ((f"the parent process ({parent})", parent), ("PID 1", 1)):
        if ancestor in (0, pid) or (name != "PID 1" and ancestor == 1):
            continue
        try:
            found[name] = _environ(ancestor)
        except CannotRead:
            continue
    return tuple(found.items())


def _parent(pid: int) -> int:
    try:
        # the second field, the command's name in parentheses, may hold anything: count from its end
        return int(
            (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
        )
    except (OSError, ValueError, IndexError):
        return 0


def _link(pid: int, name: str) -> str:
    """Return a directory of /proc if it differs from ours, else ""."""
    here, there = _target(os.getpid(), name), _target(pid, name)
    same_mounts = _target(os.getpid(), "ns/mnt") == _target(pid, "ns/mnt")
    return "" if same_mounts and here == there else str(PROC / str(pid) / name)


def _target(pid: int, name: str) -> str:
    try:
        return str((PROC / str(pid) / name).readlink())
    except OSError:
        return ""


def _other_network(pid: int) -> tuple[str, ...]:
    theirs = _target(pid, "ns/net")
    if not theirs or theirs == _target(os.getpid(), "ns/net"):
        return ()
    return (f"Process {pid} has another network: the endpoints were asked from here, and may answer it otherwise.",)


def _home_of(uid: int) -> str:
    import pwd  # noqa: PLC0415  (not on Windows, which has no /proc to lead here either)

    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return "/"


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # deleted beneath us
        return "/"


def _on_ec2() -> bool:
    """Return whether the firmware says EC2: Nitro by its vendor, Xen by its UUID. Asks no network."""
    for name, start in (("devices/virtual/dmi/id/sys_vendor", "amazon ec2"), ("hypervisor/uuid", "ec2")):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if (Path("/sys") / name).read_text(encoding="utf-8").lower().startswith(start):
                return True
    return False


# --- botocore and the network -------------------------------------------------------------------


def chain_order() -> tuple[str, ...]:
    """Return the methods of the installed botocore's chain in its order.

    The middle differs between versions and is asked of botocore; its ends have never changed. The
    builder is a private class: where it is not as expected, the order known to us stands.
    """
    try:
        builder = ProfileProviderBuilder(botocore.session.Session())
        middle = tuple(provider.METHOD for provider in builder.providers("default"))
    except (AttributeError, TypeError):
        middle = PROFILE_METHODS
    return ("env", "assume-role", *middle, "ec2-credentials-file", "boto-config", "container-role", "iam-role")


def fetch(method: str, url: str, headers: Mapping[str, str], timeout: float) -> Answer:
    """Ask one URL, following no redirect and no proxy. Raises `Unreachable`."""
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    except (ValueError, http.client.InvalidURL):
        raise Unreachable("the URL is not valid") from None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        _connect(connection)
        connection.request(method, path, headers=dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.read(_LONGEST_ANSWER))
    except TimeoutError:
        raise Unreachable("no answer in time") from None
    except (OSError, http.client.HTTPException, ValueError):
        raise Unreachable("the connection broke off") from None
    finally:
        connection.close()


def _connect(connection: http.client.HTTPConnection) -> None:
    try:
        connection.connect()
    except TimeoutError:
        raise Unreachable("no connection in time") from None
    except ConnectionRefusedError:
        raise Unreachable("connection refused") from None
    except OSError:
        raise Unreachable("no route to it") from None
