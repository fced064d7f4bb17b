"""Statements that are too wide: what is one, and what takes its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from credwatch_agent import snapshot as s
from credwatch_agent.findings import Finding, find
from tests.agent.worlds import NOW, allow, call, ecs, policy, role, role_arn, snapshot, task_process, world

ID = "admin-or-wildcard-statement"
ROLE = role_arn("app")
BUCKET = "arn:aws:s3:::b"
INSIDE = f"{BUCKET}/*"
get = call("p", "ecs-task-role", ROLE, "s3:GetObject", resource=INSIDE)
listing = call("p", "ecs-task-role", ROLE, "s3:ListBucket", resource=BUCKET)


def found(*statements: dict[str, Any], usage: tuple[Any, ...] = (get,), **more: Any) -> list[Finding]:
    snap = snapshot(role("app", *statements, **more), **ecs("app", ROLE))
    return [f for f in find(world(snap, [task_process("p", "app")], usage)) if f.id == ID]


@pytest.mark.parametrize(
    "statement",
    [
        allow("S", "*"),
        allow("S", "*:*"),
        allow("S", "s3:*"),
        allow("S", "S3:**", INSIDE),
        allow("S", ["sqs:SendMessage", "dynamodb:*"]),
        {"Sid": "S", "Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
    ],
    ids=str,
)
def test_whole_services_and_everything_but_are_too_wide(statement: dict[str, Any]) -> None:
    (finding,) = found(statement)
    assert finding.subject == f"{ROLE} policy p S"
    assert (finding.policy, finding.statement, finding.role_arn) == ("p", 0, ROLE)


@pytest.mark.parametrize(
    "statement",
    [
        allow("S", "s3:Get*"),
        allow("S", "s3:GetObject"),
        {"Sid": "S", "Effect": "Deny", "Action": "*", "Resource": "*"},
        {"Sid": "S", "Effect": "Deny", "NotAction": "s3:*", "Resource": "*"},
    ],
    ids=str,
)
def test_partial_wildcards_and_denies_are_not(statement: dict[str, Any]) -> None:
    assert found(statement) == []


def test_a_role_that_aws_owns_is_left_alone() -> None:
    assert found(allow("S", "*"), path="/aws-service-role/x/") == []


def replacement(finding: Finding) -> Any:
    return json.loads(next(fix.text for fix in finding.fixes if fix.language == "json"))


def test_the_replacement_is_what_was_used_with_sid_and_condition() -> None:
    condition = {"Bool": {"aws:SecureTransport": "true"}}
    (finding,) = found(allow("S", "s3:*", BUCKET, INSIDE, Condition=condition), usage=(get, listing))
    assert replacement(finding) == [
        {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [INSIDE], "Sid": "S1", "Condition": condition},
        {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [BUCKET], "Sid": "S2", "Condition": condition},
    ]


def test_the_replacement_is_never_wider_than_the_statement() -> None:
    (finding,) = found(allow("S", "s3:*", f"{BUCKET}/photos/*"))
    assert replacement(finding)["Resource"] == [f"{BUCKET}/photos/*"]


def test_with_full_evidence_it_says_replace() -> None:
    (finding,) = found(allow("S", "s3:*"))
    assert finding.fixes[0].sentence == "Replace the statement by what was used of it."
    assert "1 of its" in finding.sentence
    assert (finding.first_ns, finding.last_ns) == (get.first_ns, NOW)


def test_with_full_evidence_and_no_use_it_says_remove() -> None:
    (finding,) = found(allow("S", "sqs:*"))
    assert finding.fixes[0].sentence == "Remove the statement: nothing was used of it."


def test_without_evidence_it_proposes_no_policy() -> None:
    snap = snapshot(role("app", allow("S", "s3:*")))
    (finding,) = find(world(snap))
    assert [fix.text for fix in finding.fixes] == [""]
    assert "Evidence is not enough" in finding.fixes[0].sentence
    assert "no process reports with this role" in finding.evidence


def test_with_gaps_the_replacement_is_marked_as_partial() -> None:
    late = call("p", "ecs-task-role", ROLE, "s3:GetObject", resource=INSIDE)
    snap = snapshot(
        role("app", allow("S", "s3:*")), **ecs("app", ROLE, containers=(s.Container("app"), s.Container("b")))
    )
    (finding,) = find(world(snap, [task_process("p", "app")], [late]))
    assert "Evidence is not enough to replace the statement yet (1 reason above)" in finding.fixes[0].sentence
    assert any("container `b`" in sentence for sentence in finding.evidence)


@pytest.mark.parametrize(
    ("attached", "command"),
    [
        (policy("p", allow("S", "s3:*")), "aws iam put-role-policy --role-name app --policy-name p"),
        (policy("p", allow("S", "s3:*"), arn="arn:aws:iam::1:policy/p", attachments=1), "create-policy-version"),
        (policy("p", allow("S", "s3:*"), arn="arn:aws:iam::1:policy/p", attachments=2), "detach-role-policy"),
        (policy("p", allow("S", "s3:*"), arn="arn:aws:iam::aws:policy/p", attachments=1), "detach-role-policy"),
    ],
)
def test_a_shared_policy_is_copied_and_never_changed(attached: s.Policy, command: str) -> None:
    (finding,) = found(policies=(attached,))
    assert command in finding.fixes[-1].text
