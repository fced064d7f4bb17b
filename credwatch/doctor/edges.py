"""The world as it is: this Python or another process's, and the one request to the endpoint."""

from __future__ import annotations

import contextlib
import http.client
import importlib
import importlib.metadata
import os
import re
import site
import socket
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from credwatch import run
from credwatch.doctor.checks import PLUGIN_VARIABLE
from credwatch.doctor.model import Answered, Post, Python, Silent, Subject
from credwatch.fingerprint import fingerprint
from credwatch.identity import edges
from credwatch.identity.model import World

TIMEOUT = 2.0
_MOST = 4_096
_PTH = "credwatch.pth"
_AUTO = "opentelemetry/instrumentation/auto_instrumentation"


def this_process() -> Subject:
    """Return what doctor itself runs as: a Python started in this environment, as a service would be."""
    world = edges.this_process()
    directories = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    versions = _versions(None)
    pth, fault = _pth(directories)
    python = Python(
        executable=sys.executable,
        version=versions.get("credwatch", ""),
        pth=pth,
        pth_fault=fault,
        no_site=bool(sys.flags.no_site),
        versions=versions,
        floors=_floors(None),
        missing=_missing_seams(),
        hooked=_hooked(),
        by_opentelemetry=f"{_AUTO.replace('/', '.')}._load" in sys.modules,
        plugin_works=_plugin_works(world.environ),
    )
    return _subject("this process", python, world, None)


def other_process(pid: int) -> Subject:
    """Return another process, by what it was started with. Raises `identity.edges.CannotRead`."""
    world = edges.other_process(pid)
    return _subject(f"process {pid}", _python_of(pid, world), world, fingerprint(pid))


def _subject(who: str, python: Python | None, world: World, mark: str | None) -> Subject:
    return Subject(
        who,
        python,
        world.environ,
        world.text,
        lambda name: str(world.path(name)),
        world.foreign,
        world.notes,
        mark,
        time.time_ns(),
    )


# --- what is installed --------------------------------------------------------------------------


def _distributions(directories: list[str] | None) -> Iterable[importlib.metadata.Distribution]:
    return importlib.metadata.distributions(path=sys.path if directories is None else directories)


def _versions(directories: list[str] | None) -> dict[str, str]:
    """Return distribution -> version; `directories` None for this Python's own path, whose first entry wins."""
    found: dict[str, str] = {}
    for distribution in _distributions(directories):
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version or "")
    return found


def _floors(directories: list[str] | None) -> dict[str, str]:
    """Return the lowest versions that the installed credwatch names."""
    requires: list[str] = []
    for distribution in _distributions(directories):
        if distribution.metadata["Name"] == "credwatch":
            requires = distribution.requires or []
            break
    matches = (re.match(r"([\w.-]+)\s*\(?>=\s*([\d.]+)", line) for line in requires if ";" not in line)
    return {match[1]: match[2] for match in matches if match}


def _pth(directories: Iterable[str]) -> tuple[str, str]:
    """Return where credwatch.pth is, and what is wrong with it."""
    for directory in directories:
        path = Path(directory) / _PTH
        if path.exists():
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                return str(path), "cannot be read"
            return str(path), "" if "credwatch.bootstrap" in text else "does not start credwatch"
    return "", ""


def _missing_seams() -> dict[str, str]:
    from credwatch.instrumentation import Instrumentation  # noqa: PLC0415 - brings the SDK
    from credwatch.instrumentor import active  # noqa: PLC0415
    from credwatch.settings import Settings  # noqa: PLC0415

    try:
        return (active() or Instrumentation(Settings(), {})).missing()
    except (ImportError, AttributeError) as error:
        return {str(getattr(error, "name", "") or "a class that is wrapped"): "which credential signed"}


def _hooked() -> bool:
    """Return whether credwatch is on here: botocore is imported by now, so whatever hooks it has."""
    from credwatch.instrumentor import active  # noqa: PLC0415

    return active() is not None


