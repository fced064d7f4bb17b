"""Three ways to switch credwatch on by the environment alone, in every shape of process: each call is counted once."""

from __future__ import annotations

import signal
import site
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from credwatch_agent.records import Telemetry
from credwatch_agent.store.sqlite import SqliteStore
from examples.demo import agent, launch
from examples.demo.plan import plan
from examples.demo.world import World, running
from tests.e2e.shapes import CALLS, HELPERS, SHAPES

pytestmark = pytest.mark.slow

WAYS = ("environment", "opentelemetry", "plugin")
EVERY = 1 + HELPERS * CALLS


class Place:
    """A world with one task and an agent that listens."""

    def __init__(self, world: World, serving: agent.Agent) -> None:
        self.world = world
        self.agent = serving

    def activated(self, way: str, name: str) -> tuple[dict[str, str], list[str]]:
        """Return what is added to the environment and to the command of a service called `name`."""
        common = {"OTEL_SERVICE_NAME": name, "CREDWATCH_ENDPOINT": self.agent.url, "CREDWATCH_EXIT_TIMEOUT": "60"}
        if way == "environment":
            return {**common, "CREDWATCH_ENABLED": "1"}, []
        if way == "plugin":
            return {**common, "BOTOCORE_EXPERIMENTAL__PLUGINS": "credwatch=credwatch.plugin"}, []
        none = {f"OTEL_{signal_name}_EXPORTER": "none" for signal_name in ("TRACES", "METRICS", "LOGS")}
        return {**common, **none}, ["opentelemetry-instrument"]

    def telemetry(self) -> Telemetry:
        store = SqliteStore.open(self.agent.db, read_only=True)
        try:
            return store.telemetry()
        finally:
            store.close()

    def counts(self, name: str) -> list[int]:
        """Return the calls of each process of a service, fewest first; each must have closed with that count."""
        telemetry = self.telemetry()
        counts = []
        for process_id, process in telemetry.processes.items():
            if process.resource.get("service.name") == name:
                rows = [row for row in telemetry.usage if row.process_id == process_id]
                assert process.closed == sum(row.calls for row in rows)
                assert {row.usage.source for row in rows} <= {"ecs-task-role"}
                assert {row.usage.operation for row in rows} <= {"ListObjectsV2"}
                counts.append(process.closed or 0)
        return sorted(counts)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with (
        running(plan(services=["orders"])) as world,
        agent.serving(tmp_path_factory.mktemp("activation") / "credwatch.db") as serving,
    ):
        yield Place(world, serving)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", WAYS)
def test_each_process_counts_its_own_calls(place: Place, way: str, shape: str) -> None:
    name = f"{way}-{shape}"
    extra, wrapper = place.activated(way, name)
    command = [*wrapper, sys.executable, "-m", "tests.e2e.shapes", shape]
    done = launch.start_command(place.world, "orders", command, extra=extra).wait()
    assert (done.returncode, done.errors) == (0, "")
    assert place.counts(name) == ([EVERY] if shape == "thread" else [1, *[CALLS] * HELPERS])


@pytest.mark.parametrize("way", WAYS)
def test_workers_of_a_preforking_server_count_their_own_calls(place: Place, way: str) -> None:
    name = f"{way}-gunicorn"
    extra, wrapper = place.activated(way, name)
    options = ["--preload", "--workers", str(HELPERS), "--bind", "127.0.0.1:0", "--worker-tmp-dir", "/tmp"]
    command = [*wrapper, "gunicorn", *options, "tests.e2e.shapes:preload()"]
    started = launch.start_command(place.world, "orders", command, extra=extra)
    assert started.process.stderr is not None
    url = next(line.split()[-2] for line in started.process.stderr if "Listening at" in line)
    for _ in range(HELPERS * CALLS):
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert answer.status == 200
    started.process.send_signal(signal.SIGTERM)
    assert started.wait().returncode == 0
    counts = place.counts(name)
    assert sum(counts) == EVERY
    assert len(counts) >= 2  # a worker that served no request has nothing to say


def test_without_site_the_application_runs_as_if_credwatch_were_not_installed(place: Place) -> None:
    # `python -S` reads no .pth file: packages come from PYTHONPATH, and nothing switches credwatch on
    code = (
        "import os, sys, boto3; boto3.client('s3').list_objects_v2(Bucket=os.environ['ORDERS_BUCKET']);"
        "print([name for name in sys.modules if name.startswith('credwatch')])"
    )
    extra, _ = place.activated("environment", "without-site")
    paths = [*site.getsitepackages(), str(Path(launch.ROOT))]
    extra["PYTHONPATH"] = ":".join(paths)
    done = launch.start_command(place.world, "orders", [sys.executable, "-S", "-c", code], extra=extra).wait()
    assert (done.returncode, done.output, done.errors) == (0, "[]\n", "")
    assert place.counts("without-site") == []


def test_botocore_plugin_knows_the_parameters_of_the_first_call(place: Place) -> None:
    extra, _ = place.activated("plugin", "plugin-first-call")
    command = [sys.executable, "-m", "tests.e2e.shapes", "thread"]
    assert launch.start_command(place.world, "orders", command, extra=extra).wait().returncode == 0
    telemetry = place.telemetry()
    rows = [
        row
        for row in telemetry.usage
        if telemetry.processes[row.process_id].resource.get("service.name") == "plugin-first-call"
    ]
    assert {row.usage.resources for row in rows} == {("arn:aws:s3:::example-shop-invoices",)}
