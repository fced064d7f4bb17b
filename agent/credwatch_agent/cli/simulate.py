"""`credwatch-agent simulate`: decide requests from JSON lines, one answer a line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from credwatch_agent.cli.console import err
from credwatch_agent.cli.failure import CLEAN, USAGE, UsageError
from credwatch_agent.exports.layout import visible
from credwatch_agent.iam.simulate import BadRecord, answer_line


def simulate(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="JSON lines, one request a line; `-` is standard input.")
    ] = Path("-"),
) -> int:
    """Decide requests, a line each, by the policies in them.

    A local `aws iam simulate-custom-policy`.
    """
    with _opened(file) as lines:
        bad = [number for number, line in enumerate(lines, start=1) if not _answered(number, line)]
    return USAGE if bad else CLEAN


def _answered(number: int, line: bytes) -> bool:
    """Write the answer to one line, and on stderr what is wrong with it; say whether nothing was."""
    wrong: list[str] = []
    try:
        text = line.decode("utf-8-sig").strip()
        if text:
            sys.stdout.write(visible(answer_line(text, wrong.append)) + "\n")
            sys.stdout.flush()  # whoever writes the requests may wait for the answers
    except UnicodeDecodeError as error:
        wrong = [f"not UTF-8 at byte {error.start}; write it as UTF-8"]
    except BadRecord as error:
        wrong.append(str(error))
    for sentence in wrong:
        err.print(visible(f"credwatch-agent: line {number}: {sentence}"), soft_wrap=True)
    return not wrong


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        opened = file.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {(error.strerror or str(error)).lower()}") from None
    with opened:
        yield opened
