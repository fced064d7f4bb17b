"""Counts are exact under threads, signals and finalizers, and bounded by the ladder."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from types import FrameType
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credwatch.ledger import Ledger


class Key(NamedTuple):
    """`rungs` steps of detail are left above the coarsest."""

    group: str
    detail: tuple[int, ...]

    def coarser(self) -> Key | None:
        return Key(self.group, self.detail[:-1]) if self.detail else None


class Seen:
    def __init__(self) -> None:
        self.calls = self.first_ns = self.last_ns = 0


def counts(ledger: Ledger[Key]) -> dict[Key, int]:
    return {key: calls for key, calls, *_ in ledger.snapshot()}


def test_32_threads_lose_nothing() -> None:
    ledger: Ledger[Key] = Ledger(100)
    seen = Seen()
    keys = [Key("op", (n,)) for n in range(10)]
    go = threading.Barrier(33)

    def work() -> None:
        go.wait()
        for number in range(2_000):
            ledger.add(keys[number % 10], seen, number + 1)

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    go.wait()
    while any(thread.is_alive() for thread in threads):
        ledger.snapshot()
    assert counts(ledger) == dict.fromkeys(keys, 6_400)
    assert (ledger.total, seen.calls, seen.last_ns) == (64_000, 64_000, 2_000)


keys = st.builds(Key, st.sampled_from("ab"), st.lists(st.integers(0, 3), max_size=3).map(tuple))


@given(st.lists(keys, max_size=200))
def test_below_the_limit_it_is_a_counter(added: list[Key]) -> None:
    ledger: Ledger[Key] = Ledger(1_000)
    for key in added:
        ledger.add(key, None, 1)
    assert counts(ledger) == Counter(added)
    assert ledger.coarsened == 0


@given(st.lists(st.lists(keys, max_size=50), max_size=4), st.integers(1, 8))
def test_past_the_limit_totals_stay_and_old_entries_too(rounds: list[list[Key]], limit: int) -> None:
    ledger: Ledger[Key] = Ledger(limit)
    before: dict[Key, int] = {}
    added: list[Key] = []
    for batch in rounds:
        for key in batch:
            ledger.add(key, None, 1)
        added += batch
        after = counts(ledger)
        assert sum(after.values()) == len(added) == ledger.total
        assert before.keys() <= after.keys()
        assert all(after[key] >= calls for key, calls in before.items())
        # one more than the limit: the coarsest rung takes what is left
        assert all(size <= limit + 1 for size in Counter(key.group for key in after).values())
        before = after
    exact = Counter(added)
    assert ledger.coarsened or counts(ledger) == exact


def test_what_was_confirmed_is_remembered_and_never_falls() -> None:
    ledger: Ledger[Key] = Ledger(10)
    key = Key("op", ())
    for _ in range(3):
        ledger.add(key, None, 1)
    ledger.drain()
    ledger.acknowledge([(key, 3)])
    ledger.acknowledge([(key, 2), (Key("other", ()), 9)])
    assert ledger.snapshot() == [(key, 3, 3, 1)]


def test_a_child_begins_at_nothing_even_if_a_thread_held_the_lock() -> None:
    ledger: Ledger[Key] = Ledger(10)
    ledger.add(Key("op", ()), None, 1)
    assert ledger._lock.acquire(blocking=False)
    ledger.reset()
    assert (ledger.snapshot(), ledger.total, len(ledger)) == ([], 0, 0)


class Hashing(Key):
    """Runs `act` when it is counted: in the middle of a drain."""

    act = staticmethod(lambda: None)

    def __hash__(self) -> int:
        self.act()
        return tuple.__hash__(self)


@pytest.mark.parametrize("by", ["signal", "finalizer"])
def test_an_add_in_the_middle_of_a_drain_is_counted(by: str) -> None:
    ledger: Ledger[Key] = Ledger(10)
    inner = Key("inner", ())

    def add() -> None:
        for _ in range(1_100):  # past the point at which an add drains
            ledger.add(inner, None, 1)

    def handler(number: int, frame: FrameType | None) -> None:
        add()

    class Dying:
        def __del__(self) -> None:
            add()

    done: list[bool] = []

    def act() -> None:
        if not done:
            done.append(True)
            if by == "signal":
                signal.raise_signal(signal.SIGUSR1)
            else:
                Dying()

    outer = Hashing("outer", ())
    outer.act = act
    old = signal.signal(signal.SIGUSR1, handler)
    try:
        ledger.add(outer, None, 1)
        ledger.drain()
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert counts(ledger) == {outer: 1, inner: 1_100}
