"""The tables of the store of a fleet, as text: on one server, or replicated and sharded over a cluster.

One table holds every noun: a row is the truth rule, its key (kind, process, text, start), its value the
greatest. One insert is one block, all of it or nothing, so whatever must be true together is inserted
together. Kinds beside `usage`, `key` and `health`:

- `process`: that a process was described by a resource (`text`); value 1 if claimed, `last_ns` when last.
- `sealed`: points of this process are no longer taken.
- `folded`: the total `process_id` contains the process `text`, whose own rows no longer count.
- `lease`: who (`text`) may run the periodic jobs, until when (`last_ns`); value 1 once it was given back.
- `schema`, `store`: the version of these tables; the store's own id (`text`).

Kept texts have a table of their own, each change a version of it.

Rows are sharded by process, so that a process, or a total with what it contains, is on one shard.
"""

from __future__ import annotations

FINGERPRINT = (
    r"""if(kind = 'process', extract(text, '"credwatch\\.process\\.fingerprint":"((?:[^"\\\\]|\\\\.)*)"'), '')"""
)
"""The fingerprint in a process's description, as its text has it escaped: what the index holds."""

# a granule has 8,192 processes: of those without the fingerprint that is looked for, one in a hundred is read
_INDEX = f"INDEX fingerprint {FINGERPRINT} TYPE bloom_filter(0.01) GRANULARITY 1"

_POINT = f"""(
    kind LowCardinality(String), process_id String, text String CODEC(ZSTD), start_ns Int64 CODEC(Delta, ZSTD),
    value SimpleAggregateFunction(max, Int64) CODEC(T64, ZSTD),
    last_ns SimpleAggregateFunction(max, Int64) CODEC(Delta, ZSTD), exact SimpleAggregateFunction(min, UInt8),
    {_INDEX})"""

_SPAN = """(
    trace_id String, span_id String, arrived_ns SimpleAggregateFunction(min, Int64) CODEC(Delta, ZSTD),
    text SimpleAggregateFunction(min, String) CODEC(ZSTD))"""

_KEPT = "(name String, version Int64, text SimpleAggregateFunction(max, String) CODEC(ZSTD))"

# name, columns, key, what decides on the shard
_TABLES = (
    ("point", _POINT, "kind, process_id, text, start_ns", "cityHash64(process_id)"),
    ("span", _SPAN, "trace_id, span_id", "cityHash64(trace_id)"),
    ("kept", _KEPT, "name, version", "cityHash64(name)"),
)

# an answer of 200 is a promise: it must survive the power failure that follows
_DURABLE = "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"

SCHEMA = 2


def local(table: str, cluster: str) -> str:
    """Return the table of each server, which alone can be deleted from."""
    return f"{table}_local" if cluster else table


def on(cluster: str) -> str:
    return f" ON CLUSTER '{cluster}'" if cluster else ""


def statements(database: str, cluster: str = "") -> list[str]:
    """Return what makes the tables; harmless where they exist. Without a cluster, those of one server."""
    where = on(cluster)
    made = [f"CREATE DATABASE IF NOT EXISTS {database}{where}"]
    for table, columns, key, shard in _TABLES:
        name = local(table, cluster)
        engine = "AggregatingMergeTree"
        if cluster:
            # the servers' own macros
            engine = f"ReplicatedAggregatingMergeTree('/clickhouse/tables/{{shard}}/{database}/{name}', '{{replica}}')"
        made.append(
            f"CREATE TABLE IF NOT EXISTS {database}.{name}{where} {columns}\n"
            f"    ENGINE = {engine} ORDER BY ({key}) {_DURABLE}"
        )
        if cluster:
            made.append(
                f"CREATE TABLE IF NOT EXISTS {database}.{table}{where} AS {database}.{name}\n"
                f"    ENGINE = Distributed('{cluster}', '{database}', '{name}', {shard})"
            )
    return made


def upgrade(database: str, cluster: str = "") -> list[str]:
    """Return what brings the tables of schema 1, beside those that `statements` adds, to this one; may run twice."""
    table = f"{database}.{local('point', cluster)}{on(cluster)}"
    return [
        f"ALTER TABLE {table} ADD {_INDEX.replace('INDEX', 'INDEX IF NOT EXISTS', 1)}",
        f"ALTER TABLE {table} MATERIALIZE INDEX fingerprint",
    ]
