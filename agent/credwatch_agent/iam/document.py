"""Policy documents: parsed once into statements that are ready to match.

Owns what IAM accepts and what it refuses, each refusal one sentence with policy name and JSON path.
What is accepted but cannot be evaluated is kept as a problem and makes answers Unknown.
Knows no request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from credwatch_agent.iam.condition import Condition, problem, split
from credwatch_agent.iam.context import text
from credwatch_agent.iam.element import Actions, Resources, actions, resources

VERSIONS = ("2008-10-17", "2012-10-17")
_POLICY_KEYS = frozenset({"Version", "Id", "Statement"})
_STATEMENT_KEYS = frozenset(
    {
        "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
    }
)  # fmt: skip
_PRINCIPAL_KEYS = frozenset({"AWS", "Federated", "Service", "CanonicalUser"})


class PolicyError(ValueError):
    """A document that IAM would refuse: policy name, JSON path, what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is accepted but cannot be evaluated. `index` is the statement, None the whole policy."""

    index: int | None
    path: str
    message: str


Principals = tuple[tuple[str, str], ...]
"""Pairs of kind (`AWS`, `Service`, `Federated`, `CanonicalUser`) and identifier; `*` is `("AWS", "*")`."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as written, order and spelling kept; an element that is not there is empty."""

    index: int
    sid: str
    effect: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    not_resources: tuple[str, ...] = ()
    principals: Principals = ()
    not_principals: Principals = ()
    conditions: tuple[Condition, ...] = ()
    variables: bool = True
    allows: bool = field(init=False, repr=False, compare=False)
    action_globs: Actions = field(init=False, repr=False, compare=False)
    resource_globs: Resources = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "allows", self.effect == "Allow")
        object.__setattr__(self, "action_globs", actions(self.actions or self.not_actions))
        entries = self.resources or self.not_resources
        object.__setattr__(self, "resource_globs", resources(entries, variables=self.variables))


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed document and an index of its statements by the service prefix of their actions."""

    name: str
    version: str
    statements: tuple[Statement, ...]
    problems: tuple[Problem, ...] = ()
    _by_service: Mapping[str, tuple[Statement, ...]] = field(init=False, repr=False, compare=False)
    _any_service: tuple[Statement, ...] = field(init=False, repr=False, compare=False)
    readable: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        spoken = [(each, services(each)) for each in self.statements]
        index = {
            service: tuple(each for each, of in spoken if service in of or "" in of)
            for service in set[str]().union(*(of for _, of in spoken)) - {""}
        }
        object.__setattr__(self, "_by_service", index)
        object.__setattr__(self, "_any_service", tuple(each for each, of in spoken if "" in of))
        object.__setattr__(self, "readable", all(each.index is not None for each in self.problems))

    def candidates(self, service: str) -> tuple[Statement, ...]:
        """Return the statements that may speak of actions of `service` (lower case)."""
        return self._by_service.get(service, self._any_service)


def parse(name: str, document: str | bytes | Mapping[str, Any]) -> Policy:
    """Parse a policy document, given as JSON or as a mapping.

    Raises PolicyError with one sentence if IAM would refuse it.
    """
    source = document if isinstance(document, Mapping) else _load(name, document)
    return _Parser(name).policy(source)


def with_equals(written: Mapping[str, Any], key: str, value: str | Sequence[str]) -> dict[str, Any]:
    """Return a statement as written with one more clause: `key` has this value, or one of these."""
    old = written.get("Condition", {})
    return {**written, "Condition": {**old, "StringEquals": {**old.get("StringEquals", {}), key: value}}}


@lru_cache(maxsize=16_384)
def parse_text(name: str, document: str) -> Policy:
    """Like `parse`, from a bounded cache: the same managed policy is attached to many roles."""
    return parse(name, document)


def parse_encoded(name: str, document: str) -> Policy:
    """Parse a document as IAM's API returns it: URL-encoded (RFC 3986) JSON."""
    return parse(name, unquote(document))


def unreadable(name: str, error: Exception | str) -> Policy:
    """Stand in for a policy that could not be parsed, so that it does not hide the others.

    It may contain anything: what it could allow or deny becomes Unknown.
    """
    return Policy(name, VERSIONS[1], (), (Problem(None, "", str(error)),))


def services(statement: Statement) -> frozenset[str]:
    """Return the lower-case service prefixes of a statement's actions, with "" if it may speak of any service."""
    if statement.not_actions:
        return _ANY_SERVICE
    prefixes = {each.partition(":")[0].lower() for each in statement.actions}
    return frozenset("" if "*" in each or "?" in each else each for each in prefixes)


_ANY_SERVICE = frozenset({""})


