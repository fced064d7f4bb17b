"""Condition operators: each a row of one table, with IAM's rules for keys that are not there.

Owns the meaning of one `operator: {key: values}` clause. Knows no statement and no policy.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from credwatch_agent.iam.context import Context, Presence, Truth, Values, negate
from credwatch_agent.iam.pattern import Tokens, fill, globs, tokens

Test = Callable[[str], bool]
"""Compares one value of the request; raises ValueError if that value is not of the operator's type."""

Compare = Callable[[str, str], bool]


class Operator(NamedTuple):
    """A row: how a policy value becomes a test, and whether the result is negated."""

    build: Callable[[str], Test] | None = None
    negated: bool = False
    text: str = ""
    """For operators that take policy variables: `equal`, `ignore-case`, `like` or `arn`."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One clause. `operator` has no qualifier and no `IfExists`; `variables` is Version 2012-10-17."""

    operator: str
    key: str
    values: Values
    qualifier: str = ""
    if_exists: bool = False
    variables: bool = True

    @property
    def name(self) -> str:
        """The operator as a policy writes it."""
        qualifier = f"{self.qualifier}:" if self.qualifier else ""
        return f"{qualifier}{self.operator}{'IfExists' if self.if_exists else ''}"


# --- values -------------------------------------------------------------------------------------


def number(value: str) -> Decimal:
    """Read a number; raises ValueError."""
    try:
        found = Decimal(value.strip())
    except InvalidOperation:
        raise ValueError(f"`{value}` is not a number") from None
    if not found.is_finite():
        raise ValueError(f"`{value}` is not a number")
    return found


_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d))?)?)?")
_EPOCH = re.compile(r"-?\d{5,}(\.\d+)?")


def date(value: str) -> Decimal:
    """Read a W3C date or epoch seconds; four digits are a year. Returns epoch seconds."""
    source = value.strip()
    if _EPOCH.fullmatch(source):
        return Decimal(source)
    if not _DATE.fullmatch(source):
        raise ValueError(f"`{value}` is neither an ISO 8601 date nor epoch seconds")
    day, _, time = source.partition("T")
    day += "-01" * (2 - day.count("-"))
    fraction = re.search(r"\.\d+", time)
    zone = re.search(r"(Z|[+-]\d\d:?\d\d)$", time)
    clock = re.match(r"\d\d:\d\d(:\d\d)?", time)
    moment = f"{day}T{clock.group() if clock else '00:00'}{_offset(zone.group() if zone else 'Z')}"
    seconds = Decimal(int(datetime.fromisoformat(moment).astimezone(timezone.utc).timestamp()))
    return seconds + (Decimal(f"0{fraction.group()}") if fraction else 0)


def _offset(zone: str) -> str:
    return "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}"


def _boolean(value: str) -> bool:
    lowered = value.lower()
    if lowered not in {"true", "false"}:
        raise ValueError(f"`{value}` is neither `true` nor `false`")
    return lowered == "true"


def _binary(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"`{value}` is not base64") from None


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(value: str) -> Network:
    """Read an address or a CIDR block; raises ValueError."""
    if ":" in value and "/" not in value:
        # the guide gives /32 as the default prefix and names no other for IPv6
        raise ValueError(f"`{value}` is an IPv6 address without a prefix length")
    return ipaddress.ip_network(value, strict=False)


# --- builders -------------------------------------------------------------------------------------


def _ordered(read: Callable[[str], Decimal], compare: Callable[[Decimal, Decimal], bool]) -> Callable[[str], Test]:
    def build(value: str) -> Test:
        limit = read(value)
        return lambda seen: compare(read(seen), limit)

    return build


def _bool(value: str) -> Test:
    wanted = _boolean(value)
    return lambda seen: _boolean(seen) is wanted


def _bytes(value: str) -> Test:
    wanted = _binary(value)
    return lambda seen: _binary(seen) == wanted


def _ip(value: str) -> Test:
    block = network(value)
    return lambda seen: _inside(ipaddress.ip_address(seen), block)


def _inside(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: Network) -> bool:
    return address.version == network.version and address in network


def _eq(left: Decimal, right: Decimal) -> bool:
    return left == right


def _lt(left: Decimal, right: Decimal) -> bool:
    return left < right


