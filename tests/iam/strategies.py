"""Policies and requests over a universe so small that rules meet: what hypothesis draws from."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "sqs:SendMessage", "S3:getobject"]
ACTION_PATTERNS = [*ACTIONS, "*", "s3:*", "s3:Get*", "*:*", "sqs:*", "s3:*Object", "s3:?etObject", "ec2:*"]
ARNS = [
    "*",
    "arn:aws:s3:::b",
    "arn:aws:s3:::b/k",
    "arn:aws:s3:::b/k:1/x",
    "arn:aws:sqs:eu-west-1:123456789012:q",
    "arn:aws:sqs:eu-west-1:123456789012:qq",
]
PATTERNS = [
    *ARNS,
    "arn:aws:s3:::*",
    "arn:aws:s3:::b*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::*/x",
    "arn:aws:s3:::b/*:*",
    "arn:aws:*:*:*:*",
    "arn:aws:sqs:*:q",
    "arn:aws:sqs:*:*:q?",
    "arn:aws:sqs:eu-*-1:123456789012:q*",
    "arn:*",
    "a*b*k*1*x*",
    "*:*/*",
]
KEYS = ["aws:A", "AWS:a", "aws:B"]
VALUES = ["", "a", "A", "ab", "b"]
VALUE_PATTERNS = [*VALUES, "*", "a*", "?", "*b"]
OPERATORS = [
    f"{qualifier}{name}{suffix}"
    for qualifier in ("", "ForAllValues:", "ForAnyValue:")
    for name in ("StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase")
    for suffix in ("", "IfExists")
]


def _some(values: list[str]) -> st.SearchStrategy[Any]:
    return st.one_of(st.sampled_from(values), st.lists(st.sampled_from(values), min_size=1, max_size=3))


conditions = st.dictionaries(
    st.sampled_from(OPERATORS),
    st.dictionaries(st.sampled_from(KEYS), _some(VALUE_PATTERNS), min_size=1, max_size=2),
    max_size=2,
) | st.fixed_dictionaries({"Null": st.dictionaries(st.sampled_from(KEYS), _some(["true", "false"]), min_size=1)})


@st.composite
def statements(draw: st.DrawFn, effects: tuple[str, ...] = ("Allow", "Deny")) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": draw(st.sampled_from(effects))}
    statement[draw(st.sampled_from(["Action", "Action", "NotAction"]))] = draw(_some(ACTION_PATTERNS))
    statement[draw(st.sampled_from(["Resource", "Resource", "NotResource"]))] = draw(_some(PATTERNS))
    if draw(st.booleans()):
        statement["Condition"] = draw(conditions)
    return statement


documents = st.lists(statements(), min_size=1, max_size=3).map(
    lambda all_: {"Version": "2012-10-17", "Statement": all_}
)
policies = st.lists(documents, max_size=3)
contexts = st.dictionaries(st.sampled_from(["aws:a", "aws:b"]), st.sampled_from(VALUES).map(lambda value: [value]))
