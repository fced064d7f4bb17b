"""The table's vocabulary, compiled into closures: paths into parameters, facets, shapes of resources.

Owns what a word of `data/<service>.json` means (`docs/operations.md`, checked against a JSON Schema
by the tests). What the vocabulary cannot say is a function of `rules`, named in the data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from credwatch.operations import rules
from credwatch.operations.naming import (
    EVERYTHING,
    NOTHING,
    READS,
    Named,
    Place,
    Shape,
    Test,
    anywhere,
    is_account,
    reads,
    text,
)

Reader = Callable[[Mapping[str, object]], list[object]]

_MOST = 1000  # elements of one list or map that are looked at: more than any AWS batch holds


def listed(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = row.get(key, ())
    return (value,) if isinstance(value, str) else tuple(value)


def path_of(path: str) -> Reader:
    """Compile `A.B[].C`, `A{}` (keys of a map) or `A{}.B` (of its values) into a reader of values.

    `A@role` reads, of the values of `A`, those that are the ARN of a role.
    """
    path, _, kind = path.partition("@")
    steps: list[Callable[[object], list[object]]] = []
    for part in path.split("."):
        name = part.rstrip("[]{}")
        steps.append(_member(name))
        kinds = part[len(name) :]
        steps += [_elements if kinds[at] == "[" else _values for at in range(0, len(kinds), 2)]
    if kind:
        steps.append(_KINDS[kind])
    elif path.endswith("{}"):
        steps[-1] = _keys

    def reader(params: Mapping[str, object]) -> list[object]:
        values: list[object] = [params]
        for step in steps:
            values = [found for value in values for found in step(value)]
        return values

    return reader


def _head(path: str) -> str:
    return path.partition("@")[0].partition(".")[0].rstrip("[]{}")


def _heads(paths: tuple[str, ...]) -> set[str]:
    """Return the parameters in which paths begin."""
    return {_head(path) for path in paths}


def _member(name: str) -> Callable[[object], list[object]]:
    return lambda value: [value[name]] if isinstance(value, dict) and name in value else []


def _elements(value: object) -> list[object]:
    return list(value[:_MOST]) if isinstance(value, (list, tuple)) else []


def _keys(value: object) -> list[object]:
    return list(value)[:_MOST] if isinstance(value, dict) else []


def _values(value: object) -> list[object]:
    return list(value.values())[:_MOST] if isinstance(value, dict) else []


_ROLE = re.compile(r"arn:[\w-]+:iam::[^:]*:role/.")


def _roles(value: object) -> list[object]:
    return [value] if isinstance(value, str) and _ROLE.match(value) else []


_KINDS = {"role": _roles}


def facet(spec: Mapping[str, Any]) -> Mapping[str, Test]:
    """Return a facet's tests by the parameter that each looks at: the facet holds if one of them does."""
    if "rule" in spec:
        rule = rules.FACETS[spec["rule"]]
        return dict.fromkeys(READS[rule], rule)
    paths = listed(spec, "any")
    return {head: _facet(tuple(p for p in paths if _head(p) == head), spec.get("is")) for head in _heads(paths)}


def _facet(paths: tuple[str, ...], wanted: object) -> Test:
    if wanted is None and not any(c in path for path in paths for c in ".[{@"):
        return _given(paths[0])
    readers = [path_of(path) for path in paths]

    def holds(params: Mapping[str, object]) -> bool:
        values = [value for reader in readers for value in reader(params)]
        if wanted is None:
            return any(_present(value) for value in values)
        return any(value is wanted or (isinstance(value, str) and value == wanted) for value in values)

    return holds


def _given(name: str) -> Test:
    return lambda params: name in params and _present(params[name])


def _present(value: object) -> bool:
    # no truth test of what is not ours: numpy's arrays raise there
    if value is None or value is False:
        return False
    return len(value) > 0 if isinstance(value, (str, bytes, list, tuple, dict)) else True


def shape_of(spec: Mapping[str, Any]) -> Shape:
    if "rule" in spec:
        return rules.SHAPES[spec["rule"]]
    paths = listed(spec, "param")
    names, shape = {*_heads(paths), *_others(spec.get("arn", ""))} - _PLACE, _shape(paths, spec)
    if "owner" in spec:
        names, shape = {*names, spec["owner"]}, _owned(spec["owner"], shape)
    return reads(*sorted(names))(shape)


