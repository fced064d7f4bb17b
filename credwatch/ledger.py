"""Exact, bounded counts of each distinct usage in this process.

The hot path is one append to a deque, which cannot lose a count to threads, to a signal handler or
to a finalizer; whoever drains it does the counting. Memory is bounded by a ladder of resource
detail: past the limit of an operation a *new* usage is counted with a coarser resource, what is
already counted stays, and the step itself is counted. Knows no wire format and no clock.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, Protocol, TypeVar


class Sighting(Protocol):
    """One key that signs: counted beside the usages, because keys rotate and usages do not."""

    calls: int
    first_ns: int
    last_ns: int


K = TypeVar("K", bound="Key")


class Key(Hashable, Protocol):
    """What is counted. `group` is the operation whose limit applies; `coarser` is one step up the ladder."""

    @property
    def group(self) -> Hashable: ...

    def coarser(self: K) -> K | None: ...


class Entry:
    """The count of one usage. `sent` is the value that the receiver is known to have, `last_ns` its newest call."""

    __slots__ = ("calls", "last_ns", "sent")

    def __init__(self) -> None:
        self.calls = self.sent = 0
        self.last_ns = 0


_DRAIN_AT = 1_024


class Ledger(Generic[K]):
    """Counts of one process. Every method may be called from any thread."""

    def __init__(self, limit: int) -> None:
        """Keep at most `limit` distinct usages of one operation at full detail."""
        self._limit = limit
        self.reset()

    def reset(self) -> None:
        """Forget everything: in a forked child the parent's counts are the parent's."""
        self._pending: deque[tuple[K, Sighting | None, int]] = deque()
        self._lock = threading.Lock()  # a new one: the old may be held by a thread that is not here
        self._entries: dict[K, Entry] = {}
        self._sizes: dict[Hashable, int] = {}
        self.coarsened = 0
        self.total = 0

    def add(self, key: K, sighting: Sighting | None, time_ns: int) -> None:
        """Count one call: its usage, the key that signed it (None if unsigned), when it ended. Never waits or loses."""
        pending = self._pending
        pending.append((key, sighting, time_ns))
        if len(pending) >= _DRAIN_AT:
            self.drain()

    def drain(self) -> None:
        """Count what is pending, unless someone else is doing so."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._drain()
        finally:
            self._lock.release()

    def snapshot(self) -> list[tuple[K, int, int, int]]:
        """Return each usage, its count, the count last confirmed and the time of its last call; nothing is pending."""
        with self._lock:  # only ever held while counting: no I/O under it
            self._drain()
            return [(key, entry.calls, entry.sent, entry.last_ns) for key, entry in self._entries.items()]

    def acknowledge(self, sent: Iterable[tuple[K, int]]) -> None:
        """Note the values that the receiver confirmed."""
        with self._lock:
            for key, calls in sent:
                entry = self._entries.get(key)
                if entry is not None:
                    entry.sent = max(entry.sent, calls)

    def __len__(self) -> int:
        return len(self._entries)

    def _drain(self) -> None:
        pending, entries = self._pending, self._entries
        last, entry = None, Entry()
        while pending:
            key, sighting, time_ns = pending.popleft()
            if key is not last:  # a usage is long to hash, and seldom comes alone
                last, entry = key, entries.get(key) or self._entry(key)
            entry.calls += 1
            self.total += 1
            if time_ns > entry.last_ns:  # noqa: PLR1730 - threads end out of order, the clock may step back
                entry.last_ns = time_ns
            if sighting is not None:
                sighting.calls += 1
                if time_ns > sighting.last_ns:  # noqa: PLR1730 - `max` would be a call
                    sighting.last_ns = time_ns
                if not sighting.first_ns:  # the start time of a point, which must not move
                    sighting.first_ns = time_ns

    def _entry(self, key: K) -> Entry:
        entry = self._entries.get(key)
        if entry is not None:
            return entry
        room = self._sizes.get(key.group, 0)
        coarse = key.coarser() if room >= self._limit else None
        if coarse is not None:
            self.coarsened += 1
            return self._entry(coarse)
        self._sizes[key.group] = room + 1
        entry = self._entries[key] = Entry()
        return entry
