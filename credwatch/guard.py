"""What fails in credwatch never reaches the application: the one place that decides what becomes of a failure.

Every handler and seam is wrapped by a `Guard`; the four handlers of each call hold their own `try` and hand what it
catches to `failed`, because a wrapper would cost a fifth of all that they may (docs/decisions/0005). A guard counts
what it kept back, says the first of each kind once in the log at DEBUG, and switches the recorder off after too many.
Tests build one that re-raises, so that our own faults are seen there and nowhere else.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

logger = logging.getLogger("credwatch")

F = TypeVar("F", bound=Callable[..., Any])

LIMIT = 100
"""Failures after which the recorder stays off for the life of the process."""


class Guard:
    """Swallows exceptions of what it wraps; `errors` counts them, `tripped` says that we are off.

    `BaseException` that is no `Exception` (KeyboardInterrupt, cancellation) passes: it is the
    application's, not ours.
    """

    def __init__(self, *, limit: int = LIMIT, reraise: bool = False) -> None:
        self.errors = 0
        self.tripped = False
        self._limit = limit
        self._reraise = reraise
        self._told: set[str] = set()

    def wrap(self, function: F) -> F:
        """Return `function`, made harmless: on failure, and once tripped, it returns None."""

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if self.tripped:
                return None
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - the one place that may
                self.failed(function.__qualname__, error)
                return None

        return guarded  # type: ignore[return-value]  # same signature, result may be None

    def undo(self, step: Callable[[], object]) -> None:
        """Take a step of switching off, made harmless: once tripped it is needed as much as before."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - as in `wrap`
            self.failed(getattr(step, "__qualname__", type(step).__name__), error)

    def failed(self, where: str, error: Exception) -> None:
        """Count a failure that was kept from the application, and trip after too many."""
        self.errors += 1
        if self._reraise:
            raise error
        if self.errors >= self._limit and not self.tripped:
            self.tripped = True
            logger.warning("credwatch switched itself off after %d internal errors", self.errors)
        kind = f"{where}:{type(error).__name__}"
        if kind not in self._told and len(self._told) < self._limit:
            self._told.add(kind)
            # the type alone: a message may hold what must not be logged
            logger.debug("credwatch kept an internal error from the application: %s", kind)
