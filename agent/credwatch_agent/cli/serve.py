"""`credwatch-agent serve`: receive telemetry and keep it."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import time
from types import FrameType
from typing import Annotated, Any

import typer
import uvicorn

from credwatch_agent.cli.console import out
from credwatch_agent.cli.failure import CLEAN, CannotServe, UsageError
from credwatch_agent.receiver import Ingest, create_app, create_server
from credwatch_agent.store.location import open_store

_DRAIN_S = 10
_BACKLOG = 1024
_MAX_PORT = 65_535


def serve(
    db: Annotated[
        str, typer.Option(metavar="PATH|URL", help="SQLite file, made if it does not exist, or `postgresql://` URL.")
    ],
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=_MAX_PORT, help="Port of OTLP/HTTP; 0 takes a free one.")] = 4318,
    grpc_port: Annotated[
        str, typer.Option(metavar="PORT|off", help="Port of OTLP/gRPC; 0 takes a free one, `off` serves none.")
    ] = "4317",
) -> int:
    """Receive OTLP over HTTP and gRPC and keep it, until SIGTERM or Ctrl-C."""
    _require_loopback(host)
    rpc_port = _rpc_port(grpc_port)
    store = open_store(db)
    try:
        with _bind(host, port, "--port") as listener:
            if rpc_port:
                # gRPC binds by itself and says little where it cannot: ask first
                _bind(host, rpc_port, "--grpc-port").close()
            ingest = Ingest(store, now_ns=time.time_ns)
            rpc = None if rpc_port is None else _Rpc(ingest, _address(host), rpc_port)
            config = uvicorn.Config(
                create_app(ingest),
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=_DRAIN_S,
                server_header=False,
            )
            _run(_Server(config, rpc), listener)
    finally:
        store.close()
    return CLEAN


class _Rpc:
    """The gRPC server, to be started and stopped within the event loop of the HTTP server."""

    def __init__(self, ingest: Ingest, address: str, port: int) -> None:
        self._ingest = ingest
        self._address = address
        self._port = port
        self._server: Any = None

    async def start(self) -> str:
        """Listen; return where."""
        self._server = create_server(self._ingest)
        try:
            port = self._server.add_insecure_port(_authority(self._address, self._port))
        except RuntimeError:
            raise _cannot_listen(self._address, self._port, "address already in use", "--grpc-port") from None
        await self._server.start()
        return f"grpc://{_authority(self._address, port)}"

    async def stop(self) -> None:
        """Let calls in flight end."""
        await self._server.stop(_DRAIN_S)


class _Server(uvicorn.Server):
    """Says on stdout where it listens, once it does, so that scripts can wait for the lines."""

    def __init__(self, config: uvicorn.Config, rpc: _Rpc | None) -> None:
        super().__init__(config)
        self._rpc = rpc

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        places = [await self._rpc.start()] if self._rpc else []
        await super().startup(sockets=sockets)
        for place in [*map(_url, sockets or ()), *places]:
            out.print(f"listening on {place}", soft_wrap=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._rpc:
            await asyncio.gather(self._rpc.stop(), super().shutdown(sockets=sockets))
        else:
            await super().shutdown(sockets=sockets)


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


def _rpc_port(text: str) -> int | None:
    if text in ("off", "none"):
        return None
    if not text.isdecimal() or int(text) > _MAX_PORT:
        raise UsageError(f"`--grpc-port {text}` is no port: give a number from 0 to {_MAX_PORT}, or `off`")
    return int(text)


def _address(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host


def _bind(host: str, port: int, option: str) -> socket.socket:
    address = _address(host)
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        # a restart must not wait for the connections of the one before
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_listen(address, port, (error.strerror or str(error)).lower(), option) from None
    return listener


def _cannot_listen(address: str, port: int, why: str, option: str) -> CannotServe:
    return CannotServe(f"cannot listen on {address} port {port}: {why}; give another `{option}`")


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{_authority(host, port)}"
