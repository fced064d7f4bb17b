"""Headers that a user names, in a file or a variable: which of them can be sent at all.

What cannot is refused here, with a sentence: gRPC's library would write of it to the host's stderr at each export.
Imported only where something is sent, or asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NO_HEADERS: Mapping[str, str] = {"x-credwatch": "1"}
"""What stands for none: OpenTelemetry's exporters take those of the environment in place of none."""

# RFC 9110, section 5.6.2: what a field's name is made of
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def header(name: str, value: str) -> tuple[str, str] | None:
    """Return a header as it is sent, its name in small letters; None where it cannot be sent."""
    name, value = name.strip().lower(), value.strip()
    good = name and _TOKEN.issuperset(name) and value.isascii() and value.isprintable()
    return (name, value) if good else None


def headers_of(path: str) -> dict[str, str]:
    """Return the headers of a file of `name: value` lines; raises OSError or ValueError with a sentence."""
    return headers_in(path, Path(path).read_text(encoding="utf-8"))


def headers_in(path: str, text: str) -> dict[str, str]:
    """Return the headers in the text of such a file; raises ValueError with a sentence that names `path`."""
    headers = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        found = header(name, value) if colon else None
        if found is None:
            raise ValueError(f"{path}, line {number}: expected `name: value`, printable ASCII")
        headers[found[0]] = found[1]
    return headers
