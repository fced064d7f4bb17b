"""Beside other instrumentations of botocore, in any order: each call once, the application unharmed, all restored."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.recorder.coexist.application import ANSWERED, TRUTH
from tests.recorder.coexist.tools import LEAVES, TOOLS
from tests.recorder.test_processes import PRELUDE, Receiver, receiver, run

pytestmark = pytest.mark.slow

__all__ = ["receiver"]

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv-coexist" / "bin"
QUIET = {"DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false"}
NOWHERE = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
TOGETHER = ("adot", "ddtrace", "sentry", "xray")  # contrib is in adot


def told(on: tuple[str, ...], off: tuple[str, ...]) -> dict[str, Any]:
    """Return what a process with these instrumentations has to tell."""
    command = [str(BIN / "python"), "-m", "tests.recorder.coexist", ",".join(on), ",".join(off)]
    environ = {**os.environ, **QUIET, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def coexist(on: tuple[str, ...], off: tuple[str, ...]) -> dict[str, Any]:
    """Assert what holds in any order; return what the process told."""
    found = told(on, off)
    assert found["harmed"] == []
    rounds = 1 + off.index("credwatch")  # it counts as long as it is on
    assert found["counts"] == {usage: calls * rounds for usage, calls in TRUTH.items()}
    assert found["tools"] == {name: ANSWERED for name in on if name in {"ddtrace", "sentry", "xray"}}
    opentelemetry = {"contrib", "adot"}.intersection(on)
    # nobody else has a span for what is presigned
    expected = {"enriched": ANSWERED, "own": 1} if opentelemetry else {"own": ANSWERED + 1}
    assert found["spans"] == expected
    return found


# once each in `make test`: who comes first alternates
LEAN = {"adot": True, "ddtrace": False, "sentry": True, "xray": False}


@pytest.mark.parametrize("tool", LEAN)
def test_beside_one_tool(tool: str) -> None:
    on = ("credwatch", tool) if LEAN[tool] else (tool, "credwatch")
    found = coexist(on, (tool, "credwatch"))
    assert set(found["left"]) == LEAVES[tool]


@pytest.mark.verify
@pytest.mark.parametrize("last_off", ["credwatch", "tool"])
@pytest.mark.parametrize("first_on", ["credwatch", "tool"])
@pytest.mark.parametrize("tool", TOOLS)
def test_beside_one_tool_in_every_order(tool: str, first_on: str, last_off: str) -> None:
    on = ("credwatch", tool) if first_on == "credwatch" else (tool, "credwatch")
    off = (tool, "credwatch") if last_off == "credwatch" else ("credwatch", tool)
    found = coexist(on, off)
    assert set(found["left"]) == LEAVES[tool]


@pytest.mark.verify
@pytest.mark.parametrize("turned", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("place", range(len(TOGETHER) + 1))
def test_beside_all_of_them_wherever_it_stands(place: int, turned: bool) -> None:
    others = TOGETHER[::-1] if turned else TOGETHER
    on = (*others[:place], "credwatch", *others[place:])
    # the others are not taken off: they undo whatever is outermost, and so each other
    found = coexist(on, ("credwatch",))
    assert not [name for name in found["left"] if not name.startswith(("BaseClient.", "Endpoint.", "ResponseParser."))]


@pytest.mark.verify
@pytest.mark.parametrize(
    ("command", "environ"),
    [
        (
            "ddtrace-run",
            {"CREDWATCH_ENABLED": "1", "DD_TRACE_ENABLED": "true", "DD_TRACE_AGENT_URL": "unix:///dev/null"},
        ),
        (
            "opentelemetry-instrument",
            {"OTEL_PYTHON_DISTRO": "aws_distro", "OTEL_PYTHON_CONFIGURATOR": "aws_configurator", **NOWHERE},
        ),
    ],
    ids=["ddtrace-run", "ADOT by opentelemetry-instrument"],
)
def test_switched_on_by_the_command_of_another(
    tmp_path: Path, receiver: Receiver, command: str, environ: dict[str, str]
) -> None:
    done = run(tmp_path, PRELUDE + "calls(3)", receiver, str(BIN / command), str(BIN / "python"), **QUIET, **environ)
    assert done.returncode == 0, done.stderr
    assert list(receiver.counts().values()) == [3]
    assert receiver.closed() == receiver.counts()
