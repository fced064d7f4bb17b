"""`credwatch doctor --pid`: a real process, a real agent, and whether the one has seen the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from credwatch.cli import main
from credwatch_agent.access import hash_of, new_token
from credwatch_agent.store.sqlite import SqliteStore

pytestmark = pytest.mark.slow

CALLS = 3
# waits to be told before it makes its calls, and again before it ends
APPLICATION = """
import io, boto3, urllib3
from botocore.awsrequest import AWSResponse
s3 = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x")
def answer(request, **_):
    return AWSResponse(request.url, 200, {}, urllib3.HTTPResponse(io.BytesIO(), preload_content=False))
s3.meta.events.register("before-send", answer)
print("ready", flush=True)
input()
for _ in range(3):
    s3.head_bucket(Bucket="orders")
print("called", flush=True)
input()
"""


@contextmanager
def agent(db: Path, *options: str) -> Iterator[tuple[str, str]]:
    """Serve; yields the URLs of HTTP and of gRPC."""
    command = [sys.executable, "-m", "credwatch_agent", "serve", "--port", "0", "--grpc-port", "0", "--db", str(db)]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        try:
            url, rpc = (serving.stdout.readline().strip().removeprefix("listening on ") for _ in range(2))
            yield url, rpc.replace("grpc://", "http://")
        finally:
            serving.terminate()


@contextmanager
def application(endpoint: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    environ = {
        "PATH": os.environ["PATH"],
        "CREDWATCH_ENABLED": "1",
        "CREDWATCH_ENDPOINT": endpoint,
        "CREDWATCH_EXPORT_INTERVAL": "0.05",
        **settings,
    }
    with subprocess.Popen(
        [sys.executable, "-c", APPLICATION], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdin is not None
        try:
            told(started, "ready")
            yield started
        finally:
            started.kill()


def told(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == word


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, str]]:
    code = main(["doctor", "--json", *arguments])
    [seen] = [line for line in json.loads(capsys.readouterr().out)["lines"] if line["id"] == "seen"]
    return code, seen


def calls(db: Path) -> list[int]:
    """Return what is counted of each process, in no order."""
    with closing(SqliteStore.open(db, read_only=True)) as store:
        counted: Counter[str] = Counter()
        for row in store.telemetry().usage:
            counted[row.process_id] += row.calls
        return list(counted.values())


def let_it_call(process: subprocess.Popen[str], db: Path) -> None:
    go_on(process)
    told(process, "called")
    while calls(db) != [CALLS]:
        assert process.poll() is None


def test_it_is_seen_after_its_first_report_and_not_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = tmp_path / "db"
    with agent(db) as (url, _), application(url) as first, application(url) as second:
        code, seen = doctor(capsys, "--pid", str(first.pid))
        assert (code, seen["state"]) == (3, "unknown"), seen
        assert seen["told"].startswith("no report of it: it made no AWS call yet")
        assert calls(db) == [], "asking leaves no trace"

        let_it_call(first, db)
        code, seen = doctor(capsys, "--pid", str(first.pid))
        assert (code, seen["state"]) == (0, "ok"), seen
        assert seen["told"].startswith("yes: 3 calls counted, last report ")
        # another process of the same service is another process
        assert doctor(capsys, "--pid", str(second.pid))[1]["state"] == "unknown"
        # doctor is a Python with credwatch on, too, but no service
        assert doctor(capsys)[1]["state"] == "note"
        assert calls(db) == [CALLS]


def test_where_there_are_tokens_one_that_may_read_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db, tokens, rows = tmp_path / "db", tmp_path / "tokens.toml", ""
    for role in ("ingest", "read"):
        secret = new_token()
        rows += f'[[token]]\nname = "{role}"\nrole = "{role}"\nsha256 = "{hash_of(secret).hex()}"\n'
        (tmp_path / role).write_text(f"Authorization: Bearer {secret}\n")
    tokens.write_text(rows)
    tokens.chmod(0o600)
    headers = str(tmp_path / "ingest")
    with agent(db, "--tokens", str(tokens)) as (url, _), application(url, CREDWATCH_HEADERS_FILE=headers) as process:
        let_it_call(process, db)
        pid = ("--pid", str(process.pid))
        code, seen = doctor(capsys, *pid)
        assert (code, seen["state"], seen["told"]) == (0, "note", "could not be asked: this token may not read")
        code, seen = doctor(capsys, *pid, "--agent-headers", str(tmp_path / "read"))
        assert (code, seen["state"]) == (0, "ok"), seen
        assert doctor(capsys, *pid, "--agent-headers", headers)[0] == 3
        assert doctor(capsys, *pid, "--agent", url)[0] == 3


def test_over_grpc_an_agent_is_asked_where_it_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = tmp_path / "db"
    with agent(db) as (url, rpc), application(rpc, CREDWATCH_PROTOCOL="grpc") as process:
        let_it_call(process, db)
        code, seen = doctor(capsys, "--pid", str(process.pid))
        assert (code, seen["state"], "could not be asked" in seen["told"]) == (0, "note", True), seen
        code, seen = doctor(capsys, "--pid", str(process.pid), "--agent", f"{url}/")
        assert (code, seen["state"]) == (0, "ok"), seen
        code, seen = doctor(capsys, "--pid", str(process.pid), "--agent", "http://127.0.0.1:1")
        assert (code, seen["state"]) == (3, "unknown"), seen
