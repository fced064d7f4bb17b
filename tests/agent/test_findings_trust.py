"""Trust policies: what is open to everyone, shared or without a source, and what must be left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from credwatch_agent.findings import find
from tests.agent.worlds import ACCOUNT, role, snapshot, world

EC2, TASKS = "ec2.amazonaws.com", "ecs-tasks.amazonaws.com"
OPEN, MIXED, BARE = "trust-wildcard-principal", "trust-mixed-compute", "trust-missing-source-condition"
SOURCE = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}


def lets_in(principal: Any, condition: Any = None, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return {**statement, "Condition": condition} if condition else statement


CASES: list[tuple[str, list[dict[str, Any]] | str, set[str]]] = [
    ("everyone", [lets_in("*")], {OPEN}),
    ("everyone, as AWS", [lets_in({"AWS": "*"})], {OPEN}),
    ("everyone in an organisation", [lets_in("*", {"StringEquals": {"aws:PrincipalOrgID": "o-1"}})], set()),
    ("everyone of any organisation", [lets_in("*", {"StringLike": {"aws:PrincipalOrgID": "*"}})], {OPEN}),
    ("everyone, if the key is there", [lets_in("*", {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}})], {OPEN}),
    ("everyone but one account", [lets_in("*", {"StringNotEquals": {"aws:PrincipalAccount": "1"}})], {OPEN}),
    ("everyone with MFA", [lets_in("*", {"Bool": {"aws:MultiFactorAuthPresent": "true"}})], {OPEN}),
    ("everyone is denied", [lets_in("*", Effect="Deny")], set()),
    ("everyone may tag a session only", [lets_in("*", Action="sts:TagSession")], set()),
    ("an account", [lets_in({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})], set()),
    ("tasks with their account", [lets_in({"Service": TASKS}, SOURCE)], set()),
    (
        "tasks with their cluster",
        [lets_in({"Service": TASKS}, {"ArnLike": {"aws:SourceArn": f"arn:aws:ecs:*:{ACCOUNT}:*"}})],
        set(),
    ),
    ("tasks of whomever", [lets_in({"Service": TASKS})], {BARE}),
    ("tasks of any account", [lets_in({"Service": TASKS}, {"StringLike": {"aws:SourceAccount": "*"}})], {BARE}),
    ("EC2 sends no source", [lets_in({"Service": EC2})], set()),
    ("hosts and tasks", [lets_in({"Service": TASKS}, SOURCE), lets_in({"Service": EC2})], {MIXED}),
    ("hosts and tasks in one statement", [lets_in({"Service": [TASKS, EC2]})], {MIXED, BARE}),
    ("hosts and functions", [lets_in({"Service": [EC2, "lambda.amazonaws.com"]})], set()),
    ("a policy that does not parse", "{", set()),
    ("no policy known", "", set()),
]


@pytest.mark.parametrize(("name", "statements", "found"), CASES, ids=[case[0] for case in CASES])
def test_trust(name: str, statements: list[dict[str, Any]] | str, found: set[str]) -> None:
    text = statements if isinstance(statements, str) else json.dumps({"Version": "2012-10-17", "Statement": statements})
    assert {f.id for f in find(world(snapshot(role("app", trust=text))))} == found


def test_a_statement_that_also_lets_in_ec2_is_split_and_never_conditioned() -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": [lets_in({"Service": [TASKS, EC2]})]})
    (found,) = (f for f in find(world(snapshot(role("app", trust=text)))) if f.id == BARE)
    assert "Keep EC2 in a statement of its own without the condition" in found.fixes[0].sentence
    assert EC2 not in found.fixes[0].text


def test_a_role_that_aws_owns_is_left_alone() -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": [lets_in("*")]})
    assert find(world(snapshot(role("app", trust=text, path="/aws-service-role/x/")))) == ()
