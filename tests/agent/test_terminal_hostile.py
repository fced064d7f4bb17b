"""Names that somebody else chose: a terminal shows them, and obeys none."""

from __future__ import annotations

import io
import json
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from credwatch_agent.cli import console, main
from credwatch_agent.exports.layout import visible
from credwatch_agent.snapshot import save
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent import pages

EVIL = f"pwn\x1b[2J\x1b]0;title\x07\x7f\x9b{pages.EVIL}"


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """The options that name a hostile world's files."""
    scene = pages.hostile(EVIL)
    assert scene.snapshot
    save(scene.snapshot, tmp_path / "account.json")
    store = SqliteStore.open(tmp_path / "telemetry.db")
    store.put(scene.batches)
    store.close()
    return ["--db", str(tmp_path / "telemetry.db"), "--snapshot", str(tmp_path / "account.json")]


@pytest.mark.parametrize("width", [60, 400])
@pytest.mark.parametrize("more", [[], ["--statements"]], ids=["roles", "statements"])
def test_a_report_writes_hidden_characters_out(
    options: list[str],
    more: list[str],
    width: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console.out, "_width", width)
    main(["report", *options, *more, "--window", "36500"])
    printed = capsys.readouterr().out
    assert "pwn\\u001b[2J\\u001b]0;title\\u0007" in printed
    assert visible(printed) == printed


def test_sentences_and_errors_write_them_out(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    snapshot = options[2:]
    main(["explain", EVIL, f"s3:{EVIL}", "*", *snapshot])
    main(["explain", f"no{EVIL}", "s3:GetObject", "*", *snapshot])
    main(["actions", f"s3:{EVIL}"])
    said = capsys.readouterr()
    main(["recommend", EVIL, *options])  # its result is data
    told = capsys.readouterr().err
    assert "\\u001b[2J" in said.out
    assert "\\u001b[2J" in said.err
    for text in (said.out, said.err, told):
        assert visible(text) == text


@pytest.mark.parametrize(("terminal", "written"), [(True, "a\\u001b[2J\n"), (False, "a\x1b[2J\n")])
def test_data_is_altered_for_a_terminal_alone(terminal: bool, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=shown, force_terminal=terminal, color_system=None, markup=False))
    console.data("a\x1b[2J")
    assert shown.getvalue() == written


def test_lines_of_json_write_them_out_too_and_stay_the_same_values(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is exported, an answer, a statement: JSON has a way to write every character."""
    assert main(["export", *options[:2]]) == 0
    exported = capsys.readouterr().out
    (tmp_path / "all.jsonl").write_text(exported, encoding="utf-8")
    assert main(["import", "--db", str(tmp_path / "other.db"), str(tmp_path / "all.jsonl")]) == 0
    here, there = (SqliteStore.open(tmp_path / name) for name in ("telemetry.db", "other.db"))
    with closing(here), closing(there):
        assert there.telemetry() == here.telemetry()
    statement = {"Sid": EVIL, "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    requests = tmp_path / "requests.jsonl"
    requests.write_text(json.dumps({"request": {"action": "s3:GetObject"}, "identityPolicies": [policy]}))
    capsys.readouterr()
    assert main(["simulate", str(requests)]) == 0
    answered = capsys.readouterr().out
    console.document(statement)
    documented = capsys.readouterr().out
    assert json.loads(documented) == statement
    for text in (exported, answered, documented):
        assert "\\u001b[2J" in text
        assert visible(text) == text


def test_a_token_has_no_name_that_would_have_to_be_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", f"ci{EVIL}"]) == 2
    printed = capsys.readouterr()
    assert (printed.out, visible(printed.err)) == ("", printed.err)
