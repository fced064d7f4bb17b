"""What a table's data becomes: a service's rows as operations, each compiled when it is first used.

Imported with the first service that is asked for: most of what the map weighs is here. The words of the
data are compiled by `vocabulary`; an operation that passes a role gets that action from `passing`,
whether or not it has rows of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from credwatch.operations import identity, passing, rules, vocabulary
from credwatch.operations.naming import NOTHING, READS, Facets, Named, Place, Shape, Test, reads
from credwatch.operations.table import Choice, Usual

_MOST_OPERATIONS = 1500  # more than AWS has: names that callers invent must not fill the memory


class Operation:
    """One operation: which of its rows apply depends on its facets alone."""

    __slots__ = ("_base", "_chosen", "_facets", "_implied", "_missing", "_rows", "_tests", "heads", "mapping")

    def __init__(self, rows: list[dict[str, Any]], shapes: Shapes, facets: Mapping[str, Any], base: Facets) -> None:
        used = {name for row in rows for name in (*vocabulary.listed(row, "when"), *vocabulary.listed(row, "unless"))}
        self._base = base
        self._missing = "missing" in used
        self._facets = frozenset(used)
        self._tests: dict[str, list[tuple[tuple[str, str], Test]]] = {}
        for name in used - {"missing"}:
            for head, holds in vocabulary.facet(facets[name]).items():
                self._tests.setdefault(head, []).append(((name, "yes"), holds))
        # a call that has none of these parameters has no facet
        self.heads = frozenset(self._tests)
        self._rows = [
            (
                row["action"],
                tuple(shapes[name] for name in vocabulary.listed(row, "on")),
                vocabulary.listed(row, "when"),
                vocabulary.listed(row, "unless"),
            )
            for row in rows
        ]
        self._implied: Facets = ()
        self._chosen: dict[Facets, Choice] = {}
        self.mapping = "table"

    def choose(self, params: Mapping[str, object], missing: bool) -> Choice:
        """Return the facets that hold, and the actions with the shapes of their resources."""
        held: Facets = ()
        given = self.heads.intersection(params)
        if given:
            found = [facet for head in given for facet, holds in self._tests[head] if holds(params)]
            held = tuple(found if len(found) < 2 else sorted(set(found)))
        if missing and self._missing:
            held = (*held, ("missing", "yes"))
        chosen = self._chosen.get(held)
        if chosen is None:
            chosen = self._chosen[held] = self._choose({name for name, _ in held})
        return chosen

    def again(self, facets: Facets) -> Choice:
        """As `choose`, from the facets of old telemetry."""
        return self._choose({name for name, value in facets if value == "yes" and name in self._facets})

    def actions(self) -> set[str]:
        """Return every action that some call of this operation is checked for."""
        return {action for action, *_ in self._rows}

    def passes(self, to: str) -> None:
        """Note the services that the operation passes its role to."""
        if to:
            self._implied = ((passing.PASSED_TO, to),)

    def _choose(self, held: set[str]) -> Choice:
        plan: dict[str, tuple[Shape, ...]] = {}
        for action, shapes, when, unless in self._rows:
            if held.issuperset(when) and held.isdisjoint(unless):
                plan[action] = (*plan.get(action, ()), *shapes)
        implied = () if held.isdisjoint((passing.ROLE_FACET, passing.PROFILE_FACET)) else self._implied
        facets = tuple(sorted((*self._base, *((name, "yes") for name in held), *implied)))
        return Choice(facets, tuple(sorted(plan.items())), self.mapping)


class Derived:
    """One operation whose actions a named rule derives from the request."""

    __slots__ = ("_rule", "_table", "mapping")

    def __init__(self, name: str) -> None:
        self._rule, self._table = rules.RULES[name]
        self.mapping = "derived"

    def choose(self, params: Mapping[str, object], missing: bool) -> Choice:
        facets, plan = self._rule(params)
        choice = Choice(facets, plan, "derived" if plan else "unknown")
        choice.reads = None  # made for this call alone
        return choice

    def again(self, facets: Facets) -> Choice:
        """As `choose`, from the facets of old telemetry."""
        held = tuple((name, value) for name, value in facets if name in self._table)
        plan = tuple(sorted((self._table[name][0], (self._table[name][1],)) for name, _ in held))
        return Choice(held, plan, "derived" if plan else "unknown")

    def actions(self) -> set[str]:
        """Return every action that some call of this operation is checked for."""
        return {action for action, _ in self._table.values()}


class Unmapped:
    """An operation of a look-alike (S3's directory buckets) that no row covers."""

    __slots__ = ("_choice", "heads", "mapping")

    def __init__(self, base: Facets) -> None:
        self.mapping = "unknown"
        self._choice = Choice(base, (), self.mapping)
        self.heads: frozenset[str] = frozenset()

    def choose(self, params: Mapping[str, object], missing: bool) -> Choice:
        return self._choice

    def again(self, facets: Facets) -> Choice:
        """As `choose`."""
        return self._choice

    def actions(self) -> set[str]:
        """No action is known."""
        return set()


Entry = Operation | Derived | Unmapped


class Shapes(dict[str, Shape]):
    """The shapes of a service, each compiled when it is first used."""

    def __init__(self, specs: Mapping[str, Any]) -> None:
        super().__init__()
        self._specs = specs

    def __missing__(self, name: str) -> Shape:
        shape = self[name] = vocabulary.shape_of(self._specs[name])
        return shape


@reads()
def _anything(params: Mapping[str, object], place: Place) -> Named:
    """Stands for the resources of an operation without a row."""
    return ("*",), False


class Part:
    """The operations of a service, or of one variant of it."""

    __slots__ = ("_base", "_compiled", "_facets", "_prefix", "_rows", "_service", "_shapes")

    def __init__(self, service: str, data: Mapping[str, Any], variant: str = "") -> None:
        self._service = service
        self._prefix = data.get("prefix", "")
        self._base: Facets = (("variant", variant),) if variant else ()
        self._facets: Mapping[str, Any] = data.get("facets", {})
        self._shapes = Shapes(data.get("resources", {}))
        self._shapes["anything"] = _anything
        self._rows: dict[str, Any] = {}
        for section in data.get("sections", ()):
            self._rows.update(section["operations"])
        self._compiled: dict[str, Entry] = {}

    def get(self, operation: str) -> Entry | None:
        """Return an operation's entry, None where no layer has an action for it."""
        entry = self._compiled.get(operation)
        if entry is None:
            entry = self._compile(operation)
            if entry is not None and len(self._compiled) < _MOST_OPERATIONS:
                self._compiled[operation] = entry
        return entry

    def operations(self) -> set[str]:
        """Return the operations that have rows."""
        return set(self._rows)

    def _compile(self, operation: str) -> Entry | None:
        rows = self._rows.get(operation)
        passed = passing.find(self._service, operation)
        if rows is None and self._base:
            return Unmapped(self._base)
        if isinstance(rows, str):
            return Derived(rows)
        if rows is None:
            return self._identity(operation, passed)
        listed = [self._row(operation, row) for row in (rows if isinstance(rows, list) else [rows])]
        return self._operation(listed, passed)

    def _identity(self, operation: str, passed: passing.Passing | None) -> Operation | None:
        action = identity.action(self._service, operation)
        if not action:
            return None
        entry = self._operation([{"action": action, "on": "anything"}], passed)
        entry.mapping = "identity"
        return entry

    def _operation(self, rows: list[dict[str, Any]], passed: passing.Passing | None) -> Operation:
        if passed is None:
            return Operation(rows, self._shapes, self._facets, self._base)
        shapes = Shapes({})
        shapes.update({name: self._shapes[name] for row in rows for name in vocabulary.listed(row, "on")})
        facets, rows = dict(self._facets), list(rows)
        for facet, paths, arn in (
            (passing.ROLE_FACET, passed.roles, {"param": list(passed.roles), "arn": passing.NAMED}),
            (passing.PROFILE_FACET, passed.profiles, {"arn": passing.HIDDEN}),
        ):
            if paths:
                facets[facet] = {"any": list(paths)}
                shapes[facet] = vocabulary.shape_of(arn)
                rows.append({"action": passing.ACTION, "on": facet, "when": facet})
        entry = Operation(rows, shapes, facets, self._base)
        entry.passes(passed.service)
        return entry

    def _row(self, operation: str, row: dict[str, Any]) -> dict[str, Any]:
        action = row.get("action", operation)
        return {**row, "action": action if ":" in action else f"{self._prefix}:{action}"}


class Service:
    """The operations of one service, and those of each variant of it (S3's directory buckets)."""

    __slots__ = ("plain", "variant", "variants")

    def __init__(self, name: str, data: Mapping[str, Any]) -> None:
        self.plain = Part(name, data)
        self.variants = {kind: Part(name, {**data, **part}, kind) for kind, part in data.get("variants", {}).items()}
        self.variant = rules.VARIANTS[data["variant"]] if "variant" in data else None

    def usual(self, operation: str) -> Usual | None:
        """Return what decides the usual answers of an operation, None where that is not known."""
        heads, names, keyed = set[str](), set(READS[self.variant] if self.variant is not None else ()), False
        for part in (self.plain, *self.variants.values()):
            entry = part.get(operation)
            if entry is None or isinstance(entry, Derived):
                return None
            heads |= entry.heads
            for choice in (entry.choose(NOTHING, False), entry.choose(NOTHING, True)):
                if choice.reads is None:
                    return None
                names.update(choice.reads)
                keyed = keyed or choice.keyed
        return Usual(frozenset(heads), tuple(sorted(names)), keyed)
