"""Implication between condition clauses: what holds wherever others hold, and what then cannot hold.

Fail-closed: False is "not shown". A clause that the engine cannot evaluate implies only itself.
Owns the reasoning over value sets; knows no statement.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

from credwatch_agent.iam.condition import (
    OPERATORS,
    Condition,
    arn_tokens,
    compiled,
    date,
    network,
    number,
    problem,
    text_tokens,
    when_absent,
)
from credwatch_agent.iam.pattern import Tokens, canonical, included, loosen, lower, overlap

Clauses = tuple[Condition, ...]

MAX_SPLITS = 64
"""How many single values the clauses of a statement are split into before implication is given up."""

MAX_MAGNITUDE = 12
"""Numbers beyond ten to this power, or finer than its inverse, are not reasoned about."""


def implies(given: Clauses, wanted: Clauses) -> bool:
    """Show that whenever all of `given` hold, all of `wanted` do."""
    return all(_implied(given, each) for each in wanted)


def implies_any(given: Clauses, choices: Sequence[Clauses], budget: int = MAX_SPLITS) -> bool:
    """Show that whenever all of `given` hold, all clauses of one of `choices` do.

    Which one may depend on the value: a clause of several values is tried value by value.
    """
    if any(implies(given, each) for each in choices):
        return True
    at = next((at for at, each in enumerate(given) if _splits(each)), None)
    if at is None or len(choices) < 2 or budget < len(given[at].values):
        return False
    values = given[at].values
    parts = (replace(given[at], values=(value,)) for value in values)
    share = budget // len(values)
    return all(implies_any((*given[:at], part, *given[at + 1 :]), choices, share) for part in parts)


def excludes(given: Clauses, other: Clauses) -> bool:
    """Show that whenever all of `given` hold, some clause of `other` is false."""
    return any(_excluded(given, each) for each in other)


def same(left: Condition, right: Condition) -> bool:
    """Say whether two clauses are the same, whatever the order of values and the case of the key."""
    return _identity(left) == _identity(right)


def _identity(clause: Condition) -> tuple[object, ...]:
    variables = clause.variables and any("${" in value for value in clause.values)
    values = frozenset(clause.values)
    return clause.operator, clause.key.lower(), values, clause.qualifier, clause.if_exists, variables


def _splits(clause: Condition) -> bool:
    negated = clause.operator == "Null" or OPERATORS.get(clause.operator, OPERATORS["Null"]).negated
    return len(clause.values) > 1 and not negated and clause.qualifier != "ForAllValues" and not problem(clause)


# --- one clause -----------------------------------------------------------------------------------


def _implied(given: Clauses, wanted: Condition) -> bool:
    if any(same(each, wanted) for each in given):
        return True
    if problem(wanted):
        return False
    about = [each for each in given if each.key.lower() == wanted.key.lower() and not problem(each)]
    if wanted.operator == "Null":
        return _null_implied(about, wanted)
    present = any(map(_forces_presence, about))
    return any(_narrows(each, wanted, present=present) for each in about)


def _null_values(clause: Condition) -> frozenset[str]:
    return frozenset(value.lower() for value in clause.values)


def _null_implied(about: Sequence[Condition], wanted: Condition) -> bool:
    values = _null_values(wanted)
    if values == {"true", "false"} or (values == {"false"} and any(map(_forces_presence, about))):
        return True
    return values == {"true"} and any(map(_forces_absence, about))


def _forces_absence(clause: Condition) -> bool:
    return clause.operator == "Null" and _null_values(clause) == {"true"}


def _forces_presence(clause: Condition) -> bool:
    """Whether the clause holds only in requests that have a value for its key."""
    if clause.operator == "Null":
        return _null_values(clause) == {"false"}
    return not when_absent(clause, OPERATORS[clause.operator])


def _narrows(given: Condition, wanted: Condition, *, present: bool) -> bool:
    """Whether `given` alone implies `wanted`, on the same key; `present` if other clauses force a value."""
    if given.operator == "Null":
        return _forces_absence(given) and wanted.qualifier == "ForAllValues"
    if given.qualifier != wanted.qualifier:
        return False
    may_lack = not present and when_absent(given, OPERATORS[given.operator])
    if may_lack and not when_absent(wanted, OPERATORS[wanted.operator]):
        return False
    return _passes(given, wanted, negated=OPERATORS[wanted.operator].negated)


def _excluded(given: Clauses, other: Condition) -> bool:
    if problem(other):
        return False
    about = [each for each in given if each.key.lower() == other.key.lower() and not problem(each)]
    present = any(map(_forces_presence, about))
    if other.operator == "Null":
        values = _null_values(other)
        return (values == {"true"} and present) or (values == {"false"} and any(map(_forces_absence, about)))
    if other.qualifier:
        return False
    lacking_is_false = present or not when_absent(other, OPERATORS[other.operator])
    return any(
        lacking_is_false
        and not each.qualifier
        and each.operator != "Null"
        and _passes(each, other, negated=not OPERATORS[other.operator].negated)
        for each in about
    )


# --- sets of values -------------------------------------------------------------------------------


def _passes(given: Condition, wanted: Condition, *, negated: bool) -> bool:
    """Whether each single value that passes `given` passes `wanted`, taken as `negated` or not."""
    inside, apart = _KINDS.get(_kind(given), (None, None))
    if inside is None or apart is None or _kind(given) != _kind(wanted):
        return False
    if OPERATORS[given.operator].negated:
        return negated and inside(wanted, given)
    return apart(given, wanted) if negated else inside(given, wanted)


def _kind(clause: Condition) -> str:
    text = OPERATORS[clause.operator].text
    if text:
        return "arn" if text == "arn" else "text"
    return next((kind for kind in ("Numeric", "Date", "Bool", "Binary", "Ip") if kind in clause.operator), "")


def _text_inside(given: Condition, wanted: Condition) -> bool:
    mine, theirs = OPERATORS[given.operator].text, OPERATORS[wanted.operator].text
    if theirs == "like":
        return mine != "ignore-case" and all(included(each, _texts(wanted)) for each in _texts(given))
    if theirs == "equal":
        return mine == "equal" and set(_texts(given)) <= set(_texts(wanted))
    folded = {lower(each) for each in _texts(given)} <= {lower(each) for each in _texts(wanted)}
    return mine in {"equal", "ignore-case"} and _ascii(given, wanted) and folded


def _text_apart(given: Condition, wanted: Condition) -> bool:
    pairs = [(loosen(left), loosen(right)) for left in _texts(given) for right in _texts(wanted)]
    if "ignore-case" in {OPERATORS[given.operator].text, OPERATORS[wanted.operator].text}:
        if not _ascii(given, wanted):
            return False
        pairs = [(lower(left), lower(right)) for left, right in pairs]
    return not any(overlap(left, right) for left, right in pairs)


def _texts(clause: Condition) -> list[Tokens]:
    wildcards = OPERATORS[clause.operator].text == "like"
    return [canonical(text_tokens(value, variables=clause.variables, wildcards=wildcards)) for value in clause.values]


def _ascii(*clauses: Condition) -> bool:
    return all(value.isascii() for clause in clauses for value in clause.values)


def _arn_inside(given: Condition, wanted: Condition) -> bool:
    def one(inner: tuple[Tokens, ...], outer: tuple[Tokens, ...]) -> bool:
        return all(included(mine, [theirs]) for mine, theirs in zip(inner, outer, strict=True))

    return all(any(one(inner, outer) for outer in _arns(wanted)) for inner in _arns(given))


def _arn_apart(given: Condition, wanted: Condition) -> bool:
    def one(left: tuple[Tokens, ...], right: tuple[Tokens, ...]) -> bool:
        return any(not overlap(loosen(mine), loosen(theirs)) for mine, theirs in zip(left, right, strict=True))

    return all(one(left, right) for left in _arns(given) for right in _arns(wanted))


def _arns(clause: Condition) -> list[tuple[Tokens, ...]]:
    split = (arn_tokens(value, variables=clause.variables) for value in clause.values)
    return [tuple(canonical(part) for part in parts) for parts in split]


def _points_inside(given: Condition, wanted: Condition) -> bool:
    points = _points(given, wanted)
    return points is not None and all(_hit(wanted, point) for point in points if _hit(given, point))


def _points_apart(given: Condition, wanted: Condition) -> bool:
    points = _points(given, wanted)
    return points is not None and not any(_hit(wanted, point) and _hit(given, point) for point in points)


def _hit(clause: Condition, point: str) -> bool:
    return any(compiled(clause.operator, value)(point) for value in clause.values)


def _points(left: Condition, right: Condition) -> list[str] | None:
    """Return values such that what holds of each of them holds of all; None if there are no such."""
    kind = _kind(left)
    if kind == "Bool":
        return ["true", "false"]
    values = [*left.values, *right.values]
    if kind == "Binary":
        return values
    read = number if kind == "Numeric" else date
    limits = sorted({read(value) for value in values})
    if any(each and not -MAX_MAGNITUDE <= _finest(each) <= each.adjusted() <= MAX_MAGNITUDE for each in limits):
        return None
    between = [(low + high) / 2 for low, high in pairwise(limits)]
    beyond = [limits[0] - 1, limits[-1] + 1] if limits else [Decimal(0)]
    return [_written(point, kind) for point in (*limits, *between, *beyond)]


def _finest(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return min(exponent, 0) if isinstance(exponent, int) else -MAX_MAGNITUDE - 1


def _written(point: Decimal, kind: str) -> str:
    """Write a number so that the operator reads it again: four digits would be a year."""
    shown = f"{abs(point):f}"
    return ("-" if point < 0 else "") + (f"00000{shown}" if kind == "Date" else shown)


def _networks(clause: Condition) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    every = [network(value) for value in clause.values]
    four = ipaddress.collapse_addresses(each for each in every if isinstance(each, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(each for each in every if isinstance(each, ipaddress.IPv6Network))
    return [*four, *six]


def _ip_inside(given: Condition, wanted: Condition) -> bool:
    outer = _networks(wanted)
    return all(any(_within(inner, each) for each in outer) for inner in _networks(given))


def _ip_apart(given: Condition, wanted: Condition) -> bool:
    pairs = ((left, right) for left in _networks(given) for right in _networks(wanted))
    return not any(_within(left, right) or _within(right, left) for left, right in pairs)


def _within(inner: ipaddress.IPv4Network | ipaddress.IPv6Network, outer: object) -> bool:
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


Relation = Callable[[Condition, Condition], bool]

_KINDS: dict[str, tuple[Relation, Relation]] = {
    "text": (_text_inside, _text_apart),
    "arn": (_arn_inside, _arn_apart),
    "Numeric": (_points_inside, _points_apart),
    "Date": (_points_inside, _points_apart),
    "Bool": (_points_inside, _points_apart),
    "Binary": (_points_inside, _points_apart),
    "Ip": (_ip_inside, _ip_apart),
}
"""A row a type of value: all values of one clause within the other's, and no value of both."""
