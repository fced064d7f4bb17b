"""`credwatch-agent export` and `import`: another store, the same evidence."""

from __future__ import annotations

import json
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from credwatch_agent.cli import main
from credwatch_agent.otlp import decode_metrics, decode_traces
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.databases import postgres
from tests.agent.wire import NOW, counter, metrics, point, span, traces


def test_what_is_exported_and_imported_twice_is_the_same_evidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = SqliteStore.open(tmp_path / "a.db")
    sent = metrics(counter([point()]), counter([point()], name="credwatch.recorder.closed")).SerializeToString()
    source.put(decode_metrics(sent, "protobuf", now_ns=NOW).batches)
    source.put_spans(decode_traces(traces(span()).SerializeToString(), "protobuf", now_ns=NOW).spans)
    assert main(["export", "--db", str(tmp_path / "a.db")]) == 0
    (tmp_path / "all.jsonl").write_text(capsys.readouterr().out, encoding="utf-8")
    for _ in range(2):
        assert main(["import", "--db", str(tmp_path / "b.db"), str(tmp_path / "all.jsonl")]) == 0
    assert capsys.readouterr().err.startswith("imported 1 process")
    target = SqliteStore.open(tmp_path / "b.db", read_only=True)
    assert (target.telemetry(), target.spans()) == (source.telemetry(), source.spans())
    source.close()
    target.close()


HISTORY = "findings 123456789012 eu-west-1"


@pytest.mark.slow
def test_a_history_of_findings_goes_to_another_kind_of_store_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '{"ß": "\\n\n"}'
    with closing(SqliteStore.open(tmp_path / "a.db")) as source:
        source.amend(HISTORY, lambda _: text)
    with postgres(tmp_path) as url:
        for number, (here, there) in enumerate(pairwise([f"{tmp_path}/a.db", url, f"{tmp_path}/b.db"])):
            assert main(["export", "--db", here]) == 0
            file = tmp_path / f"{number}.jsonl"
            file.write_text(capsys.readouterr().out, encoding="utf-8")
            assert main(["import", "--db", there, str(file)]) == 0
    with closing(SqliteStore.open(tmp_path / "b.db", read_only=True)) as target:
        assert {name: target.kept(name) for name in target.kept_names()} == {HISTORY: text}


def test_a_store_keeps_its_own_history_and_the_import_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "f"
    file.write_text(json.dumps({"kept": [HISTORY, "theirs"]}), encoding="utf-8")
    with closing(SqliteStore.open(tmp_path / "b.db")) as store:
        store.amend(HISTORY, lambda _: "ours")
        assert main(["import", "--db", str(tmp_path / "b.db"), str(file)]) == 0
        assert store.kept(HISTORY) == "ours"
    assert f"left out `{HISTORY}`: the store has a history of its own" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["no json", "[]", '{"x": 1}', '{"kept": ["name"]}', '{"kept": ["name", 1]}'])
def test_a_file_that_export_did_not_write_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    (tmp_path / "f").write_text(line, encoding="utf-8")
    assert main(["import", "--db", str(tmp_path / "b.db"), str(tmp_path / "f")]) == 2
    assert "line 1 is not one that `credwatch-agent export` wrote" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_one_sentence_without_the_password(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--db", "postgresql://agent:hunter2@127.0.0.1:1/telemetry"]) == 3
    captured = capsys.readouterr()
    assert "the database `telemetry on 127.0.0.1` cannot be used" in captured.err
    assert "hunter2" not in captured.err + captured.out
    assert captured.err.count("\n") == 1
