"""What the commands that read a store share: the option that names it, and one way to read it."""

from __future__ import annotations

from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from credwatch_agent.cli.progress import working
from credwatch_agent.records import Telemetry
from credwatch_agent.store.location import open_store

Db = Annotated[
    str,
    typer.Option(
        metavar="PATH|URL", help="What `serve` keeps: SQLite file, or `postgresql://` or `clickhouse://` URL."
    ),
]


Taken = Annotated[Path, typer.Option(metavar="FILE", help="File that `snapshot` wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: all that the text says.")]


def one_of(words: type[Enum]) -> str:
    """Return the help of an option that takes one of these words."""
    return f"How to write it: {', '.join(str(word.value) for word in words)}."


def read_telemetry(db: str, *, quiet: bool = False) -> Telemetry:
    """Return all that a store holds, as of one moment; raises `StoreError`."""
    with working("reading the store", quiet=quiet), closing(open_store(db, read_only=True)) as store:
        return store.telemetry()
