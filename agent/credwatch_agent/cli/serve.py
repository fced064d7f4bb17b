"""`credwatch-agent serve`: receive telemetry and keep it."""

from __future__ import annotations

import ipaddress
import signal
import socket
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
import uvicorn

from credwatch_agent.cli.console import out
from credwatch_agent.cli.failure import CLEAN, CannotServe, UsageError
from credwatch_agent.receiver import create_app
from credwatch_agent.store.sqlite import SqliteStore

_DRAIN_S = 10
_BACKLOG = 1024


def serve(
    db: Annotated[Path, typer.Option(help="SQLite file that keeps the telemetry; made if it does not exist.")],
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of OTLP/HTTP; 0 takes a free one.")] = 4318,
) -> int:
    """Receive OTLP over HTTP and keep it, until SIGTERM or Ctrl-C."""
    _require_loopback(host)
    store = SqliteStore.open(db)
    try:
        with _bind(host, port) as listener:
            app = create_app(store, now_ns=time.time_ns)
            config = uvicorn.Config(
                app, log_level="warning", access_log=False, timeout_graceful_shutdown=_DRAIN_S, server_header=False
            )
            _run(_Server(config), listener)
    finally:
        store.close()
    return CLEAN


class _Server(uvicorn.Server):
    """Says on stdout where it listens, once it does, so that scripts can wait for the line."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        for listener in sockets or ():
            out.print(f"listening on {_url(listener)}", soft_wrap=True)


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn drains on these signals, then raises them again for whoever held them before: a signal
    # that was obeyed is no failure, so that is us
    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[listener])
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _require_loopback(host: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UsageError(
            f"`--host {host}` is no loopback address: anyone who reaches it could write evidence; "
            "use 127.0.0.1 or ::1, and a Collector on this host for other hosts"
        )


def _bind(host: str, port: int) -> socket.socket:
    address = "127.0.0.1" if host == "localhost" else host
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        # a restart must not wait for the connections of the one before
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        what = (error.strerror or str(error)).lower()
        raise CannotServe(f"cannot listen on {address} port {port}: {what}; give another `--port`") from None
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
