"""The thread's turns: a metadata endpoint that does not answer is asked again, and is never taken for another."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from credwatch.guard import Guard
from credwatch.ledger import Ledger
from credwatch.provenance import Registry, Surroundings
from credwatch.recorder import Recorder, UsageKey
from credwatch.signature import Signature
from credwatch.telemetry import Spans
from credwatch.worker import Edges, Worker
from tests.recorder.support import KEY, MemoryExport

IMDS = "http://127.0.0.1:1"
PROFILE = "arn:aws:iam::123456789012:instance-profile/app"
DOCUMENTS = {
    "/token": b"token",
    "/document": json.dumps({"instanceId": "i-1", "accountId": "123456789012"}).encode(),
    "/info": json.dumps({"InstanceProfileArn": PROFILE}).encode(),
}


class Endpoint:
    """Hangs for some requests, then answers with `documents` (anything else is a 404)."""

    def __init__(self, hangs: int, documents: Mapping[str, bytes] = DOCUMENTS) -> None:
        self.hangs, self.asked = hangs, 0
        self._documents = documents

    def __call__(self, method: str, url: str, headers: Mapping[str, str]) -> bytes | None:
        self.asked += 1
        if self.asked <= self.hangs:
            return None
        return self._documents.get(url[url.rindex("/") :], b"")


def make(
    endpoint: Endpoint, environ: Mapping[str, str], *, probe: bool = False
) -> tuple[Worker, Registry, MemoryExport]:
    registry, guard = Registry(Surroundings.of(environ)), Guard(reraise=True)
    ledger: Ledger[UsageKey] = Ledger(100)
    recorder, export = Recorder(registry, ledger, lambda: 1, lambda: None, guard), MemoryExport()
    edges = Edges(lambda: 1, endpoint, environ, dict, export, probe_imds=probe)
    return Worker(edges, recorder, ledger, Spans("off", "", "0"), guard, 60.0), registry, export


def source(registry: Registry) -> tuple[str, bool]:
    key = registry.sighted(Signature("header", KEY), "iam-role", KEY)
    assert key is not None
    return key.origin.identity.source, key.origin.settled


@pytest.mark.parametrize("hangs", [0, 1, 4])
def test_a_busy_endpoint_is_asked_again(hangs: int) -> None:
    worker, registry, _ = make(Endpoint(hangs), {})
    registry.imds(KEY, IMDS, "app")
    for _ in range(hangs):
        worker.turn(closing=False)
        assert source(registry) == ("unknown", False)
    worker.turn(closing=False)
    assert source(registry) == ("ec2-instance-profile", True)


def test_an_endpoint_that_never_answers_stays_unknown_and_is_left_in_peace() -> None:
    endpoint = Endpoint(1_000)
    worker, registry, _ = make(endpoint, {})
    registry.imds(KEY, IMDS, "app")
    for _ in range(20):
        worker.turn(closing=False)
    assert (source(registry), endpoint.asked) == (("unknown", True), 5)


def test_an_endpoint_that_answers_otherwise_is_another() -> None:
    worker, registry, _ = make(Endpoint(0, {}), {})
    registry.imds(KEY, IMDS, "app")
    worker.turn(closing=False)
    assert source(registry) == ("imds-other", True)


def test_the_exit_does_not_wait_again_for_an_endpoint_that_hung() -> None:
    endpoint = Endpoint(1)
    worker, registry, _ = make(endpoint, {})
    registry.imds(KEY, IMDS, "app")
    worker.turn(closing=False)
    worker.close(1.0)
    worker.turn(closing=True)
    assert (source(registry), endpoint.asked) == (("unknown", True), 1)


def test_an_exit_with_time_asks_again() -> None:
    worker, registry, _ = make(Endpoint(1), {})
    registry.imds(KEY, IMDS, "app")
    worker.turn(closing=False)
    worker.close(30.0)
    worker.turn(closing=True)
    assert source(registry) == ("ec2-instance-profile", True)


def test_a_task_whose_metadata_came_late_is_named() -> None:
    task = "arn:aws:ecs:eu-west-1:123456789012:task/demo/1"
    documents = {"/task": json.dumps({"TaskARN": task}).encode()}
    worker, _, export = make(Endpoint(2, documents), {"ECS_CONTAINER_METADATA_URI_V4": "http://127.0.0.1:1/v4"})
    for _ in range(3):
        worker.turn(closing=False)
    worker.close(30.0)
    worker.turn(closing=True)
    assert export.requests[-1][1]["aws.ecs.task.arn"] == task


@pytest.mark.parametrize(
    ("wanted", "more", "met"),
    [(True, {"/token": b"t"}, "answered"), (True, {}, "blocked"), (False, {"/token": b"t"}, None)],
    ids=["answered", "blocked", "not asked for"],
)
def test_a_task_probes_the_metadata_service_where_that_was_asked_for(
    wanted: bool, more: dict[str, bytes], met: str | None
) -> None:
    task = json.dumps({"TaskARN": "arn:aws:ecs:eu-west-1:123456789012:task/demo/1"}).encode()
    environ = {"ECS_CONTAINER_METADATA_URI_V4": "http://127.0.0.1:1/v4"}
    worker, _, export = make(Endpoint(0, {"/task": task, **more}), environ, probe=wanted)
    worker.turn(closing=True)
    assert export.requests[-1][1].get("credwatch.imds.probe") == met
