"""Demo worlds in which all services ran with credwatch: the default one, three from seeds, and one that was mended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from credwatch_agent.records import Process, Telemetry, UsageRow
from examples.demo import agent, counting, play
from examples.demo.counting import Calls
from examples.demo.faults import FAULTS, Finding, expected
from examples.demo.launch import Finished
from examples.demo.nouns import Plan
from examples.demo.plan import plan
from examples.demo.play import Files
from examples.demo.recording import Count, Use
from examples.demo.variant import variant
from examples.demo.world import World, running

ROUNDS = 4
MENDED = frozenset(name for name, fault in FAULTS.items() if not fault.removable)

WORLDS: Mapping[str, tuple[Plan, tuple[Finding, ...]]] = {
    "default": (plan(), expected()),
    **{f"seed-{seed}": variant(seed) for seed in (1, 2, 3)},
    "mended": (plan(faults=MENDED), expected(MENDED)),
}
"""Name -> a world and what must be found there."""


@dataclass(frozen=True)
class Played:
    """A world whose services ran and ended, what must be found there, and what was left.

    `counts` is moto's own record, made before anybody else called anything.
    """

    world: World
    expected: tuple[Finding, ...]
    finished: Mapping[str, Finished]
    counts: Mapping[Use, Count]
    files: Files
    telemetry: Telemetry

    @property
    def moto(self) -> Calls:
        """Return the services' calls as moto recorded them."""
        return counting.by_moto(self.counts, counting.signers(self.world.plan))

    def rows(self, service: str) -> list[UsageRow]:
        """Return the usage that a service reported."""
        processes = self.telemetry.processes
        named = {pid for pid, process in processes.items() if process.resource["service.name"] == service}
        return [row for row in self.telemetry.usage if row.process_id in named]

    def processes(self, service: str) -> list[Process]:
        """Return the processes of a service."""
        return [p for p in self.telemetry.processes.values() if p.resource["service.name"] == service]


@contextmanager
def played_out(built: Plan, must: tuple[Finding, ...], directory: Path) -> Iterator[Played]:
    """Run a world and all its services; it still runs, without them, when this yields."""
    files = Files(directory)
    with running(built) as world:
        with agent.serving(files.db) as serving:
            finished = play.services(world, serving.url, ROUNDS)
        yield Played(world, must, finished, world.counts(), files, files.telemetry())
