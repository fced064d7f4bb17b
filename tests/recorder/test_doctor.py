"""`credwatch doctor`: each line says what is so, a fault exits 1, what cannot be known 3, no secret is shown."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from credwatch.cli import main
from credwatch.doctor import edges
from credwatch.doctor.checks import OTHERS, examine, exit_code
from credwatch.doctor.command import render
from credwatch.doctor.model import ANYWHERE, STATES, Answered, Line, Post, Python, Silent, Subject
from credwatch.doctor.model import Agent as Named
from credwatch.instrumentation import TESTED_BOTOCORE

SECRET = "SENTINEL-secret"
VERSIONS = {
    "botocore": "1.44.5",
    "opentelemetry-sdk": "1.45.2",
    "opentelemetry-exporter-otlp-proto-http": "1.45.2",
    "opentelemetry-exporter-otlp-proto-grpc": "1.45.2",
}
OLD = {**VERSIONS, "opentelemetry-sdk": "1.9"}
WELL = Python(
    "/app/bin/python",
    version="0.1.0",
    pth="/app/lib/credwatch.pth",
    versions=VERSIONS,
    floors={"opentelemetry-sdk": "1.30", "opentelemetry-exporter-otlp": "1.30"},
    missing={},
    hooked=True,
)
ON = {"CREDWATCH_ENABLED": "1", "CREDWATCH_ENDPOINT": "http://agent:4318"}
TAKEN = Answered(200, "application/x-protobuf", b"")


def taking(post: Post) -> Answered:
    return TAKEN if post.method == "POST" else Answered(200, "text/plain", b"ok\n")


def lines(
    environ: Mapping[str, str],
    python: Python | None = WELL,
    files: Mapping[str, str] | None = None,
    ask: Any = taking,
    agent: Named = ANYWHERE,
    **more: Any,
) -> dict[str, list[Line]]:
    def text(name: str) -> str:
        if name not in (files or {}):
            raise FileNotFoundError(2, "No such file or directory", name)
        return (files or {})[name]

    told: dict[str, list[Line]] = {}
    for line in examine(Subject("this process", python, environ, text, str, **more), ask, TESTED_BOTOCORE, agent):
        assert line.state in STATES
        told.setdefault(line.id, []).append(line)
    return told


def code(told: Mapping[str, list[Line]]) -> int:
    return exit_code([line for group in told.values() for line in group])


def test_all_well_exits_0_and_has_no_fix() -> None:
    told = lines(ON)
    assert code(told) == 0
    assert not [line for group in told.values() for line in group if line.fix]


@pytest.mark.parametrize(
    ("id_", "state", "words", "environ", "python"),
    [
        ("installed", "problem", "not in /app", ON, replace(WELL, version="", hooked=False)),
        ("installed", "warning", "no directory whose .pth", ON, replace(WELL, pth="", hooked=False)),
        ("installed", "problem", "cannot be read", ON, replace(WELL, pth_fault="cannot be read", hooked=False)),
        ("installed", "warning", "`python -S`", ON, replace(WELL, no_site=True, hooked=False)),
        ("installed", "unknown", "runs no Python", ON, None),
        ("hooked", "ok", "on, by CREDWATCH_ENABLED", ON, WELL),
        ("hooked", "ok", "on, by OpenTelemetry's auto", {}, replace(WELL, by_opentelemetry=True)),
        ("hooked", "ok", "on, by a call of", {}, WELL),
        ("hooked", "ok", "seen from outside", ON, replace(WELL, hooked=None)),
        ("hooked", "problem", "although CREDWATCH_ENABLED", ON, replace(WELL, hooked=False)),
        ("hooked", "problem", "no .pth file is read", ON, replace(WELL, hooked=False, no_site=True)),
        ("hooked", "problem", "neither CREDWATCH_ENABLED", {}, replace(WELL, hooked=False)),
        ("hooked", "problem", "CREDWATCH_DISABLED is set", {**ON, "CREDWATCH_DISABLED": "1"}, WELL),
        ("hooked", "problem", "OTEL_SDK_DISABLED is set", {**ON, "OTEL_SDK_DISABLED": "true"}, WELL),
        (
            "hooked",
            "problem",
            "neither",
            {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "x, credwatch"},
            replace(WELL, hooked=False, by_opentelemetry=True),
        ),
        (
            "hooked",
            "problem",
            "is no botocore plugin",
            {"BOTOCORE_EXPERIMENTAL__PLUGINS": "c=credwatch"},
            replace(WELL, hooked=False, plugin_works=False),
        ),
        ("settings", "warning", "CREDWATCH_SPANS is ignored", {**ON, "CREDWATCH_SPANS": SECRET}, WELL),
        ("settings", "warning", "CREDWATCH_ENDPIONT is no setting", {**ON, "CREDWATCH_ENDPIONT": SECRET}, WELL),
        ("botocore", "warning", "outside", ON, replace(WELL, versions={**VERSIONS, "botocore": "1.99.0"})),
        ("botocore", "problem", "not installed", ON, replace(WELL, versions={})),
        ("seams", "problem", "has no A.b: the role", ON, replace(WELL, missing={"A.b": "the role"})),
        ("seams", "note", "without --pid", ON, replace(WELL, missing=None)),
        ("opentelemetry", "problem", "older than 1.30", ON, replace(WELL, versions=OLD)),
        ("opentelemetry", "problem", "proto-http is not installed", ON, replace(WELL, versions={"botocore": "1.40"})),
        ("exporting", "problem", "nowhere", {"CREDWATCH_ENABLED": "1"}, WELL),
        ("exporting", "ok", "inherited", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, WELL),
        ("exporting", "ok", "http://a:1 by", {**ON, "CREDWATCH_ENDPOINT": f"http://u:{SECRET}@a:1/{SECRET}"}, WELL),
        ("exporting", "ok", "to c:4317 by grpc (inherited",
         {"OTEL_EXPORTER_OTLP_ENDPOINT": "c:4317", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"}, WELL),
        ("variable", "warning", "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION is ignored: expected gzip or none",
         {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": SECRET}, WELL),
        ("headers", "note", "are not sent there", {**ON, "OTEL_EXPORTER_OTLP_HEADERS": f"k={SECRET}"}, WELL),
        ("headers", "problem", "no such file", {**ON, "CREDWATCH_HEADERS_FILE": "/gone"}, WELL),
        ("certificate", "problem", "cannot be read", {**ON, "CREDWATCH_CERTIFICATE": "/gone"}, WELL),
        (
            "headers",
            "warning",
            "only with CREDWATCH_ENDPOINT",
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "CREDWATCH_HEADERS_FILE": "/f"},
            WELL,
        ),
    ],
)  # fmt: skip
def test_a_line_says_what_is_so(
    id_: str, state: str, words: str, environ: Mapping[str, str], python: Python | None
) -> None:
    told = lines(environ, python)
    [line] = [line for line in told[id_] if words in line.told]
    assert line.state == state
    assert SECRET not in str(told)
    if state in ("problem", "unknown"):
        assert code(told) == (1 if "problem" in {m.state for g in told.values() for m in g} else 3)


@pytest.mark.parametrize(("distribution", "enrichable"), [(name, i < 2) for i, name in enumerate(OTHERS)])
def test_another_instrumentation_is_named_with_what_it_means_for_spans(distribution: str, enrichable: bool) -> None:
    python = replace(WELL, versions={**VERSIONS, distribution: "1"})
    [line] = lines(ON, python)["spans"]
    assert (line.state, line.told.split()[0]) == ("note", distribution)
    [line] = lines({**ON, "CREDWATCH_SPANS": "own"}, python)["spans"]
    assert line.state == ("warning" if enrichable else "note")


@pytest.mark.parametrize(
    ("answered", "state", "words"),
    [
        (TAKEN, "ok", "took an empty OTLP export"),
        (Answered(200, "text/html", b""), "warning", "not in OTLP's words"),
        (Answered(401, "", b""), "problem", "wants credentials"),
        (Answered(404, "", b""), "problem", "no OTLP receiver"),
        (Answered(503, "", b""), "warning", "busy"),
        (Answered(418, "", b""), "problem", "refuses an OTLP export"),
        (Silent("connection refused"), "problem", "connection refused"),
    ],
)
def test_an_endpoints_answer_is_read(answered: Answered | Silent, state: str, words: str) -> None:
    def ask(post: Post) -> Answered:
        if isinstance(answered, Silent):
            raise answered
        return answered

    [line] = lines(ON, ask=ask)["answers"]
    assert line.state == state
    assert words in line.told


@pytest.mark.parametrize(
    ("environ", "url", "headers"),
    [
        (ON, "http://agent:4318/v1/metrics", {}),
        ({**ON, "CREDWATCH_HEADERS_FILE": "/h"}, "http://agent:4318/v1/metrics", {"authorization": SECRET}),
        ({**ON, "OTEL_EXPORTER_OTLP_HEADERS": "a=b"}, "http://agent:4318/v1/metrics", {}),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1", "OTEL_EXPORTER_OTLP_HEADERS": "a=b"},
            "http://c:1/v1/metrics",
            {"a": "b"},
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m:2/x"},
            "http://m:2/x",
            {},
        ),
    ],
)
def test_what_is_asked_is_what_the_recorder_would_send(
    environ: Mapping[str, str], url: str, headers: Mapping[str, str]
) -> None:
    asked: list[Post] = []

    def ask(post: Post) -> Answered:
        asked.append(post)
        return TAKEN

    told = lines(environ, files={"/h": f"Authorization: {SECRET}\n"}, ask=ask)
    assert (asked[0].url, dict(asked[0].headers)) == (url, headers)
    assert SECRET not in str(told)
    asked.clear()
    lines(environ, files={"/h": f"Authorization: {SECRET}\n"}, ask=ask, foreign=True)
    assert not asked[0].headers, "with the rights of another user nothing is read and sent"


def test_grpc_is_only_connected_to_and_says_so() -> None:
    [line] = lines({**ON, "CREDWATCH_PROTOCOL": "grpc"}, ask=lambda post: Answered(0, "", b""))["answers"]
    assert "TCP" in line.told
    assert "was not asked" in line.told


class Agent:
    """An agent that has its own answer about processes, or what stands in its place; remembers what it was asked."""

    def __init__(self, answer: Answered | Silent, health: bytes = b"credwatch-agent ok\n") -> None:
        self._answer = answer
        self._health = health
        self.asked: list[Post] = []

    def __call__(self, post: Post) -> Answered:
        if post.method == "POST":
            return TAKEN
        if post.url.endswith("/healthz"):
            return Answered(200, "", self._health)
        if "/v1/processes" in post.url:
            self.asked.append(post)
            if isinstance(self._answer, Silent):
                raise self._answer
            return self._answer
        return Answered(0, "", b"")  # a TCP connection


S = 10**9


def reported(**more: object) -> Answered:
    process = {"process_id": "p", "calls": 3, "last_ns": 1_000 * S, "closed": False, **more}
    return Answered(200, "application/json", json.dumps({"version": 1, "processes": [process]}).encode())


NOBODY = Answered(200, "application/json", b'{"version": 1, "processes": []}')
NAMED = Named("http://agent.example:4318/", {"authorization": SECRET})


@pytest.mark.parametrize(
    ("answer", "state", "words", "named_state"),
    [
        (reported(), "ok", "yes: 3 calls counted, last report 4 s ago", "ok"),
        (reported(calls=1, last_ns=880 * S), "ok", "1 call counted, last report 2 min ago", "ok"),
        (reported(last_ns=1), "problem", "although it reports each 60 s", "problem"),
        (reported(closed=True), "warning", "its recorder ended", "warning"),
        (NOBODY, "unknown", "no report of it", "unknown"),
        (Answered(401, "", b""), "note", "could not be asked: it wants a token", "unknown"),
        (Answered(403, "", b""), "note", "could not be asked: this token may not read", "unknown"),
        (Answered(404, "", b""), "note", "could not be asked: it is no credwatch-agent, or an older one", "unknown"),
        (Answered(500, "", b""), "note", "could not be asked: it answers 500", "unknown"),
        (Answered(200, "", b"<html>"), "note", "could not be asked: what answers is no", "unknown"),
        (Answered(200, "", b"[]"), "note", "could not be asked: what answers is no", "unknown"),
        (reported(last_ns="x"), "note", "could not be asked: what answers is no", "unknown"),
        (Silent("no answer in 2 s"), "note", "could not be asked: no answer in 2 s", "unknown"),
    ],
)
def test_whether_the_agent_has_seen_the_process_is_what_the_agent_says(
    answer: Answered | Silent, state: str, words: str, named_state: str
) -> None:
    process: dict[str, Any] = {"fingerprint": "f1", "now_ns": 1_004 * S}
    agent = Agent(answer)
    told = lines(ON, ask=agent, **process)
    assert [line.state for line in told["agent"]] == ["ok"]
    [line] = told["seen"]
    assert (line.state, words in line.told) == (state, True), line
    assert agent.asked == [Post("GET", "http://agent:4318/v1/processes?fingerprint=f1", {})]
    # with an address of its own, through a Collector or by gRPC too
    for environ in ({**ON, "CREDWATCH_PROTOCOL": "grpc"}, ON):
        agent = Agent(answer, b"a Collector")
        told = lines(environ, ask=agent, agent=NAMED, **process)
        assert [line.state for line in told["seen"]] == [named_state]
        assert agent.asked == [
            Post("GET", "http://agent.example:4318/v1/processes?fingerprint=f1", NAMED.headers or {})
        ]
        assert SECRET not in str(told)


@pytest.mark.parametrize(
    ("environ", "health"),
    [
        (ON, b"ok\n"),
        (ON, b"<html>"),
        ({**ON, "CREDWATCH_PROTOCOL": "grpc"}, b"credwatch-agent ok\n"),
        ({"CREDWATCH_ENABLED": "1"}, b""),
    ],
)
def test_where_no_agent_takes_the_telemetry_it_could_not_be_asked(environ: Mapping[str, str], health: bytes) -> None:
    agent = Agent(NOBODY, health)
    told = lines(environ, ask=agent, fingerprint="f1")
    [line] = told["seen"]
    assert (line.state, agent.asked) == ("note", [])
    assert line.told.startswith("could not be asked: its telemetry does not go straight to")
    assert "--agent" in line.fix


def test_a_process_that_cannot_be_told_apart_is_not_asked_for() -> None:
    agent = Agent(reported())
    assert [line.state for line in lines(ON, ask=agent, fingerprint="")["seen"]] == ["unknown"]
    [line] = lines(ON, ask=agent)["seen"]
    assert (line.state, "--pid" in line.told) == ("note", True)
    assert agent.asked == []


def test_text_fits_its_width_and_steers_no_terminal() -> None:
    text = render("this process", [Line("hooked", "problem", "x \x1b[31m " * 30, "do " * 40)], width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "\x1b" in render("this process", [Line("hooked", "ok", "on")], colour=True)


# --- the real edges -----------------------------------------------------------------------------


@contextmanager
def serving(status: int, content_type: str) -> Iterator[tuple[str, list[tuple[str, bytes, str]]]]:
    """Serve one answer; yields the URL and what was asked: path, body, content type."""
    asked: list[tuple[str, bytes, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, body, self.headers["Content-Type"]))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing on stderr."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_the_probe_is_an_empty_export_over_http() -> None:
    with serving(200, "application/x-protobuf") as (url, asked):
        assert edges.ask(Post("POST", f"{url}/v1/metrics", {})) == TAKEN
    assert asked == [("/v1/metrics", b"", "application/x-protobuf")]


def test_an_endpoint_that_does_not_answer_is_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edges, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        for url, method, told in (
            (f"http://127.0.0.1:{port}", "POST", "no answer in"),
            (f"https://127.0.0.1:{port}", "POST", "no answer in"),
            ("http://127.0.0.1:1", "POST", "refused"),
            ("http://127.0.0.1:1", "grpc", "refused"),
            ("http://127.0.0.1:x", "POST", "no HTTP answer"),
        ):
            with pytest.raises(Silent, match=told):
                edges.ask(Post(method, url, {}))
        assert edges.ask(Post("grpc", f"http://127.0.0.1:{port}", {})).status == 0


def doctor(*arguments: str, **environ: str) -> tuple[int, dict[str, dict[str, str]]]:
    command = [sys.executable, "-m", "credwatch", "doctor", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environ})
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["exit_code"] == done.returncode
    return done.returncode, {line["id"]: line for line in told["lines"]}


@pytest.mark.slow
def test_a_python_of_this_environment_is_seen_as_it_is() -> None:
    with serving(200, "application/x-protobuf") as (url, _):
        code_, told = doctor(CREDWATCH_ENABLED="1", CREDWATCH_ENDPOINT=url, CREDWATCH_SPANS="wrong")
    assert code_ == 0, told
    assert told["hooked"]["told"] == "on, by CREDWATCH_ENABLED"
    assert {told[name]["state"] for name in ("installed", "seams", "botocore", "opentelemetry", "answers")} == {"ok"}
    assert told["settings"]["state"] == "warning"
    code_, told = doctor()
    assert (code_, told["hooked"]["state"]) == (1, "problem")


@pytest.mark.slow
def test_auto_instrumentation_is_told_from_the_variable() -> None:
    command = [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, "-m", "credwatch", "doctor"]
    environ = {**os.environ, "OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"}
    done = subprocess.run([*map(str, command), "--json"], capture_output=True, text=True, check=False, env=environ)
    told = {line["id"]: line for line in json.loads(done.stdout)["lines"]}
    assert told["hooked"]["told"] == "on, by OpenTelemetry's auto-instrumentation"


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["-S"]])
def test_another_process_is_seen_from_outside(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code_ = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, *flags, "-c", code_]
    environ = {"CREDWATCH_ENABLED": "1", "PATH": os.environ["PATH"]}
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        started.stdout.readline()
        assert main(["doctor", "--json", "--pid", str(started.pid)]) == 1
        assert started.stdin is not None
        started.stdin.close()
    told = {line["id"]: line for line in json.loads(capsys.readouterr().out)["lines"]}
    assert told["hooked"]["state"] == ("problem" if flags else "ok")
    assert told["botocore"]["state"] == "ok"
    assert told["exporting"]["state"] == "problem"


def test_what_cannot_be_looked_at_exits_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--pid", "4194999"]) == 3
    assert capsys.readouterr().err.startswith("credwatch doctor: process 4194999 does not exist")


@pytest.mark.parametrize(("url", "sentence"), [("agent:4318", "--agent wants"), ("", "--agent-headers cannot be read")])
def test_a_wrong_option_is_one_sentence_and_exit_code_2(
    url: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--agent", url, "--agent-headers", str(tmp_path / "gone")]) == 2
    said = capsys.readouterr().err
    assert (said.count("\n"), said.startswith(f"credwatch doctor: {sentence}")) == (1, True)
