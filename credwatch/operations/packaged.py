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


def _read(path: str) -> dict[str, Any] | None:
    try:
        content = (_DATA / path).read_bytes()
    except OSError:
        return None
    parsed: dict[str, Any] = json.loads(content)
    return parsed
