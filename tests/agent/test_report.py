"""The report and its commands: what a reader is told, at the width that a reader has, with the right exit code."""

from __future__ import annotations

import dataclasses
import io
import json
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from credwatch.semconv import Usage
from credwatch_agent import snapshot as s
from credwatch_agent.cli import main
from credwatch_agent.evidence import Settings
from credwatch_agent.exports import json as as_json
from credwatch_agent.exports import table
from credwatch_agent.exports.layout import laid_out
from credwatch_agent.findings.exemptions import Exemption
from credwatch_agent.findings.life import History
from credwatch_agent.records import Process, Telemetry, UsageRow
from credwatch_agent.report import Report, build, lived

DAY = 86_400 * 10**9
NOW = 1_800_000_000 * 10**9
ACCOUNT = "123456789012"
TASK = f"arn:aws:ecs:eu-west-1:{ACCOUNT}:task/shop/1"
DEFINITION = f"arn:aws:ecs:eu-west-1:{ACCOUNT}:task-definition/orders:3"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/orders-task-role"


def _policy(*actions: str) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Sid": "All", "Effect": "Allow", "Action": actions, "Resource": "*"}]}
    )


def _trust(service: str) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
        }
    )


def snapshot(*policies: s.Policy, missing: tuple[s.Missing, ...] = ()) -> s.Snapshot:
    role = s.Role(ROLE, "orders-task-role", trust=_trust("ecs-tasks.amazonaws.com"), policies=policies)
    return s.Snapshot(
        NOW,
        "live",
        account_id=ACCOUNT,
        region="eu-west-1",
        roles=(role,),
        task_definitions=(s.TaskDefinition(DEFINITION, "orders", "3", ROLE, containers=(s.Container("orders"),)),),
        tasks=(s.Task(TASK, definition_arn=DEFINITION),),
        missing=missing,
    )


def telemetry(*, closed: int | None = 7) -> Telemetry:
    resource = {
        "service.name": "orders",
        "aws.ecs.task.arn": TASK,
        "aws.ecs.task.family": "orders",
        "container.name": "orders",
        "cloud.platform": "aws_ecs",
    }
    usage = Usage(
        "ecs-task-role",
        principal_arn=ROLE,
        account_id=ACCOUNT,
        service="s3",
        operation="GetObject",
        authorizations=(("s3:GetObject", ("arn:aws:s3:::b/*",)),),
        mapping="table",
    )
    process = Process("p", resource, NOW - 91 * DAY, NOW, closed)
    return Telemetry({"p": process}, (UsageRow("p", usage, 7, NOW - 91 * DAY, NOW),), ())


GOOD = s.Policy("orders-storage", _policy("s3:GetObject", "s3:PutObject"))


def report(attached: s.Snapshot | None = None, seen: Telemetry | None = None, days: float = 90) -> Report:
    return build(seen or telemetry(), attached or snapshot(GOOD), NOW, Settings(window_days=days), lambda _action: True)