def _le(left: Decimal, right: Decimal) -> bool:
    return left <= right


def _gt(left: Decimal, right: Decimal) -> bool:
    return left > right


def _ge(left: Decimal, right: Decimal) -> bool:
    return left >= right


OPERATORS: Mapping[str, Operator] = {
    "StringEquals": Operator(text="equal"),
    "StringNotEquals": Operator(text="equal", negated=True),
    "StringEqualsIgnoreCase": Operator(text="ignore-case"),
    "StringNotEqualsIgnoreCase": Operator(text="ignore-case", negated=True),
    "StringLike": Operator(text="like"),
    "StringNotLike": Operator(text="like", negated=True),
    "ArnEquals": Operator(text="arn"),
    "ArnLike": Operator(text="arn"),
    "ArnNotEquals": Operator(text="arn", negated=True),
    "ArnNotLike": Operator(text="arn", negated=True),
    "NumericEquals": Operator(_ordered(number, _eq)),
    "NumericNotEquals": Operator(_ordered(number, _eq), negated=True),
    "NumericLessThan": Operator(_ordered(number, _lt)),
    "NumericLessThanEquals": Operator(_ordered(number, _le)),
    "NumericGreaterThan": Operator(_ordered(number, _gt)),
    "NumericGreaterThanEquals": Operator(_ordered(number, _ge)),
    "DateEquals": Operator(_ordered(date, _eq)),
    "DateNotEquals": Operator(_ordered(date, _eq), negated=True),
    "DateLessThan": Operator(_ordered(date, _lt)),
    "DateLessThanEquals": Operator(_ordered(date, _le)),
    "DateGreaterThan": Operator(_ordered(date, _gt)),
    "DateGreaterThanEquals": Operator(_ordered(date, _ge)),
    "Bool": Operator(_bool),
    "BinaryEquals": Operator(_bytes),
    "IpAddress": Operator(_ip),
    "NotIpAddress": Operator(_ip, negated=True),
    "Null": Operator(_bool),
}

QUALIFIERS = ("ForAllValues", "ForAnyValue")
_CANONICAL = {name.lower(): name for name in OPERATORS}
_QUALIFIERS = {name.lower(): name for name in QUALIFIERS}


def split(operator: str) -> tuple[str, str, bool]:
    """Split `ForAllValues:StringLikeIfExists` into qualifier, operator, if-exists; spelling made canonical."""
    qualifier, _, rest = operator.rpartition(":")
    if_exists = rest.lower().endswith("ifexists")
    name = rest[: -len("ifexists")] if if_exists else rest
    return _QUALIFIERS.get(qualifier.lower(), qualifier), _CANONICAL.get(name.lower(), name), if_exists


@lru_cache(maxsize=16_384)
def problem(condition: Condition) -> str:
    """Say why the clause cannot be evaluated, or "" if it can."""
    operator = OPERATORS.get(condition.operator)
    if operator is None or condition.qualifier not in {"", *QUALIFIERS}:
        return f"`{condition.name}` is no condition operator that this engine knows"
    if condition.operator == "Null" and (condition.if_exists or condition.qualifier):
        return f"`{condition.name}`: `Null` takes neither `IfExists` nor a set qualifier"
    try:
        for value in condition.values:
            if operator.build is not None:
                operator.build(value)
            elif operator.text == "arn":
                arn_tokens(value, variables=condition.variables)
    except ValueError as error:
        return str(error)
    return ""


# --- evaluation -----------------------------------------------------------------------------------


def holds(condition: Condition, context: Context, unknown: set[str]) -> Truth:
    """Evaluate one clause; where it hangs on something not known, that is added to `unknown`."""
    operator = OPERATORS.get(condition.operator)
    if operator is None or problem(condition):
        unknown.add(f"unsupported: {condition.name}")
        return None
    values = context.get(condition.key)
    if values is not Presence.UNKNOWN:
        return _known(condition, operator, values, context, unknown)
    # whatever of these the value is, where all answers agree that is the answer
    answers = {_known(condition, operator, (each,), context, unknown) for each in context.choices(condition.key)}
    if len(answers) == 1 and None not in answers:
        return answers.pop()
    unknown.add(condition.key)
    return None


