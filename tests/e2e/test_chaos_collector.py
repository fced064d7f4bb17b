"""Chaos with a real Collector between: it and the agent are killed at random, and the count is that of the tally."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

import httpx
import pytest

from credwatch_agent.store import StoreError
from tests.agent.serving import Agent
from tests.agent.test_chaos import Tally, answered, counted, requests
from tests.e2e.collector import Collector, free_port, until

pytestmark = [pytest.mark.slow, pytest.mark.collector]

FULL_SIZE, SHARDS, SAMPLE = 20, 4, [3]

# an exporter that waits less than it should in production, so that a run takes seconds
_IMPATIENT = [
    f"--set=exporters.otlp_http/credwatch.{option}"
    for option in (
        "timeout=2s",
        "retry_on_failure.initial_interval=100ms",
        "retry_on_failure.max_interval=300ms",
        "sending_queue.batch.flush_timeout=50ms",
    )
]


class Run:
    """One Collector, one agent behind it, and what happens to them by one seed."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.rng = Random(seed)
        self.pending, self.tally = requests(self.rng)
        self.location = str(directory / f"{seed}.db")
        self.port = free_port()
        self.agent = Agent(self.location, port=self.port)
        self.collector = Collector(
            directory / f"{seed}", f"http://127.0.0.1:{self.port}", "http://127.0.0.1:9", *_IMPATIENT
        )
        self.collector.start()
        self.seen: Counter[str] = Counter()

    def hurt(self) -> None:
        """Perhaps kill one of the two; a dead agent may stay away for some requests."""
        if self.agent.dead and self.rng.random() < 0.3:
            self.revive()
        if self.rng.random() < 0.1:
            self.seen["agents killed"] += not self.agent.dead
            self.agent.bury()
        if self.seen["Collectors killed"] < 3 and self.rng.random() < 0.1:
            self.seen["Collectors killed"] += 1
            self.collector.end(signal.SIGKILL)  # what it took last may have met no attempt yet
            self.collector.start()

    def revive(self) -> None:
        self.agent.bury()
        self.agent = Agent(self.location, port=self.port)

    def send(self, client: httpx.Client) -> None:
        request = self.pending.pop()
        status = answered(client, self.collector, request)
        self.seen["requests"] += 1
        if status != 200:
            self.pending.insert(self.rng.randint(0, len(self.pending)), request)

    def arrived(self) -> Tally:
        try:
            return counted(self.location)
        except StoreError:  # an agent that was killed before it made its file
            return {}

    def end(self) -> None:
        self.collector.end(signal.SIGKILL)
        self.agent.bury()


def run(seed: int, directory: Path) -> Counter[str]:
    """Send all to the Collector; raises where what arrives behind it is not the tally."""
    made = Run(seed, directory)
    try:
        with httpx.Client(timeout=60) as client:
            while made.pending:
                made.hurt()
                made.send(client)
        while made.agent.dead:
            made.revive()
        until(lambda: made.arrived() == made.tally, f"the tally of seed {seed}", 120)
    finally:
        made.end()
    return made.seen


def chaos(seeds: Iterable[int], directory: Path) -> str:
    """Return what happened in all the runs, in figures."""
    total: Counter[str] = Counter()
    for seed in seeds:
        total.update(run(seed, directory))
        total["runs"] += 1
    happened = ", ".join(f"{total[what]} {what}" for what in ("agents killed", "Collectors killed", "requests"))
    return f"Collector: N = {total['runs']} runs, {happened}, difference to the tally 0"


def test_no_call_is_lost_behind_a_collector_in_a_few_runs(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("chaos", chaos(SAMPLE, tmp_path))


@pytest.mark.verify
@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_call_is_lost_behind_a_collector(
    tmp_path: Path, record_property: Callable[[str, object], None], shard: int
) -> None:
    record_property("chaos", chaos(range(2_000 + shard, 2_000 + FULL_SIZE, SHARDS), tmp_path))
