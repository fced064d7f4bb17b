"""Chains over sessions and threads, keys that rotate, keys loaded before the recorder, attempts told from calls."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from credwatch.semconv import ATTEMPTS, CREDENTIAL_SEEN, Hop
from tests.recorder.matrix import sources
from tests.recorder.matrix.cloud import ACCOUNT, PROFILE, ROLE, SECOND, TASK_ROLE, Reply
from tests.recorder.matrix.drivers import Driver
from tests.recorder.matrix.sources import World
from tests.recorder.matrix.walk import Attach
from tests.recorder.support import Recording, Stub, session


def assumed(role: str, keys: tuple[str, str, str] | None, driver: Driver) -> tuple[str, str, str]:
    """Assume a role in a session of its own, with given keys or those that botocore finds."""
    made = session(*keys) if keys else driver.session()
    sts = made.create_client("sts", region_name="eu-west-1")
    found = sts.assume_role(RoleArn=role, RoleSessionName="name")["Credentials"]
    sts.close()
    return found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]


def in_thread(step: Any, *args: Any) -> Any:
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(step(*args)))
    thread.start()
    thread.join()
    return result[0]


def test_a_chain_is_followed_over_sessions_and_threads_to_the_instance(world: World, attach: Attach) -> None:
    sources.imds(world)
    recording, driver = attach(environ=world.environ), Driver()
    third = f"arn:aws:iam::{ACCOUNT}:role/third"
    keys: Any = None
    for role in (ROLE, SECOND, third):
        keys = in_thread(assumed, role, keys, driver)
    s3 = session(*keys).create_client("s3", region_name="eu-west-1")
    in_thread(s3.list_buckets)
    s3.close()
    (usage,) = [usage for usage in recording.exported() if usage.operation == "ListBuckets"]
    # each key was passed on as a literal: every hop says whose it is, all the same
    chain = (Hop("assumed-role", SECOND), Hop("assumed-role", ROLE), Hop("ec2-instance-profile", "host"))
    assert (usage.source, usage.principal_arn, usage.laundered) == ("assumed-role", third, True)
    assert usage.chain == chain


@pytest.mark.slow
def test_a_thousand_rotations_are_one_usage_and_one_identity(world: World, attach: Attach) -> None:
    sources.ecs_relative(world)
    rotating = next(iter(world.server.cloud.ecs._credentials.values()))[1]
    recording, made = attach(environ=world.environ), Driver().session()
    s3 = made.create_client("s3", region_name="eu-west-1")
    Stub().on(s3.meta.events)
    credentials = made.get_credentials()
    for _ in range(1_000):
        s3.list_buckets()
        rotating.rotate()
        credentials._expiry_time -= timedelta(days=1)  # botocore renews at the next signature
    instrumentation = recording.instrumentation
    assert [(usage.source, usage.principal_arn, calls) for usage, calls in recording.exported().items()] == [
        ("ecs-task-role", TASK_ROLE, 1_000)
    ]
    assert len(instrumentation.ledger) <= 2  # one as counted before the endpoint was confirmed
    assert len(instrumentation.registry._origins) <= 2
    assert len(instrumentation.registry.sightings()) == 1_000
    assert len({str(point.attributes) for point in recording.export.sent(CREDENTIAL_SEEN)}) == 1_000


@pytest.mark.parametrize(
    ("prepare", "source", "profile"),
    [
        (sources.imds, "ec2-instance-profile", PROFILE),
        (sources.ecs_relative, "ecs-task-role", ""),
        (sources.kiam, "imds-other", ""),
    ],
)
def test_of_keys_loaded_before_the_recorder_the_source_is_known_and_the_role_is_not_guessed(
    world: World, attach: Attach, prepare: Any, source: str, profile: str
) -> None:
    prepare(world)
    made = Driver().session()
    made.get_credentials()
    recording: Recording = attach(environ=world.environ)
    s3 = made.create_client("s3", region_name="eu-west-1")
    s3.list_buckets()
    s3.close()
    ((usage, calls),) = recording.exported().items()
    assert (usage.source, usage.principal, usage.instance_profile_arn, calls) == (source, "", profile, 1)


def test_retries_and_redirects_are_attempts_of_one_call(
    world: World, attach: Attach, spans: InMemorySpanExporter
) -> None:
    sources.environment(world)
    recording = attach(environ=world.environ)
    s3 = Driver().session().create_client("s3", region_name="eu-west-1")
    redirect = Reply(301, b"<Error><Code>PermanentRedirect</Code></Error>", {"x-amz-bucket-region": "us-west-2"})
    world.server.cloud.script = [redirect, Reply(503)]
    s3.list_objects_v2(Bucket="bucket")
    s3.list_objects_v2(Bucket="other")
    s3.close()
    assert recording.outcomes() == {("ListObjectsV2", "allowed"): 2}
    attempts = [(span.attributes or {})[ATTEMPTS] for span in spans.get_finished_spans()]
    assert attempts == [3, 1]
    # the region is that of the signature that was answered
    assert {usage.region for usage in recording.counts()} == {"us-west-2", "eu-west-1"}
