"""Granted against used: each use lies at the statement that allowed it, and a doubt stays a doubt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credwatch_agent import snapshot as s
from credwatch_agent.compare import Grant, RoleView, compare
from credwatch_agent.evidence import Emits, Reason, Settings, State, join
from credwatch_agent.iam.document import parse
from credwatch_agent.iam.evaluate import allowing
from credwatch_agent.recommend.view import of_role
from credwatch_agent.records import Telemetry, UsageRow
from tests.agent import worlds as w

ROLE = w.role_arn("orders")
BUCKET, OTHER = "arn:aws:s3:::b/*", "arn:aws:s3:::other/*"
VPC = {"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}


def view(
    statements: tuple[Mapping[str, Any], ...],
    usage: tuple[UsageRow, ...],
    *,
    emits: Emits = lambda _action: True,
    world: Mapping[str, Any] | None = None,
    **role: Any,
) -> RoleView:
    """The comparison of one role that a task has, of which everything is known."""
    made = w.role("orders", *statements, **role)
    index = s.Index(w.snapshot(made, **{**w.ecs("orders", ROLE), **(world or {})}))
    telemetry = Telemetry({"p": w.task_process("p", "orders")}, usage, ())
    (found,) = compare(index, join(telemetry, index, 0), w.NOW, Settings(), emits)
    return found


def call(action: str, resource: str = "*", **more: Any) -> UsageRow:
    return w.call("p", "ecs-task-role", ROLE, action, resource=resource, **more)


def grant(found: RoleView, statement: int = 0, action: str = "s3:GetObject") -> Grant:
    return next(each for each in found.statements[statement].grants if each.action == action)


def state(found: RoleView, statement: int = 0, action: str = "s3:GetObject") -> tuple[str, list[str]]:
    verdict = grant(found, statement, action).verdict
    return verdict.state.value, [gap.reason.value for gap in verdict.gaps]


USED: tuple[str, list[str]] = ("used", [])
UNUSED: tuple[str, list[str]] = ("unused", [])
AMBIGUOUS, TRIED = ("insufficient", ["ambiguous"]), ("insufficient", ["outcome"])


def test_a_broken_policy_is_a_problem_and_the_others_are_still_compared() -> None:
    good = w.policy("good", w.allow("S", ["s3:GetObject", "s3:PutObject", "iam:PassRole"]))
    empty = s.Policy("empty", "", "arn:aws:iam::aws:policy/empty")
    found = view((), (call("s3:GetObject", BUCKET),), policies=(good, s.Policy("bad", "{"), empty))
    assert found.actions == {
        "s3:GetObject": State.USED,
        "s3:PutObject": State.UNUSED,
        "iam:PassRole": State.UNOBSERVABLE,
    }
    assert [name in problem for name, problem in zip(("`bad`", "`empty`"), found.problems, strict=True)] == [True] * 2


# --- attribution ------------------------------------------------------------------------------------

ON_BUCKET, ON_OTHER = w.allow("B", "s3:GetObject", BUCKET), w.allow("O", "s3:GetObject", OTHER)
NARROW, CONDITIONAL = w.allow("N", "s3:GetObject", "arn:aws:s3:::b/in/*"), w.allow("C", "s3:GetObject", BUCKET, **VPC)
ACCESS_POINT = "arn:aws:s3:eu-west-1:*:accesspoint/*"


@pytest.mark.parametrize(
    ("statements", "row", "states"),
    [
        ((ON_BUCKET, ON_OTHER), call("s3:GetObject", BUCKET), (USED, UNUSED)),
        ((ON_BUCKET, w.allow("A", "s3:Get*")), call("s3:GetObject", BUCKET), (USED, USED)),
        ((NARROW, ON_OTHER), call("s3:GetObject", BUCKET), (USED, UNUSED)),
        ((ON_BUCKET, NARROW), call("s3:GetObject", BUCKET), (USED, AMBIGUOUS)),
        ((ON_BUCKET, ON_OTHER), call("s3:GetObject", "*"), (AMBIGUOUS, AMBIGUOUS)),
        ((ON_BUCKET,), call("s3:GetObject", "*"), (USED,)),
        ((CONDITIONAL,), call("s3:GetObject", BUCKET), (USED,)),
        ((CONDITIONAL, ON_OTHER), call("s3:GetObject", BUCKET), (USED, UNUSED)),
        ((CONDITIONAL, CONDITIONAL), call("s3:GetObject", BUCKET), (AMBIGUOUS,) * 2),
        ((ON_BUCKET, CONDITIONAL), call("s3:GetObject", BUCKET), (USED, AMBIGUOUS)),
        ((ON_BUCKET, ON_OTHER), call("s3:GetObject", ACCESS_POINT), (AMBIGUOUS, AMBIGUOUS)),
        ((ON_BUCKET,), call("s3:GetObject", ACCESS_POINT), (USED,)),
        ((ON_BUCKET,), call("s3:getobject", BUCKET), (USED,)),
        ((ON_BUCKET,), call("s3:PutObject", BUCKET), (UNUSED,)),
        ((ON_BUCKET,), call("s3:GetObject", BUCKET, outcome="denied"), (TRIED,)),
        ((ON_BUCKET,), call("s3:GetObject", OTHER, outcome="denied"), (UNUSED,)),
        ((ON_BUCKET,), call("s3:GetObject", BUCKET, outcome="answered"), (TRIED,)),
        ((ON_BUCKET,), call("s3:GetObject", BUCKET, outcome="signed"), (TRIED,)),
        ((ON_BUCKET,), call("s3:GetObject", BUCKET, outcome="abandoned"), (TRIED,)),
    ],
    ids=[
        "the one that names the bucket", "each that allows it for certain", "the only one that may",
        "a sure one and one that may", "several that may", "an unknown resource and one statement",
        "an unknown condition on the only one", "an unknown condition, and another bucket",
        "unknown conditions on two", "a sure one and a condition", "an access point hides the bucket",
        "an access point and one statement", "action names have no case", "another action", "a denied attempt",
        "a denied attempt elsewhere", "an answered call", "a presigned call", "an abandoned call",
    ],
)  # fmt: skip
def test_a_use_lies_at_the_statements_that_allowed_it(
    statements: tuple[Mapping[str, Any], ...], row: UsageRow, states: tuple[tuple[str, list[str]], ...]
) -> None:
    found = view(statements, (row,))
    assert tuple(state(found, i) for i in range(len(statements))) == states


# --- the service that a role is passed to -------------------------------------------------------------

JOB = "arn:aws:iam::123456789012:role/job"
TO_ECS, TO_EC2, TO_BOTH = "ecs-tasks.amazonaws.com", "ec2.amazonaws.com", "ec2.amazonaws.com,ecs-tasks.amazonaws.com"


def passing(sid: str, operator: str, *services: str) -> Mapping[str, Any]:
    return w.allow(sid, "iam:PassRole", "*", Condition={operator: {"IAM:passedToService": list(services)}})


def passed(to: str, resource: str = JOB) -> UsageRow:
    facets = (("iam:PassedToService", to), ("passes-role", "yes")) if to else (("passes-role", "yes"),)
    return call("iam:PassRole", resource, facets=facets)


UNOBSERVED = ("unobservable", ["pass-role"])
ECS, EC2 = passing("T", "StringEquals", TO_ECS), passing("H", "StringEquals", TO_EC2)


@pytest.mark.parametrize(
    ("statements", "row", "states"),
    [
        ((ECS, EC2), passed(TO_ECS), (USED, UNOBSERVED)),
        ((ECS, EC2), passed(TO_EC2), (UNOBSERVED, USED)),
        ((ECS, EC2), passed(TO_BOTH), (AMBIGUOUS, AMBIGUOUS)),
        ((ECS, EC2), passed(""), (AMBIGUOUS, AMBIGUOUS)),
        ((ECS, EC2), passed("glue.amazonaws.com"), (AMBIGUOUS, AMBIGUOUS)),
        ((EC2,), passed(TO_ECS), (USED,)),
        ((passing("L", "StringLike", "ec2.*"), ECS), passed(TO_EC2), (USED, UNOBSERVED)),
        ((passing("I", "StringEqualsIfExists", TO_EC2), ECS), passed(TO_EC2), (USED, UNOBSERVED)),
        ((passing("N", "StringNotEquals", TO_EC2), EC2), passed(TO_EC2), (UNOBSERVED, USED)),
        ((passing("B", "StringEquals", TO_EC2, TO_ECS), EC2), passed(TO_BOTH), (USED, AMBIGUOUS)),
        ((w.allow("Any", "iam:PassRole"), EC2), passed(TO_ECS), (USED, UNOBSERVED)),
        ((ECS, EC2), passed(TO_ECS, "arn:aws-cn:iam::123456789012:role/job"), (AMBIGUOUS, AMBIGUOUS)),
    ],
    ids=[
        "the statement for that service", "the one for another", "one of two services, which is not known",
        "not documented", "documented, and contradicted by the call's success",
        "contradicted, and one statement alone", "a pattern", "IfExists", "negated", "all that it may be",
        "a statement without condition", "another partition",
    ],
)  # fmt: skip
def test_a_passed_role_lies_at_the_statement_for_the_service_that_took_it(
    statements: tuple[Mapping[str, Any], ...], row: UsageRow, states: tuple[tuple[str, list[str]], ...]
) -> None:
    found = view(statements, (row,))
    assert tuple(state(found, i, "iam:PassRole") for i in range(len(statements))) == states
    assert found.unexplained == ()


def test_roles_passed_to_two_services_are_two_uses() -> None:
    found = view((ECS, EC2), (passed(TO_ECS), passed(TO_EC2), call("s3:GetObject", BUCKET)))
    assert [use.passed_to for use in found.uses] == [(TO_EC2,), (TO_ECS,), ()]
    assert [grant(found, i, "iam:PassRole").calls for i in (0, 1)] == [10, 10]


def test_a_success_proves_what_denied_attempts_leave_open() -> None:
    found = view((ON_BUCKET,), (call("s3:GetObject", BUCKET, outcome="denied"), call("s3:GetObject", BUCKET)))
    assert state(found) == USED
    assert grant(found).calls == 10
    assert [use.outcome for use in found.denied] == ["denied"]


def test_calls_and_resources_of_a_grant_are_those_of_its_statement() -> None:
    rows = (call("s3:GetObject", BUCKET), call("s3:GetObject", BUCKET, region="eu-west-2"), call("s3:GetObject", OTHER))
    found = view((ON_BUCKET, ON_OTHER), rows)
    assert [(grant(found, i).calls, grant(found, i).resources) for i in (0, 1)] == [(20, (BUCKET,)), (10, (OTHER,))]


@pytest.mark.parametrize("granted", ["db-AbCdEf", "db-??????", "db-*"])
def test_a_secret_that_a_call_names_without_its_last_characters_may_be_the_granted_one(granted: str) -> None:
    secret, action = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:", "secretsmanager:GetSecretValue"
    statement = w.allow("Read", action, f"{secret}{granted}")
    found = view((statement,), (call(action, f"{secret}db-??????"),))
    assert state(found, action=action) == USED
    assert found.unexplained == ()


def test_a_call_that_no_statement_allows_is_unexplained() -> None:
    free = call("sts:GetCallerIdentity")  # needs no permission
    found = view((ON_BUCKET,), (call("s3:GetObject", OTHER), call("sqs:SendMessage"), free))
    assert [use.action for use in found.unexplained] == ["s3:GetObject", "sqs:SendMessage"]
    assert state(found) == UNUSED


def test_a_role_in_what_a_call_named_is_no_use_without_a_grant_since_it_may_hold_none() -> None:
    roles = "arn:aws:iam::123456789012:role/"
    found = view((ON_BUCKET,), (call("iam:PassRole", f"{roles}*"), call("iam:PassRole", f"{roles}app")))
    assert [use.resource for use in found.unexplained] == [f"{roles}app"]


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("sqs:SendMessage", "arn:aws:sqs:eu-west-1:999999999999:q"),
        ("kms:Decrypt", "arn:aws:kms:eu-west-1:123456789012:key/1"),
        ("sts:AssumeRole", "arn:aws:iam::999999999999:role/there"),
    ],
    ids=["a queue of another account", "a key with its own policy", "a role of another account"],
)
def test_where_another_policy_must_allow_too_the_roles_statement_is_used_all_the_same(
    action: str, resource: str
) -> None:
    found = view((w.allow("S", action, resource), w.allow("T", action, "arn:aws:x:::y")), (call(action, resource),))
    assert [state(found, i, action) for i in (0, 1)] == [USED, UNUSED]
    assert found.unexplained == ()


def test_allow_with_not_action_grants_every_other_action() -> None:
    found = view(
        ({"Effect": "Allow", "NotAction": ["iam:*", "s3:Put*"], "Resource": "*"},), (call("s3:GetObject", BUCKET),)
    )
    assert state(found) == USED
    assert not any(action.startswith(("iam:", "s3:Put")) for action in found.actions)


def test_a_statement_without_sid_is_named_by_its_position() -> None:
    found = view((ON_BUCKET, {**ON_OTHER, "Sid": ""}), ())
    assert [each.name for each in found.statements] == ["B", "statement 1"]


def test_a_deny_is_never_a_grant() -> None:
    found = view((ON_BUCKET, {**w.allow("D", "s3:*"), "Effect": "Deny"}), (call("s3:GetObject", BUCKET),))
    assert [each.name for each in found.statements] == ["B"]


# --- what nobody can see ----------------------------------------------------------------------------

EXECUTES = w.ecs("orders", ROLE, execution_role_arn=ROLE)
SSM = s.Policy(
    "AmazonSSMManagedInstanceCore",
    w.policy("x", w.allow("S", ["ssm:PutInventory", "ssm:SendCommand"])).document,
    "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
)


@pytest.mark.parametrize(
    ("action", "row", "world", "reason"),
    [
        ("iam:PassRole", None, {}, Reason.PASS_ROLE),
        ("rds-db:connect", None, {}, Reason.NO_OPERATION),
        ("ssmmessages:OpenDataChannel", None, {}, Reason.NO_OPERATION),
        ("ecr:BatchGetImage", None, EXECUTES, Reason.BASELINE),
        ("kms:Decrypt", call("s3:GetObject", BUCKET), {}, Reason.FORWARDED),
        ("kms:Decrypt", call("s3:GetObject", BUCKET, outcome="answered"), {}, Reason.FORWARDED),
        ("kms:Decrypt", call("s3:GetObject", BUCKET, outcome="denied"), {}, None),
        ("kms:Encrypt", call("s3:GetObject", BUCKET), {}, None),
        ("glue:GetTable", call("athena:StartQueryExecution"), {}, Reason.FORWARDED),
        ("ec2:RunInstances", call("cloudformation:CreateStack"), {}, Reason.FORWARDED),
        ("ecr:BatchGetImage", None, {}, None),
    ],
)
def test_an_action_that_no_recorder_sees_is_unobservable_and_others_are_unused(
    action: str, row: UsageRow | None, world: Mapping[str, Any], reason: Reason | None
) -> None:
    found = view((w.allow("S", action),), (row,) if row else (), world=world)
    assert state(found, 0, action) == (("unobservable", [reason.value]) if reason else UNUSED)


def test_a_managed_policy_of_a_hosts_duties_is_a_baseline_by_its_arn() -> None:
    assert state(view((), (), policies=(SSM,)), 0, "ssm:PutInventory") == ("unobservable", ["baseline"])
    assert state(view((), (), policies=(SSM,)), 0, "ssm:SendCommand") == UNUSED
    assert state(view((), (), policies=(replace(SSM, arn=""),)), 0, "ssm:PutInventory") == UNUSED


def test_the_role_of_a_container_instance_is_never_called_unused() -> None:
    world = {"instance_profiles": (s.InstanceProfile(w.PROFILE, "host", (ROLE,)),)}
    found = view((w.allow("S", ["ecs:Poll", "s3:GetObject"]),), (), world=world)
    assert state(found, 0, "ecs:Poll") == ("unobservable", ["baseline"])
    assert state(found) == ("insufficient", ["instance-profile"])


@pytest.mark.parametrize("action", ["iam:PassRole", "kms:Decrypt"], ids=["PassRole", "forwarded"])
def test_what_was_seen_is_used_even_where_nobody_could_see_it_missing(action: str) -> None:
    found = view((w.allow("S", action),), (call(action), call("s3:GetObject", BUCKET)))
    assert state(found, 0, action) == USED


KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"


@pytest.mark.parametrize(
    ("beside", "world", "resource"),
    [
        ((), {}, KEY),
        ((call("s3:GetObject", BUCKET),), {}, "*"),
        ((call("s3:GetObject", BUCKET, outcome="denied"),), {}, KEY),
        ((), EXECUTES, "*"),
    ],
    ids=["alone", "S3 decrypts", "S3 refused", "the execution role decrypts"],
)
def test_what_is_also_used_unseen_is_narrowed_to_no_resource(
    beside: tuple[UsageRow, ...], world: Mapping[str, Any], resource: str
) -> None:
    rows = (call("kms:Decrypt", KEY), *beside)
    found = view((w.allow("S", "kms:Decrypt"),), rows, world=world)
    index = s.Index(w.snapshot(found.role, **{**w.ecs("orders", ROLE), **world}))
    signed = join(Telemetry({"p": w.task_process("p", "orders")}, rows, ()), index, 0).by_role(ROLE)
    (policy,) = of_role(found, signed, w.NOW, Settings()).policies
    (statement,) = policy.document["Statement"]
    assert statement["Resource"] in (resource, [resource])


@pytest.mark.parametrize(
    ("emitted", "expected"),
    [(True, UNUSED), (False, ("unobservable", ["no-operation"])), (None, ("insufficient", ["mapping"]))],
)
def test_the_operation_map_says_whether_an_action_could_have_been_seen(
    emitted: bool | None, expected: tuple[str, list[str]]
) -> None:
    assert state(view((ON_BUCKET,), (), emits=lambda _action: emitted)) == expected


def test_an_action_has_the_strongest_state_of_its_statements() -> None:
    found = view((ON_OTHER, ON_BUCKET), (call("s3:GetObject", BUCKET),))
    assert found.actions == {"s3:GetObject": State.USED}
    assert found.statements[0].states == {State.UNUSED: 1}


def test_an_older_recorders_calls_are_compared_with_this_maps_actions() -> None:
    row = call("s3:ListObjectsV2", "arn:aws:s3:::b", mapping_version="0")
    found = view((w.allow("S", "s3:ListBucket"),), (row,))
    assert state(found, 0, "s3:ListBucket") == USED


# --- the engine's own answer ------------------------------------------------------------------------

ARNS = st.sampled_from((
    "*", "arn:aws:s3:::*", "arn:aws:s3:::b", "arn:aws:s3:::b/*", "arn:aws:s3:::b/in/*", "arn:aws:s3:::?/in/k",
    "arn:*:s3:::b*", "arn:aws:s3:::${aws:username}/*", "arn:aws:s3:::a/${aws:PrincipalTag/team}",
))  # fmt: skip
NAMES = st.sampled_from(("s3:GetObject", "S3:GetObj*", "sqs:SendMessage", "s3:PutObject"))


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(
            NAMES,
            st.sampled_from(("Resource", "NotResource")),
            st.lists(ARNS, min_size=1, max_size=2),
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(
        ("*", "arn:aws:s3:::b", "arn:aws:s3:::b/*", "arn:aws:s3:::b/in/k", "arn:aws:s3:::*", "arn:aws:s3:*")
    ),
)
def test_uses_lie_where_the_engine_says_and_no_short_cut_changes_it(
    parts: list[tuple[str, str, list[str]]], resource: str
) -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": names, on: arns} for names, on, arns in parts],
    }
    engine = dict(allowing([parse("p", document)], "s3:GetObject", resource))
    found = view((), (call("s3:GetObject", resource),), policies=(s.Policy("p", json.dumps(document)),))
    touched = {
        i
        for i, each in enumerate(found.statements)
        if any(g.action == "s3:GetObject" and g.verdict.state is not State.UNUSED for g in each.grants)
    }
    assert touched == {ref.index for ref in engine}
    assert bool(found.unexplained) is (not engine)
