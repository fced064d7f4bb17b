"""The cells with aiobotocore; run in its own environment by `tests/recorder/test_matrix.py`."""

from __future__ import annotations

import asyncio
import gc
from functools import partial

import pytest

from tests.recorder import faults
from tests.recorder.matrix import cells, sources
from tests.recorder.matrix.cloud import ROLE
from tests.recorder.matrix.drivers import AsyncDriver
from tests.recorder.matrix.sources import World
from tests.recorder.matrix.walk import Attach, walk


@pytest.mark.parametrize("cell", cells.parameters(cells.ASYNC))
def test_cell(cell: cells.Cell, world: World, attach: Attach) -> None:
    recorded, expected = walk(cell, world, AsyncDriver(), attach)
    assert recorded == expected


@pytest.mark.slow
def test_a_fault_of_any_function_in_the_path_of_a_call_changes_nothing(world: World, attach: Attach) -> None:
    sources.ecs_relative(world)
    sources.imds(world)
    places = {"task": "EcsContainer", "host": "Ec2InstanceMetadata"}
    world.config(**{name: {"role_arn": ROLE, "credential_source": place} for name, place in places.items()})

    def chained(profile: str) -> object:
        driver = AsyncDriver()
        driver.profile = profile

        async def steps() -> object:
            async with driver.client("s3") as s3:
                return (await s3.list_buckets())["ResponseMetadata"]["HTTPStatusCode"]

        return driver.run(steps())

    path, harmed = faults.harm([partial(chained, "task"), partial(chained, "host")], attach, environ=world.environ)
    assert harmed == {}
    assert faults.unexercised(attach().instrumentation, path, asynchronous=True) == {"Recorder.failed"}


def test_a_cancelled_call_is_abandoned_and_the_next_is_counted(world: World, attach: Attach) -> None:
    world.set(AWS_ACCESS_KEY_ID="AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY="s")
    recording, driver = attach(environ=world.environ), AsyncDriver()

    async def steps() -> None:
        async with driver.client("s3") as s3:
            sent = asyncio.Event()

            async def hang(**_: object) -> None:
                sent.set()
                await asyncio.Event().wait()

            s3.meta.events.register("before-send", hang, unique_id="hang")
            call = asyncio.create_task(s3.list_buckets())
            await sent.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            s3.meta.events.unregister("before-send", unique_id="hang")
            await s3.list_buckets()

    driver.run(steps())
    gc.collect()
    outcomes = recording.outcomes()
    assert outcomes == {("ListBuckets", "abandoned"): 1, ("ListBuckets", "allowed"): 1}
    assert {usage.source for usage in recording.exported()} == {"environment"}


def test_calls_at_once_are_each_counted(world: World, attach: Attach) -> None:
    world.monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    recording, driver = attach(environ=world.environ), AsyncDriver()

    async def steps() -> None:
        async with driver.client("s3") as s3:
            await asyncio.gather(*(s3.list_buckets() for _ in range(50)))

    driver.run(steps())
    assert [(usage.source, calls) for usage, calls in recording.exported().items()] == [("ec2-instance-profile", 50)]