_PLACE = {"partition", "region", "account", ""}


def _others(template: str) -> list[str]:
    """Return the names in braces: parameters, places, and the identifier itself, which has none."""
    return template.replace("}", "{").split("{")[1::2]


def _shape(paths: tuple[str, ...], spec: Mapping[str, Any]) -> Shape:
    if not paths:
        return _new(spec["arn"])
    build, accepts = _template(spec["arn"]) if "arn" in spec else _arn_of(spec["of"])
    if spec.get("lower"):
        build = _lowered(build)
    tells = "{}" in spec.get("arn", "")
    if not tells and "arn" in spec:
        build = _open(build)
    default: str | None = spec.get("default")
    if len(paths) == 1 and not any(c in paths[0] for c in ".[{@"):
        return _single(paths[0], build, accepts, default, tells)
    return _several([path_of(path) for path in paths], build, accepts, default, tells)


def _new(template: str) -> Shape:
    """A resource that the call makes: its name is not known before, so the check is made on all of its kind."""
    build, _ = _template(template + "{}")
    return lambda params, place: ((build("", params, place),), True)


def _owned(name: str, shape: Shape) -> Shape:
    """For a resource in the account that a parameter names; without it, in the caller's."""

    def owned(params: Mapping[str, object], place: Place) -> Named:
        given = text(params.get(name))
        if given:
            place = (place[0], place[1], given if is_account(given) else "*", place[3])
        return shape(params, place)

    return owned


Build = Callable[[str, Mapping[str, object], Place], str]


def _open(build: Build) -> Build:
    """For an identifier that the ARN does not hold (a name where the ARN has an id): only the kind is known."""
    return lambda value, params, place: build("", params, place)


def _lowered(build: Build) -> Build:
    """For a service that keeps names in lower case, however the caller writes them."""
    return lambda value, params, place: build(value.lower(), params, place)


def _template(template: str) -> tuple[Build, Callable[[str], bool]]:
    """Compile an ARN template: one function that fills it, one that knows an ARN of its kind."""
    _, _, service, region, account, resource = template.split(":", 5)
    before, _, after = resource.partition("{}")
    regional, owned = region == "{region}", account == "{account}"
    literal = before.partition("{")[0].partition("*")[0]
    others = _others(before)

    def build(value: str, params: Mapping[str, object], place: Place) -> str:
        head = before
        if head.endswith("*") and value == "*":
            head = head[:-1]
        for name in others:
            given = text(params.get(name))
            if given[:4] == "arn:" and given.count(":") >= 5:
                # the other resource's ARN tells where this one lives
                partition, _, there, owner = given.split(":", 5)[1:5]
                place = (partition, there, owner, place[3])
            head = head.replace("{" + name + "}", given.rpartition("/")[2] or "*")
        if literal and value.startswith("/" + literal):
            value = value[1:]  # `/hostedzone/Z1`, as Route 53 answers
        if literal and value.startswith(literal):
            value = value[len(literal) :] or "*"  # `alias/name` where the ARN says `alias/{}`
        if value[:1] == "/" and head[-1:] == "/":
            value = value[1:] or "*"  # a parameter's path, an operations setting
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


def _single(name: str, build: Build, accepts: Callable[[str], bool], default: str | None, tells: bool) -> Shape:
    def shape(params: Mapping[str, object], place: Place) -> Named:
        value = text(params.get(name))
        if not value and default is not None and params is not EVERYTHING:
            value = default
        if not value:
            return (build("*", params, place),), False
        if value[:4] == "arn:":
            return _given_arn(value, build, accepts, place)
        return (build(value, params, place),), tells

    return shape


def _several(
    readers: list[Reader], build: Build, accepts: Callable[[str], bool], default: str | None, tells: bool
) -> Shape:
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
                arns.add(build(value or "*", params, place))
                known = bool(value) and tells
            exact = exact and known
        return tuple(sorted(arns)), exact

    return shape


def _given_arn(arn: str, build: Build, accepts: Callable[[str], bool], place: Place) -> Named:
    """Take an ARN of the expected kind as it is; of one of another kind nothing is believed."""
    if accepts(arn):
        return (arn,), True
    return (build("*", NOTHING, anywhere(place)),), False
