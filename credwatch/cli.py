"""The command `credwatch`: a table of subcommands, each registered by its own room.

Owns what all of them share: how help is laid out, and what an interrupt or a closed pipe means.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from credwatch import __version__, completion, run
from credwatch.doctor import command as doctor
from credwatch.identity import command as whoami

COMMANDS: tuple[Callable[[Any], None], ...] = (
    whoami.register,
    run.register,
    doctor.register,
    completion.register,
)
"""Each adds its subcommand and sets `run`, which takes the parsed arguments and returns the exit code."""

_COULD_NOT_KNOW, INTERRUPTED, BROKEN_PIPE = 3, 130, 141
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_EPILOG = """\
exit codes: 0 clean, 1 findings, 2 usage, 3 could not know; 130 interrupted, 141 the reader of a
pipe has gone. `credwatch COMMAND --help` has examples.
"""


class _Help(argparse.HelpFormatter):
    """Wraps paragraphs to the terminal; a line that is indented, such as an example, stays as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = []
        for part in text.strip("\n").split("\n\n"):
            free = [line for line in part.splitlines() if not line.startswith(" ")]
            kept = [line for line in part.splitlines() if line.startswith(" ")]
            wrapped = textwrap.wrap(" ".join(free), width, break_on_hyphens=False, break_long_words=False)
            parts.append("\n".join(indent + line for line in (*wrapped, *kept)))
        return "\n\n".join(parts)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    made = argparse.ArgumentParser(
        prog="credwatch",
        description="Which credential source signs each AWS call.",
        epilog=_EPILOG,
        formatter_class=_Help,
    )
    made.add_argument("--version", action="version", version=f"credwatch {__version__}")
    subcommands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for register in COMMANDS:
        register(subcommands)
    for each in subcommands.choices.values():
        each.formatter_class = _Help
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `credwatch`; returns the exit code: 0 clean, 1 findings, 2 usage, 3 could not know."""
    if sys.stdout is None:  # the caller closed it
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the program runs
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            # a character that the terminal does not have must not end the command
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # the interpreter flushes once more at its end, and would tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.stderr.write(f"credwatch: cannot write: {os.strerror(error.errno or 0).lower()}\n")
        return _COULD_NOT_KNOW
    except KeyboardInterrupt:
        sys.stderr.write("credwatch: interrupted\n")
        return INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    made = parser()
    completion.answer(made)
    parsed = made.parse_args(arguments)
    code: int = parsed.run(parsed)
    return code
