"""Which store a location names: by its scheme PostgreSQL or ClickHouse, else it is the path of an SQLite file."""

from __future__ import annotations

from pathlib import Path

from credwatch_agent.store import Store, StoreError
from credwatch_agent.store.sqlite import SqliteStore


def open_store(location: str, *, read_only: bool = False) -> Store:
    """Open the store of a location; raises `StoreError`."""
    scheme, found, _ = location.partition("://")
    if found and scheme in {"postgresql", "postgres"}:
        return _postgres(location, read_only)
    if found and scheme in {"clickhouse", "chdb"}:
        return _clickhouse(location, read_only)
    return SqliteStore.open(Path(location), read_only=read_only)


# an extra each: imported only where it is used


def _postgres(location: str, read_only: bool) -> Store:
    try:
        from credwatch_agent.store.postgres import PostgresStore  # noqa: PLC0415
    except ImportError:
        raise StoreError("a PostgreSQL store needs `psycopg`: pip install 'credwatch-agent[postgres]'") from None
    return PostgresStore.open(location, read_only=read_only)


def _clickhouse(location: str, read_only: bool) -> Store:
    try:
        from credwatch_agent.store.clickhouse import ClickHouseStore  # noqa: PLC0415
    except ImportError:
        raise StoreError(
            "a ClickHouse store needs `clickhouse-connect`: pip install 'credwatch-agent[clickhouse]'"
        ) from None
    return ClickHouseStore.open(location, read_only=read_only)
