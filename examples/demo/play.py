"""What one does with a running world: its services run with credwatch, then the agent's commands."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from credwatch_agent.records import Span, Telemetry
from credwatch_agent.store.sqlite import SqliteStore
from examples.demo import agent, launch
from examples.demo.launch import Finished
from examples.demo.world import World

# these jobs are short and machines are small: the second that a service waits at its end may not be enough
ENVIRONMENT = {"CREDWATCH_ENABLED": "1", "CREDWATCH_EXIT_TIMEOUT": "60"}


@dataclass(frozen=True)
class Files:
    """Where a run keeps what the agent received and what it read from the account."""

    directory: Path

    @property
    def db(self) -> Path:
        return self.directory / "credwatch.db"

    @property
    def snapshot(self) -> Path:
        return self.directory / "snapshot.json"

    def telemetry(self) -> Telemetry:
        """Return all that the recorders reported."""
        with contextlib.closing(SqliteStore.open(self.db, read_only=True)) as store:
            return store.telemetry()

    def spans(self) -> tuple[Span, ...]:
        """Return all spans that arrived."""
        with contextlib.closing(SqliteStore.open(self.db, read_only=True)) as store:
            return store.spans()

    def compared(self) -> list[str]:
        """Return the options of a command that compares both, with a window that holds all that was reported."""
        begun = min((process.first_ns for process in self.telemetry().processes.values()), default=time.time_ns())
        seconds = (time.time_ns() - begun) / 10**9 + 15  # the command looks at its clock a little later than this
        return ["--db", str(self.db), "--snapshot", str(self.snapshot), "--window", f"{seconds / 86_400:.6f}"]

    def shown(self) -> list[str]:
        """Return the options of an agent whose page shows both, as of the last report, however late one looks."""
        processes = self.telemetry().processes.values()
        begun = min((process.first_ns for process in processes), default=0)
        ended = max((process.last_ns for process in processes), default=1)
        days = (ended - begun) / 10**9 / 86_400
        return ["--snapshot", str(self.snapshot), "--window", f"{days:.9f}", "--as-of", "last-report"]


def services(world: World, url: str, rounds: int) -> dict[str, Finished]:
    """Run every service of the world with credwatch on, reporting to `url`."""
    on = {**ENVIRONMENT, "CREDWATCH_ENDPOINT": url}
    return launch.run_all(world, lambda name: {**on, "OTEL_SERVICE_NAME": name}, rounds=rounds)


def snapshot(world: World, files: Files) -> str:
    """Have the agent read the account; return what it said."""
    code, said = agent.command(
        ["snapshot", "--out", str(files.snapshot)], extra=world.auditor_environment(), capture=True
    )
    if code:
        raise RuntimeError(f"credwatch-agent snapshot: exit code {code}: {said}")
    return said.strip()


def report(files: Files) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the document of `credwatch-agent report --json`."""
    code, text = command(files, ["report", "--json"])
    document: dict[str, Any] = json.loads(text)
    return code, document


def command(files: Files, arguments: Sequence[str]) -> tuple[int, str]:
    """Run a command of the agent that compares telemetry with policies; return its exit code and its output."""
    return agent.command([*arguments, *files.compared()], capture=True)
