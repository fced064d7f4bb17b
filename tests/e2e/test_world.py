"""The demo world is what it claims to be: right credentials, real denials, counts that agree, nothing left over."""

from __future__ import annotations

import json
import os
import socket
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

from credwatch_agent.iam.document import parse
from credwatch_agent.iam.evaluate import Decision, Request, evaluate
from credwatch_agent.snapshot.live import PERMISSIONS
from examples.demo import agent, launch, world
from examples.demo.plan import FIRST, plan
from examples.demo.play import ENVIRONMENT, Files
from examples.demo.policies import AUDIT
from examples.demo.world import World

pytestmark = pytest.mark.slow

IDENTITY = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
SOURCE = "import boto3; print(boto3.Session().get_credentials().method)"


@pytest.fixture(scope="module")
def shop() -> Iterator[World]:
    with world.running(plan(services=FIRST)) as running:
        yield running


def inside(shop: World, service: str, code: str, extra: Mapping[str, str] | None = None) -> launch.Finished:
    """Run a line of Python where a service runs."""
    return launch.start_command(shop, service, [sys.executable, "-c", code], extra=extra).wait()


def fetch(url: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> str:
    request = urllib.request.Request(url, headers=dict(headers or {}), method=method)
    with urllib.request.urlopen(request, timeout=10) as response:
        text: str = response.read().decode()
    return text


def auditor(shop: World, service: str) -> Any:
    environment = shop.auditor_environment()
    return boto3.client(
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


# --- credentials --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "method", "role", "session"),
    [
        ("orders", "container-role", "orders-task-role", lambda shop: shop.seeded.tasks["orders"].task_arn[-36:]),
        ("thumbnailer", "iam-role", "ecsInstanceRole", lambda shop: shop.seeded.instances["ecs-host-1"].instance_id),
    ],
)
def test_unmodified_botocore_finds_the_role_of_its_endpoint(
    shop: World, service: str, method: str, role: str, session: Any
) -> None:
    assert inside(shop, service, SOURCE).output.strip() == method
    arn = inside(shop, service, IDENTITY).output.strip()
    assert arn == f"arn:aws:sts::123456789012:assumed-role/{role}/{session(shop)}"


def test_services_see_nothing_of_the_developers_environment(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIADEVELOPER")
    seen = inside(shop, "thumbnailer", "import os; print(*os.environ)", {"CREDWATCH_DISABLED": "1"}).output.split()
    assert {name for name in seen if name.startswith(("AWS_", "CREDWATCH_", "OTEL_"))} == {
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "AWS_EXECUTION_ENV",
        "CREDWATCH_DISABLED",
    }


def test_rotated_keys_are_new_and_belong_to_the_same_role(shop: World) -> None:
    rotating = shop.credentials["orders"]
    before, after = rotating.current(), rotating.rotate()
    assert before.key_id != after.key_id
    principals = shop.moto.principals()
    assert principals[before.key_id] == principals[after.key_id] == "arn:aws:iam::123456789012:role/orders-task-role"
    assert shop.moto.principals()[shop.seeded.keys["credwatch-agent"].key_id].endswith(":user/credwatch-agent")
    assert "orders-task-role" in inside(shop, "orders", IDENTITY).output


def test_metadata_service_refuses_a_request_without_token(shop: World) -> None:
    base = shop.imds["ecs-host-1"]
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        fetch(f"{base}/latest/meta-data/instance-id")
    refused.value.close()
    token = fetch(f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, "PUT")
    answer = fetch(f"{base}/latest/meta-data/instance-id", {"X-aws-ec2-metadata-token": token})
    assert answer == shop.seeded.instances["ecs-host-1"].instance_id


# --- configuration, as the agent's user reads it ------------------------------------------------


def test_tasks_in_the_api_are_those_of_the_metadata_endpoint(shop: World) -> None:
    ecs = auditor(shop, "ecs")
    arns = ecs.list_tasks(cluster="shop")["taskArns"]
    assert len(arns) == 2
    ecs.describe_tasks(cluster="shop", tasks=arns)  # looking does not stop them
    tasks = {t["taskArn"]: t for t in ecs.describe_tasks(cluster="shop", tasks=arns)["tasks"]}
    for service in ("orders", "thumbnailer"):
        base = shop.environment(shop.plan.service(service))["ECS_CONTAINER_METADATA_URI_V4"]
        served = json.loads(fetch(f"{base}/task"))
        task = tasks[served["TaskARN"]]
        assert task["lastStatus"] == "RUNNING"
        assert task["group"] == f"service:{served['ServiceName']}"
        assert task["clusterArn"] == served["Cluster"]
        assert task["launchType"] == served["LaunchType"] == "EC2"
        assert task["taskDefinitionArn"].endswith(f"/{served['Family']}:{served['Revision']}")
        container = json.loads(fetch(base))
        assert served["Containers"] == [container]
        assert container["ContainerARN"] == task["containers"][0]["containerArn"]
        definition = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
        expected = "arn:aws:iam::123456789012:role/orders-task-role" if service == "orders" else None
        assert definition.get("taskRoleArn") == expected
        assert definition["executionRoleArn"].endswith(":role/ecsTaskExecutionRole")
    ecs.close()


def test_container_instance_profile_and_role_hang_together_in_the_api(shop: World) -> None:
    ecs, ec2, iam = (auditor(shop, name) for name in ("ecs", "ec2", "iam"))
    arns = ecs.list_container_instances(cluster="shop")["containerInstanceArns"]
    registered = ecs.describe_container_instances(cluster="shop", containerInstances=arns)["containerInstances"]
    instance = shop.seeded.instances["ecs-host-1"]
    assert [r["ec2InstanceId"] for r in registered] == [instance.instance_id]
    found = ec2.describe_instances(InstanceIds=[instance.instance_id])["Reservations"][0]["Instances"][0]
    assert found["IamInstanceProfile"]["Arn"] == instance.profile_arn
    assert found["MetadataOptions"]["HttpTokens"] == "required"
    details = iam.get_account_authorization_details(Filter=["Role"])["RoleDetailList"]
    assert {role["RoleName"] for role in details} == {"orders-task-role", "ecsInstanceRole", "ecsTaskExecutionRole"}
    profiles = {p["Arn"]: r["RoleName"] for r in details for p in r["InstanceProfileList"]}
    assert profiles == {instance.profile_arn: "ecsInstanceRole"}
    for client in (ecs, ec2, iam):
        client.close()


# --- enforcement --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "call", "denied"),
    [
        ("orders", "s3.list_objects_v2(Bucket='example-shop-invoices')", False),
        ("orders", "s3.list_objects_v2(Bucket='example-shop-photos')", True),
        ("orders", "s3.put_object(Bucket='example-shop-photos', Key='k', Body=b'')", True),
        ("orders", "iam.list_roles()", True),
        ("thumbnailer", "s3.list_objects_v2(Bucket='example-shop-photos')", False),
        ("thumbnailer", "s3.list_objects_v2(Bucket='example-shop-invoices')", True),
        ("thumbnailer", "sqs.list_queues()", True),
    ],
)
def test_policies_are_enforced(shop: World, service: str, call: str, denied: bool) -> None:
    client = call.partition(".")[0]
    done = inside(shop, service, f"import boto3; {client} = boto3.client('{client}'); {call}")
    assert (done.returncode != 0) == denied
    assert ("AccessDenied" in done.errors) == denied


def test_auditor_reads_configuration_and_no_data(shop: World) -> None:
    s3 = auditor(shop, "s3")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.list_objects_v2(Bucket="example-shop-invoices")
    s3.close()


def test_credwatch_sees_the_agent_use_exactly_what_its_least_policy_grants(shop: World, tmp_path: Path) -> None:
    files = Files(tmp_path)
    with agent.serving(files.db) as serving:
        watched = {**ENVIRONMENT, "CREDWATCH_ENDPOINT": serving.url, **shop.auditor_environment()}
        code, said = agent.command(["snapshot", "--out", str(files.snapshot)], extra=watched, capture=True)
    assert code == 0, said
    telemetry = files.telemetry()
    [process] = telemetry.processes.values()
    assert process.closed == sum(row.calls for row in telemetry.usage)
    assert {row.usage.outcome for row in telemetry.usage} == {"allowed"}
    used = [pair for row in telemetry.usage for pair in row.usage.authorizations if pair[0] != "sts:GetCallerIdentity"]
    [statement] = AUDIT
    granted = statement["Action"]
    assert isinstance(granted, list)
    # each call that needs a permission, and no permission without a call
    assert {action for action, _ in used} == set(granted) == set(PERMISSIONS)
    policy = parse("least", {"Version": "2012-10-17", "Statement": AUDIT})
    for action, resources in used:
        for resource in resources or ("*",):
            assert evaluate(Request(action, resource, partial=True), identity=[policy]).decision is Decision.ALLOWED


# --- counts -------------------------------------------------------------------------------------


def by_role(running: World) -> dict[str, Counter[tuple[str, str]]]:
    """Calls in moto's recording: role name -> (service, operation) -> calls."""
    table: dict[str, Counter[tuple[str, str]]] = {}
    for use, count in running.counts().items():
        table.setdefault(use.principal.rpartition("/")[2], Counter())[use.service, use.operation] += count.calls
    return table


@pytest.mark.parametrize(
    "rename", [{}, {"orders": "checkout", "orders-task-role": "checkout-role", "example-shop-photos": "pictures"}]
)
def test_applications_tallies_equal_the_recording(rename: dict[str, str]) -> None:
    with world.running(plan(rename, services=FIRST)) as running:
        orders, thumbnailer = running.plan.services
        started = {s.name: launch.start(running, s.name, rounds=5) for s in (orders, thumbnailer)}
        finished = {name: process.wait() for name, process in started.items()}
        assert {name: (f.returncode, f.errors) for name, f in finished.items()} == dict.fromkeys(finished, (0, ""))
        assert by_role(running) == {
            orders.task_role: finished[orders.name].calls,
            "ecsInstanceRole": finished[thumbnailer.name].calls,
        }
        assert finished[orders.name].tally["s3"]["HeadObject"] == {"404": 5}
        assert finished[orders.name].tally["s3"]["ListObjectsV2"] == {"ok": 3}
        assert set(finished[orders.name].tally) == {"s3", "sqs", "dynamodb"}
        assert set(finished[thumbnailer.name].tally) == {"s3"}


def test_denied_call_is_tallied_and_recorded_too() -> None:
    with world.running(plan(services=FIRST)) as running:
        done = launch.start(running, "thumbnailer", rounds=1, extra={"PHOTOS_BUCKET": "example-shop-invoices"}).wait()
        assert done.returncode != 0
        assert done.tally == {"s3": {"PutObject": {"AccessDenied": 1}}}
        assert by_role(running) == {"ecsInstanceRole": {("s3", "PutObject"): 1}}


# --- the end ------------------------------------------------------------------------------------


def listening(url: str) -> bool:
    port = urlsplit(url).port
    assert port is not None
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_nothing_is_left_over_even_with_a_service_still_running() -> None:
    with world.running(plan(services=FIRST)) as running:
        endless = launch.start_command(
            running, "orders", [sys.executable, "-c", "import threading; threading.Event().wait()"]
        )
        metadata = running.environment(running.plan.service("orders"))["ECS_CONTAINER_METADATA_URI_V4"]
        urls = [running.moto.url, running.moto.control, metadata, *running.imds.values()]
        assert all(listening(url) for url in urls)
    assert not any(listening(url) for url in urls)
    assert endless.process.poll() is not None
    assert not running.directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(running.moto.pid, 0)


def test_world_that_fails_to_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    broken = plan({"example-shop-invoices": "x"}, services=FIRST)
    with pytest.raises(ClientError, match="InvalidBucketName"), world.running(broken):
        pass
    assert list(tmp_path.iterdir()) == []
