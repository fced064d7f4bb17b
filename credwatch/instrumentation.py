"""The table of events and seams: where credwatch meets botocore.

Everything is observed through botocore's event system; a class-level seam exists only where events
are blind, each a row with its reason. All edges (clock, environment, network) meet here.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from credwatch import __version__, exporting
from credwatch.counter import BySource
from credwatch.exporting import OtlpExport
from credwatch.fingerprint import fingerprint
from credwatch.guard import Guard
from credwatch.holder import told
from credwatch.ledger import Ledger
from credwatch.operations import resolve
from credwatch.probe import expects_imds, fetch
from credwatch.provenance import Registry, Surroundings
from credwatch.recorder import Recorder, UsageKey, key_of
from credwatch.semconv import ENTRY_POINT, PROCESS_FINGERPRINT, RECORDER_VERSION
from credwatch.settings import Settings
from credwatch.telemetry import Spans, capture
from credwatch.worker import Edges, Export, Worker
from credwatch.workload import entry_point

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

logger = logging.getLogger("credwatch")

TESTED_BOTOCORE = ((1, 34), (1, 45))
"""Versions of botocore that the tests cover: from the first, up to but not including the second."""

# --- seams ---------------------------------------------------------------------------------------


class Seam(NamedTuple):
    """A method that is wrapped because events do not show what it knows."""

    owner: type
    name: str
    wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]
    reason: str


class Instrumentation:
    """Everything that belongs to one activation; `attach` and `detach` are exact inverses."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        export: Export | None = None,
        provider: TracerProvider | None = None,
        guard: Guard | None = None,
        clock: Callable[[], int] = time.time_ns,
        began: Callable[[], object] = bool,
    ) -> None:
        self.settings = settings
        self.guard = guard or Guard()
        plain = settings.key_id == "plain"
        self.registry = Registry(Surroundings.of(environ))
        self.ledger: Ledger[UsageKey] = Ledger(settings.ledger_limit)
        self.recorder = Recorder(
            self.registry,
            self.ledger,
            clock,
            capture if settings.spans != "off" else None,
            self.guard,
            detail=settings.resources,
            call_site=settings.call_site,
            resolve=self.guard.wrap(resolve),
        )
        if export is None and settings.exports:
            export = OtlpExport(settings, __version__)
        edges = Edges(
            clock,
            fetch,
            environ,
            _identity,
            export,
            provider,
            partial(expects_imds, environ),
            counter=BySource(__version__),
            advise=_advise() if settings.warnings else None,
            began=began,
            probe_imds=settings.probe_imds,
        )
        spans = Spans(settings.spans, _rpc(settings.semconv_opt_in), __version__, plain_key_ids=plain)
        self.worker = Worker(
            edges,
            self.recorder,
            self.ledger,
            spans,
            self.guard,
            settings.export_interval,
            plain_key_ids=plain,
        )
        # clients keep the handlers of an activation that ended: the next one's must not count as those
        self._unique_id = f"credwatch-{self.recorder.name}"
        self.recorder.finished, self.recorder.hook = self.worker.finished, self.hook
        wrap = self.guard.wrap
        self._events: tuple[tuple[str, Callable[..., Any]], ...] = (
            ("before-parameter-build", self.recorder.opened),
            ("after-call", self.recorder.answered),
            ("after-call-error", self.recorder.failed),
        )
        self._observe_container = wrap(self._container_answered)
        self._observe_imds = wrap(self._imds_answered)
        self._observe_source = wrap(self._source_held)
        self._wrapped: list[tuple[type, str, Any, Any]] = []
        self._asyncio = self._pooled = False

    # --- attaching

    def attach(self) -> None:
        """Hook every session to come and every client that signs."""
        import botocore  # noqa: PLC0415 - the recorder is imported without it

        botocore.register_initializer(self._session_made)
        for seam in self._seams():
            self._wrap(seam)

    def detach(self) -> None:
        """Undo `attach`; handlers that live on in clients do nothing any more."""
        import botocore  # noqa: PLC0415

        try:
            botocore.unregister_initializer(self._session_made)
        except ValueError:
            logger.debug("credwatch was not attached")
        for owner, name, wrapper, original in reversed(self._wrapped):
            # another instrumentation may have wrapped us: then ours stays, switched off
            if owner.__dict__.get(name) is wrapper:
                setattr(owner, name, original)
        self._wrapped.clear()
        self.worker.close()
        self.guard.tripped = True

    def _session_made(self, session: Any) -> None:
        self.guard.wrap(self._attach_asyncio)()
        self.guard.wrap(self.hook)(session.get_component("event_emitter"))

    def _attach_asyncio(self) -> None:
        """Hook aiobotocore once it is there: it has a signer and fetchers of its own."""
        if not self._asyncio and "aiobotocore.session" in sys.modules:
            self._asyncio = True
            for seam in self._asyncio_seams():
                self._wrap(seam)

    def attach_pool(self, close: Callable[[], object]) -> None:
        """See that workers of billiard's pools (Celery's among them) `close`: they leave without a finalizer."""
        pool = sys.modules.get("billiard.pool")
        if pool is not None and not self._pooled:
            self._pooled = True
            self._wrap(Seam(pool.Worker, "_do_exit", partial(_around_exit, close), "how many calls a worker made"))

    def hook(self, emitter: Any) -> None:
        """Follow the calls of a session or a client; a second time changes nothing."""
        _load_map()
        for event, handler in self._events:
            emitter.register_first(event, handler, unique_id=f"{self._unique_id}-{event}")

    def _wrap(self, seam: Seam) -> None:
        original = seam.owner.__dict__.get(seam.name)
        if original is None:
            logger.warning(
                "credwatch: this %s has no %s.%s; %s stays unknown",
                seam.owner.__module__.partition(".")[0],
                seam.owner.__name__,
                seam.name,
                seam.reason,
            )
            return
        wrapper = seam.wrapper(original)
        setattr(seam.owner, seam.name, wrapper)
        self._wrapped.append((seam.owner, seam.name, wrapper, original))

    def _seams(self) -> tuple[Seam, ...]:
        from botocore.credentials import AssumeRoleCredentialFetcher  # noqa: PLC0415
        from botocore.signers import RequestSigner  # noqa: PLC0415
        from botocore.utils import ContainerMetadataFetcher, InstanceMetadataFetcher  # noqa: PLC0415

        return (
            Seam(RequestSigner, "sign", self._around_sign, "which key signed"),
            Seam(ContainerMetadataFetcher, "retrieve_full_uri", self._around_container, "the task's role"),
            Seam(InstanceMetadataFetcher, "_get_credentials", self._around_imds, "the instance's role"),
            Seam(AssumeRoleCredentialFetcher, "_create_client", self._around_source, "where a profile's chain begins"),
        )

    def _asyncio_seams(self) -> tuple[Seam, ...]:
        from aiobotocore.credentials import AioAssumeRoleCredentialFetcher  # noqa: PLC0415
        from aiobotocore.signers import AioRequestSigner  # noqa: PLC0415
        from aiobotocore.utils import AioContainerMetadataFetcher, AioInstanceMetadataFetcher  # noqa: PLC0415

        return (
            Seam(AioRequestSigner, "sign", self._around_async_sign, "which key signed"),
            Seam(AioContainerMetadataFetcher, "retrieve_full_uri", self._around_async_container, "the task's role"),
            Seam(AioInstanceMetadataFetcher, "_get_credentials", self._around_async_imds, "the instance's role"),
            Seam(
                AioAssumeRoleCredentialFetcher,
                "_create_client",
                self._around_async_source,
                "where a profile's chain begins",
            ),
        )

    def missing(self) -> dict[str, str]:
        """Return method -> what stays unknown, for each seam that the installed botocore does not have."""
        return {f"{s.owner.__name__}.{s.name}": s.reason for s in self._seams() if s.name not in s.owner.__dict__}

    # --- what the seams see

    def _around_sign(self, original: Callable[..., Any]) -> Callable[..., Any]:
        signed = self.recorder.signed

        def sign(
            signer: Any,
            operation_name: Any,
            request: Any,
            region_name: Any = None,
            signing_type: Any = "standard",
            *args: Any,
            **kwargs: Any,
        ) -> Any:
            if args or kwargs:
                result = original(signer, operation_name, request, region_name, signing_type, *args, **kwargs)
            else:  # as botocore calls it: what is unpacked is dear
                result = original(signer, operation_name, request, region_name, signing_type)
            signed(signer, operation_name, request, signing_type)
            return result

        return sign

    def _around_async_sign(self, original: Callable[..., Any]) -> Callable[..., Any]:
        signed = self.recorder.signed

        async def sign(
            signer: Any,
            operation_name: Any,
            request: Any,
            region_name: Any = None,
            signing_type: Any = "standard",
            *args: Any,
            **kwargs: Any,
        ) -> Any:
            result = await original(signer, operation_name, request, region_name, signing_type, *args, **kwargs)
            signed(signer, operation_name, request, signing_type)
            return result

        return sign

    def _around_container(self, original: Callable[..., Any]) -> Callable[..., Any]:
        observe = self._observe_container

        def retrieve_full_uri(fetcher: Any, full_url: str, *args: Any, **kwargs: Any) -> Any:
            answer = original(fetcher, full_url, *args, **kwargs)
            observe(answer, full_url)
            return answer

        return retrieve_full_uri

    def _around_async_container(self, original: Callable[..., Any]) -> Callable[..., Any]:
        observe = self._observe_container

        async def retrieve_full_uri(fetcher: Any, full_url: str, *args: Any, **kwargs: Any) -> Any:
            answer = await original(fetcher, full_url, *args, **kwargs)
            observe(answer, full_url)
            return answer

        return retrieve_full_uri

    def _container_answered(self, answer: Any, url: str) -> None:
        if isinstance(answer, Mapping) and "AccessKeyId" in answer:
            role, account = str(answer.get("RoleArn") or ""), str(answer.get("AccountId") or "")
            self.registry.container(str(answer["AccessKeyId"]), url, role, account)

    def _around_imds(self, original: Callable[..., Any]) -> Callable[..., Any]:
        observe = self._observe_imds

        def _get_credentials(fetcher: Any, role_name: str, *args: Any, **kwargs: Any) -> Any:
            answer = original(fetcher, role_name, *args, **kwargs)
            observe(fetcher, answer, role_name)
            return answer

        return _get_credentials

    def _around_async_imds(self, original: Callable[..., Any]) -> Callable[..., Any]:
        observe = self._observe_imds

        async def _get_credentials(fetcher: Any, role_name: str, *args: Any, **kwargs: Any) -> Any:
            answer = await original(fetcher, role_name, *args, **kwargs)
            observe(fetcher, answer, role_name)
            return answer

        return _get_credentials

    def _imds_answered(self, fetcher: Any, answer: Any, role_name: str) -> None:
        if isinstance(answer, Mapping) and "AccessKeyId" in answer:
            self.registry.imds(str(answer["AccessKeyId"]), fetcher.get_base_url().rstrip("/"), role_name)

    def _around_source(self, original: Callable[..., Any]) -> Callable[..., Any]:
        observe = self._observe_source

        def _create_client(fetcher: Any, *args: Any, **kwargs: Any) -> Any:
            client = original(fetcher, *args, **kwargs)
            observe(fetcher)
            return client

        return _create_client

    def _around_async_source(self, original: Callable[..., Any]) -> Callable[..., Any]:
        observe = self._observe_source

        async def _create_client(fetcher: Any, *args: Any, **kwargs: Any) -> Any:
            client = await original(fetcher, *args, **kwargs)
            observe(fetcher)
            return client

        return _create_client

    def _source_held(self, fetcher: Any) -> None:
        credentials = fetcher._source_credentials
        method = getattr(credentials, "method", None) or ""
        self.registry.held(key_of(credentials), method, told(credentials, method))

    # --- life

    def forked(self) -> None:
        """In a forked child: counts, keys, thread and process id begin anew."""
        self.ledger.reset()
        self.registry.forked()
        self.recorder.forked()
        self.worker.forked()


