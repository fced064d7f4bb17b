"""The command `credwatch` on a terminal: at any width, without colour, as JSON, with help that can be typed.

A row for each command; a new command without one fails. What a program outside must see (a shell, a terminal, a
closed pipe) is tested with a real one.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from credwatch import cli
from tests.recorder.whoami_world import ACCOUNT, LATER, Endpoints, answer, serve

PROGRAM = Path(sys.executable).with_name("credwatch")
# a background job of a shell ignores interrupts, and what it starts does too
INTERRUPTIBLE = (
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])",
)
WIDTHS = (60, 80, 200)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/a-path-that-somebody-made-for-their-department/and-another-one-within-it/orders"


class Row(NamedTuple):
    """How a command is called, and what its text and its JSON must both hold; `no_json` says why it has none."""

    arguments: list[str]
    code: int
    facts: tuple[str, ...] = ()
    no_json: str = ""


ROWS: dict[str, Row] = {
    "whoami": Row([], 0, (ROLE, ACCOUNT, "ecs-task-role", "container-role")),
    "doctor": Row([], 1, ("CREDWATCH_ENABLED", "installed", "hooked", "seams", "SDK")),
    "run": Row(["--", "no-such-program"], 127, no_json="becomes the command that it is given"),
    "completion": Row(["bash"], 0, no_json="prints a script"),
}
_subcommands = next(action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction))
PARSERS: dict[str, argparse.ArgumentParser] = dict(_subcommands.choices)


@pytest.fixture(autouse=True)
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    """A container with a task role whose ARN is longer than a line."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("CREDWATCH_ENABLED", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    with serve(Endpoints(container=answer(RoleArn=ROLE, Expiration=LATER))) as endpoints:
        for name, value in {**endpoints.container_environ, **endpoints.task_environ}.items():
            monkeypatch.setenv(name, value)
        yield endpoints


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = cli.main(arguments)
    except SystemExit as ended:  # `--help`
        code = int(ended.code or 0)
    return code, *capsys.readouterr()


def test_every_command_has_a_row() -> None:
    assert set(PARSERS) == set(ROWS)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ROWS)
def test_a_command_fits_its_terminal_and_cuts_no_name(
    name: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    row = ROWS[name]
    code, out, err = run(capsys, name, *row.arguments)
    assert code == row.code
    lines = [*(out.splitlines() if name != "completion" else ()), *err.splitlines()]
    # at most two labels beside the one word that cannot be broken
    assert [line for line in lines if len(line) > width and len(line.split()) > 3] == []
    assert "\x1b" not in "".join(lines)
    assert [fact for fact in row.facts if fact not in " ".join(out.split())] == []


@pytest.mark.parametrize("name", [name for name in ROWS if not ROWS[name].no_json])
def test_json_holds_what_the_text_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    row = ROWS[name]
    code, out, _ = run(capsys, name, *row.arguments, "--json")
    assert code == row.code
    found = json.dumps(json.loads(out))
    assert [fact for fact in row.facts if fact not in found] == []


def test_a_stream_without_the_characters_stops_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setenv("AWS_PROFILE", "größe")
    assert cli.main(["whoami"]) in {0, 1}
    assert b"gr\\xf6\\xdfe" in written.getvalue()


@pytest.mark.parametrize("name", ["", *ROWS])
def test_help_has_a_purpose_options_with_words_and_examples(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(capsys, *name.split(), "--help")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if len(line) > 80] == []
    parser = PARSERS[name] if name else cli.parser()
    assert parser.description
    assert parser.description.rstrip().endswith((".", "?"))
    assert not [action.dest for action in parser._actions if not action.help and name]
    if name:
        assert len(examples(parser)) >= 2


def examples(parser: argparse.ArgumentParser) -> list[str]:
    """Return the commands of a help's last part; `\\` joins lines."""
    _, _, part = (parser.epilog or "").partition("examples:\n")
    return [" ".join(line.split()) for line in part.replace("\\\n", " ").splitlines()]


EXAMPLES = [(name, example) for name, parser in PARSERS.items() for example in examples(parser)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_an_example_of_the_help_runs(name: str, example: str, tmp_path: Path) -> None:
    """With the shell; the process that an example names is this one, and the services are programs that end."""
    for service in ("service.py", "orders.py"):
        (tmp_path / service).write_text("print('served')\n", encoding="utf-8")
    typed = example.replace("4711", str(os.getpid())).replace("http://127.0.0.1:4318", "http://127.0.0.1:1")
    environ = {**os.environ, "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", typed], capture_output=True, text=True, cwd=tmp_path, env=environ, check=False
    )
    assert done.returncode in {0, 1, 3}, done.stderr
    assert "Traceback" not in done.stderr
    words = shlex.split(typed)
    assert done.stdout or words[0] == "eval" or ">" in words or done.returncode == 3


@pytest.mark.slow
def test_a_terminal_gets_the_text_of_a_pipe_with_colours_that_can_be_left_out() -> None:
    def sent(**environ: str) -> str:
        ours, theirs = pty.openpty()
        given = {**os.environ, "COLUMNS": "80", "TERM": "xterm", **environ}
        with subprocess.Popen([PROGRAM, "whoami"], env=given, stdout=theirs) as process:
            os.close(theirs)
            parts = []
            try:
                while part := os.read(ours, 65_536):
                    parts.append(part)
            except OSError:  # Linux says so where the other end is closed
                pass
            process.wait()
        os.close(ours)
        return re.sub(r"expires in .*", "", b"".join(parts).decode().replace("\r\n", "\n"))

    coloured = sent()
    assert "\x1b[" in coloured
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert sent(**environ) == re.sub(r"\x1b\[[\d;]*m", "", coloured)


@pytest.mark.slow
def test_a_reader_that_has_gone_ends_a_command_quietly() -> None:
    for arguments in (["whoami"], ["doctor", "--json"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([PROGRAM, *arguments], stdout=writer, stderr=subprocess.PIPE, check=False)
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b""), arguments


@pytest.mark.slow
def test_an_interrupt_is_one_line_and_130(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ended = threading.Event(), threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            ended.wait()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", raising=False)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{server.server_port}/")
    command = [*INTERRUPTIBLE, str(PROGRAM), "whoami"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        asked.wait(60)  # it runs, and waits for the endpoint
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    ended.set()
    thread.join()
    server.server_close()
    assert (process.returncode, out, err) == (130, b"", b"credwatch: interrupted\n")


@pytest.mark.slow
def test_bash_completes_commands_and_options() -> None:
    asked = {"who": "whoami", "whoami --ex": "--expect", "doctor --agent-h": "--agent-headers", "completion z": "zsh"}
    script = 'eval "$(credwatch completion bash)"\ncomplete -p credwatch\n' + "\n".join(
        f'COMP_LINE="credwatch {words}"; COMP_POINT=${{#COMP_LINE}}; COMP_TYPE=9; COMPREPLY=()\n'
        "_python_argcomplete credwatch; echo ${COMPREPLY[@]}"
        for words in asked
    )
    environ = {**os.environ, "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, env=environ, check=True)
    first, *answers = done.stdout.splitlines()
    assert re.fullmatch(r"complete .*_python_argcomplete credwatch", first)
    assert answers == list(asked.values())


def test_without_its_library_completion_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    monkeypatch.setitem(sys.modules, "argcomplete.shell_integration", None)
    code, out, err = run(capsys, "completion", "bash")
    assert (code, out) == (3, "")
    assert "pip install 'credwatch[completion]'" in err
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    with pytest.raises(SystemExit):
        cli.main(["whoami"])
    assert capsys.readouterr().out == ""
