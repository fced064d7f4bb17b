"""Chaos: agents killed, disks full, duplicates, reordering; the count is that of an independent tally.

Each run has its own file, one or two agents on it, and senders that send until they are answered by 200,
as exporters do. `make test` runs a few, `make verify` 200.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx
import pytest

from credwatch import semconv
from credwatch_agent.receiver import PROTOBUF
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.wire import START, USAGE, S, counter, metrics, point

FULL_SIZE, SHARDS, SAMPLE = 200, 4, 4

_LAUNCH = """
import resource, sys
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from credwatch_agent.cli import main
sys.exit(main(sys.argv[2:]))
"""

Tally = dict[tuple[str, str], int]


class Agent:
    """A serving process; `limit` is how large a file it may write, 0 for any."""

    def __init__(self, db: Path, limit: int = 0) -> None:
        command = ["serve", "--db", str(db), "--port", "0", "--grpc-port", "off"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(limit), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().removeprefix("listening on ").strip()

    @property
    def dead(self) -> bool:
        return not self.url or self._process.poll() is not None

    def kill(self) -> None:
        self._process.kill()

    def bury(self) -> None:
        self._process.kill()
        self._process.communicate()


class Seen(NamedTuple):
    """What happened in a run."""

    kills: int
    full_disks: int
    cut_off: int
    sent: int


def requests(rng: Random) -> tuple[list[bytes], Tally]:
    """Cumulative reports of some processes, out of order and some of them twice, and the truth about them."""
    tally: Tally = {}
    made: list[bytes] = []
    for number in range(rng.randint(2, 5)):
        process = f"7f0c1f6e-0f0f-4c39-8d9b-{number:012x}"
        usages = [dataclasses.replace(USAGE, operation=f"Op{n}") for n in range(rng.randint(1, 8))]
        values = dict.fromkeys((usage.operation for usage in usages), 0)
        for interval in range(1, rng.randint(3, 9)):
            points = []
            for usage in usages:
                values[usage.operation] += rng.randint(0, 5)
                attributes = {**semconv.encode(usage), semconv.PROCESS_ID: process}
                points.append(point(attributes, value=values[usage.operation], time=START + interval * S))
            made.append(metrics(counter(points)).SerializeToString())
        tally.update({(process, operation): value for operation, value in values.items()})
    made += rng.sample(made, k=rng.randint(0, len(made)))
    rng.shuffle(made)
    return made, tally


def run(seed: int, db: Path) -> Seen:
    """Send all until all is answered by 200, whatever dies meanwhile; raises where the counts differ."""
    rng = Random(seed)
    pending, tally = requests(rng)
    limit = rng.randint(20_000, 120_000) if rng.random() < 0.4 else 0
    if limit:
        SqliteStore.open(db).close()  # the first agents have a file, and room for a few commits
    agents = [Agent(db, limit) for _ in range(rng.choice([1, 1, 2]))]
    to_kill, full, cut_off, sent, timers = rng.randint(1, 3), 0, 0, 0, []
    kills = to_kill
    with httpx.Client(timeout=60) as client:
        while pending:
            which = rng.randrange(len(agents))
            if agents[which].dead:
                agents[which].bury()
                agents[which] = Agent(db)
            if to_kill and rng.random() < 0.2:
                to_kill -= 1
                timers.append(threading.Timer(rng.uniform(0, 0.02), agents[which].kill))
                timers[-1].start()
            request = pending.pop()
            sent += 1
            status = answered(client, agents[which], request)
            if status != 200:
                pending.insert(rng.randint(0, len(pending)), request)
            cut_off += not status
            if status == 503:
                assert limit
                full += 1
                agents[which].kill()  # of no use without room; the next one has it
    for timer in timers:
        timer.join()
    for agent in agents:
        agent.bury()
    assert counted(db) == tally, f"seed {seed}"
    return Seen(kills - to_kill, full, cut_off, sent)


def answered(client: httpx.Client, agent: Agent, request: bytes) -> int:
    """Return the status, 0 where there was no answer."""
    try:
        answer = client.post(f"{agent.url}/v1/metrics", content=request, headers={"content-type": PROTOBUF})
    except (httpx.TransportError, httpx.UnsupportedProtocol):
        return 0
    assert answer.status_code in {200, 503}
    return answer.status_code


def counted(db: Path) -> Tally:
    with closing(SqliteStore.open(db, read_only=True)) as store:
        found = {(row.process_id, row.usage.operation): row.calls for row in store.telemetry().usage}
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found


def chaos(seeds: range, directory: Path) -> str:
    """Return what happened in all the runs, in figures."""
    total: Counter[str] = Counter()
    for seed in seeds:
        total.update(run(seed, directory / f"{seed}.db")._asdict())
        total["runs"] += 1
    return (
        f"N = {total['runs']} runs, {total['kills']} kills, {total['full_disks']} full disks, "
        f"{total['sent']} requests, {total['cut_off']} of them cut off, difference to the tally 0"
    )


@pytest.mark.slow
def test_no_call_is_lost_or_counted_twice_in_a_few_runs(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("chaos", chaos(range(SAMPLE), tmp_path))


@pytest.mark.verify
@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_call_is_lost_or_counted_twice(
    tmp_path: Path, record_property: Callable[[str, object], None], shard: int
) -> None:
    record_property("chaos", chaos(range(1_000 + shard, 1_000 + FULL_SIZE, SHARDS), tmp_path))
