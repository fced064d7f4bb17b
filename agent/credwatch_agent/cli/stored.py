"""What the commands that read a store share: the option that names it, and one way to read it."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from credwatch_agent.records import Telemetry
from credwatch_agent.store.location import open_store

Db = Annotated[
    str,
    typer.Option(
        metavar="PATH|URL", help="What `serve` keeps: SQLite file, or `postgresql://` or `clickhouse://` URL."
    ),
]


def read_telemetry(db: str) -> Telemetry:
    """Return all that a store holds, as of one moment; raises `StoreError`."""
    with closing(open_store(db, read_only=True)) as store:
        return store.telemetry()
