"""Starts a service of the world as a process that sees nothing of the developer's own environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from examples.demo.nouns import Service
from examples.demo.world import World

ROOT = Path(__file__).parents[2]

TallyTable = dict[str, dict[str, dict[str, int]]]
"""{service: {operation: {outcome: calls}}}"""


@dataclass(frozen=True)
class Running:
    """A started service: its process, and where it will write its tally."""

    process: subprocess.Popen[str]
    tally_file: Path

    def wait(self, timeout: float = 60) -> Finished:
        """Wait for the end; a service that takes longer than `timeout` seconds is killed and raises."""
        try:
            output, errors = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        # processes that a service forks write a file each, beside its own
        files = sorted(self.tally_file.parent.glob(f"{self.tally_file.stem}*.json"))
        tallies: list[TallyTable] = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        return Finished(self.process.returncode, output, errors, _sum(tallies))


@dataclass(frozen=True)
class Finished:
    """What a service left behind."""

    returncode: int
    output: str
    errors: str
    tally: TallyTable

    @property
    def calls(self) -> dict[tuple[str, str], int]:
        """(service, operation) -> calls, whatever came of them."""
        return {
            (service, operation): sum(outcomes.values())
            for service, operations in self.tally.items()
            for operation, outcomes in operations.items()
        }


def _sum(tallies: Iterable[TallyTable]) -> TallyTable:
    total: TallyTable = {}
    for tally in tallies:
        for service, operations in tally.items():
            for operation, outcomes in operations.items():
                row = total.setdefault(service, {}).setdefault(operation, {})
                for outcome, calls in outcomes.items():
                    row[outcome] = row.get(outcome, 0) + calls
    return total


def interpreter(service: Service) -> str:
    """Return the Python that a service runs with."""
    if service.interpreter == "main":
        return sys.executable
    python = ROOT / ".venv-async" / "bin" / "python"
    if not python.exists():
        raise RuntimeError(f"service `{service.name}` needs an environment of its own: run `make .venv-async/.ready`")
    return str(python)


def start(
    world: World,
    service_name: str,
    *,
    rounds: int = 3,
    extra: Mapping[str, str] | None = None,
    wrapper: Sequence[str] = (),
) -> Running:
    """Start a service of the plan.

    `extra` is added to its environment (CREDWATCH_ENABLED=1 and the like); `wrapper` is a command to run
    it under (`opentelemetry-instrument`).
    """
    service = world.plan.service(service_name)
    argv = [*wrapper, interpreter(service), "-m", service.module, "--rounds", str(rounds)]
    return start_command(world, service_name, argv, extra=extra)


def run(
    world: World,
    service_name: str,
    *,
    rounds: int = 3,
    extra: Mapping[str, str] | None = None,
    wrapper: Sequence[str] = (),
) -> Finished:
    """Start a service and wait for its end."""
    return start(world, service_name, rounds=rounds, extra=extra, wrapper=wrapper).wait()


def run_all(
    world: World, extra: Callable[[str], Mapping[str, str]] = lambda _: {}, *, rounds: int = 3, at_once: int = 2
) -> dict[str, Finished]:
    """Run every service of the plan, `at_once` at a time; `extra` gives further variables by service name."""
    names = [service.name for service in world.plan.services]
    with ThreadPoolExecutor(at_once) as pool:
        done = pool.map(lambda name: run(world, name, rounds=rounds, extra=extra(name)), names)
        return dict(zip(names, done, strict=True))


def start_command(
    world: World, service_name: str, argv: Sequence[str], *, extra: Mapping[str, str] | None = None
) -> Running:
    """Start any command where a service runs, as `docker exec` would: same environment, same endpoints."""
    service = world.plan.service(service_name)
    place = Path(tempfile.mkdtemp(prefix=f"{service_name}-", dir=world.directory))
    home = place / "home"
    home.mkdir()
    tally_file = place / "tally.json"
    environment = {
        "PATH": os.pathsep.join([str(Path(interpreter(service)).parent), os.defpath]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "DEMO_TALLY": str(tally_file),
        **world.environment(service),
        **(extra or {}),
    }
    process = subprocess.Popen(
        list(argv),
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    world.processes.append(process)
    return Running(process, tally_file)
