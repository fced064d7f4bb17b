"""Where the statements of a policy document stand in its text: lines and columns, from 1. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")


class Region(NamedTuple):
    """From the first character to behind the last one."""

    line: int
    column: int
    end_line: int
    end_column: int


class Placed(NamedTuple):
    """A statement and where it stands."""

    statement: Any
    region: Region


def placed(text: str) -> tuple[Placed, ...]:
    """Return the statements of a document in their order; none of what is no policy document."""
    try:
        return tuple(_statements(text))
    except (ValueError, IndexError, RecursionError):
        return ()


def _statements(text: str) -> Iterator[Placed]:
    for name, start in _members(text, _skip(text, 0)):
        if name == "Statement":
            if text[start] != "[":
                yield _value(text, start)
            else:
                yield from _items(text, start)


def _members(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Yield each name of an object that begins at `at`, and where its value begins."""
    if text[at] != "{":
        raise ValueError("no object")
    at = _skip(text, at + 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # the colon
        yield str(name), at
        _, at = _DECODER.raw_decode(text, at)
        at = _next(text, at)


def _items(text: str, at: int) -> Iterator[Placed]:
    at = _skip(text, at + 1)
    while text[at] != "]":
        yield _value(text, at)
        _, at = _DECODER.raw_decode(text, at)
        at = _next(text, at)


def _next(text: str, at: int) -> int:
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at] == "," else at


def _value(text: str, start: int) -> Placed:
    value, end = _DECODER.raw_decode(text, start)
    return Placed(value, Region(*_place(text, start), *_place(text, end)))


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _place(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def find(text: str, statement: Mapping[str, Any], index: int) -> Region | None:
    """Return where a statement stands in a document that may have been edited: the same, else its Sid, else index."""
    every = placed(text)
    sid = statement.get("Sid")
    for same in (
        lambda each, _: each == statement,
        lambda each, _: bool(sid) and isinstance(each, dict) and each.get("Sid") == sid,
        lambda _, position: position == index,
    ):
        for position, (each, region) in enumerate(every):
            if same(each, position):
                return region
    return None
