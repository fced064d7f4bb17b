"""The table of events and seams: where credwatch meets botocore.

Everything is observed through botocore's event system; a class-level seam exists only where events
are blind, each a row with its reason. All edges (clock, environment, network) meet here.
"""

import gc
import importlib
import inspect
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

from opentelemetry.trace import TracerProvider

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

logger = logging.getLogger("credwatch")

TESTED_BOTOCORE = ((1, 34), (1, 45))
"""Versions of botocore that the tests cover: from the first, up to but not including the second."""

# --- seams ---------------------------------------------------------------------------------------


class Seam(NamedTuple):
    """A method that is wrapped because events do not show what it knows.

    `expects` are the parameters after the first that what observes it relies on. The wrapper itself hands on whatever
    it is given: no signature can make it raise.
    """

    module: str
    owner: str
    name: str
    wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]
    reason: str
    expects: tuple[str, ...] = ()
    asynchronous: bool = False

    def holder(self) -> type | None:
        """Return the class that has the method, None where it looks otherwise than expected: then it stays as it is."""
        try:
            holder: type = getattr(importlib.import_module(self.module), self.owner)
            method = holder.__dict__[self.name]
            found = list(inspect.signature(method).parameters.values())
        except (ImportError, AttributeError, KeyError, TypeError, ValueError):
            return None
        if isinstance(method, staticmethod):
            return None
        names = tuple(one.name for one in found if one.kind is one.POSITIONAL_OR_KEYWORD)[1:]
        if any(one.kind is one.VAR_POSITIONAL for one in found):  # another tool's wrapper: it takes what comes
            return holder if names == self.expects[: len(names)] else None
        same = names[: len(self.expects)] == self.expects
        return holder if same and inspect.iscoroutinefunction(method) is self.asynchronous else None

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}"


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
        self._observe_sign = wrap(self._request_signed)
        self._observe_container = wrap(self._container_answered)
        self._observe_imds = wrap(self._imds_answered)
        self._observe_source = wrap(self._source_held)
        self._unlike: dict[str, str] = {}
        self._wrapped: list[tuple[type, str, Any, Any]] = []
        self._asyncio = self._pooled = self._followed = False

    # --- attaching

    def attach(self) -> None:
        """Hook every session to come and every client that signs."""
        import botocore  # noqa: PLC0415 - the recorder is imported without it

        botocore.register_initializer(self._session_made)
        self._apply(self._seams())

    def detach(self) -> None:
        """Undo `attach`, in every session and client there is."""
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
        self.guard.undo(self.worker.close)
        self.guard.undo(self._unhook)
        self.guard.tripped = True

    def _session_made(self, session: Any) -> None:
        self.guard.wrap(self._attach_asyncio)()
        self.guard.wrap(self.hook)(session.get_component("event_emitter"))

    def _attach_asyncio(self) -> None:
        """Hook aiobotocore once it is there: it has a signer and fetchers of its own."""
        if not self._asyncio and "aiobotocore.session" in sys.modules:
            self._asyncio = True
            self._apply(self._asyncio_seams())

    def attach_pool(self, close: Callable[[], object]) -> None:
        """See that workers of billiard's pools (Celery's among them) `close`: they leave without a finalizer."""
        pool = sys.modules.get("billiard.pool")
        if pool is not None and not self._pooled:
            self._pooled = True
            exit_of = partial(_around_exit, close)
            self._apply([Seam("billiard.pool", "Worker", "_do_exit", exit_of, "how many calls a worker made")])

    def hook(self, emitter: Any) -> None:
        """Follow the calls of a session or a client; a second time changes nothing."""
        _load_map()
        self._followed = True
        for event, handler in self._events:
            emitter.register_first(event, handler, unique_id=f"{self._unique_id}-{event}")

    def _unhook(self) -> None:
        """Take our handlers from every emitter: they would keep all of this activation alive.

        A client copies the emitter of its session and tells nobody, so they are looked for: once, where somebody
        switches us off, and never in a call. What `gc.freeze` has hidden from the collector is not found: there the
        handlers stay, switched off, and with them this activation, as long as the emitter lives.
        """
        from botocore.hooks import BaseEventHooks  # noqa: PLC0415

        followed, self._followed = self._followed, False
        kinds = {id(kind) for kind in _kinds(BaseEventHooks)}  # an application's class may have no hash
        for emitter in [one for one in gc.get_objects() if id(type(one)) in kinds] if followed else ():
            for event, _ in self._events:
                emitter.unregister(event, unique_id=f"{self._unique_id}-{event}")

    def _apply(self, seams: Iterable[Seam]) -> None:
        """Wrap what looks as expected; what does not is left alone, and one warning says what is lost."""
        unlike: dict[str, str] = {}
        for seam in seams:
            holder = seam.holder()
            if holder is None:
                unlike[str(seam)] = seam.reason
                continue
            original = holder.__dict__[seam.name]
            wrapper = seam.wrapper(original)
            setattr(holder, seam.name, wrapper)
            self._wrapped.append((holder, seam.name, wrapper, original))
        if unlike:
            self._unlike.update(unlike)
            package = seam.module.partition(".")[0]
            version = getattr(sys.modules.get(package), "__version__", "of unknown version")
            logger.warning(
                "credwatch: in this %s (%s) these are missing or not as expected, and left alone: %s; unknown stay: %s",
                package,
                version,
                ", ".join(unlike),
                ", ".join(unlike.values()),
            )

    def _seams(self) -> tuple[Seam, ...]:
        return (
            Seam("botocore.signers", "RequestSigner", "sign", self._around_sign, "which key signed", _SIGN),
            Seam(
                "botocore.utils",
                "ContainerMetadataFetcher",
                "retrieve_full_uri",
                partial(_observed, self._observe_container),
                "the task's role",
                ("full_url",),
            ),
            Seam(
                "botocore.utils",
                "InstanceMetadataFetcher",
                "_get_credentials",
                partial(_observed, self._observe_imds),
                "the instance's role",
                ("role_name",),
            ),
            Seam(
                "botocore.credentials",
                "AssumeRoleCredentialFetcher",
                "_create_client",
                partial(_observed, self._observe_source),
                "where a profile's chain begins",
            ),
        )

    def _asyncio_seams(self) -> tuple[Seam, ...]:
        """aiobotocore's twins of the same methods."""
        observers: list[Any] = [self._observe_sign, self._observe_container, self._observe_imds, self._observe_source]
        return tuple(
            seam._replace(
                module=f"aio{seam.module}",
                owner=f"Aio{seam.owner}",
                wrapper=partial(_awaited, observe),
                asynchronous=True,
            )
            for seam, observe in zip(self._seams(), observers, strict=True)
        )

    def missing(self) -> dict[str, str]:
        """Return method -> what stays unknown, for each seam that does not look as expected in the botocore here."""
        return {**{str(seam): seam.reason for seam in self._seams() if seam.holder() is None}, **self._unlike}

    # --- what the seams see

    def _around_sign(self, original: Callable[..., Any]) -> Callable[..., Any]:
        signed, observe = self.recorder.signed, self._observe_sign

        def sign(*args: Any, **kwargs: Any) -> Any:
            if kwargs or len(args) != _AS_CALLED:
                result = original(*args, **kwargs)
                observe(result, *args, **kwargs)
                return result
            signer, operation_name, request = args  # as botocore calls it: what is unpacked is dear
            result = original(signer, operation_name, request)
            signed(signer, operation_name, request, "standard")
            return result

        return sign

    def _request_signed(
        self,
        _: Any,
        signer: Any,
        operation_name: Any,
        request: Any,
        region_name: object = None,
        signing_type: object = "standard",
        *__: object,
        **___: object,
    ) -> None:
        self.recorder.signed(signer, operation_name, request, signing_type)

    def _container_answered(self, answer: Any, _: object, full_url: str, *__: object, **___: object) -> None:
        if isinstance(answer, Mapping) and "AccessKeyId" in answer:
            role, account = str(answer.get("RoleArn") or ""), str(answer.get("AccountId") or "")
            self.registry.container(str(answer["AccessKeyId"]), full_url, role, account)

    def _imds_answered(self, answer: Any, fetcher: Any, role_name: str, *_: object, **__: object) -> None:
        if isinstance(answer, Mapping) and "AccessKeyId" in answer:
            self.registry.imds(str(answer["AccessKeyId"]), fetcher.get_base_url().rstrip("/"), role_name)

    def _source_held(self, _: object, fetcher: Any, *__: object, **___: object) -> None:
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


