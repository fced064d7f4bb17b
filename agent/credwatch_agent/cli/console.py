"""The two streams of the command line, and how sentences and documents are written to them.

Results go to `out`, everything else to `err`. What is for people is broken between words at the terminal's width
(80 where there is none), so that a name or an ARN stays whole and can be copied; what is for machines is written as
it is, but on a terminal: there no name from outside may be a command. Knows nothing of what is said.
"""

from __future__ import annotations

import json
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from textwrap import wrap
from typing import Any

from rich.console import Console

from credwatch_agent.exports.layout import visible


class _Console(Console):
    """Leaves it to `main` what a reader that has gone means, such as `head`."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _console(stderr: bool) -> _Console:
    """Return a console that writes no escape sequence where none is wanted; rich itself would still write bold."""
    plain = bool(os.environ.get("NO_COLOR"))
    width = 80 if os.environ.get("COLUMNS") == "0" else None  # which rich would take for no room at all
    return _Console(
        stderr=stderr, color_system=None if plain else "auto", width=width, highlight=False, markup=False, emoji=False
    )


_LEAST = 20

out, err = _console(stderr=False), _console(stderr=True)


def say(text: str, *, first: str = "", later: str | None = None, console: Console = out) -> None:
    """Write a sentence, `first` before its first line and `later` (default: as wide, blank) before the others.

    Hidden characters are written out: a terminal might obey them.
    """
    lines = wrap(
        visible(text),
        max(console.width, _LEAST),
        initial_indent=first,
        subsequent_indent=" " * len(first) if later is None else later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines or [first.rstrip()]:
        console.print(line, soft_wrap=True)


def data(text: str) -> None:
    """Write lines as they are; on a terminal hidden characters are written out, which it might obey."""
    out.print(visible(text) if out.is_terminal else text, soft_wrap=True)


def document(value: Any, *, indent: int | None = 2) -> None:
    """Write a value as JSON, whole and unbroken; `indent=None` makes it one line.

    Hidden characters are written out as JSON has it, so that it stays the same value.
    """
    out.print(visible(json.dumps(value, indent=indent)), soft_wrap=True)


def never_unwritable() -> None:
    """Let a stream that cannot write some character write its number: a role's name must not end a report.

    What is written to a stream that the caller closed goes nowhere.
    """
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the program runs
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
