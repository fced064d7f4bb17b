"""Joins: where a process runs, which role signed, and what an older recorder's calls mean today."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from credwatch import operations
from credwatch.semconv import Usage
from credwatch_agent import snapshot as s
from credwatch_agent.evidence import Joined, Place, join
from credwatch_agent.records import Process, Telemetry, UsageRow
from tests.agent import worlds as w

ORDERS = s.Role("arn:aws:iam::123456789012:role/shop/orders", "orders", "/shop/")
HOST = s.Role(w.role_arn("host"), "host")
SPARE = s.Role(w.role_arn("spare"), "spare")


def joined(processes: tuple[Process, ...], usage: tuple[UsageRow, ...] = (), **more: Any) -> Joined:
    snap = w.snapshot(ORDERS, HOST, SPARE, **{**w.ecs("orders", ORDERS.arn), **more})
    return join(Telemetry({p.process_id: p for p in processes}, usage, ()), s.Index(snap), 0)


def row(**usage: Any) -> UsageRow:
    return UsageRow("p", Usage("assumed-role", **usage), 1, w.BEGIN, w.NOW)


ELSEWHERE = w.role_arn("orders", "999999999999")
TWO_ROLES = {"instance_profiles": (s.InstanceProfile(w.PROFILE, "host", (HOST.arn, SPARE.arn)),)}


@pytest.mark.parametrize(
    ("usage", "world", "role"),
    [
        ({"principal_arn": ORDERS.arn}, {}, ORDERS.arn),
        ({"principal_arn": "arn:aws:sts::123456789012:assumed-role/orders/session"}, {}, ORDERS.arn),
        ({"principal_arn": "arn:aws:sts::999999999999:assumed-role/orders/s"}, {}, ELSEWHERE),
        ({"principal_arn": "arn:aws:iam::123456789012:user/ci"}, {}, ""),
        ({"principal_name": "host", "instance_profile_arn": w.PROFILE}, {}, HOST.arn),
        ({"instance_profile_arn": w.PROFILE}, {}, HOST.arn),
        ({"instance_profile_arn": w.PROFILE}, TWO_ROLES, ""),
        ({"principal_name": "spare", "instance_profile_arn": w.PROFILE}, TWO_ROLES, SPARE.arn),
        ({"principal_name": "orders", "account_id": w.ACCOUNT}, {}, ORDERS.arn),
        ({"principal_name": "orders", "account_id": "999999999999"}, {}, ""),
        ({"principal_name": "stranger", "account_id": w.ACCOUNT}, {}, ""),
        ({}, {}, ""),
    ],
    ids=[
        "ARN", "session, path restored", "session of another account", "user", "name and profile",
        "profile of one role", "profile of two roles", "profile of two roles and a name",
        "name", "name in another account", "unknown name", "nothing",
    ],
)  # fmt: skip
def test_calls_lie_at_the_role_that_the_snapshot_knows(usage: dict[str, str], world: dict[str, Any], role: str) -> None:
    (signed,) = joined((w.task_process("p", "orders"),), (row(**usage),), **world).signed
    assert signed.role_arn == role


def test_a_role_of_identity_center_that_cannot_be_told_from_its_double_is_a_stray_of_both() -> None:
    names = ("AWSReservedSSO_Read_01", "AWSReservedSSO_Read_02")
    doubles = tuple(s.Role(w.role_arn(name), name) for name in names)
    usage = (row(principal_name="AWSReservedSSO_Read_*", account_id=w.ACCOUNT),)
    telemetry = Telemetry({"p": w.task_process("p", "orders")}, usage, ())
    found = join(telemetry, s.Index(w.snapshot(ORDERS, *doubles, **w.ecs("orders", ORDERS.arn))), 0)
    assert [len(found.strays_named(name)) for name in (*names, "orders")] == [1, 1, 0]


def place(process: Process, **world: Any) -> Place:
    return joined((process,), **world).places[process.process_id]


def test_a_task_has_its_definitions_role_and_runs_on_its_host() -> None:
    found = place(w.task_process("p", "orders"))
    assert found.role_arn == ORDERS.arn
    assert found.instance is not None
    assert found.instance.instance_id == w.HOST
    assert found.workload.where == "orders/app"


def test_a_tasks_override_goes_before_its_definition() -> None:
    (task,) = w.ecs("orders", ORDERS.arn)["tasks"]
    found = place(w.task_process("p", "orders"), tasks=(replace(task, task_role_override=SPARE.arn),))
    assert found.role_arn == SPARE.arn


def test_a_task_that_has_stopped_is_placed_by_its_family_and_revision() -> None:
    assert place(w.task_process("p", "orders"), tasks=()).role_arn == ORDERS.arn
    assert place(w.task_process("p", "orders", aws__ecs__task__revision="2"), tasks=()).role_arn == ""


@pytest.mark.parametrize(("names", "container"), [(("web",), "web"), (("web", "log"), "")], ids=["one", "two"])
def test_an_unnamed_container_is_the_tasks_only_one(names: tuple[str, ...], container: str) -> None:
    world = w.ecs("orders", ORDERS.arn, containers=tuple(s.Container(name) for name in names))
    assert place(w.task_process("p", "orders", container__name=""), **world).workload.container == container


def test_a_process_on_a_host_has_the_hosts_role_and_elsewhere_none() -> None:
    assert place(w.host_process("p", "cron")).role_arn == HOST.arn
    assert place(w.host_process("p", "cron", "i-unknown")).role_arn == ""
    assert place(Process("p", {}, 0, 1)).workload.where == "(no service.name)"


def test_what_ended_before_the_window_is_left_out() -> None:
    old = replace(w.task_process("old", "orders"), last_ns=w.BEGIN)
    calls = tuple(replace(row(principal_arn=ORDERS.arn), process_id=key, last_ns=w.BEGIN) for key in ("old", "p"))
    telemetry = Telemetry({"old": old, "p": w.task_process("p", "orders")}, calls, ())
    found = join(telemetry, s.Index(w.snapshot(ORDERS)), w.NOW - w.DAY)
    assert (set(found.places), found.signed) == ({"p"}, ())


# --- older maps -------------------------------------------------------------------------------------

LISTED = {"service": "s3", "operation": "ListObjectsV2", "principal_arn": ORDERS.arn, "mapping": "identity"}
STORED = (("s3:ListObjectsV2", ("arn:aws:s3:::b",)),)


def usage_after(**more: Any) -> Usage:
    calls = (row(**{**LISTED, "authorizations": STORED, "mapping_version": "0", **more}),)
    (signed,) = joined((w.task_process("p", "orders"),), calls).signed
    return signed.usage


def test_calls_that_an_older_map_described_get_the_actions_of_this_one() -> None:
    usage = usage_after()
    assert usage.actions == ("s3:ListBucket",)
    assert (usage.mapping, usage.mapping_version) == ("table", operations.VERSION)


def test_what_an_older_map_did_not_know_may_be_known_today() -> None:
    assert usage_after(mapping="unknown", authorizations=()).actions == ("s3:ListBucket",)


@pytest.mark.parametrize(
    "more",
    [
        {"mapping_version": operations.VERSION},
        {"mapping_version": str(int(operations.VERSION) + 1)},
        {"mapping_version": ""},
        {"mapping_version": "x"},
        {"outcome": "denied"},
    ],
    ids=["this version", "newer", "not told", "not a version", "a denial names its action itself"],
)
def test_every_other_call_keeps_the_actions_that_it_came_with(more: dict[str, str]) -> None:
    assert usage_after(**more).authorizations == STORED


def test_a_rederived_arn_lies_in_the_principals_partition() -> None:
    usage = usage_after(principal_arn="arn:aws-cn:iam::123456789012:role/orders", authorizations=())
    assert [arn.split(":")[1] for arn in usage.resources] == ["aws-cn"]
