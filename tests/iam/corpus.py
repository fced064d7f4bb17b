"""The corpus of mutations: pairs of policies one change or a few apart, from a fixed seed, with requests at the seams.

The generator is the corpus: the same seed gives the same pairs on every machine.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

SEED = 20_261_124
SIZE = 20_000
SAMPLE = 1_500
REQUESTS = 40
"""Requests a pair, each at a boundary of one of its patterns or conditions."""

Document = dict[str, Any]
Call = tuple[str, str, dict[str, list[str]]]

_STATEMENTS: tuple[dict[str, Any], ...] = (
    {"Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:aws:s3:::orders/*", "arn:aws:s3:::orders-*/in/*"]},
    {"Action": "s3:*", "Resource": ["arn:aws:s3:::orders", "arn:aws:s3:::orders/*"]},
    {"Action": ["s3:List*", "s3:Get*"], "Resource": "*"},
    {"Action": "sqs:*", "Resource": "arn:aws:sqs:*:123456789012:orders-*"},
    {"Action": ["sqs:SendMessage", "sqs:Receive*"], "Resource": "arn:aws:sqs:eu-west-1:*:orders-?"},
    {"Action": "dynamodb:*Item", "Resource": "arn:aws:dynamodb:*:*:table/orders*"},
    {"NotAction": ["iam:*", "organizations:*"], "Resource": "*"},
    {"Action": "s3:*", "NotResource": ["arn:aws:s3:::secret", "arn:aws:s3:::secret/*"]},
    {"Action": "s3:*", "Resource": "arn:aws:s3:::home/${aws:username}/*"},
    {"Action": "kms:Decrypt", "Resource": "*", "Condition": {"StringEquals": {"kms:ViaService": ["s3.a", "sqs.a"]}}},
    {"Action": "ec2:*", "Resource": "*", "Condition": {"StringLike": {"aws:RequestedRegion": ["eu-*", "us-east-1"]}}},
    {"Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}},
    {"Action": "s3:Put*", "Resource": "*", "Condition": {"NumericLessThan": {"s3:max-keys": "10"}}},
    {"Action": "s3:*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]}}},
    {"Action": "ec2:*", "Resource": "*", "Condition": {"ForAllValues:StringLike": {"aws:TagKeys": ["team", "a*"]}}},
    {"Action": "ec2:*", "Resource": "*", "Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": ["team", "app"]}}},
    {"Action": "s3:*", "Resource": "*", "Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/app-*"}}},
    {"Action": "s3:*", "Resource": "*", "Condition": {"Null": {"aws:MultiFactorAuthAge": "false"}}},
    {"Action": "s3:*", "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"}}},
    {"Action": "s3:*", "Resource": "*", "Condition": {"StringNotEqualsIfExists": {"aws:RequestedRegion": "eu-west-1"}}},
)  # fmt: skip
_OPERATORS = (
    "StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase",
    "StringEqualsIfExists", "ForAllValues:StringLike", "ForAnyValue:StringLike",
)  # fmt: skip
_VALUES = ("eu-west-1", "eu-*", "EU-west-1", "*", "us-?", "", "${aws:username}", "team")


def pairs(size: int, seed: int = SEED) -> Iterator[tuple[Document, Document, random.Random]]:
    """Return pairs of an inner and an outer document: one is a mutation of the other."""
    for number in range(size):
        chance = random.Random(seed + number)
        outer = {"Version": "2012-10-17", "Statement": [_statement(chance) for _ in range(chance.choice((1, 2, 2, 3)))]}
        inner = copy.deepcopy(outer)
        for _ in range(chance.choice((1, 1, 2, 3))):
            chance.choice(_MUTATIONS)(inner, chance)
        yield (inner, outer, chance) if chance.random() < 0.7 else (outer, inner, chance)


def _statement(chance: random.Random) -> dict[str, Any]:
    effect = "Deny" if chance.random() < 0.25 else "Allow"
    found: dict[str, Any] = {"Effect": effect, **copy.deepcopy(chance.choice(_STATEMENTS))}
    for element in ("Action", "Resource"):
        if element in found:
            found[element] = _listed(found[element])
    return found


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


# --- mutations: each changes one place ------------------------------------------------------------


def _pick(document: Document, chance: random.Random) -> dict[str, Any]:
    picked: dict[str, Any] = chance.choice(document["Statement"])
    return picked


def _pattern(document: Document, chance: random.Random) -> None:
    statement = _pick(document, chance)
    element = chance.choice([each for each in ("Action", "NotAction", "Resource", "NotResource") if each in statement])
    values = _listed(statement[element])
    at = chance.randrange(len(values))
    values[at] = _bent(values[at], chance, action="Action" in element)
    statement[element] = values


def _bent(pattern: str, chance: random.Random, *, action: bool) -> str:
    floor = pattern.find(":") + 1 if action else 0
    if len(pattern) <= floor:
        return pattern
    at = chance.randrange(floor, len(pattern))
    choice = chance.randrange(7)
    bent = (
        lambda: pattern[:at] + "*" + pattern[at:],
        lambda: pattern[:at] + "*",
        lambda: pattern[:at] + "?" + pattern[at + 1 :],
        lambda: pattern[:at] + "?" + pattern[at:],
        lambda: pattern.replace("*", "x", 1),
        lambda: pattern[:at] + pattern[at:].replace("*", "", 1),
        lambda: pattern.replace("*", "*:*", 1) if not action else pattern.upper(),
    )[choice]()
    return bent if not action or bent.partition(":")[2] else pattern


def _entry(document: Document, chance: random.Random) -> None:
    statement = _pick(document, chance)
    element = chance.choice([each for each in ("Action", "NotAction", "Resource", "NotResource") if each in statement])
    values = _listed(statement[element])
    if len(values) > 1 and chance.random() < 0.6:
        values.pop(chance.randrange(len(values)))
    else:
        values.append(_bent(chance.choice(values), chance, action="Action" in element))
    statement[element] = values


def _flip(document: Document, chance: random.Random) -> None:
    statement = _pick(document, chance)
    element = chance.choice(("Action", "Resource"))
    if element in statement:
        statement[f"Not{element}"] = statement.pop(element)
    else:
        statement[element] = statement.pop(f"Not{element}")


def _condition(document: Document, chance: random.Random) -> None:
    statement = _pick(document, chance)
    if "Condition" in statement and chance.random() < 0.3:
        del statement["Condition"]
        return
    clauses = statement.setdefault("Condition", {})
    value = chance.sample(_VALUES, chance.choice((1, 1, 2)))
    clauses.setdefault(chance.choice(_OPERATORS), {})[chance.choice(("aws:RequestedRegion", "aws:TagKeys"))] = value


def _operator(document: Document, chance: random.Random) -> None:
    statement = _pick(document, chance)
    for operator in list(statement.get("Condition", {})):
        clauses = statement["Condition"].pop(operator)
        other = operator.removesuffix("IfExists") if operator.endswith("IfExists") else f"{operator}IfExists"
        if operator.startswith("Numeric"):
            other = chance.choice(
                ("NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericNotEquals")
            )
        elif operator == "Null":
            other = operator
        statement["Condition"][other] = clauses


def _value(document: Document, chance: random.Random) -> None:
    statement = _pick(document, chance)
    for operator, clauses in statement.get("Condition", {}).items():
        for key, value in clauses.items():
            values = _listed(value)
            if len(values) > 1 and chance.random() < 0.5:
                values.pop(chance.randrange(len(values)))
            elif operator.startswith("Numeric"):
                values = [chance.choice(("9", "10", "10.0", "11", "1e1"))]
            elif operator.startswith("Date"):
                values = [chance.choice(("2026-12-31", "2027-01-01", "1798761600", "2027-01-01T01:00:00+01:00"))]
            elif operator in {"Bool", "Null", "BoolIfExists"}:
                values = [chance.choice(("true", "false"))]
            elif "IpAddress" in operator:
                values = [chance.choice(("10.0.0.0/9", "10.128.0.0/9", "0.0.0.0/0", "192.0.2.7", "10.0.0.0/8"))]
            elif "Arn" in operator:
                values = [chance.choice(("arn:aws:iam::1:role/app-x", "arn:aws:iam::*:role/*", "arn:*:*:*:*:*"))]
            else:
                values.append(chance.choice(_VALUES))
            clauses[key] = values


def _drop(document: Document, chance: random.Random) -> None:
    if len(document["Statement"]) > 1:
        document["Statement"].pop(chance.randrange(len(document["Statement"])))


def _add(document: Document, chance: random.Random) -> None:
    document["Statement"].append(_statement(chance))


def _effect(document: Document, chance: random.Random) -> None:
    statement = _pick(document, chance)
    statement["Effect"] = "Deny" if statement["Effect"] == "Allow" else "Allow"


def _version(document: Document, chance: random.Random) -> None:
    document["Version"] = chance.choice(("2008-10-17", "2012-10-17"))


_MUTATIONS = (
    _pattern, _pattern, _entry, _entry, _flip, _condition, _condition, _operator, _value, _value, _drop, _add,
    _effect, _version,
)  # fmt: skip


# --- requests at the boundaries -------------------------------------------------------------------


def calls(inner: Document, outer: Document, chance: random.Random) -> Iterator[Call]:
    """Return requests near what the two documents name."""
    statements = [*inner["Statement"], *outer["Statement"]]
    acts = [each for one in statements for each in _listed(one.get("Action", one.get("NotAction")))]
    arns = [each for one in statements for each in _listed(one.get("Resource", one.get("NotResource")))]
    clauses = [
        (operator, key, value)
        for one in statements
        for operator, keys in one.get("Condition", {}).items()
        for key, values in keys.items()
        for value in _listed(values)
    ]
    for _ in range(REQUESTS):
        context = {"aws:username": [chance.choice(("ann", "a:b", "*", ""))]} if chance.random() < 0.7 else {}
        for operator, key, value in clauses:
            if chance.random() < 0.75:
                context[key] = _near(operator, str(value), chance)
        action = _word(chance.choice(acts), chance)
        yield action if ":" in action else f"s3:{action}", _word(chance.choice(arns), chance), context


def _word(pattern: str, chance: random.Random) -> str:
    """Fill wildcards, and now and then change one character: a request on one side of a boundary."""
    pattern = pattern.replace("${aws:username}", chance.choice(("ann", "a:b", "*", "")))
    word = "".join(
        chance.choice(("", "x", "/", ":", "orders", "a:b")) if c == "*" else chance.choice("x/:") if c == "?" else c
        for c in pattern
    )
    if word and chance.random() < 0.25:
        at = chance.randrange(len(word))
        word = word[:at] + chance.choice(("", "x", ":", word[at] * 2)) + word[at + 1 :]
    return word


def _near(operator: str, value: str, chance: random.Random) -> list[str]:
    choices = {
        "Numeric": ["9", "9.5", "10", "10.5", "11"],
        "Date": ["2026-12-30", "2026-12-31", "2027-01-01", "2027-01-02"],
        "Bool": ["true", "false"],
        "Null": ["", "x"],
        "Ip": ["10.0.0.1", "10.127.255.255", "10.128.0.0", "192.0.2.7", "192.0.2.8", "11.0.0.0"],
    }
    for kind, values in choices.items():
        if kind in operator:
            return [chance.choice(values)]
    several = [_word(value, chance) for _ in range(chance.choice((1, 1, 1, 2, 0)))]
    return several if "For" in operator else several[:1] or ["team"]
