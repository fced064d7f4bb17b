"""Every command that reads a store reads each kind of it, and says the same of the same evidence."""

from __future__ import annotations

import re
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from credwatch.semconv import Usage
from credwatch_agent import snapshot as s
from credwatch_agent.cli import main
from credwatch_agent.records import Batch, UsagePoint
from credwatch_agent.store.location import open_store
from tests.agent.databases import postgres
from tests.agent.worlds import allow, role, role_arn, snapshot, task_process

INSIDE = "arn:aws:s3:::b/*"


def commands(directory: Path, db: str) -> list[list[str]]:
    taken = str(directory / "account.json")
    document = str(directory / "new.json")
    return [
        ["report", "--db", db, "--snapshot", taken, "--json"],
        ["recommend", "app", "--db", db, "--snapshot", taken, "--format", "json"],
        ["watch", "app", "--db", db, "--before", taken, "--snapshot", taken, "--since", "2026-01-01T00:00:00Z"],
        ["policy-check", document, document, "--role", "app", "--db", db, "--snapshot", taken],
    ]


def prepare(directory: Path) -> None:
    read = allow("Read", "s3:GetObject", INSIDE)
    s.save(replace(snapshot(role("app", read)), taken_ns=time.time_ns()), directory / "account.json")
    (directory / "new.json").write_text('{"Version": "2012-10-17", "Statement": []}')


def fill(db: str, now: int) -> None:
    usage = Usage(
        "ecs-task-role",
        principal_arn=role_arn("app"),
        service="s3",
        operation="GetObject",
        authorizations=(("s3:GetObject", (INSIDE,)),),
        mapping="table",
    )
    with closing(open_store(db)) as store:
        store.put([Batch(task_process("p", "app").resource, (UsagePoint("p", usage, 3, now - 10**11, now),))])


@pytest.mark.slow
def test_postgresql_gives_what_sqlite_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tmp_path)
    now = time.time_ns()
    with postgres(tmp_path) as url:
        said: list[list[tuple[int, str, str]]] = []
        for db in (str(tmp_path / "db"), url):
            fill(db, now)
            said.append([])
            for command in commands(tmp_path, db):
                code = main(command)
                captured = capsys.readouterr()
                # each report says when it was made
                said[-1].append((code, re.sub(r"\d{15,}|\d+:\d+:\d+[.\dZ]*", "T", captured.out), captured.err))
    assert said[0] == said[1]
    assert "s3:GetObject" in said[0][0][1]


@pytest.mark.parametrize("number", range(4))
def test_a_server_that_is_not_there_is_one_sentence_and_exit_code_3(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path)
    assert main(commands(tmp_path, "postgresql://agent:hunter2@127.0.0.1:1/telemetry")[number]) == 3
    captured = capsys.readouterr()
    assert "the database `telemetry on 127.0.0.1` cannot be used" in captured.err
    assert (captured.err.count("\n"), "hunter2" in captured.err + captured.out) == (1, False)
