"""Where telemetry is kept: one small protocol, an implementation a module.

The truth rule that every store keeps: of the points with one process id, start and set of
attributes the greatest value counts; a row is their sum over the starts. Replays, duplicates and
reordering therefore change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from credwatch_agent.records import Batch, Seen, Span, Telemetry

MAX_SPANS = 10_000
"""Spans that a store keeps: the latest to arrive."""


MAX_SEEN = 8
"""Processes that `seen` returns at most."""


class StoreError(Exception):
    """The store cannot be read or written; the text says what, where and what to do."""


class Retained(NamedTuple):
    """What `retain` did: processes whose counts went into totals, and processes (or totals) that were forgotten."""

    folded: int
    forgotten: int


class Summary(NamedTuple):
    """What a store holds in short: processes, and the sum of each health metric over them."""

    processes: int
    health: Mapping[str, int]


class Store(Protocol):
    """Methods may be called from any thread; every one raises `StoreError`."""

    def put(self, batches: Iterable[Batch]) -> int:
        """Keep all batches or, where it raises, none; once it returned, they survive a killed process.

        Returns how many points were left out, since they are of processes that were folded.
        """

    def put_spans(self, spans: Iterable[Span]) -> None:
        """Keep the latest `MAX_SPANS` spans, as `put` does; a span that is known changes nothing."""

    def telemetry(self, since_ns: int = 0) -> Telemetry:
        """Return the processes, usage and keys last reported at `since_ns` or later, as of one moment.

        A row's count covers its process's whole life, also what lies before `since_ns`.
        """

    def batches(self) -> Iterator[Batch]:
        """Yield all that is held but spans, one batch a process: put into another store, they make it equal."""

    def spans(self, trace_id: str = "", limit: int = MAX_SPANS) -> tuple[Span, ...]:
        """Return the latest spans, of one trace if named, in the order of their start."""

    def seen(self, process_id: str = "", fingerprint: str = "") -> tuple[Seen, ...]:
        """Return the process with an id, or those with a `credwatch.process.fingerprint`, the latest to report first.

        One of the two is given. More than one has a fingerprint where a process executed another program.
        """

    def retain(self, fold_before_ns: int, forget_before_ns: int) -> Retained:
        """Fold processes that last reported before one time, forget what did before another.

        Folding adds a process's counts to the total of its workload and day, and leaves its id as a
        tombstone: what it sends again changes nothing. Forgetting deletes. Attributes that no point
        refers to any more are deleted too.
        """

    def summary(self) -> Summary:
        """Return what is held in short, without reading every point."""

    def kept(self, name: str) -> str:
        """Return a text of the agent's own, such as the history of its findings; "" if none is kept under the name."""

    def kept_names(self) -> tuple[str, ...]:
        """Return the names of the kept texts, sorted."""

    def amend(self, name: str, change: Callable[[str], str]) -> str:
        """Replace a kept text by what `change` makes of it, and return that; nobody else's change is lost.

        What `change` raises changes nothing. It may not use the store.
        """

    def check(self) -> None:
        """Raise `StoreError` where a write would fail now."""

    def close(self) -> None:
        """Release the store; idempotent."""