def _load(name: str, document: str | bytes) -> Mapping[str, Any]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in items:
            if key in found:
                raise PolicyError(f"policy {name}: the key `{key}` occurs twice in one object; merge the two")
            found[key] = value
        return found

    try:
        source = document.decode("utf-8-sig") if isinstance(document, bytes) else document.removeprefix("\ufeff")
        loaded = json.loads(source, object_pairs_hook=pairs)
    except PolicyError:
        raise
    except json.JSONDecodeError as error:
        raise PolicyError(
            f"policy {name}: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except UnicodeDecodeError as error:
        raise PolicyError(f"policy {name}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except RecursionError:
        raise PolicyError(f"policy {name}: nested too deeply to be a policy") from None
    if not isinstance(loaded, dict):
        raise PolicyError(f"policy {name}: a policy is a JSON object, not {_kind(loaded)}")
    return loaded


class _Parser:
    """Walks one document; knows the policy's name, so that each refusal can say it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.variables = False

    def policy(self, source: Mapping[str, Any]) -> Policy:
        self.only(source, _POLICY_KEYS, "")
        version = source.get("Version", VERSIONS[0])
        if version not in VERSIONS:
            raise self.error(
                "Version", f"`{version}` is no version of the language; write one of {', '.join(VERSIONS)}"
            )
        self.variables = version == VERSIONS[1]
        if "Statement" not in source:
            raise self.error("Statement", "missing; a policy needs it")
        statements = source["Statement"]
        if isinstance(statements, Mapping):
            found = [self.statement(0, statements, "Statement")]
        elif isinstance(statements, list | tuple):
            found = [self.statement(at, each, f"Statement[{at}]") for at, each in enumerate(statements)]
        else:
            raise self.error("Statement", f"must be an object or a list of objects, not {_kind(statements)}")
        return Policy(self.name, version, tuple(found), tuple(self.problems))

    def statement(self, index: int, source: Any, path: str) -> Statement:
        if not isinstance(source, Mapping):
            raise self.error(path, f"must be an object, not {_kind(source)}")
        self.only(source, _STATEMENT_KEYS, path)
        effect = source.get("Effect")
        if effect not in {"Allow", "Deny"}:
            shown = "missing" if effect is None else f"`{effect}`"
            raise self.error(f"{path}.Effect", f"{shown}; write `Allow` or `Deny` (case-sensitive)")
        sid = source.get("Sid", "")
        if not isinstance(sid, str):
            raise self.error(f"{path}.Sid", f"must be a string, not {_kind(sid)}")
        self.exclusive(source, "Action", path, required=True)
        self.exclusive(source, "Principal", path, required=False)
        has_principal = "Principal" in source or "NotPrincipal" in source
        self.exclusive(source, "Resource", path, required=not has_principal)
        return Statement(
            index=index,
            sid=sid,
            effect=effect,
            actions=self.actions(source, "Action", path),
            not_actions=self.actions(source, "NotAction", path),
            resources=self.strings(source, "Resource", path),
            not_resources=self.strings(source, "NotResource", path),
            principals=self.principals(source, "Principal", path),
            not_principals=self.principals(source, "NotPrincipal", path),
            conditions=self.conditions(index, source.get("Condition", {}), f"{path}.Condition"),
            variables=self.variables,
        )

    def actions(self, source: Mapping[str, Any], key: str, path: str) -> tuple[str, ...]:
        found = self.strings(source, key, path)
        for action in found:
            if action != "*" and not action.partition(":")[2]:
                raise self.error(f"{path}.{key}", f"`{action}` names no service; write `service:Action` or `*`")
        return found

    def strings(self, source: Mapping[str, Any], key: str, path: str) -> tuple[str, ...]:
        if key not in source:
            return ()
        value = source[key]
        values = list(value) if isinstance(value, list | tuple) else [value]
        if not values:
            raise self.error(f"{path}.{key}", "is empty; name at least one")
        for each in values:
            if not isinstance(each, str):
                raise self.error(f"{path}.{key}", f"must hold strings, not {_kind(each)}")
        return tuple(values)

    def principals(self, source: Mapping[str, Any], key: str, path: str) -> Principals:
        if key not in source:
            return ()
        value = source[key]
        if value == "*":
            return (("AWS", "*"),)
        if not isinstance(value, Mapping) or not value:
            raise self.error(f"{path}.{key}", 'must be `"*"` or an object such as `{"AWS": "..."}`')
        self.only(value, _PRINCIPAL_KEYS, f"{path}.{key}")
        return tuple((kind, each) for kind in value for each in self.strings(value, kind, f"{path}.{key}"))

    def conditions(self, index: int, source: Any, path: str) -> tuple[Condition, ...]:
        if not isinstance(source, Mapping):
            raise self.error(path, f"must be an object, not {_kind(source)}")
        found: list[Condition] = []
        for operator, clauses in source.items():
            if not isinstance(clauses, Mapping):
                raise self.error(f"{path}.{operator}", f"must be an object of keys and values, not {_kind(clauses)}")
            qualifier, name, if_exists = split(operator)
            for key, value in clauses.items():
                values = self.values(value, f"{path}.{operator}.{key}")
                condition = Condition(name, key, values, qualifier, if_exists, self.variables)
                message = problem(condition)
                if message:
                    self.problems.append(Problem(index, f"{path}.{operator}.{key}", message))
                found.append(condition)
        return tuple(found)

    def values(self, value: Any, path: str) -> tuple[str, ...]:
        values = value if isinstance(value, list | tuple) else [value]
        for each in values:
            if not isinstance(each, str | bool | int | float):
                raise self.error(path, f"must hold strings, numbers or booleans, not {_kind(each)}")
        return tuple(text(each) for each in values)

    def exclusive(self, source: Mapping[str, Any], key: str, path: str, *, required: bool) -> None:
        both = key in source and f"Not{key}" in source
        if both:
            raise self.error(path, f"has both `{key}` and `Not{key}`; keep one")
        if required and key not in source and f"Not{key}" not in source:
            raise self.error(path, f"has neither `{key}` nor `Not{key}`; add one")

    def only(self, source: Mapping[str, Any], known: frozenset[str], path: str) -> None:
        for key in source:
            if key not in known:
                where = f"{path}.{key}" if path else str(key)
                raise self.error(where, f"unknown element; known are {', '.join(sorted(known))}")

    def error(self, path: str, message: str) -> PolicyError:
        return PolicyError(f"policy {self.name}, {path}: {message}")


def _kind(value: Any) -> str:
    """Name a value's type as JSON does."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    names: list[tuple[type, str]] = [(str, "a string"), (int, "a number"), (float, "a number"), (list, "a list")]
    return next((name for kind, name in names if isinstance(value, kind)), "an object")
