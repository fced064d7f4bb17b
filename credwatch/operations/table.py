"""The table layer: a service's JSON file, compiled once into closures.

Owns the vocabulary (`docs/operations.md`, checked against a JSON Schema by the tests): paths into
parameters, facets, shapes of resources, rows. What the vocabulary cannot say is a function of
`rules`, named in the data. A row costs nothing until its service is first used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from credwatch.operations import rules
from credwatch.operations.naming import EVERYTHING, NOTHING, Named, Place, Rule, Shape, anywhere, text

Facets = tuple[tuple[str, str], ...]
Authorizations = tuple[tuple[str, tuple[str, ...]], ...]
Plan = tuple[tuple[str, tuple[Shape, ...]], ...]
Reader = Callable[[Mapping[str, object]], list[object]]

__all__ = ["EVERYTHING", "NOTHING", "Authorizations", "Facets", "Named", "Operation", "Place", "Shape", "find", "read"]

_DATA = Path(__file__).parent / "data"
_MOST = 1000  # elements of one list or map that are looked at: more than any AWS batch holds

_services: dict[str, Service] = {}


class Operation:
    """One operation of the table: which rows apply depends on its facets alone."""

    __slots__ = ("_facets", "_missing", "_plans", "_rows", "mapping")

    def __init__(self, rows: list[dict[str, Any]], shapes: Mapping[str, Shape], facets: Mapping[str, Any]) -> None:
        used = {name for row in rows for name in (*_listed(row, "when"), *_listed(row, "unless"))}
        self._missing = "missing" in used
        self._facets = tuple((name, _facet(facets[name])) for name in sorted(used - {"missing"}))
        self._rows = [
            (row["action"], tuple(shapes[s] for s in _listed(row, "on")), _listed(row, "when"), _listed(row, "unless"))
            for row in rows
        ]
        self._plans: dict[Facets, Plan] = {}
        self.mapping = "table"

    def choose(self, params: Mapping[str, object], missing: bool) -> tuple[Facets, Plan, str]:
        """Return the facets that hold, and the actions with the shapes of their resources."""
        facets: Facets = ()
        if self._facets:
            facets = tuple([(name, "yes") for name, holds in self._facets if holds(params)])
        if missing and self._missing:
            facets = tuple(sorted((*facets, ("missing", "yes"))))
        plan = self._plans.get(facets)
        if plan is None:
            plan = self._plans[facets] = self._plan({name for name, _ in facets})
        return facets, plan, self.mapping

    def _plan(self, held: set[str]) -> Plan:
        chosen: dict[str, tuple[Shape, ...]] = {}
        for action, shapes, when, unless in self._rows:
            if held.issuperset(when) and held.isdisjoint(unless):
                chosen[action] = (*chosen.get(action, ()), *shapes)
        return tuple(sorted(chosen.items()))


class Derived:
    """One operation whose actions a named rule derives from the request."""

    __slots__ = ("_rule",)

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def choose(self, params: Mapping[str, object], missing: bool) -> tuple[Facets, Plan, str]:
        facets, plan = self._rule(params)
        return facets, plan, "derived" if plan else "unknown"


class Service:
    """The operations of one service, and those of each variant of it (S3's directory buckets)."""

    __slots__ = ("operations", "variant", "variants")

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.operations = _operations(data)
        self.variants = {name: _operations({**data, **part}) for name, part in data.get("variants", {}).items()}
        self.variant = rules.VARIANTS[data["variant"]] if "variant" in data else None


_UNKNOWN = Derived(lambda params: ((), ()))


def find(service: str, operation: str, params: object) -> Operation | Derived | None:
    """Return the entry of an operation, None where the table has none."""
    if type(service) is not str or type(operation) is not str:
        return None
    known = _services.get(service)
    if known is None:
        known = _services[service] = _load(service)
    if known.variant is not None and isinstance(params, dict):
        variant = known.variant(params)
        if variant:
            # the look-alike's identity rule would name the wrong service's action
            return known.variants[variant].get(operation, _UNKNOWN)
    return known.operations.get(operation)


def _load(service: str) -> Service:
    # the name becomes a file name: nothing but a client name may reach the disk
    if not (service.replace("-", "").isalnum() and service.isascii()) or service == "identity":
        return _EMPTY
    data = read(service)
    return Service(data) if data else _EMPTY


def read(name: str) -> dict[str, Any] | None:
    """Return a packaged data file, None where there is none."""
    try:
        content = (_DATA / f"{name}.json").read_bytes()
    except OSError:
        return None
    parsed: dict[str, Any] = json.loads(content)
    return parsed


# --- compiling ----------------------------------------------------------------------------------


def _operations(data: Mapping[str, Any]) -> dict[str, Operation | Derived]:
    shapes = {name: _shape(spec) for name, spec in data.get("resources", {}).items()}
    facets = data.get("facets", {})
    compiled: dict[str, Operation | Derived] = {}
    for section in data["sections"]:
        for name, rows in section["operations"].items():
            if isinstance(rows, str):
                compiled[name] = Derived(rules.RULES[rows])
            else:
                listed = rows if isinstance(rows, list) else [rows]
                compiled[name] = Operation([_row(name, row, data["prefix"]) for row in listed], shapes, facets)
    return compiled


def _row(operation: str, row: dict[str, Any], prefix: str) -> dict[str, Any]:
    action = row.get("action", operation)
    return {**row, "action": action if ":" in action else f"{prefix}:{action}"}


def _listed(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = row.get(key, ())
    return (value,) if isinstance(value, str) else tuple(value)


def _path(path: str) -> Reader:
    """Compile `A.B[].C`, `A{}` (keys of a map) or `A{}.B` (of its values) into a reader of values."""
    steps: list[Callable[[object], list[object]]] = []
    for index, part in enumerate(parts := path.split(".")):
        name = part.rstrip("[]{}")
        steps.append(_member(name))
        if part.endswith("[]"):
            steps.append(_elements)
        elif part.endswith("{}"):
            steps.append(_keys if index == len(parts) - 1 else _values)

    def reader(params: Mapping[str, object]) -> list[object]:
        values: list[object] = [params]
        for step in steps:
            values = [found for value in values for found in step(value)]
        return values

    return reader


def _member(name: str) -> Callable[[object], list[object]]:
    return lambda value: [value[name]] if isinstance(value, dict) and name in value else []


def _elements(value: object) -> list[object]:
    return list(value[:_MOST]) if isinstance(value, (list, tuple)) else []


def _keys(value: object) -> list[object]:
    return list(value)[:_MOST] if isinstance(value, dict) else []


def _values(value: object) -> list[object]:
    return list(value.values())[:_MOST] if isinstance(value, dict) else []


def _facet(spec: Mapping[str, Any]) -> Callable[[Mapping[str, object]], bool]:
    if "rule" in spec:
        return rules.FACETS[spec["rule"]]
    wanted = spec.get("is")
    paths = _listed(spec, "any")
    if wanted is None and not any(c in path for path in paths for c in ".[{"):
        return _given_one(paths[0]) if len(paths) == 1 else _given_any(paths)
    readers = [_path(path) for path in paths]

    def holds(params: Mapping[str, object]) -> bool:
        values = [value for reader in readers for value in reader(params)]
        if wanted is None:
            return any(_present(value) for value in values)
        return any(value is wanted or (isinstance(value, str) and value == wanted) for value in values)

    return holds


def _given_one(name: str) -> Callable[[Mapping[str, object]], bool]:
    return lambda params: name in params and _present(params[name])


def _given_any(names: tuple[str, ...]) -> Callable[[Mapping[str, object]], bool]:
    every = frozenset(names)

    def holds(params: Mapping[str, object]) -> bool:
        return not every.isdisjoint(params) and any(_present(params[name]) for name in names if name in params)

    return holds


def _present(value: object) -> bool:
    # no truth test of what is not ours: numpy's arrays raise there
    if value is None or value is False:
        return False
    return len(value) > 0 if isinstance(value, (str, bytes, list, tuple, dict)) else True


def _shape(spec: Mapping[str, Any]) -> Shape:
    if "rule" in spec:
        return rules.SHAPES[spec["rule"]]
    build, accepts = _template(spec["arn"]) if "arn" in spec else _arn_of(spec["of"])
    paths = _listed(spec, "param")
    default: str | None = spec.get("default")
    if len(paths) == 1 and not any(c in paths[0] for c in ".[{"):
        return _single(paths[0], build, accepts, default)
    return _several([_path(path) for path in paths], build, accepts, default)


Build = Callable[[str, Mapping[str, object], Place], str]


def _template(template: str) -> tuple[Build, Callable[[str], bool]]:
    """Compile an ARN template: one function that fills it, one that knows an ARN of its kind."""
    _, _, service, region, account, resource = template.split(":", 5)
    before, _, after = resource.partition("{}")
    regional, owned = region == "{region}", account == "{account}"
    literal = before.partition("{")[0].partition("*")[0]
    others = before.replace("}", "{").split("{")[1::2]

    def build(value: str, params: Mapping[str, object], place: Place) -> str:
        head = before
        for name in others:
            given = text(params.get(name))
            if given[:4] == "arn:" and given.count(":") >= 5:
                # the other resource's ARN tells where this one lives
                partition, _, there, owner = given.split(":", 5)[1:5]
                place = (partition, there, owner, place[3])
            head = head.replace("{" + name + "}", given.rpartition("/")[2] or "*")
        if literal and value.startswith(literal):
            value = value[len(literal) :] or "*"  # `alias/name` where the ARN says `alias/{}`
        return (
            f"arn:{place[0]}:{service}:{place[1] if regional else region}:"
            f"{place[2] if owned else account}:{head}{value}{after}"
        )

    def accepts(arn: str) -> bool:
        parts = arn.split(":", 5)
        return len(parts) == 6 and parts[2] == service and parts[5].startswith(literal) and len(parts[5]) > len(literal)

    return build, accepts


def _arn_of(service: str) -> tuple[Build, Callable[[str], bool]]:
    """For a parameter that is an ARN or nothing: an ARN of the service is taken, else all stays open."""

    def accepts(arn: str) -> bool:
        parts = arn.split(":", 5)
        return len(parts) == 6 and parts[2] == service and bool(parts[5])

    return lambda value, params, place: "*", accepts


def _single(name: str, build: Build, accepts: Callable[[str], bool], default: str | None) -> Shape:
    def shape(params: Mapping[str, object], place: Place) -> Named:
        value = text(params.get(name))
        if not value and default is not None and params is not EVERYTHING:
            value = default
        if not value:
            return (build("*", params, place),), False
        if value[:4] == "arn:":
            return _given_arn(value, build, accepts, place)
        arn = build(value, params, place)
        return (arn,), arn != "*"

    return shape


def _several(readers: list[Reader], build: Build, accepts: Callable[[str], bool], default: str | None) -> Shape:
    def shape(params: Mapping[str, object], place: Place) -> Named:
        values = [text(value) for reader in readers for value in reader(params)]
        if not values and default is not None and params is not EVERYTHING:
            values = [default]
        arns: set[str] = set()
        exact = bool(values)
        for value in values or [""]:
            if value[:4] == "arn:":
                named, known = _given_arn(value, build, accepts, place)
                arns.update(named)
            else:
                arn = build(value or "*", params, place)
                arns.add(arn)
                known = bool(value) and arn != "*"
            exact = exact and known
        return tuple(sorted(arns)), exact

    return shape


def _given_arn(arn: str, build: Build, accepts: Callable[[str], bool], place: Place) -> Named:
    """Take an ARN of the expected kind as it is; of one of another kind nothing is believed."""
    if accepts(arn):
        return (arn,), True
    return (build("*", NOTHING, anywhere(place)),), False


_EMPTY = Service({"prefix": "", "sections": []})
