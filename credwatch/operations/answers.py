"""Answers that were given before: a call that differs in nothing that decides gets the same object again.

What decides is declared (`naming.reads`) and held by tests, never guessed; where it is not known, or is more than
plain text, nothing is remembered. Bounded in number and in length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from credwatch.operations.naming import Place

MOST = 1_024
LONGEST = 256
"""Characters of one text that is remembered."""

FINER = frozenset({"prefix", "full"})
"""Details at which more may decide."""

Key = tuple[object, ...]
"""What decides: a decision, the place, whether the answer was a 404, and the values of the decision's parameters."""


class Decision(Protocol):
    """An object that stands for everything that was decided about a call but for its place and parameters."""

    @property
    def reads(self) -> tuple[str, ...] | None: ...
    @property
    def keyed(self) -> bool: ...


def key(decision: Decision, params: Mapping[str, object], place: Place, missing: bool) -> Key | None:
    """Return what decides the answer to a call, None where that is not known."""
    names = decision.reads
    if names is None or (decision.keyed and place[3] in FINER):
        return None
    if len(names) == 1:  # of most operations
        value = params.get(names[0])
        plain = type(value) is str or (value is None and names[0] not in params)
        return (decision, place, missing, value) if plain else None
    found: list[object] = [decision, place, missing]
    for name in names:
        value = params.get(name)
        # `True` equals 1, a list has no hash, a subclass may do anything: nothing but plain text is compared
        if type(value) is not str and (value is not None or name in params):
            return None
        found.append(value)
    return tuple(found)


A = TypeVar("A")


class Answers(Generic[A]):
    """At most `MOST` answers; when there are more, all are forgotten and those in use come back."""

    __slots__ = ("_known", "get")

    def __init__(self) -> None:
        self._known: dict[Key, A] = {}
        self.get = self._known.get

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, key: Key, answer: A) -> None:
        """Remember an answer, unless what decides it is long."""
        _, place, _, *values = key
        texts = (*values, *place) if isinstance(place, tuple) else values
        if any(isinstance(text, str) and len(text) > LONGEST for text in texts):
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key] = answer

    def forget(self) -> None:
        """Forget every answer."""
        self._known.clear()
