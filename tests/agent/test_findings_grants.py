"""Unused grants, wide resources, denials and escalation: only what evidence shows, and nothing twice."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from credwatch_agent import snapshot as s
from credwatch_agent.findings import Finding, World, find
from tests.agent.worlds import (
    NOW,
    PROFILE,
    allow,
    call,
    ecs,
    host_process,
    policy,
    role,
    role_arn,
    snapshot,
    task_process,
    world,
)

APP = role_arn("app")
INSIDE = "arn:aws:s3:::b/*"
get = call("p", "ecs-task-role", APP, "s3:GetObject", resource=INSIDE)
put = call("p", "ecs-task-role", APP, "s3:PutObject", resource=INSIDE)
nothing: tuple[Any, ...] = ()
READ = allow("Read", "s3:GetObject", INSIDE)
SEND = allow("Send", "sqs:SendMessage")


def app(*statements: dict[str, Any], usage: tuple[Any, ...] = (get,), full: bool = True, **more: Any) -> World:
    """A role with these statements and one process; not `full`: a container of the task is silent."""
    containers = (s.Container("app"),) if full else (s.Container("app"), s.Container("silent"))
    snap = snapshot(role("app", *statements, **more), **ecs("app", APP, containers=containers))
    return world(snap, [task_process("p", "app")], usage)


def found(w: World) -> set[tuple[str, str]]:
    return {(f.id, f.subject.removeprefix(APP).removeprefix(" policy ")) for f in find(w)}


Policies = tuple[s.Policy, ...]
two: Policies = (policy("p", READ), policy("q", SEND, allow("Ask", "sns:Publish")))

CASES: list[tuple[str, World, set[tuple[str, str]]]] = [
    ("all is used", app(READ), set()),
    ("a statement", app(READ, SEND), {("unused-statement", "p Send")}),
    ("an action", app(allow("S", ["s3:GetObject", "s3:PutObject"], INSIDE)), {("unused-action", "p S")}),
    ("a policy of several statements", app(policies=two), {("unused-policy", "q")}),
    (
        "a policy of one statement",
        app(policies=(policy("p", READ), policy("q", SEND))),
        {("unused-statement", "q Send")},
    ),
    ("a role", app(READ, SEND, usage=nothing), {("unused-role", "")}),
    ("evidence is insufficient", app(READ, SEND, full=False), set()),
    ("evidence is insufficient for a role", app(READ, SEND, usage=nothing, full=False), set()),
    ("no process reports", world(snapshot(role("app", READ, SEND))), set()),
    ("iam:PassRole is no call", app(READ, allow("Pass", "iam:PassRole")), set()),
    ("no operation emits it", app(READ, allow("Db", "rds-db:connect")), set()),
    ("a Deny is never unused", app(READ, {**SEND, "Effect": "Deny"}), set()),
    (
        "a policy with a Deny is not wholly unused",
        app(policies=(policy("p", READ), policy("q", SEND, {**READ, "Effect": "Deny", "Sid": "No"}))),
        {("unused-statement", "q Send")},
    ),
    ("a role that AWS owns", app(READ, SEND, path="/aws-service-role/x/"), set()),
    ("a wider resource", app(allow("S", "s3:GetObject", "*")), {("resource-wider-than-used", "p S")}),
    (
        "two buckets, one used",
        app(allow("S", "s3:GetObject", INSIDE, "arn:aws:s3:::other/*")),
        {("resource-wider-than-used", "p S")},
    ),
    (
        "objects of a bucket are one container",
        app(READ, usage=(call("p", "ecs-task-role", APP, "s3:GetObject", resource="arn:aws:s3:::b/k/1"),)),
        set(),
    ),
    ("a wider resource, evidence insufficient", app(allow("S", "s3:GetObject", "*"), full=False), set()),
    (
        "the resource of a call is not known",
        app(allow("S", "s3:GetObject", "*"), usage=(call("p", "ecs-task-role", APP, "s3:GetObject"),)),
        set(),
    ),
    (
        "actions that know only `*`",
        app(allow("S", "s3:ListAllMyBuckets", "*"), usage=(call("p", "ecs-task-role", APP, "s3:ListAllMyBuckets"),)),
        set(),
    ),
    ("a variable", app(allow("S", "s3:GetObject", "arn:aws:s3:::${aws:username}/*", INSIDE)), set()),
    ("a wildcard takes all with it", app(allow("S", "s3:*")), {("admin-or-wildcard-statement", "p S")}),
    (
        "escalation, unused",
        app(READ, allow("Deploy", "iam:PutRolePolicy", APP)),
        {("privilege-escalation-unused", "p Deploy")},
    ),
    (
        "half of a combination is none",
        app(READ, allow("Deploy", ["iam:PassRole", "ecs:RunTask"])),
        {("unused-action", "p Deploy")},
    ),
    (
        "escalation in use",
        app(
            READ,
            allow("D", "iam:PutRolePolicy", APP),
            usage=(get, call("p", "x", APP, "iam:PutRolePolicy", resource=APP)),
        ),
        set(),
    ),
    (
        "escalation, denied everywhere",
        app(READ, allow("Deploy", "iam:PutRolePolicy", APP), {**allow("No", "iam:*"), "Effect": "Deny"}),
        {("unused-statement", "p Deploy")},
    ),
    ("escalation, evidence insufficient", app(READ, allow("D", "iam:PutRolePolicy", APP), full=False), set()),
    (
        "a denied call",
        app(READ, usage=(get, call("p", "ecs-task-role", APP, "s3:DeleteObject", resource=INSIDE, outcome="denied"))),
        {("denied-call", "app/app")},
    ),
    (
        "a 403 that may only mean missing",
        app(READ, usage=(get, call("p", "ecs-task-role", APP, "s3:GetObject", outcome="denied-or-missing"))),
        set(),
    ),
    (
        "throttled is not denied",
        app(READ, usage=(get, replace(put, usage=put.usage._replace(outcome="failed")))),
        set(),
    ),
    ("allowed by nobody here", app(READ, usage=(get, put)), {("granted-elsewhere", "")}),
    (
        "a policy that cannot be read may allow it",
        app(policies=(policy("p", READ), s.Policy("q", "")), usage=(get, put)),
        set(),
    ),
]


@pytest.mark.parametrize(("name", "w", "expected"), CASES, ids=[case[0] for case in CASES])
def test_grants(name: str, w: World, expected: set[tuple[str, str]]) -> None:
    assert found(w) == expected


def test_an_instance_profile_is_never_unused() -> None:
    snap = snapshot(
        role("host", READ, SEND, trusts="ec2.amazonaws.com"),
        instances=(s.Instance("i-0aaaaaaaaaaaaaaaa", PROFILE),),
        instance_profiles=(s.InstanceProfile(PROFILE, "host", (role_arn("host"),)),),
    )
    row = call("p", "ec2-instance-profile", "host", "s3:GetObject", resource=INSIDE, instance_profile_arn=PROFILE)
    assert find(world(snap, [host_process("p", "app")], [row])) == ()


def one(w: World) -> Finding:
    (finding,) = find(w)
    return finding


def test_severity_follows_what_the_actions_can_do() -> None:
    assert one(app(READ, SEND)).severity.value == "medium"
    assert one(app(READ, allow("L", "sqs:ListQueues"))).severity.value == "low"


def test_the_fix_of_unused_actions_spells_out_a_pattern_and_keeps_the_rest() -> None:
    condition = {"Bool": {"aws:SecureTransport": "true"}}
    finding = one(app(allow("S", ["s3:GetObject*", "iam:PassRole"], INSIDE, Condition=condition)))
    text = json.loads(finding.fixes[0].text)
    # GetObject itself looks at an object's lock and tags where it may
    looked_at = ["s3:GetObjectLegalHold", "s3:GetObjectRetention", "s3:GetObjectTagging"]
    assert text == allow("S", ["s3:GetObject", *looked_at, "iam:PassRole"], INSIDE, Condition=condition)


def test_escalation_names_the_smallest_combinations_with_their_source() -> None:
    finding = one(app(READ, allow("Deploy", ["lambda:UpdateFunctionCode", "lambda:AddPermission", "iam:PassRole"])))
    assert finding.sentence.startswith("`app` could change or enter something that has a role already, and was not")
    ways = [line for line in finding.evidence if "pathfinding.cloud" in line]
    assert len(ways) == 1
    assert ways[0].startswith("`lambda:UpdateFunctionCode`: change or enter something that has a role already (lambda")
    assert finding.fixes[0].sentence == "Take `lambda:UpdateFunctionCode` out of statement `Deploy`."


def test_a_lost_grant_is_known_from_the_earlier_snapshot() -> None:
    now, before = app(READ, usage=(get, put)), app(READ, allow("W", "s3:PutObject", INSIDE), usage=(get, put))
    finding = one(replace(now, earlier=before.roles))
    assert (finding.id, finding.detail, finding.also) == ("used-not-granted", "s3:PutObject", ("granted-elsewhere",))
    assert one(replace(now, earlier=now.roles)).id == "granted-elsewhere"


def test_a_denial_names_action_resource_principal_and_layer() -> None:
    row = call(
        "p", "ecs-task-role", APP, "s3:PutObject", resource=INSIDE, outcome="denied", denied_layer="service control"
    )
    finding = one(app(READ, usage=(get, row)))
    assert finding.sentence == (
        f"`app/app` was refused `s3:PutObject` on `{INSIDE}` as `app`, by a service control policy of the organisation"
    )
    assert "Change a service control policy" in finding.fixes[0].sentence
    assert (finding.first_ns, finding.last_ns, finding.detail) == (row.first_ns, NOW, "s3:PutObject")
