"""Serving agents for tests to kill: processes of their own that run the real command.

Each is forked from one process that has imported what agents import; where a test starts hundreds, imports would
be most of its time.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from tests.agent.wire import START, S

HOUR = 3_600 * S

_forked = multiprocessing.get_context("forkserver")
_forked.set_forkserver_preload([
    __name__, "credwatch_agent.cli", "credwatch_agent.store.postgres", "credwatch_agent.store.clickhouse",
    # what typer and uvicorn import when they start
    "pydantic.json_schema", "uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.protocols.websockets.auto",
])  # fmt: skip


def _serve(told: Connection, limit: int, ahead_ns: int, command: list[str]) -> None:
    from credwatch_agent.cli import main

    sys.stdout = open(told.fileno(), "w", closefd=False)  # noqa: SIM115 - for as long as the process lives
    with open(os.devnull, "w") as silence:  # noqa: PTH123
        os.dup2(silence.fileno(), 2)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    real_ns = time.time_ns
    time.time_ns = lambda: real_ns() + ahead_ns
    sys.exit(main(command))


class Agent:
    """A serving process; `limit` is how large a file it may write, 0 for any; its clock is at `now_ns` when it starts.

    Requests of tests are of a time that is past: by the host's clock, their processes would be folded one day.
    """

    def __init__(
        self,
        location: str,
        limit: int = 0,
        now_ns: int = START + HOUR,
        port: int = 0,
        options: Sequence[str] = (),
    ) -> None:
        command = ["serve", "--db", location, "--port", str(port), "--grpc-port", "off", *options]
        hears, told = _forked.Pipe(duplex=False)
        self._process = _forked.Process(
            target=_serve, args=(told, limit, now_ns - time.time_ns(), command), daemon=True
        )
        with hears:
            with told:
                self._process.start()
            with open(hears.fileno(), closefd=False) as lines:
                self.url = lines.readline().removeprefix("listening on ").strip()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def dead(self) -> bool:
        return not self.url or self._process.exitcode is not None

    def kill(self) -> None:
        self._process.kill()

    def bury(self) -> None:
        self._process.kill()
        self._process.join()
