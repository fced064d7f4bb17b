"""The table layer: a service's JSON file, read and compiled (`compiled`) when the service is first used.

Owns which entry answers for a call, and what was decided about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from credwatch.operations.naming import FINER, READS, Facets, Shape

if TYPE_CHECKING:
    from credwatch.operations.compiled import Entry, Service

Authorizations = tuple[tuple[str, tuple[str, ...]], ...]
Plan = tuple[tuple[str, tuple[Shape, ...]], ...]

_services: dict[str, Service] = {}
_usual: dict[tuple[str, str], Usual | None] = {}


class Choice:
    """What the facets of a call decided: its actions, each with the shapes of its resources.

    `reads` are the parameters that the resources depend on, and nothing else does; None where that is not known.
    `keyed` says that they depend on more where the detail is finer than `container`.
    """

    __slots__ = ("facets", "keyed", "mapping", "plan", "reads")

    def __init__(self, facets: Facets, plan: Plan, mapping: str) -> None:
        self.facets, self.plan, self.mapping = facets, plan, mapping
        shapes = [shape for _, shapes in plan for shape in shapes]
        known = all(shape in READS for shape in shapes)
        self.reads = tuple(sorted({name for shape in shapes for name in READS[shape]})) if known else None
        self.keyed = not FINER.isdisjoint(shapes)


class Usual:
    """What decides the answers of an operation, whatever its variant, to the calls that have no facet.

    `heads` are the parameters that no such call has; `reads` and `keyed` as in `Choice`.
    """

    __slots__ = ("heads", "keyed", "reads")

    def __init__(self, heads: frozenset[str], reads: tuple[str, ...], keyed: bool) -> None:
        self.heads, self.reads, self.keyed = heads, reads, keyed


def load(service: str) -> Service:
    """Return a service, read at its first use; one without a table has no rows."""
    known = _services.get(service)
    if known is None:
        from credwatch.operations import packaged  # noqa: PLC0415 - milliseconds that no start should wait for
        from credwatch.operations.compiled import Service  # noqa: PLC0415

        known = Service(service, packaged.service(service) or {})
        if len(_services) < _MOST_SERVICES:
            _services[service] = known
    return known


# more than AWS has: names that callers invent must not fill the memory
_MOST_SERVICES = 1000
_MOST_USUAL = 2000  # those that a process uses, seldom a hundred


def find(service: str, operation: str, params: object) -> Entry | None:
    """Return the entry of an operation, None where no layer has an action for it."""
    if type(service) is not str or type(operation) is not str:
        return None
    known = load(service)
    if known.variant is not None and isinstance(params, dict):
        variant = known.variant(params)
        if variant:
            # the look-alike's identity rule would name the wrong service's action
            return known.variants[variant].get(operation)
    return known.plain.get(operation)


def choose(service: str, operation: str, params: Mapping[str, object], missing: bool) -> Choice | None:
    """Return what a call's facets decide, None where no layer has an action for it."""
    entry = find(service, operation, params)
    return entry.choose(params, missing) if entry is not None else None


def usual(service: str, operation: str) -> Usual | None:
    """Return what decides the answers to an operation's usual calls, None where that is not known."""
    if type(service) is not str or type(operation) is not str:
        return None
    try:
        return _usual[service, operation]
    except KeyError:
        if len(_usual) >= _MOST_USUAL:
            _usual.clear()
        found = _usual[service, operation] = load(service).usual(operation)
        return found


def recall(service: str, operation: str, facets: Facets) -> Entry | None:
    """As `find`, from the facets of old telemetry: the parameters that told the variant are gone."""
    if type(service) is not str or type(operation) is not str:
        return None
    known = load(service)
    variant = dict(facets).get("variant")
    part = known.variants.get(variant, known.plain) if variant else known.plain
    return part.get(operation)


def entries(service: str, operation: str) -> tuple[Entry, ...]:
    """Return the entries of an operation, the plain one first, then those of variants that have rows for it."""
    known = load(service)
    plain = known.plain.get(operation)
    others = [part.get(operation) for part in known.variants.values() if operation in part.operations()]
    return tuple(entry for entry in (plain, *others) if entry is not None)


def forget() -> None:
    """Forget what was read, after the data was written anew."""
    _services.clear()
    _usual.clear()


def operations(service: str) -> set[str]:
    """Return the operations of a service that have rows or pass a role."""
    from credwatch.operations import passing  # noqa: PLC0415 - see `load`

    known = load(service)
    return set().union(
        *(part.operations() for part in (known.plain, *known.variants.values())), passing.operations(service)
    )
