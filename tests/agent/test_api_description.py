"""What the agent answers over HTTP is what its OpenAPI document says: schemathesis asks the real server.

It makes requests that the document allows and such that it does not, and judges status, content type, headers and
body of each answer. `make test` sends some dozens, `make verify` thousands.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from credwatch_agent import snapshot as s
from credwatch_agent.receiver import Ingest, create_app
from credwatch_agent.receiver.openapi import PATHS
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent import pages
from tests.agent import worlds as w
from tests.agent.serving import Agent
from tests.agent.wire import NOW
from tests.e2e.collector import until

CONFIG = Path(__file__).with_name("schemathesis.toml")
PARTS = {"page": "^/api/", "receiver": "^/(v1|healthz|readyz|metrics)"}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """An agent's own process, with something to show and its first comparison made."""
    scene, db, account = pages.shop(), tmp_path / "db", tmp_path / "account.json"
    assert scene.snapshot
    s.save(scene.snapshot, account)
    with closing(SqliteStore.open(db)) as store:
        store.put(scene.batches)
        store.put_spans(scene.spans)
    running = Agent(str(db), now_ns=w.NOW, options=("--snapshot", str(account)))
    try:
        until(lambda: httpx.get(f"{running.url}/api/findings", timeout=120).status_code != 503, "the first comparison")
        yield running
    finally:
        running.bury()


def judged(agent: Agent, directory: Path, *options: str) -> str:
    """Have schemathesis ask; return how many requests it made. Fails with its words where an answer is wrong."""
    entry = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"
    command = [
        sys.executable, "-c", entry, f"--config-file={CONFIG}", "run", f"{agent.url}/api/openapi.json",
        "--seed=1", "--no-color", "--warnings=off", "--generation-database=none", "--suppress-health-check=all",
        "--request-timeout=120", *options,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert found, done.stdout
    assert found[1] == found[2]
    return f"N = {int(found[1]):,} requests, every answer as the document says"


@pytest.mark.slow
def test_some_answers_are_as_the_document_says(
    agent: Agent, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("schemathesis", judged(agent, tmp_path, "--phases=fuzzing", "--max-examples=2"))


@pytest.mark.verify
@pytest.mark.parametrize("part", PARTS)
def test_thousands_of_answers_are_as_the_document_says(
    agent: Agent, tmp_path: Path, record_property: Callable[[str, object], None], part: str
) -> None:
    options = (f"--include-path-regex={PARTS[part]}", "--phases=examples,coverage,fuzzing", "--max-examples=300")
    record_property(f"schemathesis, {part}", judged(agent, tmp_path, *options))


def test_every_path_of_the_receiver_is_described(tmp_path: Path) -> None:
    with closing(SqliteStore.open(tmp_path / "db")) as store:
        routes = create_app(Ingest(store, now_ns=lambda: NOW)).routes
    served = {route.path: {name.lower() for name in route.methods - {"HEAD"}} for route in routes}  # type: ignore[attr-defined]
    assert served == {path: set(methods) for path, methods in PATHS.items()}
