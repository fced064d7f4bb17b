"""What the map's functions share: the types of answers, and what counts as an identifier.

A function of the map takes parameters as the caller gave them, of any type and shape, and a place;
it never raises and gives back ARNs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Place = tuple[str, str, str, str]
"""Partition, region, account (`*` where not known) and level of detail."""

Named = tuple[tuple[str, ...], bool]
"""ARNs, sorted where there are several, and whether each identifier in them was known."""

Shape = Callable[[Mapping[str, object], Place], Named]
Action = tuple[str, tuple[Shape, ...]]
Facets = tuple[tuple[str, str], ...]
Derivation = tuple[Facets, tuple[Action, ...]]
"""Facets, and the actions with the shapes of their resources, both sorted."""

Rule = Callable[[Mapping[str, object]], Derivation]

NOTHING: Mapping[str, object] = {}
EVERYTHING: Mapping[str, object] = {}
"""Stands for the parameters at the detail `service`: no identifier, not even a documented default."""

_LONGEST = 2048


def text(value: object) -> str:
    """Return an identifier as plain text, "" for anything that cannot be one."""
    if type(value) is not str:
        if not isinstance(value, str):
            return ""
        value = str.__str__(value)  # an enum's value, not its repr
    return value if len(value) <= _LONGEST else ""


def anywhere(place: Place) -> Place:
    """Return a place of which only partition and detail are known."""
    return (place[0], "*", "*", place[3])
