"""What a view can be asked: its parameters, each a row with its meaning, checked before a view sees them.

Pure. Knows no HTTP: a query is a mapping of text to text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

MAX_TEXT = 2_048
MAX_NUMBER = 999_999
PAGE = 50
"""Rows of a list on one page."""


class BadQuestion(Exception):
    """A parameter is wrong; the text says which and what to give."""


class NotFound(Exception):
    """What was asked for is not there; the text says what."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a view. `choices` are its only values, none means any text; `number` one from 1."""

    name: str
    meaning: str
    choices: tuple[str, ...] = ()
    default: str = ""
    required: bool = False
    number: bool = False

    def read(self, query: Mapping[str, str]) -> str:
        """Return its value in a query; raises `BadQuestion`."""
        # forms of browsers send what was left empty: it is as if it was not given; no form has a number
        text = query.get(self.name, "") or ("" if self.number and self.name in query else self.default)
        if self.required and not text:
            raise BadQuestion(f"`{self.name}` is missing: give {self.meaning}")
        if len(text) > MAX_TEXT:
            raise BadQuestion(f"`{self.name}` is longer than {MAX_TEXT} characters")
        if self.choices and text and text not in self.choices:
            raise BadQuestion(f"`{self.name}` is none of {', '.join(self.choices)}")
        if self.number and not (text.isascii() and text.isdecimal() and 0 < int(text[:9]) <= MAX_NUMBER):
            raise BadQuestion(f"`{self.name}` is no number from 1 to {MAX_NUMBER}")
        return text


Asked = Mapping[str, str]
"""The parameters of a question, each checked, those that were not given as their defaults."""

PAGE_NUMBER = Parameter("page", "the page of the list, from 1", default="1", number=True)


def asked(parameters: Sequence[Parameter], query: Mapping[str, str]) -> Asked:
    """Return the parameters of a query; raises `BadQuestion`. What is no parameter is ignored."""
    return {each.name: each.read(query) for each in parameters}


@dataclass(frozen=True, slots=True)
class Pages:
    """Where a page of a list stands: `first` and `last` count rows from 1."""

    page: int
    pages: int
    rows: int
    first: int
    last: int


def paged(rows: Sequence[T], page: str, size: int = PAGE) -> tuple[tuple[T, ...], Pages]:
    """Return the rows of one page, and where it stands; past the end it is the last one."""
    pages = max(1, -(-len(rows) // size))
    number = min(int(page), pages)
    begin = (number - 1) * size
    shown = tuple(rows[begin : begin + size])
    return shown, Pages(number, pages, len(rows), min(begin + 1, len(rows)), begin + len(shown))
