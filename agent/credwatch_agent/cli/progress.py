"""What a person sees while something takes long: one line on stderr that tells what, how far and for how long.

Nothing where stderr is no terminal, so logs and pipes stay as they are, and nothing with `--quiet`. The line is gone
when the work is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from credwatch_agent.cli.console import err

Tell = Callable[[str, int, int | None], None]
"""Takes what is being done, how many are done, and of how many; None: not known."""

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr, also where it is a terminal.")]


def nowhere(_what: str, _done: int, _of: int | None) -> None:
    """Tell nobody."""


@contextmanager
def working(what: str, *, quiet: bool = False) -> Iterator[Tell]:
    """Show progress while the body runs; it may say more through what it is given."""
    if quiet or not err.is_terminal or err.is_dumb_terminal:
        yield nowhere
        return
    columns = TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    # stdout is the result's, and may be another terminal or a file
    with Progress(*columns, console=err, transient=True, redirect_stdout=False, redirect_stderr=False) as shown:
        line = shown.add_task(what, total=None)

        def tell(what: str, done: int, of: int | None) -> None:
            far = f" {done:,} of {of:,}" if of is not None else f" {done:,}" if done else ""
            shown.update(line, description=f"{what}{far}")

        yield tell