_SIGN = ("operation_name", "request", "region_name", "signing_type")
_AS_CALLED = 3  # arguments, the signer among them


def _kinds(base: type) -> set[type]:
    return {base}.union(*map(_kinds, base.__subclasses__()))


def _observed(observe: Callable[..., object], original: Callable[..., Any]) -> Callable[..., Any]:
    """Return `original`, whose answer and arguments are shown to `observe`, which is guarded."""

    def seam(*args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        observe(answer, *args, **kwargs)
        return answer

    return seam


def _awaited(observe: Callable[..., object], original: Callable[..., Any]) -> Callable[..., Any]:
    """As `_observed`, of a method that is awaited."""

    async def seam(*args: Any, **kwargs: Any) -> Any:
        answer = await original(*args, **kwargs)
        observe(answer, *args, **kwargs)
        return answer

    return seam


def _around_exit(close: Callable[[], object], original: Callable[..., Any]) -> Callable[..., Any]:
    def _do_exit(worker: Any, *args: Any, **kwargs: Any) -> Any:
        theirs = getattr(worker, "on_exit", None)

        def on_exit(*args: Any, **kwargs: Any) -> None:
            try:
                if theirs is not None:
                    theirs(*args, **kwargs)
            finally:
                close()  # last: what the application does at the end of a worker may be a call

        worker.on_exit = on_exit
        return original(worker, *args, **kwargs)

    return _do_exit


IMPORT_SECONDS = 2.0
"""How long anybody waits for what another thread imports, before going on without."""

forking: set[int] = set()
"""Threads that fork, and hold `exporting.importing` meanwhile."""

_MAP = "credwatch.operations.compiled"


def _load_map() -> None:
    """Import what the first call needs: before it, and in no fork's middle."""
    if _MAP in sys.modules:
        return
    lock = exporting.importing
    # the application's own hooks of a fork may make the first session: then the lock is this thread's already, and in
    # the child nobody else may be left to release it
    held = threading.get_ident() not in forking and lock.acquire(timeout=IMPORT_SECONDS)
    try:
        importlib.import_module(_MAP)
    finally:
        if held:
            lock.release()


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
