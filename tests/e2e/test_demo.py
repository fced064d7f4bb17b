"""The whole demo world: three independent counts of the same calls agree, forks, denial and asyncio included."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from examples.demo import agent, counting, launch
from examples.demo.plan import plan
from examples.demo.play import Files
from examples.demo.world import running
from tests.e2e.worlds import ROUNDS, Played

pytestmark = pytest.mark.slow


def test_the_applications_are_unharmed(played: Played) -> None:
    assert {name: (one.returncode, one.errors) for name, one in played.finished.items()} == dict.fromkeys(
        (service.name for service in played.world.plan.services), (0, "")
    )


def test_tallies_recording_and_ledger_agree(played: Played) -> None:
    world, moto = played.world, played.moto
    assert counting.by_applications(world.plan, played.finished) == moto
    assert counting.by_credwatch(played.telemetry, counting.owners(world.moto.principals())) == moto
    assert {name for name, _, _ in moto} == counting.signers(world.plan)


def test_nobody_else_called_anything(played: Played) -> None:
    assert {use.principal.rpartition("/")[2] for use in played.counts} == counting.signers(played.world.plan)


def test_every_ended_process_closed_with_its_own_count(played: Played) -> None:
    totals = dict.fromkeys(played.telemetry.processes, 0)
    for row in played.telemetry.usage:
        assert row.exact
        totals[row.process_id] += row.calls
    assert {pid: process.closed for pid, process in played.telemetry.processes.items()} == totals


def test_each_service_is_seen_where_it_runs_and_by_what_it_signs_with(played: Played) -> None:
    world = played.world
    for service in world.plan.services:
        sources = {row.usage.source for row in played.rows(service.name) if not row.usage.chain}
        assert sources == {
            {"task-role": "ecs-task-role", "user-key": "environment"}.get(service.credentials, "ec2-instance-profile")
        }
        for process in played.processes(service.name):
            if service.compute == "task":
                assert process.resource["aws.ecs.task.arn"] == world.seeded.tasks[service.name].task_arn
            else:
                assert process.resource["host.id"] == world.seeded.instances[service.host].instance_id


def test_keys_of_another_account_lead_back_to_the_task_role(played: Played) -> None:
    plan_ = played.world.plan
    service = next(service for service in plan_.services if service.assumes)
    (writer,) = service.assumes.values()
    laundered = [row.usage for row in played.rows(service.name) if row.usage.chain]
    assert {(usage.principal_arn, usage.account_id, usage.laundered) for usage in laundered} == {
        (plan_.role_arn(writer), "210987654321", True)
    }
    assert {(usage.root.source, usage.root.principal) for usage in laundered} == {
        ("ecs-task-role", plan_.role_arn(service.task_role))
    }


def test_a_job_that_lost_its_variable_is_told_from_a_task_without_a_role() -> None:
    built = plan(services=["cron"])
    (job,) = built.services
    assert job.task_role
    with running(built) as world:
        environment = world.environment(job)
        assert not any(name.startswith("AWS_CONTAINER_CREDENTIALS") for name in environment)
        # what a crontab keeps: enough to know the task, not enough to find its role
        assert {"ECS_CONTAINER_METADATA_URI_V4", "AWS_EXECUTION_ENV"} <= environment.keys()


def test_forked_workers_report_by_themselves(played: Played) -> None:
    web = next(service for service in played.world.plan.services if service.module.endswith(".web"))
    counts = sorted(process.closed or 0 for process in played.processes(web.name))
    assert counts == [ROUNDS // 2, ROUNDS // 2, ROUNDS]


def test_a_denial_is_counted_as_one() -> None:
    batch = plan(services=["batch"])
    with running(batch) as world:
        done = launch.run(world, "batch", rounds=ROUNDS)
        assert done.tally["s3"]["DeleteObject"] == {"AccessDenied": 1}
        assert "access denied" in done.output


def test_denied_outcomes_are_those_of_the_applications(played: Played) -> None:
    denied = {
        (row.usage.service, row.usage.operation, row.calls)
        for row in played.telemetry.usage
        if row.usage.outcome in {"denied", "denied-or-missing"}
    }
    tallied = {
        (service, operation, outcomes["AccessDenied"])
        for one in played.finished.values()
        for service, operations in one.tally.items()
        for operation, outcomes in operations.items()
        if "AccessDenied" in outcomes
    }
    assert denied == tallied


# a service that never ends: four calls, then nothing
ENDLESS = """
import os, threading, boto3
s3 = boto3.client("s3")
for number in range(4):
    s3.put_object(Bucket=os.environ["BACKUP_BUCKET"], Key=f"dumps/{number}.sql", Body=b"")
threading.Event().wait()
"""


def test_the_count_of_a_killed_process_is_a_lower_bound_and_marked_so(tmp_path: Path) -> None:
    files = Files(tmp_path)
    with running(plan(services=["legacy"])) as world, agent.serving(files.db) as serving:
        on = {
            "CREDWATCH_ENABLED": "1",
            "CREDWATCH_ENDPOINT": serving.url,
            "CREDWATCH_EXPORT_INTERVAL": "0.05",
            "OTEL_SERVICE_NAME": "legacy",
        }
        endless = launch.start_command(world, "legacy", [sys.executable, "-c", ENDLESS], extra=on)
        pause = threading.Event()
        while not (usage := files.telemetry().usage):  # until its first report has arrived
            assert endless.process.poll() is None
            pause.wait(0.05)
        endless.process.kill()
        endless.wait()
        usage = files.telemetry().usage
        (process,) = files.telemetry().processes.values()
        moto = counting.by_moto(world.counts(), counting.signers(world.plan))
    assert process.closed is None
    assert 0 < sum(row.calls for row in usage) <= moto.total() <= 4
