"""What is known of a request's condition keys: present with values, absent, or not known.

Owns the three states of a key and its spelling (names are case-insensitive). Knows no operator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

Scalar = str | bool | int | float
Values = tuple[str, ...]
Truth = bool | None
"""True, False, or None where it hangs on something that is not known (Kleene's third value)."""


class Presence(Enum):
    """Why a key has no values."""

    ABSENT = "absent"
    UNKNOWN = "unknown"


class Every(Enum):
    """`EVERY_OTHER`: each key that is not in the context may or may not be in the request."""

    EVERY_OTHER = "every other key"


EVERY_OTHER = Every.EVERY_OTHER


class OneOf(tuple[str, ...]):
    """A key's one value, of which only this much is known: it is among these."""

    __slots__ = ()


class Context:
    """Looks keys up, whatever their case."""

    __slots__ = ("_choices", "_unknown", "_values")

    def __init__(
        self,
        values: Mapping[str, Scalar | Sequence[Scalar]],
        unknown: Iterable[str] | Every = (),
    ) -> None:
        self._values = {key.lower(): _texts(value) for key, value in values.items() if not isinstance(value, OneOf)}
        self._choices = {key.lower(): value for key, value in values.items() if isinstance(value, OneOf)}
        self._unknown = unknown if isinstance(unknown, Every) else frozenset(key.lower() for key in unknown)

    def choices(self, key: str) -> Values:
        """Return what the value of `key` is one of; empty where that is not all that is known of it."""
        return self._choices.get(key.lower(), ())

    def get(self, key: str) -> Values | Presence:
        """Return the values of `key` (a scalar is one value), or why there are none."""
        name = key.lower()
        found = self._values.get(name)
        if found is not None:
            return found
        if isinstance(self._unknown, Every) or name in self._unknown or name in self._choices:
            return Presence.UNKNOWN
        return Presence.ABSENT


def text(value: Scalar) -> str:
    """Write a scalar as a policy writes it: `true`, not `True`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _texts(value: Scalar | Sequence[Scalar]) -> Values:
    if isinstance(value, str | bool | int | float):
        return (text(value),)
    return tuple(text(each) for each in value)


def both(left: Truth, right: Truth) -> Truth:
    """Kleene's and."""
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def either(left: Truth, right: Truth) -> Truth:
    """Kleene's or."""
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def negate(value: Truth) -> Truth:
    """Kleene's not."""
    return None if value is None else not value
