"""Recorder, a real Collector with `otel-collector.yaml`, agent: whatever fails between, each call is counted once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from examples.demo import agent
from tests.e2e.arrived import wait_for_all
from tests.e2e.collector import (
    CONFIG,
    WITH_TOKEN,
    Backend,
    Collector,
    Line,
    free_port,
    run_applications,
    run_collector,
    served,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.collector]

CALLS = 300
"""Calls of each of the two applications."""

Start = Callable[..., Collector]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a Collector that sends to an agent and to a trace backend."""
    started: list[Collector] = []

    def run(agent_url: str, traces_url: str, *options: str, token: str = "") -> Collector:
        collector = Collector(tmp_path / "storage", agent_url, traces_url, *options, token=token)
        started.append(collector)
        collector.start()
        return collector

    yield run
    for collector in started:
        collector.end(signal.SIGKILL)


def validated(*options: str) -> tuple[int, str]:
    process = run_collector("validate", "--config", str(CONFIG), *options, environ={})
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.mark.parametrize("more", [(), ("--config", str(WITH_TOKEN))], ids=["as it is", "with a token"])
def test_the_configuration_is_valid(more: tuple[str, ...]) -> None:
    assert validated(*more) == (0, "")


def test_a_misspelt_option_is_not_valid() -> None:
    code, said = validated("--set=processors.memory_limiter.check_intervals=1s")
    assert code == 1
    assert "invalid keys: check_intervals" in said


def test_exporters_have_no_option_that_they_would_ignore() -> None:
    # `validate` does not look at the names of this exporter's own options
    exporters = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["exporters"]
    for options in exporters.values():
        assert set(options) <= {"endpoint", "retry_on_failure", "sending_queue"}


def test_usage_reaches_the_agent_alone_and_spans_both(start: Start, tmp_path: Path) -> None:
    db, tokens, backend = tmp_path / "db", tmp_path / "tokens.toml", Backend()
    tokens.touch(mode=0o600)
    made = subprocess.run(
        [sys.executable, "-m", "credwatch_agent", "token", "fleet", "--role", "ingest"],
        capture_output=True,
        text=True,
        check=True,
    )
    tokens.write_text(made.stdout, encoding="utf-8")
    token = made.stderr.split()[-1]
    with served(backend) as traces_url, agent.serving(db, 0, "--tokens", str(tokens)) as serving:
        collector = start(serving.url, traces_url, "--config", str(WITH_TOKEN), token=token)
        tally = run_applications(collector, CALLS)
        wait_for_all(db, tally, "Collector, all well")
        until(lambda: len(backend.spans) >= tally.total(), "the backend's spans")
    assert len(set(backend.spans)) == len(backend.spans) == tally.total()
    assert backend.paths == {"/v1/traces"}


def test_an_agent_that_was_down_gets_everything_later(start: Start, tmp_path: Path) -> None:
    # the trace backend is down for good: nobody else waits for it
    port = free_port()
    collector = start(f"http://127.0.0.1:{port}", "http://127.0.0.1:9")
    tally = run_applications(collector, CALLS)
    until(lambda: any("Exporting failed" in line for line in collector.log), "the first attempt to fail")
    with agent.serving(tmp_path / "db", port):
        wait_for_all(tmp_path / "db", tally, "Collector, agent down, then up")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_collector_that_restarts_loses_nothing(start: Start, tmp_path: Path, how: signal.Signals) -> None:
    port = free_port()
    collector = start(f"http://127.0.0.1:{port}", "http://127.0.0.1:9")
    tally = run_applications(collector, CALLS)
    collector.end(how)  # at once: what it was sent last has met no attempt yet
    with agent.serving(tmp_path / "db", port):
        collector.start()
        wait_for_all(tmp_path / "db", tally, f"Collector restarted after {how.name}")


def test_slow_lost_and_refused_answers_count_nothing_twice(start: Start, tmp_path: Path) -> None:
    db, backend = tmp_path / "db", Backend()
    faults = ["lost", "busy", "slow"]
    with ExitStack() as stack:
        traces_url = stack.enter_context(served(backend))
        serving = stack.enter_context(agent.serving(db))
        line = Line(serving.url, {"/v1/metrics": faults, "/v1/traces": faults})
        stack.callback(line.release.set)
        line_url = stack.enter_context(served(line))
        impatient = ("timeout=1s", "retry_on_failure.max_interval=1s")
        collector = start(
            line_url, traces_url, *(f"--set=exporters.otlp_http/credwatch.{option}" for option in impatient)
        )
        tally = run_applications(collector, CALLS)
        # what met the last fault was sent again: the agent has all of it more than once
        until(lambda: all(line.seen[path, "none"] for path in line.faults), "an answer after all the faults")
        wait_for_all(db, tally, "Collector, lost, refused and slow answers")