def _known(
    condition: Condition, operator: Operator, values: Values | Presence, context: Context, unknown: set[str]
) -> Truth:
    if condition.operator == "Null":
        absent = values is Presence.ABSENT or not values
        return any(_boolean(wanted) is absent for wanted in condition.values)
    if not isinstance(values, tuple):
        return when_absent(condition, operator)
    return _compare(condition, operator, values, context, unknown)


def when_absent(condition: Condition, operator: Operator) -> bool:
    """Say whether the clause holds in a request that does not have its key."""
    if condition.if_exists or condition.qualifier == "ForAllValues":
        return True
    return operator.negated and condition.qualifier != "ForAnyValue"


def _compare(condition: Condition, operator: Operator, values: Values, context: Context, unknown: set[str]) -> Truth:
    if condition.qualifier and values in {(), ("",)}:
        return condition.qualifier == "ForAllValues"
    if not condition.qualifier and len(values) != 1:
        unknown.add(f"multivalued without a set operator: {condition.key}")
        return None
    if not condition.qualifier:
        return _one(condition, operator, values[0], context, unknown)
    results = [_one(condition, operator, value, context, unknown) for value in values]
    if condition.qualifier == "ForAnyValue":
        return True if True in results else None if None in results else False
    return False if False in results else None if None in results else True


def _one(condition: Condition, operator: Operator, seen: str, context: Context, unknown: set[str]) -> Truth:
    """Compare one value of the request with each of the policy's: any may match."""
    truth: Truth = False
    for value in condition.values:
        matched: Truth
        if operator.build is not None:
            matched = _typed(condition, value, seen, unknown)
        else:
            matched = _textual(condition, value, seen, context, unknown)
        if matched:
            truth = True
            break
        if matched is None:
            truth = None
    return negate(truth) if operator.negated else truth


def _typed(condition: Condition, value: str, seen: str, unknown: set[str]) -> Truth:
    try:
        return compiled(condition.operator, value)(seen)
    except ValueError:
        unknown.add(f"not of the operator's type: {condition.key}")
        return None


@lru_cache(maxsize=16_384)
def compiled(operator: str, value: str) -> Test:
    """Return the test of one policy value; raises ValueError if it cannot be read."""
    build = OPERATORS[operator].build
    if build is None:
        raise ValueError(f"`{operator}` compares text")
    return build(value)


def _textual(condition: Condition, value: str, seen: str, context: Context, unknown: set[str]) -> Truth:
    kind = OPERATORS[condition.operator].text
    if kind == "arn":
        return _arn_like(arn_tokens(value, variables=condition.variables), seen, context, unknown)
    pattern = fill(text_tokens(value, variables=condition.variables, wildcards=kind == "like"), context, unknown)
    if not isinstance(pattern, tuple):
        return None if pattern is Presence.UNKNOWN else False
    if kind == "like":
        return globs(pattern).match(seen)
    plain = "".join(map(str, pattern))
    return plain.lower() == seen.lower() if kind == "ignore-case" else plain == seen


def _arn_like(patterns: tuple[Tokens, ...], seen: str, context: Context, unknown: set[str]) -> Truth:
    """Compare component by component: a wildcard does not cross a colon before the sixth."""
    parts = seen.split(":", 5)
    if len(parts) != 6:
        return False
    truth: Truth = True
    for pattern, part in zip(patterns, parts, strict=True):
        filled = fill(pattern, context, unknown)
        if filled is Presence.UNKNOWN:
            truth = None
        elif not isinstance(filled, tuple) or not globs(filled).match(part):
            return False
    return truth


@lru_cache(maxsize=16_384)
def text_tokens(value: str, *, variables: bool, wildcards: bool) -> Tokens:
    """Split the value of an operator that compares text."""
    return tokens(value, variables=variables, wildcards=wildcards)


@lru_cache(maxsize=16_384)
def arn_tokens(value: str, *, variables: bool) -> tuple[Tokens, ...]:
    """Split an ARN pattern into its six components; a colon inside `${...}` does not separate."""
    parts: list[Tokens] = [()]
    for each in tokens(value, variables=variables):
        if each == ":" and len(parts) < 6:
            parts.append(())
        else:
            parts[-1] = (*parts[-1], each)
    if len(parts) != 6:
        raise ValueError(f"`{value}` is not an ARN of six components")
    return tuple(parts)
