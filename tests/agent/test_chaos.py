"""Chaos: agents killed, disks full, the store's connection cut, clocks that jump, duplicates, reordering; the count is
that of an independent tally.

Each run has its own empty store, one or two agents on it, and senders that send until they are answered by 200,
as exporters do. `make test` runs a few, `make verify` all: with those through the real Collector
(tests/e2e/test_chaos_collector.py), 200.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing, nullcontext, suppress
from pathlib import Path
from random import Random
from typing import NamedTuple, Protocol

import httpx
import pytest

from credwatch import semconv
from credwatch_agent.receiver import PROTOBUF
from credwatch_agent.store.location import open_store
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.databases import administered, clickhouse
from tests.agent.serving import HOUR, Agent
from tests.agent.test_store import Postgres
from tests.agent.wire import START, USAGE, S, counter, metrics, point

SIZES = {"sqlite": 110, "postgres": 50, "clickhouse": 20, "clickhouse-server": 20}
SAMPLES = {"sqlite": [11, 28], "postgres": [21], "clickhouse": [20], "clickhouse-server": [20]}  # of the cheaper ones
SHARDS = 4

Tally = dict[tuple[str, str], int]


class Kind(NamedTuple):
    """How stores of one kind are made and hurt: `fresh` names an empty one, `cut` breaks all its connections.

    `fill` has the store at a location find its disk full, or not any more.
    """

    fresh: Callable[[int], str]
    agents: int = 2  # that may write it at once
    limits: bool = False  # a full disk is a limit of the agent's file sizes
    cut: Callable[[], None] | None = None
    fill: Callable[[str, bool], None] | None = None


HAPPENED = ("kills", "full disks", "cut connections", "clocks", "requests", "of them cut off")


def requests(rng: Random) -> tuple[list[bytes], Tally]:
    """Cumulative reports of some processes whose clocks jump, out of order and some twice, and the truth about them."""
    tally: Tally = {}
    made: list[bytes] = []
    for number in range(rng.randint(2, 5)):
        process = f"7f0c1f6e-0f0f-4c39-8d9b-{number:012x}"
        usages = [USAGE._replace(operation=f"Op{n}") for n in range(rng.randint(1, 8))]
        values = dict.fromkeys((usage.operation for usage in usages), 0)
        for interval in range(1, rng.randint(3, 9)):
            points = []
            time_ns = START + interval * S + rng.choice([0, 0, 0, rng.randint(-HOUR, HOUR)])
            for usage in usages:
                values[usage.operation] += rng.randint(0, 5)
                attributes = {**semconv.encode(usage), semconv.PROCESS_ID: process}
                points.append(point(attributes, value=values[usage.operation], start=START - HOUR, time=time_ns))
            made.append(metrics(counter(points)).SerializeToString())
        tally.update({(process, operation): value for operation, value in values.items()})
    made += rng.sample(made, k=rng.randint(0, len(made)))
    rng.shuffle(made)
    return made, tally


class Run:
    """One store, its agents, and all that happens to them by one seed."""

    def __init__(self, seed: int, kind: Kind) -> None:
        self.rng = Random(seed)
        self.pending, self.tally = requests(self.rng)
        self._kind = kind
        self.location = kind.fresh(seed)
        self.limit = self.rng.randint(20_000, 120_000) if kind.limits and self.rng.random() < 0.4 else 0
        if self.limit:
            SqliteStore.open(Path(self.location)).close()  # the first agents have a file, and room for a few commits
        self.full = False
        self.seen: Counter[str] = Counter()
        self._timers: list[threading.Timer] = []
        self._to_kill = self.rng.randint(1, 3)
        self.agents = [self.start(self.limit) for _ in range(self.rng.choice([1, 1, 2][: kind.agents + 1]))]

    def start(self, limit: int = 0) -> Agent:
        self.seen["clocks"] += 1
        # no farther than where processes are folded, and points of the future are refused
        now_ns = START + self.rng.randint(-20, 90 * 24) * HOUR
        return Agent(self.location, limit, now_ns)

    def alive(self) -> Agent:
        """Return one of the agents, started again where it is dead; what hurts it may be under way."""
        which = self.rng.randrange(len(self.agents))
        if self.agents[which].dead:
            self.agents[which].bury()
            self.agents[which] = self.start()
        if self._to_kill and self.rng.random() < 0.2:
            self._to_kill -= 1
            self._soon("kills", self.agents[which].kill)
        if self._kind.cut and self.rng.random() < 0.1:
            self._soon("cut connections", self._kind.cut)
        if self._kind.fill and not self.full and self.rng.random() < 0.05:
            self.full = True
            self._kind.fill(self.location, True)
        return self.agents[which]

    def _soon(self, what: str, action: Callable[[], None]) -> None:
        self.seen[what] += 1
        self._timers.append(threading.Timer(self.rng.uniform(0, 0.02), action))
        self._timers[-1].start()

    def send(self, client: httpx.Client) -> None:
        """Send one request to one agent; unless it is taken, it will be sent again."""
        agent, request = self.alive(), self.pending.pop()
        status = answered(client, agent, request)
        self.seen.update({"requests": 1, "of them cut off": not status})
        if status != 200:
            self.pending.insert(self.rng.randint(0, len(self.pending)), request)
        if status == 503:
            assert self.limit or self._kind.cut
            if self.full and self._kind.fill:
                self.seen["full disks"] += 1
                self.full = False
                self._kind.fill(self.location, False)
            if self.limit:
                self.seen["full disks"] += 1
                agent.kill()  # of no use without room; the next one has it

    def end(self) -> None:
        for timer in self._timers:
            timer.join()
        for agent in self.agents:
            agent.bury()


def run(seed: int, kind: Kind) -> Counter[str]:
    """Send all until all is answered by 200, whatever dies meanwhile; raises where the counts differ."""
    made = Run(seed, kind)
    with httpx.Client(timeout=60) as client:
        while made.pending:
            made.send(client)
    made.end()
    assert counted(made.location) == made.tally, f"seed {seed}"
    return made.seen


class Receiver(Protocol):
    """What takes requests: an agent, or a Collector before one."""

    url: str


def answered(client: httpx.Client, agent: Receiver, request: bytes) -> int:
    """Return the status, 0 where there was no answer."""
    try:
        answer = client.post(f"{agent.url}/v1/metrics", content=request, headers={"content-type": PROTOBUF})
    except (httpx.TransportError, httpx.UnsupportedProtocol):
        return 0
    assert answer.status_code in {200, 503}
    return answer.status_code


def counted(location: str) -> Tally:
    with closing(open_store(location, read_only=True)) as store:
        found = {(row.process_id, row.usage.operation): row.calls for row in store.telemetry().usage}
    if "://" not in location:
        with closing(sqlite3.connect(location)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return found


def chaos(name: str, seeds: Iterable[int], directory: Path) -> str:
    """Return what happened in all the runs on one kind of store, in figures."""
    total: Counter[str] = Counter()
    with ExitStack() as stack:
        kind = KINDS[name](directory, stack)
        for seed in seeds:
            total.update(run(seed, kind))
            total["runs"] += 1
    happened = ", ".join(f"{total[what]} {what}" for what in HAPPENED)
    return f"{name}: N = {total['runs']} runs, {happened}, difference to the tally 0"


def _sqlite(directory: Path, _stack: ExitStack) -> Kind:
    return Kind(lambda seed: str(directory / f"{seed}.db"), limits=True)


def _postgres(directory: Path, stack: ExitStack) -> Kind:
    server = Postgres(*stack.enter_context(administered(directory)))

    def fresh(_seed: int) -> str:
        server.fresh().close()
        return server.url

    return Kind(fresh, cut=server.disconnect_all)


def _clickhouse(directory: Path, _stack: ExitStack) -> Kind:
    # the engine is in the agent's process: killed with it, and one at a time
    return Kind(lambda seed: f"chdb://{directory / str(seed)}", agents=1)


def _clickhouse_server(directory: Path, stack: ExitStack) -> Kind:
    port = stack.enter_context(clickhouse(directory / "data"))

    def fresh(seed: int) -> str:
        return f"clickhouse://127.0.0.1:{port}/of_{seed}"

    def told(path: str, statement: str) -> None:
        for last in (*[False] * 199, True):
            with nullcontext() if last else suppress(httpx.TransportError):  # cut too
                httpx.post(f"http://127.0.0.1:{port}{path}", content=statement, timeout=60).raise_for_status()
                return

    def cut() -> None:
        told("/cut", "")

    def fill(location: str, full: bool) -> None:
        # the engine refuses an insert where its disk has less room than this
        setting = f"min_free_disk_bytes_to_perform_insert = {10**18 if full else 0}"
        told("/", f"ALTER TABLE {location.rpartition('/')[2]}.point MODIFY SETTING {setting}")

    return Kind(fresh, cut=cut, fill=fill)


KINDS: dict[str, Callable[[Path, ExitStack], Kind]] = {
    "sqlite": _sqlite,
    "postgres": _postgres,
    "clickhouse": _clickhouse,
    "clickhouse-server": _clickhouse_server,
}


# ClickHouse in this process is a part of `make verify` alone: behind its server it is asked the same
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(kind, marks=pytest.mark.verify if kind == "clickhouse" else ()) for kind in KINDS]
)
def test_no_call_is_lost_or_counted_twice_in_a_few_runs(
    tmp_path: Path, record_property: Callable[[str, object], None], name: str
) -> None:
    record_property("chaos", chaos(name, SAMPLES[name], tmp_path))


@pytest.mark.verify
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("name", KINDS)
def test_no_call_is_lost_or_counted_twice(
    tmp_path: Path, record_property: Callable[[str, object], None], name: str, shard: int
) -> None:
    record_property("chaos", chaos(name, range(1_000 + shard, 1_000 + SIZES[name], SHARDS), tmp_path))
