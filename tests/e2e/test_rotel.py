"""Recorder, rotel, agent: another forwarder than the Collector changes no count."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from examples.demo import agent
from tests.e2e.arrived import wait_for_all
from tests.e2e.collector import Line, free_port, run_applications, served, until
from tests.e2e.rotel import Rotel

pytestmark = [pytest.mark.slow, pytest.mark.rotel]

CALLS = 60
"""Calls of each of the two applications."""

# an exporter that waits less than it should in production, so that a test takes seconds
IMPATIENT = {"request_timeout": "1s", "retry_initial_backoff": "100ms", "retry_max_backoff": "300ms"}


@pytest.mark.verify  # the next test shows it too
def test_every_call_is_counted_once(tmp_path: Path) -> None:
    with agent.serving(tmp_path / "db") as serving:
        rotel = Rotel(serving.url, tmp_path / "log")
        with rotel.running():
            wait_for_all(tmp_path / "db", run_applications(rotel, CALLS), "rotel, all well")


def test_an_agent_that_was_down_gets_everything_later(tmp_path: Path) -> None:
    port = free_port()
    rotel = Rotel(f"http://127.0.0.1:{port}", tmp_path / "log", **IMPATIENT)
    with rotel.running():
        tally = run_applications(rotel, CALLS)
        with agent.serving(tmp_path / "db", port):
            wait_for_all(tmp_path / "db", tally, "rotel, agent down, then up")


@pytest.mark.verify
def test_slow_and_refused_answers_count_nothing_twice(tmp_path: Path) -> None:
    # no answer is lost here: of a connection that breaks before the answer rotel says that it drops the data
    faults = ["busy", "slow"]
    with ExitStack() as stack:
        serving = stack.enter_context(agent.serving(tmp_path / "db"))
        line = Line(serving.url, {"/v1/metrics": faults, "/v1/traces": faults})
        stack.callback(line.release.set)
        rotel = Rotel(stack.enter_context(served(line)), tmp_path / "log", **IMPATIENT)
        stack.enter_context(rotel.running())
        tally = run_applications(rotel, CALLS)
        until(lambda: all(line.seen[path, "none"] for path in line.faults), "an answer after all the faults")
        wait_for_all(tmp_path / "db", tally, "rotel, refused and slow answers")
