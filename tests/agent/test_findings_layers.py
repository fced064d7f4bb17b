"""Findings about layers: an application that signs as its host, and what must not be taken for one."""

from __future__ import annotations

import json
import shlex
from typing import NamedTuple

import pytest

from credwatch_agent.findings import Finding, World, find
from tests.agent.worlds import (
    HOST,
    HOST_TRUST,
    PROFILE,
    allow,
    call,
    chain,
    ecs,
    host_process,
    role,
    role_arn,
    snapshot,
    task_process,
    world,
)

HOST_ROLE = role("host", allow("Photos", "s3:GetObject"), trusts=HOST_TRUST)
TASK_ROLE = role("app-role", allow("Photos", "s3:GetObject"))
PHOTO = "arn:aws:s3:::photos/*"
INFRA = "infra-role-used-for-app-calls"
LAYERS = frozenset({"task-using-instance-profile", INFRA, "task-without-task-role"})

as_host = call("p", "ec2-instance-profile", "host", "s3:GetObject", resource=PHOTO, instance_profile_arn=PROFILE)
as_task = call("p", "ecs-task-role", role_arn("app-role"), "s3:GetObject", resource=PHOTO)
chained = call(
    "p",
    "assumed-role",
    role_arn("app-role"),
    "s3:GetObject",
    chain=chain(("ec2-instance-profile", "host")),
    resource=PHOTO,
)
poll = call("p", "ec2-instance-profile", "host", "ecs:Poll", instance_profile_arn=PROFILE)

without_role = snapshot(HOST_ROLE, TASK_ROLE, **ecs("app"))
with_role = snapshot(HOST_ROLE, TASK_ROLE, **ecs("app", role_arn("app-role")))
unread = snapshot(HOST_ROLE, TASK_ROLE)


class Case(NamedTuple):
    name: str
    world: World
    found: set[tuple[str, str, tuple[str, ...]]]


CASES = [
    Case(
        "no task role",
        world(without_role, [task_process("p", "app", "absent")], [as_host]),
        {("task-using-instance-profile", "no-task-role", (INFRA, "task-without-task-role"))},
    ),
    Case(
        "the environment was stripped: the task has a role",
        world(with_role, [task_process("p", "app", "absent")], [as_host]),
        {("task-using-instance-profile", "environment-stripped", (INFRA,))},
    ),
    Case(
        "the recorder saw that the first process has the variable",
        world(unread, [task_process("p", "app", "stripped")], [as_host]),
        {("task-using-instance-profile", "environment-stripped", ())},
    ),
    Case(
        "configured to ask the metadata service",
        world(with_role, [task_process("p", "app", "present")], [as_host]),
        {("task-using-instance-profile", "explicit-imds-profile", (INFRA,))},
    ),
    Case(
        "a role assumed with the host's credentials: the root counts",
        world(with_role, [task_process("p", "app", "present")], [chained]),
        {("task-using-instance-profile", "explicit-imds-profile", ())},
    ),
    Case(
        "the definition is not known",
        world(unread, [task_process("p", "app", "absent")], [as_host]),
        {("task-using-instance-profile", "undetermined", ())},
    ),
    Case("a task role", world(with_role, [task_process("p", "app")], [as_task]), set()),
    Case(
        "a process on EC2 outside of tasks may use the instance profile",
        world(snapshot(HOST_ROLE), [host_process("p", "app")], [as_host]),
        set(),
    ),
    Case(
        "something that answers like the metadata service proves nothing",
        world(with_role, [task_process("p", "app")], [call("p", "imds-other", "host", "s3:GetObject")]),
        set(),
    ),
    Case(
        "Fargate has no metadata service",
        world(with_role, [task_process("p", "app", aws__ecs__launchtype="fargate")], [as_host]),
        set(),
    ),
    Case(
        "a host process on a container instance",
        world(without_role, [host_process("p", "cleanup")], [as_host]),
        {(INFRA, "", ())},
    ),
    Case("the ECS agent's own calls", world(without_role, [host_process("p", "agent")], [poll]), set()),
    Case(
        "a host that is not known to be a container instance",
        world(snapshot(HOST_ROLE), [host_process("p", "cleanup")], [as_host]),
        set(),
    ),
    Case(
        "no role and no call",
        world(without_role, [task_process("p", "app", "absent")]),
        {("task-without-task-role", "", ())},
    ),
    Case("no role in the definition, but a variable", world(without_role, [task_process("p", "app")]), set()),
    Case("no role known", world(unread, [task_process("p", "app", "absent")]), set()),
]


def layers(found: tuple[Finding, ...]) -> set[tuple[str, str, tuple[str, ...]]]:
    return {(f.id, f.cause, tuple(a for a in f.also if a in LAYERS)) for f in found if f.id in LAYERS}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_root_of_the_chain_decides_the_layer(case: Case) -> None:
    assert layers(find(case.world)) == case.found


def test_the_finding_says_what_was_seen_and_how_to_mend_it() -> None:
    (found,) = (f for f in find(CASES[0].world) if f.id == "task-using-instance-profile")
    assert found.subject == "app/app"
    assert found.role_arn == role_arn("host")
    assert found.sentence == "`app/app` runs as an ECS task without a task role and signs as its host, `host`"
    text = "\n".join(found.evidence)
    assert "10 calls (s3:GetObject 10)" in text
    assert "1 process reported (`app.py`), all ended: counts are exact" in text
    assert "task definition `app:1` has no `taskRoleArn`" in text
    assert f"hosts: `{HOST}`" in text
    fixes = [fix.text for fix in found.fixes]
    assert any('"taskRoleArn"' in fix for fix in fixes)
    assert any("--http-put-response-hop-limit 1" in fix and HOST in fix for fix in fixes)
    grants = json.loads(next(fix for fix in fixes if "s3:GetObject" in fix))
    assert grants["Statement"] == [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [PHOTO]}]
    assert found.references


def test_a_name_from_telemetry_is_one_word_of_a_command() -> None:
    seen = world(unread, [task_process("p", "a; id #", "absent", aws__ecs__task__revision="1 $(id)")], [as_host])
    texts = [fix.text for finding in find(seen) for fix in finding.fixes if "describe-task-definition" in fix.text]
    assert texts
    assert {shlex.split(text)[4] for text in texts} == {"a; id #:1 $(id)"}


def test_a_task_without_calls_is_only_worth_knowing() -> None:
    (found,) = find(world(without_role, [task_process("p", "app", "absent")]))
    assert found.severity.value == "info"
