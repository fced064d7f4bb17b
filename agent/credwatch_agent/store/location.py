"""Which store a location names: a `postgresql://` URL, else the path of an SQLite file."""

from __future__ import annotations

from pathlib import Path

from credwatch_agent.store import Store, StoreError
from credwatch_agent.store.sqlite import SqliteStore


def open_store(location: str, *, read_only: bool = False) -> Store:
    """Open the store of a location; raises `StoreError`."""
    if not location.startswith(("postgresql://", "postgres://")):
        return SqliteStore.open(Path(location), read_only=read_only)
    try:
        from credwatch_agent.store.postgres import PostgresStore  # noqa: PLC0415 - an extra: only where it is used
    except ImportError:
        raise StoreError("a PostgreSQL store needs `psycopg`: pip install 'credwatch-agent[postgres]'") from None
    return PostgresStore.open(location, read_only=read_only)
