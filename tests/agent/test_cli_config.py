"""`config check` and the order of file, environment and flags; every setting is documented."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from credwatch_agent.cli import logs, main, settings
from credwatch_agent.cli.failure import UsageError
from credwatch_agent.cli.settings import SETTINGS, given, without_password

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"


def test_flags_win_over_the_environment_and_that_over_the_file() -> None:
    document = {"db": "file.db", "port": 1, "host": "::1"}
    environ = {"CREDWATCH_SERVE_PORT": "2", "CREDWATCH_SERVE_GRPC_PORT": "off", "CREDWATCH_SERVE_CONFIG": "x", "A": "b"}
    made = settings.settings(given(document, environ, {"port": "3", "db": None}, "agent.toml"))
    assert (made.db, made.host, made.port, made.grpc_port, made.keep) == ("file.db", "::1", 3, None, 400)


@pytest.mark.parametrize(
    ("file", "environ", "sentence"),
    [
        ('db = "a', {}, "is no TOML: end of document"),
        ("colour = 1", {}, "`colour` in `{file}` is no setting"),
        ("port = [1]", {}, "`port` in `{file}` must be a text or a number"),
        ("port = 65536", {}, "`port = 65536` in `{file}` is no port: give a number from 0 to 65535"),
        ("", {"PORT": "x"}, "`CREDWATCH_SERVE_PORT=x` is no port"),
        ("", {"PROT": "x"}, "the variable `CREDWATCH_SERVE_PROT` is no setting"),
        ("", {"DB": ""}, "`CREDWATCH_SERVE_DB=` is empty"),
        ('host = "10.0.0.1"', {}, "`host = 10.0.0.1` in `{file}` is no loopback address"),
        ('host = "10.0.0.1"\ntokens = "missing"', {}, "`missing` cannot be read: no such file"),
        ("keep = 3", {}, "`keep = 3` in `{file}` is shorter than the 100 days"),
        ("keep = -1", {}, "is no number of days"),
        ("keep = nan", {}, "is no number of days"),
        ('page = "maybe"', {}, "`page = maybe` in `{file}` is not one of on, off"),
        ('as_of = "yesterday"', {}, "is not one of now, last-report"),
        ('trace_url = "javascript:1"', {}, "`trace_url = javascript:1` in `{file}` is no web address"),
        ("", {"TRACE_URL": "https://h/{id}"}, "holds `{id}`, which is none of {trace_id},"),
        ('log_format = "xml"', {}, "`log_format = xml` in `{file}` is not one of text, json"),
    ],
)
def test_what_is_wrong_has_one_sentence_that_says_where(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    environ: dict[str, str],
    sentence: str,
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(file)
    for name, value in {"DB": "telemetry.db", **environ}.items():
        monkeypatch.setenv(f"CREDWATCH_SERVE_{name}", value)
    for command in (["config", "check"], ["serve"]):
        assert main([*command, "--config", str(path)]) == 2
        said = capsys.readouterr().err
        assert sentence.replace("{file}", str(path)) in said
        assert said.count("\n") == 1


def test_check_prints_every_setting_with_its_origin_and_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('db = "postgresql://agent:SENTINEL@db.example/telemetry?password=SENTINEL"\n')
    monkeypatch.setenv("CREDWATCH_SERVE_PORT", "4400")
    monkeypatch.setenv("CREDWATCH_SERVE_CONFIG", str(path))
    assert main(["config", "check"]) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines() if line[0] != " "] == [setting.name for setting in SETTINGS]
    assert "postgresql://agent@db.example/telemetry?…" in said
    assert f" {path}\n" in said
    assert "4400" in said
    assert " CREDWATCH_SERVE_PORT\n" in said
    assert "SENTINEL" not in said
    assert without_password("telemetry.db") == "telemetry.db"


def test_a_database_must_be_named() -> None:
    with pytest.raises(UsageError, match="no `--db` was given"):
        given({}, {}, {})


@pytest.mark.parametrize("setting", SETTINGS, ids=[s.name for s in SETTINGS])
def test_every_setting_is_documented(setting: settings.Setting) -> None:
    assert f"| `{setting.name}` | `{setting.default or '-'}` |" in PAGE.read_text(encoding="utf-8")


def test_events_are_json_lines_and_few_of_one_kind(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers, root.level
    try:
        logs.start("json", "info")
        log = logging.getLogger("credwatch_agent.test")
        for number in range(1_000):
            log.warning("request refused", extra={"fields": {"reason": f'"quoted" {number}\n'}})
        log.info("draining")
    finally:
        root.handlers, root.level = before
        logging.getLogger("credwatch_agent").setLevel(logging.NOTSET)
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert events[0].keys() == {"time", "level", "event", "reason"}
    assert events[0]["reason"] == '"quoted" 0\n'
    assert events[-1]["event"] == "draining"
    # five a second, and a second more where the loop crosses one
    assert len(events) <= 11
