"""Containment: what is proved holds, what is refuted has a true witness, the rest says why."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings

from credwatch_agent.iam.contain import Containment, NotProved, Proved, Refuted, contain
from credwatch_agent.iam.document import Policy, parse
from credwatch_agent.iam.evaluate import Decision, evaluate
from tests.iam import naive
from tests.iam.strategies import ACTIONS, ARNS, VALUES, documents

S3 = "arn:aws:s3:::"
HALVES = ["10.1.0.0/17", "10.1.128.0/17"]


def policy(*statements: dict[str, Any], name: str = "p", version: str = "2012-10-17") -> list[Policy]:
    filled = [{"Effect": "Allow", "Resource": "*", **each} for each in statements]
    for each in filled:
        if "NotAction" not in each:
            each.setdefault("Action", "*")
        if "NotResource" in each:
            del each["Resource"]
    return [parse(name, {"Version": version, "Statement": filled})]


def when(operator: str, values: Any, key: str = "aws:A") -> dict[str, Any]:
    return {"Condition": {operator: {key: values}}}


def deny(**elements: Any) -> dict[str, Any]:
    return {"Effect": "Deny", **elements}


PROVED: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    ("the same", [{"Action": "s3:GetObject"}], [{"Action": "S3:getobject"}]),
    ("fewer actions", [{"Action": "s3:Get*"}], [{"Action": ["s3:G*", "sqs:*"]}]),
    ("an action spelled out by two patterns", [{"Action": "s3:?et*"}], [{"Action": ["s3:*"]}]),
    ("resources by a union", [{"Resource": S3 + "a/*"}], [{"Resource": [S3 + "a/?*", S3 + "a/", S3 + "a/:*"]}]),
    (
        "resources by the union of two statements",
        [{"Action": "s3:Get*", "Resource": S3 + "a/*"}],
        [{"Action": "s3:*", "Resource": S3 + "a/b*"}, {"Action": "s3:G*", "NotResource": S3 + "a/b*"}],
    ),
    (
        "actions by the union of two statements",
        [{"Action": "s3:*", "Resource": S3 + "a"}],
        [{"Action": "s3:Get*", "Resource": S3 + "*"}, {"NotAction": "s3:Get*", "Resource": S3 + "a"}],
    ),
    ("segments", [{"Resource": "arn:aws:sqs:*:1:q"}], [{"Resource": "arn:aws:sqs:*:*:q"}]),
    ("a star before a colon crosses it", [{"Resource": "arn:aws:sqs:eu:1:q"}], [{"Resource": "arn:aws:sqs:*:q"}]),
    ("a variable as itself", [{"Resource": S3 + "b/${aws:A}/x"}], [{"Resource": S3 + "b/${aws:a}/*"}]),
    ("a variable by a star", [{"Resource": S3 + "b/${aws:A}"}], [{"Resource": S3 + "b/*"}]),
    ("NotAction", [{"Action": "s3:Get*"}], [{"NotAction": ["iam:*", "s3:Put*"]}]),
    ("a longer NotAction", [{"NotAction": ["iam:*", "s3:*"]}], [{"NotAction": ["iam:Get*"]}]),
    ("NotResource", [{"Resource": S3 + "b/*"}], [{"NotResource": S3 + "a/*"}]),
    ("a longer NotResource", [{"NotResource": [S3 + "a*", "x"]}], [{"NotResource": S3 + "ab"}]),
    ("an added condition", [when("StringEquals", "a")], [{}]),
    ("fewer values", [when("StringEquals", ["a", "b"])], [when("StringEquals", ["b", "c", "a"])]),
    ("a value by a pattern", [when("StringEquals", "ab", "aws:a")], [when("StringLike", ["b", "a*"])]),
    ("a pattern by a pattern", [when("StringLike", "ab*")], [when("StringLike", "a*")]),
    ("an exact value by one of any case", [when("StringEquals", "Ab")], [when("StringEqualsIgnoreCase", "aB")]),
    ("a key that must be there", [when("StringEquals", "a")], [when("StringEqualsIfExists", "a")]),
    ("a key that is there", [when("StringEquals", "a")], [when("Null", "false")]),
    (
        "a key that another clause wants",
        [{"Condition": {"StringEqualsIfExists": {"aws:A": "a"}, "Null": {"aws:a": "false"}}}],
        [when("StringEquals", "a")],
    ),
    ("one value is not another", [when("StringEquals", "a")], [when("StringNotEquals", ["b", "c"])]),
    ("more excluded", [when("StringNotEquals", ["a", "b"])], [when("StringNotEquals", "a")]),
    ("numbers", [when("NumericLessThan", 5)], [when("NumericLessThanEquals", "5.0")]),
    ("a number", [when("NumericEquals", ["1", "2"])], [when("NumericGreaterThan", "0.5")]),
    ("dates", [when("DateGreaterThan", "2026-01-01")], [when("DateGreaterThan", "2025-12-31T23:00:00Z")]),
    ("addresses", [when("IpAddress", "10.1.2.3")], [when("IpAddress", HALVES)]),
    ("two halves of a block", [when("IpAddress", "10.1.0.0/16")], [when("IpAddress", HALVES)]),
    ("not an address", [when("IpAddress", "10.1.2.3")], [when("NotIpAddress", "11.0.0.0/8")]),
    ("booleans", [when("Bool", "true")], [when("BoolIfExists", ["True"])]),
    ("ARNs", [when("ArnLike", "arn:aws:s3:::b/*")], [when("ArnLike", "arn:aws:s3:::*")]),
    ("sets", [when("ForAnyValue:StringEquals", "a")], [when("ForAnyValue:StringLike", ["a*"])]),
    (
        "one statement a value",
        [when("StringEquals", ["a", "b"])],
        [when("StringEquals", "a"), when("StringEquals", "b")],
    ),
    ("the same Deny", [{}, deny(Action="iam:*")], [{}, deny(Action="IAM:*")]),
    ("a wider Deny", [{}, deny(Action="iam:*")], [{}, deny(Action="iam:Put*")]),
    ("a Deny of something else", [{"Action": "s3:*"}], [{}, deny(Action="iam:*")]),
    ("a Deny that cannot apply", [when("Bool", "true")], [{}, deny(**when("BoolIfExists", "false"))]),
    ("denied already", [{"Action": "s3:*"}, deny(Action="s3:P*")], [{"Action": "s3:*"}, deny(Action="s3:PutO*")]),
    ("denied for less", [{}, deny(**when("StringNotLike", "ab*"))], [{}, deny(**when("StringNotLike", "a*"))]),
    (
        "a Deny with the same variable",
        [{}, deny(Resource=S3 + "b/${aws:A}")],
        [{}, deny(Resource=S3 + "b/${aws:A}")],
    ),
    ("nothing", [deny()], [{"Action": "s3:*"}]),
    ("an unknown operator as itself", [when("Odd", "a")], [when("Odd", "a")]),
]  # fmt: skip

REFUTED: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    ("another action", [{"Action": "s3:*"}], [{"Action": "s3:Get*"}]),
    ("actions of tomorrow", [{"Action": "s3:*"}], [{"Action": [f"s3:{c}*" for c in "abcdefghijklmnopqrstuvw"]}]),
    ("a star crosses a slash", [{"Resource": S3 + "b*"}], [{"Resource": S3 + "b/*"}]),
    ("an action without resources", [{}], [{"Resource": "arn:*"}]),
    ("another segment", [{"Resource": "arn:aws:sqs:*:*:q"}], [{"Resource": "arn:aws:sqs:*:1:q"}]),
    ("a star inside a segment", [{"Resource": "arn:aws:sqs:*:q"}], [{"Resource": "arn:aws:sqs:*x:q"}]),
    ("a variable as a constant", [{"Resource": S3 + "b/${aws:A}"}], [{"Resource": S3 + "b/a"}]),
    ("no condition", [{}], [when("StringEquals", "a")]),
    ("one more value", [when("StringEquals", ["a", "b"])], [when("StringEquals", "a")]),
    ("a missing key", [when("StringEqualsIfExists", "a")], [when("StringEquals", "a")]),
    ("a negated one of a missing key", [when("StringNotEquals", "b")], [when("StringEquals", "a")]),
    ("all values of none", [when("ForAllValues:StringEquals", "a")], [when("ForAnyValue:StringEquals", "a")]),
    ("numbers", [when("NumericLessThanEquals", 5)], [when("NumericLessThan", 5)]),
    ("a wider block", [when("IpAddress", "10.0.0.0/8")], [when("IpAddress", "10.0.0.0/9")]),
    ("a dropped Deny", [{"Action": "s3:*"}], [{"Action": "s3:*"}, deny(Action="s3:Put*")]),
    ("a narrower Deny", [{}, deny(Action="iam:Put*")], [{}, deny(Action="iam:*")]),
    ("a Deny with a condition", [{}], [{}, deny(**when("Bool", "true"))]),
    ("a Deny of a missing key", [when("BoolIfExists", "true")], [{}, deny(**when("BoolIfExists", "false"))]),
    ("a variable with a colon", [{"Resource": S3 + "b/${aws:A}/x"}], [{"Resource": S3 + "b/*/x"}]),
    ("a number between", [when("NumericGreaterThan", 1)], [when("NumericGreaterThanEquals", 2)]),
    ("a shorter NotAction", [{"NotAction": "iam:Get*"}], [{"NotAction": "iam:*"}]),
    ("a shorter NotResource", [{"NotResource": S3 + "a"}], [{"NotResource": S3 + "a*"}]),
]  # fmt: skip


@pytest.mark.parametrize(("inner", "outer"), [row[1:] for row in PROVED], ids=[row[0] for row in PROVED])
def test_what_is_contained_is_proved(inner: list[dict[str, Any]], outer: list[dict[str, Any]]) -> None:
    assert contain(policy(*inner), policy(*outer, name="q")) == Proved()


@pytest.mark.parametrize(("inner", "outer"), [row[1:] for row in REFUTED], ids=[row[0] for row in REFUTED])
def test_what_is_not_contained_is_refuted_by_a_request(
    inner: list[dict[str, Any]], outer: list[dict[str, Any]]
) -> None:
    found = contain(policy(*inner), policy(*outer, name="q"))
    assert isinstance(found, Refuted), found
    assert refutes(found, policy(*inner), policy(*outer))


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        ({"Condition": {"Odd": {"aws:A": "a"}}}, "conditions"),
        ({"Principal": "*"}, "it is no identity policy"),
        ({"Action": "s3:Gét*"}, "not ASCII"),
    ],
    ids=["unknown operator", "principals", "not ASCII"],
)
def test_what_is_beyond_the_engine_is_not_proved_and_says_why(inner: dict[str, Any], reason: str) -> None:
    found = contain(policy(inner), policy(when("Odd", "b"), name="q"))
    assert isinstance(found, NotProved)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("NumericLessThan", "1E+999999999"),
        ("NumericLessThan", "-1E-999999"),
        ("DateLessThan", "99999999999999999999"),
        ("DateLessThan", "-99999999999"),
        ("IpAddress", "0.0.0.0/0"),
        ("StringLike", "*" * 400),
        ("ArnLike", "arn:*:*:*:*:" + "*a" * 40),
    ],
)
def test_no_value_is_too_odd_to_be_compared(operator: str, value: str) -> None:
    narrow, wide = policy(when(operator, value)), policy({}, name="q")
    assert contain(narrow, wide) == Proved()
    assert not isinstance(contain(wide, narrow), Proved)


def refutes(found: Refuted, inner: list[Policy], outer: list[Policy]) -> bool:
    decisions = [evaluate(found.witness, identity=side).decision for side in (inner, outer)]
    return decisions[0] is Decision.ALLOWED and decisions[1] in {
        Decision.IMPLICITLY_DENIED,
        Decision.EXPLICITLY_DENIED,
    }


UNIVERSE = [
    (action, arn, {key: [value] for key, value in (("aws:a", a), ("aws:b", b)) if value is not None})
    for action, arn, a, b in product(ACTIONS, ARNS, [None, *VALUES], [None, "a"])
]


def counterexample(inner: dict[str, Any], outer: dict[str, Any]) -> object:
    for action, arn, context in UNIVERSE:
        if naive.decide([inner], action, arn, context) == "Allowed" != naive.decide([outer], action, arn, context):
            return action, arn, context
    return None


@given(documents, documents)
@settings(max_examples=50)
def test_agrees_with_brute_force_on_a_small_universe(inner: dict[str, Any], outer: dict[str, Any]) -> None:
    found: Containment = contain([parse("p", inner)], [parse("q", outer)])
    if isinstance(found, Proved):
        assert counterexample(inner, outer) is None
    if isinstance(found, Refuted):
        seen, context = found.witness, {key: list(map(str, value)) for key, value in found.witness.context.items()}  # type: ignore[arg-type]
        assert naive.decide([inner], seen.action, seen.resource, context) == "Allowed"
        assert naive.decide([outer], seen.action, seen.resource, context) != "Allowed"


@given(documents)
@settings(max_examples=40)
def test_a_policy_contains_itself_and_what_a_deny_leaves_of_it(document: dict[str, Any]) -> None:
    whole = [parse("p", document)]
    less = [parse("p", {**document, "Statement": [*document["Statement"], deny(Action="s3:Get*", Resource="*")]})]
    assert contain(whole, whole) == Proved()
    assert contain(less, whole) == Proved()