def printed(made: Report, width: int, *, statements: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    table.render(made, console, statements=statements)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_the_report_fits_the_width_and_names_what_matters(width: int) -> None:
    text = printed(report(), width)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    row = next(line for line in text.splitlines() if line.strip().startswith("orders"))
    assert "ecs-task-role" in row
    assert "1 of 2" in row
    role = next(line for line in reversed(text.splitlines()) if line.strip().startswith("orders-task-role"))
    assert role.split() == ["orders-task-role", "2", "1", "1", "-", "-"]
    assert "shortened" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_statements_are_shown_where_asked_for(width: int) -> None:
    text = printed(report(), width, statements=True)
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    assert "grants 2 actions: 1 used, 1 unused" in text
    assert "s3:GetObject (7)" in text


@pytest.mark.parametrize("width", [20, 40, 80])
def test_json_stays_json_and_fits_where_it_can(width: int) -> None:
    policy = json.loads(_policy("s3:GetObject", "s3:PutObject"))
    text = laid_out(policy, width)
    assert json.loads(text) == policy
    wide = [line for line in text.splitlines() if len(line) > width]
    assert all(line.lstrip().startswith('"') and "[" not in line for line in wide)  # one value, which cannot be broken
    assert len(laid_out(policy, 200).splitlines()) == 1


def test_a_shortened_window_is_said() -> None:
    assert "The window was shortened from 90 days to 7 days" in printed(report(days=7), 120)


def test_claimed_processes_are_counted_and_said() -> None:
    seen = telemetry()
    claimed = {key: dataclasses.replace(process, claimed=True) for key, process in seen.processes.items()}
    made = report(seen=dataclasses.replace(seen, processes=claimed))
    assert "what 1 process reported is claimed: no token vouched for the sender or its account" in made.unknown
    assert not any("claimed" in sentence for sentence in report().unknown)


def test_an_open_process_is_a_lower_bound_and_said_so() -> None:
    made = report(seen=telemetry(closed=None))
    assert ">= 7" in printed(made, 120)
    assert any("lower bound" in sentence for sentence in made.unknown)


def test_what_could_not_be_read_is_in_the_report_and_nothing_is_called_unused() -> None:
    made = report(snapshot(GOOD, missing=(s.Missing("tasks", "`ecs:ListTasks` was denied: tasks are unknown"),)))
    assert "`ecs:ListTasks` was denied: tasks are unknown" in made.unknown
    assert all(("unused", 0) in [(state.value, n) for state, n in role.states] for role in made.roles)
    shown = printed(made, 120, statements=True)
    assert "unused" not in shown.replace("called unused", "").replace("call it unused", "")


def test_where_nobody_reported_a_reader_is_told_what_to_do() -> None:
    assert "`credwatch doctor`" in report(seen=Telemetry({}, (), ())).unknown[0]
    assert "`credwatch doctor`" not in " ".join(report().unknown)


def test_a_policy_that_does_not_parse_is_named_and_the_others_count() -> None:
    made = report(snapshot(GOOD, s.Policy("broken", "{")))
    assert any("`broken`" in sentence and "does not parse" in sentence for sentence in made.unknown)
    assert made.services[0].used == 1


def test_json_is_versioned_and_holds_what_the_tables_show() -> None:
    document = json.loads(as_json.render(report()))
    assert document["schema"] == 1
    assert document["calls"] == 7
    assert document["services"][0]["used"] == 1
    assert document["roles"][0]["states"] == {"used": 1, "unused": 1, "unobservable": 0, "insufficient": 0}
    assert document["window"] == {"days": 90, "default_days": 90.0}


def test_a_missing_database_or_snapshot_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    s.save(snapshot(GOOD), tmp_path / "snapshot.json")
    arguments = ["report", "--db", str(tmp_path / "no.db"), "--snapshot", str(tmp_path / "snapshot.json")]
    assert main(arguments) == 3
    assert "there is no database" in capsys.readouterr().err
    assert main(["report", "--db", str(tmp_path / "no.db"), "--snapshot", str(tmp_path / "no.json")]) == 3
    assert "take one with `credwatch-agent snapshot" in capsys.readouterr().err


def test_no_region_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["snapshot", "--out", str(tmp_path / "snapshot.json")]) == 2
    assert "no region is set: pass --region" in capsys.readouterr().err
    assert not (tmp_path / "snapshot.json").exists()


def test_the_worst_finding_of_a_service_is_none_that_is_exempted() -> None:
    taken = snapshot(s.Policy("wide", _policy("*")))
    built = build(telemetry(), taken, NOW, Settings(), lambda _: True)
    (row,) = built.services
    assert row.worst
    assert row.worst.id == "admin-or-wildcard-statement"
    exempt = Exemption("", "", row.worst.fingerprint, "me", "a test", date(2999, 12, 31), "exemption 1")
    report, _ = lived(built, taken, History(), [exempt])
    (row,) = report.services
    assert row.worst != built.services[0].worst
    assert row.worst in {None, *report.open}
