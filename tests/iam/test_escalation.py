"""Escalation knowledge: sourced, spelled as AWS does, found where all actions of a combination are granted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from credwatch_agent.iam import escalation
from credwatch_agent.iam.catalogue import canonical, known
from credwatch_agent.iam.document import parse


def granted(*statements: dict[str, Any]) -> set[str]:
    filled = [{"Effect": "Allow", "Resource": "*", **each} for each in statements]
    policy = parse("p", {"Version": "2012-10-17", "Statement": filled})
    return {each.combination.id for each in escalation.granted([policy])}


def test_each_combination_is_known_and_its_source_is_named() -> None:
    source = json.loads(escalation._DATA.read_text(encoding="utf-8"))
    assert source["license"] == "Apache-2.0"
    assert source["source"].startswith("https://")
    assert source["notice"]
    for each in escalation.combinations():
        assert each.category in escalation.CATEGORIES
        assert all(known(action) and canonical(action) == action for action in each.actions), each
    assert len({each.id for each in escalation.combinations()}) == len(escalation.combinations()) >= 60


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ([{"Action": "iam:CreatePolicyVersion"}], {"iam-001"}),
        ([{"Action": "s3:*"}], set()),
        ([{"Action": "iam:PassRole"}], set()),
        ([{"Action": "iam:PutRolePolicy"}, {"Effect": "Deny", "Action": "iam:*"}], set()),
        ([{"Action": "iam:PutRolePolicy"}, {"Effect": "Deny", "Action": "iam:*", "Resource": "arn:*"}], {"iam-005"}),
    ],
    ids=["one action", "none", "half of one", "denied", "denied somewhere"],
)  # fmt: skip
def test_a_combination_is_found_where_all_its_actions_are_granted(
    statements: list[dict[str, Any]], found: set[str]
) -> None:
    assert granted(*statements) == found


def test_a_combination_over_two_statements_names_both() -> None:
    policy = parse(
        "p",
        {
            "Statement": [
                {"Sid": "A", "Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"},
                {"Sid": "B", "Effect": "Allow", "Action": "ec2:Run*", "Resource": "*"},
            ]
        },
    )
    (found,) = escalation.granted([policy])
    assert found.combination.actions == ("ec2:RunInstances", "iam:PassRole")
    assert [[ref.sid for ref in refs] for _, refs in found.statements] == [["B"], ["A"]]


def test_everything_grants_every_combination() -> None:
    assert len(granted({"Action": "*"})) == len(escalation.combinations())


def test_weight_ranks_escalation_before_access_levels() -> None:
    order = ["iam:PutRolePolicy", "s3:PutBucketPolicy", "s3:PutObject", "s3:GetObject", "s3:ListBucket"]
    weights = [escalation.weight(each) for each in order]
    assert weights == sorted(set(weights))