def _around_exit(close: Callable[[], object], original: Callable[..., Any]) -> Callable[..., Any]:
    def _do_exit(worker: Any, *args: Any, **kwargs: Any) -> Any:
        theirs = worker.on_exit

        def on_exit(*args: Any, **kwargs: Any) -> None:
            try:
                if theirs is not None:
                    theirs(*args, **kwargs)
            finally:
                close()  # last: what the application does at the end of a worker may be a call

        worker.on_exit = on_exit
        return original(worker, *args, **kwargs)

    return _do_exit


def _load_map() -> None:
    """Import what the first call needs: before it, and in no fork's middle."""
    if "credwatch.operations.compiled" not in sys.modules:
        with exporting.importing:  # nobody holds it for long: the worker starts after the first call
            importlib.import_module("credwatch.operations.compiled")


def _advise() -> Callable[..., Any]:
    from credwatch.advice import advise  # noqa: PLC0415 - few ask for warnings

    return advise


def _rpc(opt_in: str) -> str:
    words = {word.strip() for word in opt_in.split(",")}
    return "rpc/dup" if "rpc/dup" in words else "rpc" if "rpc" in words else ""


def _identity() -> dict[str, str]:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    module = spec.name.removesuffix(".__main__") if spec is not None else ""
    mark = fingerprint()
    return {
        ENTRY_POINT: entry_point(sys.argv, module),
        RECORDER_VERSION: __version__,
        "process.pid": str(os.getpid()),
        **({PROCESS_FINGERPRINT: mark} if mark else {}),
    }
