"""TOML files, and what is said where one cannot be read. Their content is never quoted: it may be a secret."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from credwatch_agent.cli.failure import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read(path: Path, page: str = "docs/serve.md") -> dict[str, Any]:
    """Return the document of a file; `page` shows an example of one. Raises `UsageError`."""
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise UsageError(f"`{path}` cannot be read: {why}; give the path of a TOML file") from None
    except ValueError as error:
        raise UsageError(f"`{path}` is no TOML: {_place(error)}; see {page} for an example") from None
    return document


def _place(error: ValueError) -> str:
    # the parser's sentence ends with the place; what is before it may repeat the content
    _, _, place = str(error).rpartition("(at ")
    return place.rstrip(")") if place and place != str(error) else "it cannot be parsed"
