"""Requests that refute: one that some policies allow and others do not, found and then evaluated on both.

Owns the choice of values at the boundaries of conditions. Proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from ipaddress import ip_network
from itertools import islice, product

from credwatch_agent.iam.catalogue import expand
from credwatch_agent.iam.condition import OPERATORS, Condition, date, number, problem
from credwatch_agent.iam.document import Policy, Statement
from credwatch_agent.iam.evaluate import Decision, evaluate
from credwatch_agent.iam.imply import MAX_MAGNITUDE
from credwatch_agent.iam.language import Word
from credwatch_agent.iam.pattern import Variable
from credwatch_agent.iam.request import Request

MAX_CONTEXTS = 512
"""How many combinations of values are tried for one place."""

Values = tuple[str, ...] | None
"""Of one key; None: absent."""

REFUTES = (Decision.IMPLICITLY_DENIED, Decision.EXPLICITLY_DENIED)


def refuting(
    inner: Sequence[Policy], outer: Sequence[Policy], action: Word, resource: Word, statements: Iterable[Statement]
) -> Request | None:
    """Return a request that `inner` allows and `outer` denies, or None if none was found."""
    variables = [each for each in resource if isinstance(each, Variable)]
    name = "".join(map(str, action))
    about = [each for each in statements if _speaks_of(each, name)]
    for value in _VARIABLES if variables else _VARIABLES[:1]:
        filled = {each.key: value for each in variables}
        arn = "".join(each if isinstance(each, str) else value for each in resource)
        if not (arn == "*" or (arn.startswith("arn:") and arn.count(":") >= 5)):
            return None
        for context in contexts([clause for each in about for clause in each.conditions], filled):
            request = Request(name, arn, context=context)
            if _refutes(request, inner, outer):
                return _named(request, inner, outer)
    return None


_VARIABLES = ("x", "x:x")
"""Values of policy variables that are tried: a `*` within a segment does not cross the second."""


def _refutes(request: Request, inner: Sequence[Policy], outer: Sequence[Policy]) -> bool:
    if evaluate(request, identity=inner).decision is not Decision.ALLOWED:
        return False
    return evaluate(request, identity=outer).decision in REFUTES


def _speaks_of(statement: Statement, action: str) -> bool:
    return statement.action_globs.match(action) is not bool(statement.not_actions)


def _named(request: Request, inner: Sequence[Policy], outer: Sequence[Policy]) -> Request:
    """Prefer an action that exists today, where one refutes as well: people know it."""
    for action in (*expand(request.action), *islice(expand(f"{request.service}:*"), 0, 64)):
        known = Request(action, request.resource, context=request.context)
        if _refutes(known, inner, outer):
            return known
    return request


def contexts(clauses: Sequence[Condition], filled: Mapping[str, str]) -> Iterator[Mapping[str, Sequence[str]]]:
    """Return contexts at the boundaries of the clauses, at most MAX_CONTEXTS; `filled` holds variables' values."""
    choices: dict[str, list[Values]] = {key.lower(): [(value,)] for key, value in filled.items()}
    for clause in clauses:
        found = choices.setdefault(clause.key.lower(), [None])
        found += [each for each in _boundaries(clause) if each not in found]
    keys = list(choices)
    for combination in islice(product(*choices.values()), MAX_CONTEXTS):
        yield {key: values for key, values in zip(keys, combination, strict=True) if values is not None}


def _boundaries(clause: Condition) -> Iterator[Values]:
    if problem(clause):
        return
    if clause.operator == "Null":
        yield ("x",)
        return
    samples = [sample for value in clause.values for sample in _samples(clause.operator, value)]
    yield from ((sample,) for sample in samples)
    if clause.qualifier:
        yield ()
        yield tuple(dict.fromkeys(samples))


def _samples(operator: str, value: str) -> Iterator[str]:
    """Return values of a request around one value of a policy."""
    if OPERATORS[operator].text:
        yield value.replace("*", "").replace("?", "x")
        yield value.replace("*", "x").replace("?", "y")
        yield value.swapcase()
        yield f"{value}x"
    elif operator.startswith("Numeric"):
        yield from (f"{near:f}" for near in _near(number(value), Decimal("0.5")))
    elif operator.startswith("Date"):
        yield from (_moment(near) for near in _near(date(value), Decimal(0)))
    elif operator == "Bool":
        yield from ("true", "false")
    elif operator == "BinaryEquals":
        yield from (value, "eA==")
    else:
        block = ip_network(value, strict=False)
        yield from (str(block[0]), str(block[-1]), "192.0.2.1", "2001:db8::1")


def _near(value: Decimal, fraction: Decimal) -> Iterator[Decimal]:
    """Return values around a number; none around one so large or fine that they would not differ."""
    if not value or -MAX_MAGNITUDE <= value.adjusted() <= MAX_MAGNITUDE:
        yield from (value + shift for shift in (0, -1, 1, fraction))


def _moment(seconds: Decimal) -> str:
    """Write a time as people do, where the calendar holds it."""
    try:
        return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{'-' if seconds < 0 else ''}00000{abs(seconds):f}"
