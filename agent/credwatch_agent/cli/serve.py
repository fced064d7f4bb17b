"""`credwatch-agent serve`: receive telemetry and keep it, and show what it tells."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any

import typer
import uvicorn
from starlette.types import ASGIApp

from credwatch_agent import web
from credwatch_agent.access import Tokens
from credwatch_agent.cli import logs
from credwatch_agent.cli.compared import emits, read_exemptions
from credwatch_agent.cli.config import Config, gathered
from credwatch_agent.cli.console import out
from credwatch_agent.cli.failure import CLEAN, CannotServe, UsageError
from credwatch_agent.cli.settings import DAY_NS, Settings
from credwatch_agent.cli.tls import Http, Tls
from credwatch_agent.cli.token_file import TokenFile
from credwatch_agent.evidence import Settings as Evidence
from credwatch_agent.findings.exemptions import Exemption
from credwatch_agent.receiver import Ingest, create_app, create_server
from credwatch_agent.receiver.http import PEER
from credwatch_agent.receiver.openapi import PATHS
from credwatch_agent.store import StoreError
from credwatch_agent.store.location import open_store

_DRAIN_S = 10
_BACKLOG = 1024
_RETENTION_S = 3_600

_log = logging.getLogger(__name__)


def serve(  # noqa: PLR0913, PLR0917 - an option each
    config: Config = None,
    db: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URL",
            help="SQLite file, made if missing, or `postgresql://` or `clickhouse://` URL.",
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address to listen on; loopback, unless there are tokens. [127.0.0.1]"),
    ] = None,
    port: Annotated[
        str | None, typer.Option(metavar="PORT", help="Port of OTLP/HTTP; 0 takes a free one. [4318]")
    ] = None,
    grpc_port: Annotated[
        str | None,
        typer.Option(metavar="PORT|off", help="Port of OTLP/gRPC; 0 takes a free one, `off` serves none. [4317]"),
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(metavar="FILE", help="TOML file of bearer tokens and client certificates.")
    ] = None,
    tls_certificate: Annotated[
        str | None, typer.Option(metavar="FILE", help="PEM file of the agent's certificate: TLS on both ports.")
    ] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="PEM file of its private key.")] = None,
    client_ca: Annotated[
        str | None, typer.Option(metavar="FILE", help="PEM file of authorities of client certificates (mTLS).")
    ] = None,
    fold_after: Annotated[
        str | None, typer.Option(metavar="DAYS", help="Fold processes that have not reported for so long. [100]")
    ] = None,
    keep: Annotated[
        str | None, typer.Option(metavar="DAYS", help="Delete what has not reported for so long. [400]")
    ] = None,
    log_format: Annotated[str | None, typer.Option(metavar="FORMAT", help="`text` or `json`. [text]")] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="`error`, `warning` or `info`. [warning]")
    ] = None,
    page: Annotated[
        str | None, typer.Option(metavar="on|off", help="Serve the page on the port of OTLP/HTTP. [on]")
    ] = None,
    snapshot: Annotated[
        str | None, typer.Option(metavar="FILE", help="File that `snapshot` wrote, for the page.")
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="DAYS", help="Days in which the page must not have seen what it calls unused. [90]"),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="MOMENT", help="The page's moment: `now`, or `last-report`. [now]")
    ] = None,
    exemptions: Annotated[
        str | None, typer.Option(metavar="FILE", help="TOML file of exempted findings, for the page.")
    ] = None,
    trace_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of a trace, with {trace_id} in it, for the page.")
    ] = None,
) -> int:
    """Receive OTLP, keep it, and show it as a page.

    Over HTTP and gRPC, until SIGTERM or Ctrl-C. A TOML file of settings gives way to the environment
    (CREDWATCH_SERVE_*), and that to these options. In brackets is what holds where none says anything.
    """
    flags = {
        "db": db, "host": host, "port": port, "grpc_port": grpc_port, "tokens": tokens,
        "tls_certificate": tls_certificate, "tls_key": tls_key, "client_ca": client_ca,
        "fold_after": fold_after, "keep": keep, "log_format": log_format, "log_level": log_level,
        "page": page, "snapshot": snapshot, "window": window, "as_of": as_of,
        "exemptions": exemptions, "trace_url": trace_url,
    }  # fmt: skip
    _, told = gathered(config, flags)
    valid = TokenFile(told.tokens) if told.tokens else None
    tls = Tls(told.tls_certificate, told.tls_key, told.client_ca) if told.tls_certificate and told.tls_key else None
    logs.start(told.log_format, told.log_level)
    store = open_store(told.db)
    try:
        with _bind(told.host, told.port, "--port") as listener:
            if told.grpc_port:
                # gRPC binds by itself and says little where it cannot: ask first
                _bind(told.host, told.grpc_port, "--grpc-port").close()
            ingest = Ingest(store, now_ns=time.time_ns, tokens=valid)
            rpc = None if told.grpc_port is None else _Rpc(ingest, _address(told.host), told.grpc_port, tls)
            uvicorn_config = uvicorn.Config(
                _app(ingest, told, valid),
                http=Http,
                log_config=None,
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=_DRAIN_S,
                server_header=False,
            )
            if tls:
                uvicorn_config.load()
                uvicorn_config.ssl = tls.context()
            elif not told.loopback:
                _log.warning("tokens and telemetry cross the network in the clear: give `--tls-certificate`")
            collect_seldom()
            _run(_Server(uvicorn_config, rpc, _Retention(ingest, told)), listener)
    finally:
        store.close()
    return CLEAN


def collect_seldom() -> None:
    """Let the garbage collector wait for a hundred thousand objects.

    A request of ten thousand points makes three times as many tuples, all of which die by themselves; to walk
    them every seven hundred costs a tenth of ingest.
    """
    gc.freeze()
    gc.set_threshold(100_000)


def _app(ingest: Ingest, told: Settings, tokens: Callable[[], Tokens] | None) -> ASGIApp:
    """Return what one port serves: OTLP, and the page beside it."""
    otlp = create_app(ingest)
    if not told.page:
        return otlp
    read_exemptions(told.exemptions)  # a file that is wrong is said at the start

    def exempted() -> tuple[Exemption, ...]:
        try:
            return read_exemptions(told.exemptions)
        except UsageError as error:
            raise StoreError(str(error)) from None

    frozen = told.as_of == "last-report"
    given = web.Given(told.snapshot, Evidence(window_days=told.window), emits, frozen, exempted)
    source = web.Source(ingest.store, given, time.time_ns)
    door = web.Door(tokens, time.time_ns, lambda request: request.scope.get("state", {}).get(PEER, ()))
    return web.beside(web.create_page(source, door, told.trace_url, PATHS), otlp)


class _Retention:
    """Folds and forgets, now and each hour, off the event loop."""

    def __init__(self, ingest: Ingest, told: Settings) -> None:
        self._ingest = ingest
        self._fold_ns, self._keep_ns = int(told.fold_after * DAY_NS), int(told.keep * DAY_NS)

    async def run(self) -> None:
        while True:
            now_ns = time.time_ns()
            try:
                done = await asyncio.to_thread(
                    self._ingest.store.retain, now_ns - self._fold_ns, now_ns - self._keep_ns
                )
            except StoreError as error:
                _log.error("retention failed", extra={"fields": {"reason": str(error)}})
            else:
                self._ingest.meters.add("credwatch_agent_processes_folded_total", done.folded)
                self._ingest.meters.add("credwatch_agent_processes_forgotten_total", done.forgotten)
                if any(done):
                    _log.info("retention", extra={"fields": done._asdict()})
            await asyncio.sleep(_RETENTION_S)


class _Rpc:
    """The gRPC server, to be started and stopped within the event loop of the HTTP server."""

    def __init__(self, ingest: Ingest, address: str, port: int, tls: Tls | None) -> None:
        self._ingest = ingest
        self._address = address
        self._port = port
        self._tls = tls
        self._server: Any = None

    async def start(self) -> str:
        """Listen; return where."""
        self._server = create_server(self._ingest)
        place = _authority(self._address, self._port)
        try:
            if self._tls:
                port = self._server.add_secure_port(place, self._tls.credentials())
            else:
                port = self._server.add_insecure_port(place)
        except RuntimeError:
            raise _cannot_listen(self._address, self._port, "address already in use", "--grpc-port") from None
        await self._server.start()
        return f"{'grpcs' if self._tls else 'grpc'}://{_authority(self._address, port)}"

    async def stop(self) -> None:
        """Let calls in flight end."""
        await self._server.stop(_DRAIN_S)


class _Server(uvicorn.Server):
    """Says on stdout where it listens, once it does, so that scripts can wait for the lines."""

    def __init__(self, config: uvicorn.Config, rpc: _Rpc | None, retention: _Retention) -> None:
        super().__init__(config)
        self._rpc = rpc
        self._retention = retention
        self._retaining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        places = [await self._rpc.start()] if self._rpc else []
        await super().startup(sockets=sockets)
        scheme = "https" if self.config.ssl else "http"
        for place in [*(_url(scheme, listener) for listener in sockets or ()), *places]:
            out.print(f"listening on {place}", soft_wrap=True)
            _log.info("listening", extra={"fields": {"on": place}})
        self._retaining = asyncio.create_task(self._retention.run())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _log.info("draining")
        if self._retaining:
            self._retaining.cancel()
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


def _url(scheme: str, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{_authority(host, port)}"
