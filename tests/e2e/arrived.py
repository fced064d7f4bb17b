"""What reached an agent by way of a forwarder, held against what the applications counted themselves."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from credwatch_agent.store import StoreError
from credwatch_agent.store.sqlite import SqliteStore
from tests.e2e.collector import Tally, until


class Arrived:
    """What an agent's store holds."""

    def __init__(self, db: Path) -> None:
        store = SqliteStore.open(db, read_only=True)
        self.telemetry, self.spans = store.telemetry(), store.spans()
        store.close()

    @property
    def tally(self) -> Tally:
        tally: Tally = Counter()
        for row in self.telemetry.usage:
            name = self.telemetry.processes[row.process_id].resource["service.name"]
            (arn,) = row.usage.resources
            tally[name, row.usage.operation, arn.rpartition(":")[2]] += row.calls
        return tally


def wait_for_all(db: Path, tally: Tally, what: str) -> None:
    """Wait until counts and spans are complete; then hold them against the applications' own tally, and print."""
    begun, total = time.monotonic(), sum(tally.values())

    def complete() -> bool:
        try:
            arrived = Arrived(db)
        except StoreError:  # the agent has not made its file yet
            return False
        closed = sum(process.closed or 0 for process in arrived.telemetry.processes.values())
        return (closed, sum(arrived.tally.values()), len(arrived.spans)) >= (total, total, total)

    until(complete, f"{total} calls to arrive")
    arrived = Arrived(db)
    assert arrived.tally == tally
    assert len(arrived.spans) == total
    assert all(row.exact for row in arrived.telemetry.usage)
    made: Counter[str] = Counter()
    for (name, *_), count in tally.items():
        made[name] += count
    processes = arrived.telemetry.processes.values()
    assert sorted((each.resource["service.name"], each.closed or 0) for each in processes) == sorted(made.items())
    seconds = time.monotonic() - begun
    print(f"{what}: {total} calls, difference {len(arrived.spans) - total}, complete after {seconds:.1f} s")
