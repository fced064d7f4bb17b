"""The map's packaged data: read once, from the package's own directory and nowhere else."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parent / "data"


def service(name: str) -> dict[str, Any] | None:
    """Return the table of a service, None where there is none."""
    # the name becomes a file name: nothing but a client name may reach the disk
    if not (name.replace("-", "").isalnum() and name.isascii()):
        return None
    return _read(f"{name}.json")


@lru_cache(maxsize=16)
def general(name: str) -> dict[str, Any]:
    """Return one of the files that speak of all services; `name` is one of ours."""
    return _read(f"general/{name}.json") or {}


@lru_cache(maxsize=512)
def client(name: str, service: str) -> dict[str, Any] | None:
    """Return what a generated file says of one client, None where nothing.

    Such a file has a line for each client, and a process uses few: the others are not parsed.
    """
    content = _generated(name)
    begin = f"\n  {json.dumps(service)}: ".encode()
    at = content.find(begin)
    if at < 0:
        return None
    parsed: dict[str, Any] = json.loads(content[at + len(begin) : content.index(b"\n", at + 1)].rstrip(b","))
    return parsed


@lru_cache(maxsize=2)
def _generated(name: str) -> bytes:
    return _content(f"general/{name}.json") or b""


def forget() -> None:
    """Forget what was read, after a file was written anew."""
    general.cache_clear()
    client.cache_clear()
    _generated.cache_clear()


def _read(path: str) -> dict[str, Any] | None:
    content = _content(path)
    if content is None:
        return None
    parsed: dict[str, Any] = json.loads(content)
    return parsed


def _content(path: str) -> bytes | None:
    try:
        return (_DATA / path).read_bytes()
    except OSError:
        return None
