"""TLS of both listeners, from PEM files that are read again when they change: no restart to rotate certificates."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from uvicorn.protocols.http.h11_impl import H11Protocol

from credwatch_agent.cli.failure import UsageError
from credwatch_agent.cli.token_file import mark
from credwatch_agent.receiver import PEER

_log = logging.getLogger(__name__)


class _Loaded(NamedTuple):
    """What the files held at one time: for HTTP, and for gRPC."""

    context: ssl.SSLContext
    configuration: grpc.ServerCertificateConfiguration


class Tls:
    """The agent's certificate, and with `client_ca` whose client certificates it believes.

    Reading fails at the start; later, where the files do not fit (a rotation half done), the former ones serve.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """Read the files; raises `UsageError`."""
        self._files = certificate, key, client_ca
        self._lock = threading.Lock()
        self._seen = self._marks()
        self._loaded = _read(*self._files)

    def _marks(self) -> list[tuple[int, ...]]:
        return [mark(file) for file in self._files if file]

    def current(self) -> _Loaded:
        """Return what the files hold now, or held when they last fitted."""
        with self._lock:
            seen = self._marks()
            if seen != self._seen:
                self._seen = seen
                self._reread()
            return self._loaded

    def _reread(self) -> None:
        try:
            self._loaded = _read(*self._files)
        except UsageError as error:
            fields = {"reason": str(error)}
            _log.error("certificates not read again: the former ones serve", extra={"fields": fields})
        else:
            _log.info("certificates read again")

    def context(self) -> ssl.SSLContext:
        """Return a context for a listener of HTTP; each of its connections uses the files of its time."""
        listening = _Listening(ssl.PROTOCOL_TLS_SERVER)
        listening.now = lambda: self.current().context
        return listening

    def credentials(self) -> grpc.ServerCredentials:
        """Return credentials for a gRPC server, likewise; it can demand client certificates or ask for none."""
        return grpc.dynamic_ssl_server_credentials(
            self._loaded.configuration,
            lambda: self.current().configuration,
            require_client_authentication=self._files[2] is not None,
        )


class _Listening(ssl.SSLContext):
    """Lends each new connection the context that is valid then; asyncio calls `wrap_bio` for each."""

    now: Callable[[], ssl.SSLContext]

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        found: ssl.SSLObject = self.now().wrap_bio(*args, **options)
        return found


class Http(H11Protocol):
    """uvicorn's protocol, that also tells who the client is by its certificate."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        secure = transport.get_extra_info("ssl_object")
        certificate = secure.getpeercert() if secure is not None else None
        self.app_state = {**self.app_state, PEER: tuple(_names(certificate or {}))}


def _names(certificate: dict[str, Any]) -> Iterable[str]:
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "URI"):
            yield f"{kind.lower()}:{name}"


def _read(certificate: Path, key: Path, client_ca: Path | None) -> _Loaded:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    authorities = None
    with _sentences(f"`{certificate}` and `{key}`", "do not fit each other, are no PEM, or have a passphrase"):
        # a key with a passphrase must not make a service wait at a terminal
        context.load_cert_chain(certificate, key, lambda: "")
        pair = key.read_bytes(), certificate.read_bytes()
    if client_ca:
        with _sentences(f"`{client_ca}`", "holds no certificate in PEM"):
            context.load_verify_locations(client_ca)
            authorities = client_ca.read_bytes()
        # optional: a load balancer's health check has none, and a token may do
        context.verify_mode = ssl.CERT_OPTIONAL
    configuration = grpc.ssl_server_certificate_configuration([pair], root_certificates=authorities)
    return _Loaded(context, configuration)


@contextmanager
def _sentences(files: str, why: str) -> Iterator[None]:
    try:
        yield
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(f"{files} {why} ({getattr(error, 'reason', '') or 'unreadable'})") from None
    except OSError as error:
        raise UsageError(f"cannot read {files}: {(error.strerror or str(error)).lower()}") from None
