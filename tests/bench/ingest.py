"""Ingest beside its two floors in one run: `python -m tests.bench.ingest`.

Floor 1 decodes the same bytes to the generated messages and no more. Floor 2 also writes each point's
six integers into a bare SQLite table, with the same pragmas and one transaction a request. Ingest is the
whole of what a request costs behind the edge: decode, check, intern, upsert, commit. Interleaved; medians.
"""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from credwatch import semconv
from credwatch_agent.cli.serve import collect_seldom
from credwatch_agent.otlp import decode_metrics
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.wire import NOW, USAGE, S, counter, metrics, point

PROCESSES, USAGES, ROUNDS = 40, 200, 7
POINTS = PROCESSES * USAGES

Measured = Callable[[bytes], None]


def body(value: int) -> bytes:
    """A Collector's batch: every process's every usage, with a new value."""
    usages = [semconv.encode(USAGE._replace(operation=f"Operation{number}")) for number in range(USAGES)]
    points = [
        point(
            {**usage, semconv.PROCESS_ID: f"7f0c1f6e-0f0f-4c39-8d9b-{process:012x}"}, value=value, time=NOW + value * S
        )
        for process in range(PROCESSES)
        for usage in usages
    ]
    return metrics(counter(points)).SerializeToString()


def decode_only(content: bytes) -> None:
    ExportMetricsServiceRequest.FromString(content)


def bare(path: Path) -> Measured:
    """Decode, and upsert into a table of integers that needs no lookup."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE point (a, b, c, d, e, f, PRIMARY KEY (a, b, c)) WITHOUT ROWID")

    def run(content: bytes) -> None:
        request = ExportMetricsServiceRequest.FromString(content)
        points = request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
        rows = [
            (n // USAGES, n % USAGES, p.start_time_unix_nano, p.as_int, p.time_unix_nano, 1)
            for n, p in enumerate(points)
        ]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO point VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET d = max(d, excluded.d),"
            " e = max(e, excluded.e), f = min(f, excluded.f)",
            rows,
        )
        connection.execute("COMMIT")

    return run


def ingest(path: Path) -> Measured:
    store = SqliteStore.open(path)

    def run(content: bytes) -> None:
        store.put(decode_metrics(content, "protobuf", now_ns=NOW + 3_600 * S).batches)

    return run


def main() -> None:
    """Print points a second of the three, and ingest as a share of the second floor."""
    collect_seldom()  # as the agent does
    with TemporaryDirectory() as directory:
        runs: dict[str, Measured] = {
            "decode only": decode_only,
            "decode + bare SQLite upsert": bare(Path(directory, "bare.db")),
            "ingest": ingest(Path(directory, "ingest.db")),
        }
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(ROUNDS + 1):
            content = body(number)
            for name, run in runs.items():
                began = time.perf_counter()
                run(content)
                if number:  # the first fills tables and caches
                    seconds[name].append(time.perf_counter() - began)
    print(f"{POINTS} points a request, {len(content) / 1e6:.1f} MB, {ROUNDS} interleaved rounds, medians")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name:<30}{POINTS / median:>12,.0f} points/s{median / POINTS * 1e6:>10.1f} us a point")
    print(f"ingest is {medians['decode + bare SQLite upsert'] / medians['ingest']:.2f} of the second floor")


if __name__ == "__main__":
    main()
