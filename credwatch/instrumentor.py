"""Activation: switched on once a process, by the environment, by OpenTelemetry, or by a call.

Owns the one instrumentation of a process and its life across forks and at exit. Nothing here may
raise into the application: whatever goes wrong is one log line.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from credwatch import __version__, exporting
from credwatch import settings as settings_module
from credwatch.exporting import OtlpExport
from credwatch.instrumentation import IMPORT_SECONDS, Instrumentation, forking
from credwatch.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.trace import TracerProvider

logger = logging.getLogger("credwatch")

_lock = threading.Lock()
_active: Instrumentation | None = None
_hurried = 0.0  # seconds of the exit that are spent
_hooked = False


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    exporter: MetricExporter | None = None,
    settings: Settings | None = None,
) -> None:
    """Switch credwatch on in this process; a second time changes nothing. Never raises.

    `tracer_provider`: where spans go, instead of the global provider. `exporter`: takes the usage
    points, instead of an OTLP exporter for the configured endpoint. `settings`: instead of the
    environment's.
    """
    try:
        _instrument(tracer_provider, exporter, settings)
    except Exception as error:  # noqa: BLE001 - the application's start must not depend on us
        logger.warning("credwatch could not be switched on (%s); the application is unaffected", type(error).__name__)


def _instrument(
    tracer_provider: TracerProvider | None, exporter: MetricExporter | None, settings: Settings | None
) -> None:
    global _active  # noqa: PLW0603 - one instrumentation a process
    if settings is None:
        settings, problems = settings_module.read(os.environ)
        for problem in problems:
            logger.warning("credwatch: %s", problem)
    with _lock:
        if _active is not None or settings.off:
            return
        export = OtlpExport(settings, __version__, exporter) if exporter is not None or settings.exports else None
        if export is None:
            logger.info("credwatch: no OTLP endpoint is configured (CREDWATCH_ENDPOINT); nothing is exported")
        instrumentation = Instrumentation(
            settings, os.environ, export=export, provider=tracer_provider, began=_hook_exit
        )
        try:
            instrumentation.attach()
        except Exception:
            instrumentation.detach()  # all or nothing
            raise
        _active = instrumentation
        _hook_life()


def uninstrument() -> None:
    """Switch credwatch off and restore what it wrapped. Never raises."""
    global _active
    with _lock:
        instrumentation, _active = _active, None
    if instrumentation is not None:
        instrumentation.guard.undo(instrumentation.detach)


def active() -> Instrumentation | None:
    """Return the instrumentation of this process, or None where credwatch is off."""
    return _active


class CredwatchInstrumentor:
    """OpenTelemetry's entry point `opentelemetry_instrumentor`: its loader passes arguments of its own.

    An exception here would end the loading of all instrumentors that follow, so there is none.
    """

    def instrument(self, **kwargs: object) -> None:
        """Switch credwatch on; unknown arguments are ignored."""
        provider = kwargs.get("tracer_provider")
        instrument(tracer_provider=provider if _is_provider(provider) else None)  # type: ignore[arg-type]

    def uninstrument(self, **_: object) -> None:
        """Switch credwatch off."""
        uninstrument()


def _is_provider(value: object) -> bool:
    return hasattr(value, "get_tracer")


# --- forks and exit ------------------------------------------------------------------------------


def _hook_life() -> None:
    global _hooked  # noqa: PLW0603 - these hooks cannot be taken back, so they are set once
    if _hooked:
        return
    _hooked = True
    atexit.register(_close)
    # a child of a fork server begins before us and leaves by `os._exit`: its bootstrap is to come, or was
    _hook_multiprocessing()
    if _in_multiprocessing_child():
        _finalize_in_multiprocessing()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)


def _hook_exit() -> None:
    """At the first call: the last hook runs first, so this one runs before those of the application's providers."""
    atexit.unregister(_hurry)
    atexit.register(_hurry)
    if _active is not None:
        _active.guard.wrap(_active.attach_pool)(_close)


def _hurry() -> None:
    global _hurried  # noqa: PLW0603 - both hooks share one limit
    if _active is not None:
        started = time.monotonic()
        _active.guard.wrap(_active.worker.hurry)(_active.settings.exit_timeout / 2)
        _hurried = time.monotonic() - started


def _close() -> None:
    if _active is not None:
        _active.guard.wrap(_active.worker.close)(max(0.0, _active.settings.exit_timeout - _hurried))


_multiprocessing_hooked = False


def _before_fork() -> None:
    """Wait until the worker has imported what it is importing."""
    _hook_multiprocessing()
    if _active is not None and exporting.importing.acquire(timeout=IMPORT_SECONDS):
        forking.add(threading.get_ident())


def _hook_multiprocessing() -> None:
    """See that a child of multiprocessing, which leaves by `os._exit`, closes."""
    global _multiprocessing_hooked  # noqa: PLW0603 - once a process
    util = sys.modules.get("multiprocessing.util")
    if util is None or _multiprocessing_hooked or _active is None:
        return
    _multiprocessing_hooked = True
    util.register_after_fork(_in_multiprocessing_child, _finalize_in_multiprocessing)


def _in_multiprocessing_child() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _finalize_in_multiprocessing(_: object = None) -> None:
    util = importlib.import_module("multiprocessing.util")
    util.Finalize(None, _close, exitpriority=-100)


def _after_fork_in_parent() -> None:
    if threading.get_ident() in forking:
        forking.discard(threading.get_ident())
        exporting.importing.release()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - the old lock may be held by a thread that is not in this process
    _lock = threading.Lock()
    exporting.renew_lock()
    forking.clear()
    if _active is not None:
        _active.guard.wrap(_active.forked)()
