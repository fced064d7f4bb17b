"""The whole demo world: three independent counts of the same calls agree, forks, denial and asyncio included."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from credwatch_agent.records import Process, Telemetry, UsageRow
from credwatch_agent.store.sqlite import SqliteStore
from examples.demo import agent, counting, launch
from examples.demo.launch import Finished
from examples.demo.plan import plan
from examples.demo.variant import variant
from examples.demo.world import World, running

pytestmark = pytest.mark.slow

ROUNDS = 4


def telemetry_of(db: Path) -> Telemetry:
    store = SqliteStore.open(db, read_only=True)
    try:
        return store.telemetry()
    finally:
        store.close()


class Seen(NamedTuple):
    """A world in which all services ran with credwatch, and what was left."""

    world: World
    finished: dict[str, Finished]
    telemetry: Telemetry

    def rows(self, service: str) -> list[UsageRow]:
        processes = self.telemetry.processes
        named = {pid for pid, process in processes.items() if process.resource["service.name"] == service}
        return [row for row in self.telemetry.usage if row.process_id in named]

    def resources(self, service: str) -> list[Process]:
        return [p for p in self.telemetry.processes.values() if p.resource["service.name"] == service]


@pytest.fixture(scope="module", params=["default", 1])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    built = plan() if request.param == "default" else variant(request.param)[0]
    db = tmp_path_factory.mktemp("demo") / "credwatch.db"
    with running(built) as world:
        with agent.serving(db) as serving:
            on = {"CREDWATCH_ENABLED": "1", "CREDWATCH_ENDPOINT": serving.url, "CREDWATCH_EXIT_TIMEOUT": "60"}
            finished = launch.run_all(world, lambda name: {**on, "OTEL_SERVICE_NAME": name}, rounds=ROUNDS)
        yield Seen(world, finished, telemetry_of(db))


def test_the_applications_are_unharmed(seen: Seen) -> None:
    assert {name: (one.returncode, one.errors) for name, one in seen.finished.items()} == dict.fromkeys(
        (service.name for service in seen.world.plan.services), (0, "")
    )


def test_tallies_recording_and_ledger_agree(seen: Seen) -> None:
    world = seen.world
    moto = counting.by_moto(world.counts(), counting.signers(world.plan))
    assert counting.by_applications(world.plan, seen.finished) == moto
    assert counting.by_credwatch(seen.telemetry, counting.owners(world.moto.principals())) == moto
    assert {name for name, _, _ in moto} == counting.signers(world.plan)


def test_nobody_else_called_anything(seen: Seen) -> None:
    assert {use.principal.rpartition("/")[2] for use in seen.world.counts()} == counting.signers(seen.world.plan)


def test_every_ended_process_closed_with_its_own_count(seen: Seen) -> None:
    totals = dict.fromkeys(seen.telemetry.processes, 0)
    for row in seen.telemetry.usage:
        assert row.exact
        totals[row.process_id] += row.calls
    assert {pid: process.closed for pid, process in seen.telemetry.processes.items()} == totals


def test_each_service_is_seen_where_it_runs_and_by_what_it_signs_with(seen: Seen) -> None:
    world = seen.world
    for service in world.plan.services:
        sources = {row.usage.source for row in seen.rows(service.name) if not row.usage.chain}
        assert sources == {
            {"task-role": "ecs-task-role", "user-key": "environment"}.get(service.credentials, "ec2-instance-profile")
        }
        for process in seen.resources(service.name):
            if service.compute == "task":
                assert process.resource["aws.ecs.task.arn"] == world.seeded.tasks[service.name].task_arn
            else:
                assert process.resource["host.id"] == world.seeded.instances[service.host].instance_id


def test_keys_of_another_account_lead_back_to_the_task_role(seen: Seen) -> None:
    plan_ = seen.world.plan
    service = next(service for service in plan_.services if service.assumes)
    (writer,) = service.assumes.values()
    laundered = [row.usage for row in seen.rows(service.name) if row.usage.chain]
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


def test_forked_workers_report_by_themselves(seen: Seen) -> None:
    web = next(service for service in seen.world.plan.services if service.module.endswith(".web"))
    counts = sorted(process.closed or 0 for process in seen.resources(web.name))
    assert counts == [ROUNDS // 2, ROUNDS // 2, ROUNDS]


def test_a_denial_is_counted_as_one() -> None:
    batch = plan(services=["batch"])
    with running(batch) as world:
        done = launch.run(world, "batch", rounds=ROUNDS)
        assert done.tally["s3"]["DeleteObject"] == {"AccessDenied": 1}
        assert "access denied" in done.output


def test_denied_outcomes_are_those_of_the_applications(seen: Seen) -> None:
    denied = {
        (row.usage.service, row.usage.operation, row.calls)
        for row in seen.telemetry.usage
        if row.usage.outcome in {"denied", "denied-or-missing"}
    }
    tallied = {
        (service, operation, outcomes["AccessDenied"])
        for one in seen.finished.values()
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
    db = tmp_path / "credwatch.db"
    with running(plan(services=["legacy"])) as world, agent.serving(db) as serving:
        on = {
            "CREDWATCH_ENABLED": "1",
            "CREDWATCH_ENDPOINT": serving.url,
            "CREDWATCH_EXPORT_INTERVAL": "0.05",
            "OTEL_SERVICE_NAME": "legacy",
        }
        endless = launch.start_command(world, "legacy", [sys.executable, "-c", ENDLESS], extra=on)
        pause = threading.Event()
        while not (usage := telemetry_of(db).usage):  # until its first report has arrived
            assert endless.process.poll() is None
            pause.wait(0.05)
        endless.process.kill()
        endless.wait()
        usage = telemetry_of(db).usage
        (process,) = telemetry_of(db).processes.values()
        moto = counting.by_moto(world.counts(), counting.signers(world.plan))
    assert process.closed is None
    assert 0 < sum(row.calls for row in usage) <= moto.total() <= 4
