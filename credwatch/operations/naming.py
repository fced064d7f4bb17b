"""What the map's functions share: the types of answers, and what counts as an identifier.

A function of the map takes parameters as the caller gave them, of any type and shape, and a place;
it never raises and gives back ARNs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

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

Test = Callable[[Mapping[str, object]], bool]
"""Whether a facet holds."""

Variant = Callable[[Mapping[str, object]], str]
"""Which look-alike of a service answers, "" for the service itself."""

F = TypeVar("F", bound=Callable[..., object])
READS: dict[object, tuple[str, ...]] = {}
"""The parameters (top level) that a shape or test looks at, a shape at the detail `container` and coarser.

Two calls that agree in these get the same answer. One that is not listed may look at anything.
"""

FINER: set[object] = set()
"""The shapes that look at more than that at finer detail: at an object's key."""


def reads(*names: str, finer: bool = False) -> Callable[[F], F]:
    """Declare what a shape or test looks at."""

    def declare(function: F) -> F:
        READS[function] = names
        if finer:
            FINER.add(function)
        return function

    return declare


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


MOST = 1000
"""Elements of one list that are looked at: more than any AWS batch holds."""


def several(arns: Iterable[tuple[str, bool]]) -> Named:
    """Return ARNs, each with whether its identifier is known, as one answer."""
    found = list(arns)
    return tuple(sorted({arn for arn, _ in found})), all(known for _, known in found)


def texts(params: Mapping[str, object], *names: str) -> list[str]:
    """Return the identifiers in parameters that hold one or a list of them, "" for each that is none."""
    values: list[object] = []
    for name in names:
        value = params.get(name)
        values += value[:MOST] if isinstance(value, (list, tuple)) else [value] if value is not None else []
    return [text(value) for value in values]


def is_account(value: str) -> bool:
    """Tell whether a text is the id of an account."""
    return len(value) == 12 and value.isdigit()


def is_arn_of(value: str, service: str, kinds: str | tuple[str, ...]) -> bool:
    """Tell whether a text is the ARN of a resource of a service whose last part begins as one of `kinds`."""
    parts = value.split(":", 5)
    return len(parts) == 6 and parts[2] == service and parts[5].startswith(kinds)


def entries(value: object) -> list[Mapping[str, object]]:
    """Return the structures of a list."""
    listed = value[:MOST] if isinstance(value, (list, tuple)) else ()
    return [entry for entry in listed if isinstance(entry, dict)]


def anywhere(place: Place) -> Place:
    """Return a place of which only partition and detail are known."""
    return (place[0], "*", "*", place[3])


# a region's name begins so in each partition but `aws`
_PARTITIONS = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
)


@lru_cache(maxsize=256)  # few regions, asked at each call
def partition_of(region: str) -> str:
    """Return the partition of a region, by its prefix (AWS general reference, ARN format)."""
    for prefix, name in _PARTITIONS:
        if region.startswith(prefix):
            return name
    return "aws"
