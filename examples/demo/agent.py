"""Starts credwatch-agent as a process beside the world, and runs its commands as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_LISTENING = "listening on "


@dataclass(frozen=True)
class Agent:
    """A serving agent: where it listens and the file that it keeps."""

    url: str
    db: Path


@contextmanager
def serving(db: Path, port: int = 0, *more: str, python: str = sys.executable) -> Iterator[Agent]:
    """Run `credwatch-agent serve` on a loopback port, a free one if 0; at the end it is told to stop, by process id."""
    options = ["--db", str(db), "--port", str(port), "--grpc-port", "off", *more]
    command = [python, "-m", "credwatch_agent", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment({})) as process:
        try:
            yield Agent(_wait(process), db)
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[str]) -> str:
    if process.stdout is None:
        raise RuntimeError("the agent was started without a pipe")
    for line in process.stdout:
        if line.startswith(_LISTENING):
            return line.removeprefix(_LISTENING).strip()
    raise RuntimeError("credwatch-agent ended before it listened; its reason is above")


def command(
    arguments: Sequence[str], *, extra: Mapping[str, str] | None = None, capture: bool = False
) -> tuple[int, str]:
    """Run one command of the agent; return its exit code and, where `capture` is set, what it printed on stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "credwatch_agent", *arguments],
        env=_environment(extra or {}),
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.PIPE if capture else None,
        text=True,
        check=False,
    )
    if capture and not done.stdout:
        raise RuntimeError(f"credwatch-agent {arguments[0]}: exit code {done.returncode}: {done.stderr}")
    return done.returncode, done.stdout or ""


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "TERM", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "PYTHONPATH")
    return {**{name: os.environ[name] for name in kept if name in os.environ}, **extra}
