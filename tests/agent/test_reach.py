"""Both halves of a role, the blast radius of a workload, and the split of what several share."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from credwatch_agent import snapshot as s
from credwatch_agent.iam.document import parse
from credwatch_agent.iam.evaluate import Decision, Request, evaluate
from credwatch_agent.reach import Reach, reach
from tests.agent import worlds as w

ORDERS, ADMIN = w.role_arn("orders"), w.role_arn("host")
JOBS = f"arn:aws:sqs:eu-west-1:{w.ACCOUNT}:jobs"


def reached(snap: s.Snapshot, *processes: Any, usage: tuple[Any, ...] = ()) -> Reach:
    made = w.world(snap, processes, usage)
    return reach(made.index, made.joined, made.roles)


def test_a_role_says_who_may_and_who_did() -> None:
    snap = w.snapshot(w.role("orders", w.allow("A", ["s3:GetObject", "sqs:Send*"])), **w.ecs("orders", ORDERS))
    calls = (
        w.call("p", "ecs-task-role", ORDERS, "s3:GetObject", resource="arn:aws:s3:::b/*"),
        w.call("p", "ecs-task-role", ORDERS, "sqs:SendMessage", resource=JOBS, outcome="denied"),
    )
    [role] = reached(snap, w.task_process("p", "orders"), usage=calls).roles
    assert role.may_assume == ("Service: ecs-tasks.amazonaws.com",)
    assert [(a.where, a.source, a.calls) for a in role.assumed] == [("orders/app", "ecs-task-role", 20)]
    assert (role.may_do, role.granted) == (("s3:GetObject", "sqs:Send*"), 2)
    assert [(d.action, d.calls, d.resources) for d in role.did] == [("s3:GetObject", 10, ("arn:aws:s3:::b/*",))]
    assert role.split == ()


def test_a_trust_policy_that_does_not_parse_is_not_nobody() -> None:
    [role] = reached(w.snapshot(replace(w.role("orders"), trust="{"))).roles
    assert role.may_assume is None


@pytest.mark.parametrize(
    ("mode", "host", "reaches"),
    [
        ("bridge", {"hop_limit": 2}, True),
        ("bridge", {"hop_limit": 1}, False),
        ("host", {"hop_limit": 1}, True),
        ("host", {"http_endpoint": "disabled"}, False),
    ],
)
def test_the_blast_radius_holds_what_a_task_may_fetch_from_its_host(
    mode: str, host: dict[str, Any], reaches: bool
) -> None:
    parts = w.ecs("orders", ORDERS, network_mode=mode)
    parts["instances"] = (replace(parts["instances"][0], **host),)
    roles = (
        w.role("orders", w.allow("A", "s3:GetObject")),
        w.role("host", w.allow("B", ["iam:PassRole", "s3:GetObject"]), trusts=w.HOST_TRUST),
    )
    calls = (w.call("p", "ecs-task-role", ORDERS, "s3:GetObject"),)
    [workload] = reached(w.snapshot(*roles, **parts), w.task_process("p", "orders"), usage=calls).workloads
    assert workload.roles == (ORDERS,)
    assert workload.reachable == ((ADMIN,) if reaches else ())
    assert sum(workload.could.values()) == (2 if reaches else 1)
    assert workload.did == {"Read": 1}


def test_each_workload_of_a_shared_role_gets_a_policy_that_allows_what_it_did_and_not_the_others() -> None:
    snap = w.snapshot(w.role("orders", w.allow("A", "*")), **w.ecs("orders", ORDERS))
    calls = (
        w.call("p", "ecs-task-role", ORDERS, "s3:GetObject", resource="arn:aws:s3:::b/k"),
        w.call("q", "assumed-role", ORDERS, "sqs:SendMessage", resource=JOBS),
        w.call("r", "ec2-instance-profile", ORDERS, "sqs:ReceiveMessage", resource=JOBS),
    )
    processes = (w.task_process("p", "orders"), w.host_process("q", "mailer"), w.host_process("r", "agent"))
    [role] = reached(snap, *processes, usage=calls).roles
    parts = {part.workload: part for part in role.split}
    assert set(parts) == {"orders", "mailer"}
    did = {"orders": ("s3:GetObject", "arn:aws:s3:::b/k"), "mailer": ("sqs:SendMessage", JOBS)}

    for name, part in parts.items():
        document = parse(name, json.dumps(part.policy))
        for other, (action, resource) in did.items():
            allowed = evaluate(Request(action, resource), identity=[document]).decision is Decision.ALLOWED
            assert allowed is (other == name)
