"""One service right, one wrong, end to end: real botocore, real endpoints, real OTLP, the agent as a process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from credwatch_agent.records import Span, Telemetry
from credwatch_agent.store.sqlite import SqliteStore
from examples.demo import agent, counting, launch
from examples.demo.launch import Finished
from examples.demo.plan import FIRST, plan
from examples.demo.world import World, running

pytestmark = pytest.mark.slow

SERVICES = ("orders", "thumbnailer")
ACTIVATIONS = ("environment", "opentelemetry")


class Seen:
    """What one activation's run left: the applications' own ends, the agent's store."""

    def __init__(self, activation: str, world: World, directory: Path) -> None:
        self.world = world
        with agent.serving(directory / "credwatch.db") as serving:
            self.finished = {name: self._run(activation, name, serving) for name in SERVICES}
        store = SqliteStore.open(directory / "credwatch.db", read_only=True)
        self.telemetry: Telemetry = store.telemetry()
        self.spans: tuple[Span, ...] = store.spans()
        store.close()
        self.moto = counting.by_moto(world.counts(), counting.signers(world.plan))

    def _run(self, activation: str, name: str, serving: agent.Agent) -> Finished:
        common = {"OTEL_SERVICE_NAME": name}
        if activation == "environment":
            extra = {**common, "CREDWATCH_ENABLED": "1", "CREDWATCH_ENDPOINT": serving.url}
            return launch.run(self.world, name, extra=extra)
        # what an operator injects: nothing of credwatch's own is set
        extra = {
            **common,
            "OTEL_EXPORTER_OTLP_ENDPOINT": serving.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_PYTHON_DISTRO": "",
            "OTEL_PYTHON_CONFIGURATOR": "",
        }
        return launch.run(self.world, name, extra=extra, wrapper=["opentelemetry-instrument"])


@pytest.fixture(scope="module", params=ACTIVATIONS)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with running(plan(services=FIRST)) as world:
        yield Seen(request.param, world, tmp_path_factory.mktemp(request.param))


def test_the_applications_are_unharmed(seen: Seen) -> None:
    for name, finished in seen.finished.items():
        assert (finished.returncode, finished.errors) == (0, ""), name


def test_the_ledger_equals_the_applications_tallies_and_motos_recording(seen: Seen) -> None:
    ledger = counting.by_credwatch(seen.telemetry, {})
    assert ledger == counting.by_applications(seen.world.plan, seen.finished)
    assert ledger == seen.moto
    assert ledger.total() > 40


def test_each_service_is_seen_with_its_source_and_role(seen: Seen) -> None:
    signers = {
        (
            seen.telemetry.processes[row.process_id].resource["service.name"],
            row.usage.source,
            row.usage.principal,
            row.usage.account_id,
        )
        for row in seen.telemetry.usage
    }
    account = seen.world.plan.account
    assert signers == {
        ("orders", "ecs-task-role", seen.world.plan.role_arn("orders-task-role"), account),
        ("thumbnailer", "ec2-instance-profile", "ecsInstanceRole", account),
    }


def test_the_counts_of_ended_processes_are_exact(seen: Seen) -> None:
    totals: dict[str, int] = dict.fromkeys(seen.telemetry.processes, 0)
    for row in seen.telemetry.usage:
        assert row.exact
        totals[row.process_id] += row.calls
    assert {pid: process.closed for pid, process in seen.telemetry.processes.items()} == totals
    assert len(totals) == len(SERVICES)


def test_actions_and_containers_are_recorded(seen: Seen) -> None:
    granted = {
        (action, arn) for row in seen.telemetry.usage for action, arns in row.usage.authorizations for arn in arns
    }
    account, region = seen.world.plan.account, seen.world.plan.region
    assert {
        ("s3:PutObject", "arn:aws:s3:::example-shop-invoices/*"),
        ("s3:ListBucket", "arn:aws:s3:::example-shop-invoices"),
        ("sqs:SendMessage", f"arn:aws:sqs:{region}:{account}:order-events"),
        ("dynamodb:Query", f"arn:aws:dynamodb:{region}:{account}:table/orders-table"),
        ("s3:GetObject", "arn:aws:s3:::example-shop-photos/*"),
    } <= granted


def test_the_workload_is_named_by_the_task_that_it_runs_in(seen: Seen) -> None:
    tasks = {
        process.resource["service.name"]: process.resource["aws.ecs.task.arn"]
        for process in seen.telemetry.processes.values()
    }
    assert tasks == {name: seen.world.seeded.tasks[name].task_arn for name in SERVICES}


def test_each_call_has_one_span_with_the_source_that_signed_it(seen: Seen) -> None:
    calls = sum(sum(finished.calls.values()) for finished in seen.finished.values())
    assert len(seen.spans) == calls
    span = next(span for span in seen.spans if span.name == "S3.PutObject" and "photos" in str(span.attributes))
    wanted = {
        "credwatch.credential.source": "ec2-instance-profile",
        "credwatch.credential.provider": "iam-role",
        "credwatch.credential.type": "temporary",
        "credwatch.principal.name": "ecsInstanceRole",
        "credwatch.service": "s3",
        "credwatch.operation": "PutObject",
        "credwatch.outcome": "allowed",
        "credwatch.iam.actions": ("s3:PutObject",),
        "credwatch.iam.resources": ("arn:aws:s3:::example-shop-photos/*",),
        "credwatch.attempts": 1,
    }
    assert wanted.items() <= dict(span.attributes).items()
    assert span.resource["service.name"] == "thumbnailer"


def test_not_activated_nothing_is_imported(seen: Seen) -> None:
    code = "import sys, boto3; boto3.client('s3'); print([m for m in sys.modules if 'credwatch' in m])"
    done = launch.start_command(seen.world, "orders", [sys.executable, "-c", code]).wait()
    assert (done.output, done.errors) == ("[]\n", "")
