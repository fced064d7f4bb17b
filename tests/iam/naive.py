"""A second evaluator, literal and slow, straight from the JSON: the first is held against it.

Shares no code with the engine. Identity policies only, string and null operators, all keys known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def wild(pattern: str, value: str, *, crosses: bool = True) -> bool:
    """Match `*` and `?` by trying every split."""
    if not pattern:
        return not value
    if pattern[0] == "*":
        if wild(pattern[1:], value, crosses=crosses):
            return True
        return bool(value) and (crosses or value[0] != ":") and wild(pattern, value[1:], crosses=crosses)
    return bool(value) and pattern[0] in {"?", value[0]} and wild(pattern[1:], value[1:], crosses=crosses)


def resource(pattern: str, arn: str) -> bool:
    """Match a Resource entry: a star before `:` or at the end crosses colons, no other wildcard does."""
    if not pattern:
        return not arn
    head, rest = pattern[0], pattern[1:]
    while head == "*" and rest.startswith("*"):
        rest = rest[1:]
    if head == "*":
        crosses = not rest or rest[0] == ":"
        if resource(rest, arn):
            return True
        return bool(arn) and (crosses or arn[0] != ":") and resource(pattern, arn[1:])
    if head == "?":
        return bool(arn) and arn[0] != ":" and resource(rest, arn[1:])
    return bool(arn) and head == arn[0] and resource(rest, arn[1:])


def listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def condition(operator: str, wanted: Sequence[str], have: Sequence[str] | None) -> bool:
    qualifier, _, name = operator.rpartition(":")
    optional = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if name == "Null":
        return any((each == "true") == (have is None or len(have) == 0) for each in wanted)
    negated = "Not" in name
    name = name.replace("Not", "")

    def one(value: str) -> bool:
        if name == "StringEquals":
            hit = value in wanted
        elif name == "StringLike":
            hit = any(wild(each, value) for each in wanted)
        else:
            hit = any(each.upper() == value.upper() for each in wanted)
        return hit != negated

    if have is None:
        if optional or qualifier == "ForAllValues":
            return True
        return False if qualifier == "ForAnyValue" else negated
    if qualifier == "ForAllValues":
        return list(have) in ([], [""]) or all(one(each) for each in have)
    if qualifier == "ForAnyValue":
        return list(have) not in ([], [""]) and any(one(each) for each in have)
    return one(have[0])


def applies(statement: Mapping[str, Any], action: str, arn: str, context: Mapping[str, Sequence[str]]) -> bool:
    lowered = action.lower()
    if "Action" in statement:
        if not any(wild(each.lower(), lowered) for each in listed(statement["Action"])):
            return False
    elif any(wild(each.lower(), lowered) for each in listed(statement["NotAction"])):
        return False
    if "Resource" in statement:
        if not any(resource(each, arn) for each in listed(statement["Resource"])):
            return False
    elif any(resource(each, arn) for each in listed(statement["NotResource"])):
        return False
    keys = {key.lower(): values for key, values in context.items()}
    return all(
        condition(operator, listed(values), keys.get(key.lower()))
        for operator, clauses in statement.get("Condition", {}).items()
        for key, values in clauses.items()
    )


def decide(documents: Sequence[Mapping[str, Any]], action: str, arn: str, context: Mapping[str, Sequence[str]]) -> str:
    hits = [
        statement["Effect"]
        for document in documents
        for statement in listed(document["Statement"])
        if applies(statement, action, arn, context)
    ]
    return "ExplicitlyDenied" if "Deny" in hits else "Allowed" if "Allow" in hits else "ImplicitlyDenied"
