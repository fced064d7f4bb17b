"""Findings about keys: long-lived ones where a role would do, and copied or foreign temporary ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from credwatch.signature import pseudonym
from credwatch_agent import snapshot as s
from credwatch_agent.findings import World, find
from tests.agent.worlds import (
    ACCOUNT,
    BEGIN,
    DAY,
    HOST,
    NOW,
    PROFILE,
    call,
    chain,
    ecs,
    host_process,
    key,
    role_arn,
    snapshot,
    task_process,
    world,
)

IDS = frozenset(
    {
        "static-key-shadowing-role",
        "hardcoded-credentials",
        "root-or-user-key-on-compute",
        "role-credentials-laundered",
        "foreign-temporary-credentials",
        "stale-credentials",
    }
)
APP = role_arn("app")
USER = f"arn:aws:iam::{ACCOUNT}:user/backup"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
HIGH, MEDIUM, INFO, CRITICAL = "high", "medium", "info", "critical"


def used(source: str, **more: Any) -> Any:
    return call("p", source, "", "s3:GetObject", resource="arn:aws:s3:::b/*", **more)


def long_lived(source: str, **more: Any) -> Any:
    return used(source, credential_type="long-lived", **more)


on_host = snapshot(
    instances=(s.Instance(HOST, PROFILE),), instance_profiles=(s.InstanceProfile(PROFILE, "host", (APP,)),)
)
bare_host = snapshot(instances=(s.Instance(HOST),))
in_task = snapshot(**ecs("app", APP))
roleless = snapshot(**ecs("app"))
laptop = [host_process("p", "app", host="")]
host = [host_process("p", "app")]
task = [task_process("p", "app")]
stripped = [task_process("p", "app", "absent")]
copied = used("ecs-task-role", laundered=True)
by_literal = used("environment")
ASIA = "0123456789abcdef"


class Case(NamedTuple):
    name: str
    world: World
    found: set[tuple[str, str, tuple[str, ...]]]


SHADOW = ("static-key-shadowing-role", HIGH, ("root-or-user-key-on-compute",))
CASES = [
    Case("a file's key on EC2 with a profile", world(on_host, host, [long_lived("shared-credentials-file")]), {SHADOW}),
    Case("the environment's key in a task with a role", world(in_task, task, [long_lived("environment")]), {SHADOW}),
    Case(
        "a root key that hides a role is critical",
        world(in_task, task, [long_lived("environment", principal_arn=ROOT)]),
        {("static-key-shadowing-role", CRITICAL, ("root-or-user-key-on-compute",))},
    ),
    Case(
        "a key on EC2 without a profile hides nothing",
        world(bare_host, host, [long_lived("environment")]),
        {("root-or-user-key-on-compute", HIGH, ())},
    ),
    Case(
        "a key in a task without a role hides nothing",
        world(roleless, stripped, [long_lived("environment", principal_arn=ROOT)]),
        {("root-or-user-key-on-compute", CRITICAL, ())},
    ),
    Case("a key on a machine that is not AWS's", world(on_host, laptop, [long_lived("environment")]), set()),
    Case(
        "a key in code, wherever",
        world(snapshot(), laptop, [long_lived("explicit")]),
        {("hardcoded-credentials", HIGH, ())},
    ),
    Case(
        "a key in code on EC2",
        world(on_host, host, [long_lived("explicit")]),
        {("hardcoded-credentials", HIGH, ("root-or-user-key-on-compute",))},
    ),
    Case("a role signs", world(in_task, task, [used("ecs-task-role")]), set()),
    Case("temporary keys in code are no hardcoded key", world(in_task, task, [used("explicit")]), set()),
    Case("copied in the process", world(in_task, task, [copied]), {("role-credentials-laundered", INFO, ())}),
    Case(
        "copied, and expired: one finding",
        world(in_task, task, [copied, used("ecs-task-role", laundered=True, outcome="auth-failed")]),
        {("stale-credentials", MEDIUM, ("role-credentials-laundered",))},
    ),
    Case(
        "copied, and the source has a newer key",
        world(
            in_task,
            task,
            [copied],
            [
                key("p", "old", "ecs-task-role", laundered=True, last_ns=NOW),
                key("p", "new", "ecs-task-role", first_ns=BEGIN + DAY),
            ],
        ),
        {("stale-credentials", MEDIUM, ("role-credentials-laundered",))},
    ),
    Case(
        "copied, and still the source's key",
        world(
            in_task,
            task,
            [copied],
            [key("p", "one", "ecs-task-role", laundered=True), key("p", "one", "ecs-task-role")],
        ),
        {("role-credentials-laundered", INFO, ())},
    ),
    Case(
        "two sessions of an assumed role are valid side by side",
        world(
            in_task,
            task,
            [used("assumed-role", laundered=True)],
            [
                key("p", "a", "assumed-role", laundered=True),
                key("p", "b", "assumed-role", first_ns=BEGIN + DAY),
            ],
        ),
        {("role-credentials-laundered", INFO, ())},
    ),
    Case(
        "the fleet knows the key from a role",
        world(
            in_task,
            [*task, host_process("q", "giver")],
            [by_literal],
            [key("p", ASIA, "environment"), key("q", ASIA, "ec2-instance-profile", "host")],
        ),
        {("role-credentials-laundered", INFO, ())},
    ),
    Case(
        "nobody knows the key",
        world(in_task, task, [by_literal], [key("p", ASIA, "environment")]),
        {("foreign-temporary-credentials", MEDIUM, ())},
    ),
    Case(
        "Lambda passes its role in the environment",
        world(
            snapshot(),
            [host_process("p", "f", host="", cloud__platform="aws_lambda")],
            [by_literal],
            [key("p", ASIA, "environment")],
        ),
        set(),
    ),
    Case("a temporary literal whose key was not reported", world(in_task, task, [by_literal]), set()),
    Case("an expired key that was not copied", world(in_task, task, [used("sso", outcome="auth-failed")]), set()),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_keys(case: Case) -> None:
    assert {(f.id, f.severity.value, f.also) for f in find(case.world) if f.id in IDS} == case.found


def test_the_owner_of_a_key_comes_from_the_list_of_keys_whether_the_id_is_hidden_or_not() -> None:
    key_id = "AKIAIOSFODNN7EXAMPLE"
    snap = snapshot(
        access_keys=(s.AccessKey(pseudonym(key_id), USER, "Active", "2020-01-01"),), instances=(s.Instance(HOST),)
    )
    for name in (key_id, pseudonym(key_id)):
        sighting = key("p", name, "environment", credential_type="long-lived")
        (found,) = find(world(snap, host, [long_lived("environment")], [sighting]))
        assert found.sentence == "`app` runs on EC2 and signs with a long-lived key of the user `backup`"
        assert any("Active, made 2020-01-01" in sentence for sentence in found.evidence)
        assert any("update-access-key --user-name backup" in fix.text for fix in found.fixes)


def test_a_chain_whose_keys_are_copied_is_two_findings() -> None:
    row = used("assumed-role", laundered=True, principal_arn=APP, chain=chain(("ecs-task-role", role_arn("first"))))
    assert {f.id for f in find(world(in_task, task, [row]))} == {"role-chain", "role-credentials-laundered"}
