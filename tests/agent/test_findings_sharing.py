"""Roles that are chained, shared, taken for another purpose, or used in a place that is not theirs."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from credwatch_agent import snapshot as s
from credwatch_agent.findings import World, find
from tests.agent.worlds import (
    ACCOUNT,
    BEGIN,
    DAY,
    HOST,
    NOW,
    PROFILE,
    allow,
    call,
    chain,
    ecs,
    host_process,
    key,
    role,
    role_arn,
    snapshot,
    task_process,
    world,
)

IDS = frozenset(
    {
        "role-chain",
        "execution-role-used-by-app",
        "node-role-used-by-pod",
        "one-role-many-workloads",
        "credentials-away-from-home",
        "source-changed",
    }
)
APP, HOST_ROLE, OTHER = role_arn("app"), role_arn("host"), role_arn("other")
GET, SEND = "s3:GetObject", "sqs:SendMessage"
other_host = "i-0bbbbbbbbbbbbbbbb"
hosts = snapshot(
    instances=(s.Instance(HOST, PROFILE), s.Instance(other_host, PROFILE)),
    instance_profiles=(s.InstanceProfile(PROFILE, "host", (HOST_ROLE,)),),
)
task = ecs("app", APP)
definitions = (*task["task_definitions"], *ecs("b", APP)["task_definitions"])
shared = snapshot(role("app", allow("S", [GET, SEND])), task_definitions=definitions)
both = [task_process("p", "app"), task_process("q", "b")]
pods = [host_process("p", "app", k8s__pod__name="app-1"), host_process("q", "app", k8s__pod__name="app-2")]
node = call("p", "ec2-instance-profile", "host", GET)
first_then = [
    key("p", "k1", "ecs-task-role", APP, last_ns=BEGIN + DAY),
    key("p", "k2", "ec2-instance-profile", "host", first_ns=BEGIN + 2 * DAY),
]


def two_roles(app: str, wide: str, **more: object) -> s.Snapshot:
    narrow = allow("S", app, "arn:aws:s3:::b/*")
    return snapshot(role("app", narrow), role("host", allow("H", wide), trusts="ec2.amazonaws.com", **more), **task)


class Case(NamedTuple):
    name: str
    world: World
    found: set[tuple[str, str]]


CASES = [
    Case(
        "a role assumed with a role",
        world(
            snapshot(),
            [task_process("p", "app")],
            [call("p", "assumed-role", OTHER, GET, chain=chain(("ecs-task-role", APP)))],
        ),
        {("role-chain", "low")},
    ),
    Case(
        "a role assumed with a user's key is no chain",
        world(
            snapshot(),
            [host_process("p", "app")],
            [call("p", "assumed-role", OTHER, GET, chain=chain(("environment", "")))],
        ),
        set(),
    ),
    Case(
        "no chain known", world(snapshot(), [task_process("p", "app")], [call("p", "assumed-role", OTHER, GET)]), set()
    ),
    Case(
        "the execution role signs",
        world(
            snapshot(**ecs("app", APP, execution_role_arn=APP)),
            [task_process("p", "app")],
            [call("p", "ecs-task-role", APP, GET)],
        ),
        {("execution-role-used-by-app", "medium")},
    ),
    Case(
        "another execution role",
        world(
            snapshot(**ecs("app", APP, execution_role_arn=OTHER)),
            [task_process("p", "app")],
            [call("p", "ecs-task-role", APP, GET)],
        ),
        set(),
    ),
    Case(
        "the definition is not known",
        world(snapshot(), [task_process("p", "app")], [call("p", "ecs-task-role", APP, GET)]),
        set(),
    ),
    Case(
        "a pod with a role signs as its node",
        world(hosts, pods, [node, call("q", "web-identity", APP, GET)]),
        {("node-role-used-by-pod", "high")},
    ),
    Case("no role of the pods is known", world(hosts, pods, [node]), set()),
    Case(
        "a host process is no pod",
        world(hosts, [host_process("p", "app"), host_process("q", "app")], [node, call("q", "web-identity", APP, GET)]),
        set(),
    ),
    Case(
        "two workloads with nothing in common",
        world(shared, both, [call("p", "ecs-task-role", APP, GET), call("q", "ecs-task-role", APP, SEND)]),
        {("one-role-many-workloads", "medium")},
    ),
    Case(
        "two workloads with an action in common",
        world(shared, both, [call("p", "ecs-task-role", APP, GET), call("q", "ecs-task-role", APP, GET, SEND)]),
        set(),
    ),
    Case("only one workload is known to call", world(shared, both, [call("p", "ecs-task-role", APP, GET)]), set()),
    Case(
        "containers of one task share its role",
        world(
            shared,
            [task_process("p", "app"), task_process("q", "app", container__name="x")],
            [call("p", "ecs-task-role", APP, GET), call("q", "ecs-task-role", APP, SEND)],
        ),
        set(),
    ),
    Case(
        "a key on two hosts",
        world(
            hosts,
            [host_process("p", "app"), host_process("q", "app", other_host)],
            [],
            [key("p", "k", "ec2-instance-profile", "host"), key("q", "k", "environment")],
        ),
        {("credentials-away-from-home", "critical")},
    ),
    Case(
        "a key in two processes of one host",
        world(
            hosts,
            [host_process("p", "app"), host_process("q", "b")],
            [],
            [key("p", "k", "ec2-instance-profile", "host"), key("q", "k", "ec2-instance-profile", "host")],
        ),
        set(),
    ),
    Case(
        "where the other process runs is not known",
        world(
            hosts,
            [host_process("p", "app"), host_process("q", "b", "")],
            [],
            [key("p", "k", "ec2-instance-profile", "host"), key("q", "k", "environment")],
        ),
        set(),
    ),
    Case(
        "a task's key on its own host",
        world(
            snapshot(**task),
            [task_process("p", "app"), host_process("q", "b")],
            [],
            [key("p", "k", "ecs-task-role", APP), key("q", "k", "environment")],
        ),
        set(),
    ),
    Case(
        "a task's key in another task",
        world(shared, both, [], [key("p", "k", "ecs-task-role", APP), key("q", "k", "explicit")]),
        {("credentials-away-from-home", "critical")},
    ),
    Case(
        "a session of an assumed role may be anywhere",
        world(shared, both, [], [key("p", "k", "assumed-role", APP), key("q", "k", "assumed-role", APP)]),
        set(),
    ),
    Case(
        "a task's key of another account",
        world(shared, [task_process("p", "app", cloud__account__id="1")], [], [key("p", "k", "ecs-task-role", APP)]),
        {("credentials-away-from-home", "info")},
    ),
    Case(
        "from a role to a wider one",
        world(two_roles(GET, "s3:Get*"), [task_process("p", "app")], [], first_then),
        {("source-changed", "high")},
    ),
    Case(
        "to one that lacks something",
        world(two_roles(GET, "sqs:Get*"), [task_process("p", "app")], [], first_then),
        set(),
    ),
    Case(
        "to one whose boundary leaves it open",
        world(
            two_roles(GET, "s3:Get*", boundary="arn:aws:iam::1:policy/b"), [task_process("p", "app")], [], first_then
        ),
        set(),
    ),
    Case(
        "back and forth is no change",
        world(
            two_roles(GET, "s3:Get*"),
            [task_process("p", "app")],
            [],
            [*first_then, key("p", "k3", "ecs-task-role", APP, first_ns=NOW - DAY)],
        ),
        set(),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_roles_and_places(case: Case) -> None:
    assert {(f.id, f.severity.value) for f in find(case.world) if f.id in IDS} == case.found


def test_a_shared_role_is_split_into_one_policy_each() -> None:
    rows = [call("p", "ecs-task-role", APP, GET), call("q", "ecs-task-role", APP, SEND)]
    (found,) = (f for f in find(world(shared, both, rows)) if f.id == "one-role-many-workloads")
    assert [(GET in fix.text, SEND in fix.text) for fix in found.fixes] == [(True, False), (False, True)]
    assert found.sentence == "`app` serves `app`, `b`, which have no action in common"


def test_stolen_keys_are_revoked_up_to_now() -> None:
    keys = [key("p", "k", "ec2-instance-profile", "host"), key("q", "k", "environment")]
    places = [host_process("p", "app"), host_process("q", "app", other_host)]
    (found,) = find(world(hosts, places, [], keys))
    assert '"aws:TokenIssueTime": "2024-10-04T00:00:00Z"' in found.fixes[0].text
    assert "aws:Ec2InstanceSourceVpc" in found.fixes[1].text
    assert found.kind.value == "key"
    assert ACCOUNT not in found.subject