def _plugin_works(environ: Mapping[str, str]) -> bool | None:
    modules = re.findall(r"=\s*(credwatch[\w.]*)", environ.get(PLUGIN_VARIABLE, ""))
    if not modules:
        return None
    try:
        return hasattr(importlib.import_module(modules[0]), "initialize_client_plugin")
    except ImportError:
        return False


# --- another process ----------------------------------------------------------------------------


def _python_of(pid: int, world: World) -> Python | None:
    """Return the Python of another process, from its command line and its files; None if there is none."""
    command = _command(pid)
    program = _program(command, world)
    if not program or not run.is_python(program):
        return None
    directories = [path for path in _site_packages(program, world) if Path(path).is_dir()]
    versions = _versions(directories)
    pth, fault = _pth(directories)
    return Python(
        executable=program,
        version=versions.get("credwatch", ""),
        pth=pth,
        pth_fault=fault,
        no_site="S" in run.python_options(command[1:]),
        versions=versions,
        floors=_floors(directories),
        hooked=True if _has_our_thread(pid) else None,
        by_opentelemetry=_AUTO in world.environ.get("PYTHONPATH", ""),
    )


def _command(pid: int) -> list[str]:
    try:
        data = (edges.PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in data.split(b"\0")[:-1]]


def _program(command: list[str], world: World) -> str:
    """Return the path, in its own root, of the program that a process runs."""
    name = command[0] if command else ""
    if "/" in name:
        return name if name.startswith("/") else f"{world.cwd}/{name}"
    for directory in world.environ.get("PATH", os.defpath).split(os.pathsep):
        if name and directory and Path(f"{world.root}{directory}/{name}").exists():
            return f"{directory}/{name}"
    return ""


def _site_packages(program: str, world: World) -> list[str]:
    """Return the directories that may hold its packages: a virtual environment's, or the installation's."""
    prefix = Path(f"{world.root}{program}").parent.parent
    if not (prefix / "pyvenv.cfg").is_file():
        prefix = Path(f"{world.root}{program}").resolve().parent.parent
    patterns = ("lib/python3*/site-packages", "lib/python3*/dist-packages", "local/lib/python3*/dist-packages")
    return [str(path) for pattern in patterns for path in sorted(prefix.glob(pattern))]


def _has_our_thread(pid: int) -> bool:
    """Return whether the recorder's thread is seen: Python 3.14 and later give threads their names."""
    for name in (edges.PROC / str(pid) / "task").glob("*/comm"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if name.read_text(encoding="utf-8").strip() == "credwatch":
                return True
    return False


# --- the network --------------------------------------------------------------------------------


def ask(post: Post) -> Answered:
    """Send one request without a body (an empty OTLP export has none), or only connect. Raises `Silent`."""
    try:
        parts = urlsplit(post.url)
        host, port = parts.hostname or "", parts.port
        if post.method == "grpc":
            socket.create_connection((host, port or (443 if parts.scheme == "https" else 4317)), TIMEOUT).close()
            return Answered(0, "", b"")
        return _http(post, host, port)
    except TimeoutError:
        raise Silent(f"no answer in {TIMEOUT:g} s") from None
    except ConnectionRefusedError:
        raise Silent("connection refused, nothing listens there") from None
    except ssl.SSLError as error:
        reason = "its certificate is not trusted" if isinstance(error, ssl.SSLCertVerificationError) else "no TLS"
        raise Silent(reason) from None
    except socket.gaierror:
        raise Silent("its name is not known") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Silent(f"no HTTP answer ({type(error).__name__})") from None


def _http(post: Post, host: str, port: int | None) -> Answered:
    parts = urlsplit(post.url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=post.certificate or None)
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    content = {"Content-Type": "application/x-protobuf"} if post.method == "POST" else {}
    try:
        connection.request(post.method, path, headers={**content, **post.headers})
        response = connection.getresponse()
        return Answered(response.status, response.getheader("Content-Type") or "", response.read(_MOST))
    finally:
        connection.close()
