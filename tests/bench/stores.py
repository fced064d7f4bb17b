"""What a point costs in each store: `python -m tests.bench.stores`, the figures behind docs/scale.md.

Batches as a Collector sends them (8,000 points) are decoded beforehand; then put, put again with new values, and
read whole. Seconds of a wall clock and of this process; bytes on disk a row. PostgreSQL and ClickHouse are real
engines on this machine; ClickHouse's runs in this process, so that its own work is in the seconds.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import clickhouse_connect

from credwatch_agent.cli.serve import collect_seldom
from credwatch_agent.otlp import decode_metrics
from credwatch_agent.records import Batch
from credwatch_agent.store import Store
from credwatch_agent.store.location import open_store
from tests.agent.databases import administered
from tests.agent.wire import NOW, S
from tests.bench.ingest import POINTS, body

GROUPS, ROUNDS = 20, 2
ROWS = GROUPS * POINTS


def batches(value: int) -> Iterator[tuple[Batch, ...]]:
    """Yield the requests of all groups of processes, decoded."""
    content = body(value)
    for group in range(GROUPS):
        sent = content.replace(b"7f0c1f6e-0f0f", b"%08x-0f0f" % group)
        yield decode_metrics(sent, "protobuf", now_ns=NOW + 3_600 * S).batches


def measure(name: str, store: Store, size: Callable[[], int]) -> None:
    """Print a line a kind of work."""
    for value in range(ROUNDS):
        decoded = list(batches(value))
        wall, own = time.perf_counter(), time.process_time()
        for request in decoded:
            store.put(request)
        wall, own = time.perf_counter() - wall, time.process_time() - own
        what = "new" if value == 0 else "again"
        print(f"{name:<12}{what:<8}{ROWS / wall:>12,.0f} points/s{own / ROWS * 1e6:>8.1f} us of this process a point")
    began = time.perf_counter()
    rows = len(store.telemetry().usage)
    print(
        f"{name:<12}{'read':<8}{rows / (time.perf_counter() - began):>12,.0f} rows/s  {size() / rows:>8.1f} bytes a row"
    )


_POSTGRES = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname IN ('point', 'attributes', 'process')"
_CLICKHOUSE = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'credwatch'"


def main() -> None:
    """Print the table."""
    content = body(1)
    squeezed = len(gzip.compress(content))
    print(f"a point is {len(content) / POINTS:.0f} bytes of OTLP, {squeezed / POINTS:.1f} in gzip; {ROWS:,} rows each")
    collect_seldom()
    with TemporaryDirectory() as path, ExitStack() as stack:
        directory = Path(path)
        with closing(open_store(str(directory / "db"))) as store:
            measure("SQLite", store, lambda: (directory / "db").stat().st_size)
        url, admin = stack.enter_context(administered(directory))
        with closing(open_store(url)) as store:
            measure("PostgreSQL", store, lambda: int((admin.execute(_POSTGRES).fetchone() or (0,))[0]))
        engine = directory / "clickhouse"
        with (
            closing(open_store(f"chdb://{engine}")) as store,
            closing(clickhouse_connect.get_client(interface="chdb", path=str(engine))) as client,
        ):
            measure("ClickHouse", store, lambda: int(client.query(_CLICKHOUSE).result_rows[0][0]))
            client.command("OPTIMIZE TABLE credwatch.point FINAL")
            print(f"ClickHouse  merged  {int(client.query(_CLICKHOUSE).result_rows[0][0]) / ROWS:>41.1f} bytes a row")


if __name__ == "__main__":
    main()
