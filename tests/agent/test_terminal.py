"""The agent's commands on a terminal: at any width, without colour, as JSON, with help that can be typed.

A row for each command; a new command without one fails. What a program outside must see (a shell, a terminal, a
closed pipe) is tested with a real one.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from rich.console import Console

from credwatch_agent import cli
from credwatch_agent.cli import completion, console, manual, progress
from credwatch_agent.cli.settings import SETTINGS
from credwatch_agent.exports.layout import shell_lines
from credwatch_agent.snapshot import read_live
from tests.agent.terminal import BUCKET, ROLE, prepare, unwrapped

PROGRAM = Path(sys.executable).with_name(completion.PROGRAM)
# a background job of a shell ignores interrupts, and what it starts does too
INTERRUPTIBLE = (
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])",
)
STORE = ["--db", "telemetry.db", "--snapshot", "account.json"]
WIDTHS = (60, 80, 200)


class Row(NamedTuple):
    """How a command is called, and what its text and its JSON must both hold; `no_json` says why it has none."""

    arguments: list[str]
    code: int
    facts: tuple[str, ...] = ()
    no_json: str = ""


ROWS: dict[str, Row] = {
    "snapshot": Row(["--out", "taken.json", "--authorization-details", "details.json"], 3, ("taken.json",)),
    "report": Row(STORE, 1, ("orders", "eu-west-1", "s3:PutObject", BUCKET)),
    "baseline": Row(STORE, 0, ("adopted", "2")),
    "recommend": Row(["orders", *STORE], 1, ("s3:GetObject", BUCKET)),
    "explain": Row(["orders", "s3:PutObject", BUCKET, "--snapshot", "account.json"], 1, ("ImplicitlyDenied", "--scp")),
    "diff": Row(["old.json", "new.json"], 1, ("old.json", "new.json", BUCKET[:-1], "s3:PutObject")),
    "policy-check": Row(["old.json", "new.json", "--role", "orders", *STORE], 0, ("old.json", "new.json")),
    "watch": Row(
        ["orders", "--db", "telemetry.db", "--before", "before.json", "--snapshot", "account.json"],
        1,
        ("s3:PutObject", BUCKET, "store", "denied", "put-role-policy"),
    ),
    "actions": Row(["s3:PutObject", "--param", "Bucket=b"], 0, ("s3:PutObject", "arn:aws:s3:::b/*", "table")),
    "operations": Row(["sqs:SendMessage"], 0, ("SendMessageBatch", "sqs")),
    "config check": Row(["--config", "agent.toml"], 0, ("agent.toml", "4318", "telemetry.db", "90 days")),
    "serve": Row([], 2, no_json="says where it listens, in lines that scripts wait for; `--log-format json`"),
    "simulate": Row(["requests.jsonl"], 0, no_json="answers in lines of JSON"),
    "export": Row(["--db", "telemetry.db"], 0, no_json="writes lines of JSON"),
    "import": Row(["--db", "other.db", "all.jsonl"], 0, no_json="answers with one number, on stderr"),
    "token": Row(["ann"], 0, no_json="writes TOML, for a file of TOML"),
    "completion": Row(["bash"], 0, no_json="writes a script"),
}
DATA = {"simulate", "export", "completion", "token"}
"""What is for machines, and not broken to any width."""


def commands(group: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command that the parser knows, by its whole name."""
    found: Any = group or typer.main.get_command(cli.app)
    for name, command in found.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} ")
        else:
            yield prefix + name, command


NAMES = [name for name, _ in commands()]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in a folder with the examples' files; returns its code, stdout and stderr."""
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", "--db", "telemetry.db"]) == 0
    (tmp_path / "all.jsonl").write_text(capsys.readouterr().out, encoding="utf-8")

    def call(*arguments: str, width: int = 80) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", str(width))
        for each in (console.out, console.err):
            monkeypatch.setattr(each, "_width", width)
        try:
            code = cli.main(arguments)
        except SystemExit as ended:  # `--help`
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    return call


def fits(line: str, width: int) -> bool:
    """Tell whether a line fits, or has at most a label beside the one word that cannot be broken."""
    return len(line) <= width or len(line.lstrip("+- ").split()) <= 2


# --- each command -----------------------------------------------------------------------------------------------------


def test_every_command_has_a_row_and_a_page_of_the_manual() -> None:
    assert set(NAMES) == set(ROWS)
    assert set(NAMES) | {"config"} == set(manual.PAGES)


@pytest.mark.parametrize("name", NAMES)
def test_a_command_fits_its_terminal_and_cuts_no_name(name: str, run: Run) -> None:
    row = ROWS[name]
    for width in WIDTHS:
        code, out, err = run(*name.split(), *row.arguments, width=width)
        assert code == row.code
        lines = [*(() if name in DATA else out.splitlines()), *err.splitlines()]
        # an error is one line of a log where stderr is no terminal
        assert [line for line in lines if not fits(line, width) and not line.startswith("credwatch-agent: ")] == []
        assert [line for line in lines if line != line.rstrip()] == []
        assert "\x1b" not in out + err
        assert "…" not in out + err
        assert [fact for fact in row.facts if fact not in unwrapped(out + err)] == []


@pytest.mark.parametrize("name", [name for name in NAMES if not ROWS[name].no_json])
def test_json_holds_what_the_text_says(name: str, run: Run) -> None:
    row = ROWS[name]
    code, out, _ = run(*name.split(), *row.arguments, "--json")
    assert code == row.code
    found = json.dumps(json.loads(out))
    assert [fact for fact in row.facts if fact not in found] == []


@pytest.mark.parametrize("name", ["report", "baseline", "watch", "config check", "snapshot"])
def test_a_stream_without_the_characters_stops_no_command(
    name: str, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii")  # closes what it wraps when it goes
    monkeypatch.setenv("CREDWATCH_SERVE_EXEMPTIONS", "größe.toml")
    arguments = ROWS[name].arguments if name != "snapshot" else ["--out", "größe.json", *ROWS[name].arguments[2:]]
    with contextlib.redirect_stdout(stream):
        code, _, _ = run(*name.split(), *arguments)
    assert code == ROWS[name].code
    assert written.getvalue().isascii()
    assert name not in {"config check", "snapshot"} or b"gr\\xf6\\xdfe" in written.getvalue()


# --- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "config", *NAMES])
def test_help_has_a_purpose_options_with_words_and_examples(name: str, run: Run) -> None:
    code, out, err = run(*name.split(), "--help")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert "Exit codes: " in out
    assert "..." not in out.replace("[ARGS]...", "")
    assert not re.search(r"--\S+ <\w", out), "an option's value has no name"
    if name:
        assert "Examples:" in out
    told = out.split("\n\n")[1]
    assert told.strip().endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_is(name: str) -> None:
    command = dict(commands())[name]
    for parameter in command.params:
        assert parameter.help, parameter.name
        assert parameter.is_flag if hasattr(parameter, "is_flag") and not parameter.metavar else True
    short = command.get_short_help_str(limit=200)
    assert len(short) <= 60, f"`{short}` is cut in the list of commands"
    assert len(manual.PAGES[name].examples) >= 2


def test_the_help_of_serve_names_the_defaults_of_its_settings() -> None:
    helps = {parameter.name: str(parameter.help) for parameter in dict(commands())["serve"].params}
    assert {s.name: re.findall(r"\[(.+)\]$", helps[s.name]) for s in SETTINGS if s.default} == {
        s.name: [s.default] for s in SETTINGS if s.default
    }


EXAMPLES = [(name, example) for name, page in manual.PAGES.items() for example in page.examples]
NOT_RUN = {"serve": "serves until it is stopped: tests/agent/test_cli_serve.py starts it with such options"}


@pytest.mark.parametrize(("name", "example"), [each for each in EXAMPLES if each[0] not in NOT_RUN])
def test_an_example_of_the_help_runs(
    name: str, example: str, run: Run, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    words = shlex.split(example.replace("\\\n", " "))
    if words[0] == "eval":  # what bash makes of it is tested with bash
        words = shlex.split(words[1].strip("$()"))
    if name == "snapshot":
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("aws"))
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    if "<" in words:
        at = words.index("<")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(words[at + 1]).read_bytes())))
        words = words[:at]
    ours = next((at for at, word in enumerate(words) if word in {">", ">>", "|"}), len(words))
    code, out, err = run(*words[1:ours])
    assert words[0] == completion.PROGRAM
    assert code in {int(found) for found in re.findall(r"(?:^|[ ,;])(\d)(?= )", manual.PAGES[name].codes)} | {0}
    assert code != 2, err
    assert out or err or "--output" in words or code == 0


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patched:
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(variable, "testing")
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield f"http://{host}:{port}"
        finally:
            server.stop()


def test_a_wrong_command_line_names_the_help_that_tells_more(run: Run) -> None:
    assert run("report", "--nothing") == (
        2,
        "",
        "credwatch-agent: No such option: --nothing; try `credwatch-agent report --help`\n",
    )


# --- progress ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal on stderr would be sent, while `working` runs."""
    shown = io.StringIO()
    monkeypatch.setattr(progress, "err", Console(file=shown, force_terminal=True, width=80, _environ={"TERM": "xterm"}))
    return shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["report", *STORE], "comparing 1 role"),
        (["report", *STORE, "--cloudtrail", "trail"], "reading second sources"),
        (["baseline", *STORE], "comparing 1 role"),
        (["recommend", "orders", *STORE], "comparing `orders`"),
        (["export", "--db", "telemetry.db"], "exporting"),
        (["import", "--db", "other.db", "all.jsonl"], "importing"),
        (["snapshot", "--out", "taken.json", "--authorization-details", "details.json"], "reading the account"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_long_work_shows_one_line_on_a_terminal_and_none_with_quiet(
    arguments: list[str], expected: str, run: Run, screen: io.StringIO
) -> None:
    _, told, _ = run(*arguments)
    assert expected in screen.getvalue()
    assert not re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue()).endswith(expected), "the line stays"
    shown = screen.tell()
    _, quiet, _ = run(*arguments, "--quiet")
    assert screen.tell() == shown
    assert told.splitlines()[:1] == quiet.splitlines()[:1]


def test_progress_counts_what_is_done(screen: io.StringIO) -> None:
    with progress.working("reading") as tell:
        tell("reading roles:", 1_200, None)
    with progress.working("reading") as tell:
        tell("reading files:", 3, 40)
    # the last frame is drawn when the work ends
    assert "reading roles: 1,200" in screen.getvalue()
    assert "reading files: 3 of 40" in screen.getvalue()


def test_reading_an_account_tells_how_far_it_is(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    session = boto3.Session("testing", "testing", region_name="eu-west-1")
    iam = session.client("iam", endpoint_url=aws)
    for number in range(3):
        iam.create_role(RoleName=f"told-{number}", AssumeRolePolicyDocument="{}")
    iam.create_user(UserName="told")
    told: list[tuple[str, int, int | None]] = []
    read_live(session, 1, endpoint_url=aws, tell=lambda *each: told.append(each))
    # the simulated account is shared with other tests
    roles = sum(len(page["Roles"]) for page in iam.get_paginator("list_roles").paginate())
    users = len(iam.list_users()["Users"])
    assert [each for each in told if each[0] == "reading roles:"][-1] == ("reading roles:", roles, None)
    assert [each[1:] for each in told if each[0] == "reading access keys of users:"] == [
        (n, users) for n in range(users)
    ]


# --- commands to copy -------------------------------------------------------------------------------------------------

_WORDS = st.lists(
    st.one_of(
        st.from_regex(r"[a-z-]{1,12}", fullmatch=True), st.sampled_from(["'a  b'", '"c \\" d"', "e\\ f", "|", "<"])
    ),
    min_size=1,
)


@given(_WORDS, st.integers(20, 80))
def test_a_command_that_is_broken_into_lines_is_the_same_to_the_shell(words: list[str], width: int) -> None:
    command = " ".join(words)
    lines = shell_lines(command, width)
    assert shlex.split("\n".join(lines).replace("\\\n", " ")) == shlex.split(command)
    assert [line for line in lines if not fits(line, width)] == []


@pytest.mark.parametrize("command", ["echo 'open " + "x " * 50, "true # " + "x " * 50])
def test_a_command_that_is_not_understood_stays_as_it_is(command: str) -> None:
    assert shell_lines(command, 40) == [command]


# --- a real terminal, a real shell ------------------------------------------------------------------------------------


def on_terminal(arguments: list[str], folder: Path, **environ: str) -> str:
    """Run the program with a terminal of 80 columns on stdout and stderr; return what it was sent."""
    ours, theirs = pty.openpty()
    given = {**os.environ, "COLUMNS": "80", "TERM": "xterm", **environ}
    with subprocess.Popen([PROGRAM, *arguments], cwd=folder, env=given, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        sent = b""
        while select.select([ours], [], [])[0]:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # Linux says so where the other end is closed
                break
            if not part:
                break
            sent += part
        process.wait()
    os.close(ours)
    return sent.decode().replace("\r\n", "\n")


@pytest.mark.slow
def test_a_terminal_gets_the_text_of_a_pipe_with_colours_that_can_be_left_out(tmp_path: Path) -> None:
    prepare(tmp_path)
    arguments = ["report", *STORE, "--window", "30", "--quiet"]
    piped = subprocess.run(
        [PROGRAM, *arguments], cwd=tmp_path, env={**os.environ, "COLUMNS": "80"}, capture_output=True, check=False
    )
    coloured = on_terminal(arguments, tmp_path)
    assert "\x1b[" in coloured

    def same(text: str) -> str:
        return re.sub(r"\d+ (seconds|minutes)", "", re.sub(r"\x1b\[[\d;]*m", "", text))

    assert same(coloured) == same(piped.stdout.decode())
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = on_terminal(arguments, tmp_path, **environ)
        assert "\x1b" not in plain
        assert same(plain) == same(piped.stdout.decode())


@pytest.mark.slow
def test_a_real_terminal_sees_progress(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert "comparing 1 role" in on_terminal(["baseline", *STORE], tmp_path)


@pytest.mark.slow
def test_a_reader_that_has_gone_ends_a_command_quietly(tmp_path: Path) -> None:
    prepare(tmp_path)
    for arguments in (["export", "--db", "telemetry.db"], ["report", *STORE]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([PROGRAM, *arguments], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, check=False)
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b""), arguments


@pytest.mark.slow
@pytest.mark.parametrize("program", [PROGRAM, PROGRAM.with_name("credwatch")], ids=lambda program: program.name)
def test_an_output_that_is_closed_or_full_is_no_traceback(program: Path, tmp_path: Path) -> None:
    for redirection, code, said in ((">&-", 0, ""), (">/dev/full", 3, f"{program.name}: cannot write: no space left")):
        line = f"{shlex.quote(str(program))} completion bash {redirection}"
        done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr[: len(said)], done.stderr.count("\n")) == (code, said, bool(said))


def test_a_terminal_without_columns_gets_sentences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    console.say("one two three", console=console._console(stderr=False))
    assert capsys.readouterr().out == "one two three\n"


@pytest.mark.slow
def test_an_interrupt_is_one_line_and_130(tmp_path: Path) -> None:
    prepare(tmp_path)
    with subprocess.Popen(
        [*INTERRUPTIBLE, PROGRAM, "simulate", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write((tmp_path / "requests.jsonl").read_bytes())
        process.stdin.flush()
        assert process.stdout.readline()  # it runs, and waits for more
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().decode().strip() == "credwatch-agent: interrupted"


@pytest.mark.slow
def test_bash_completes_commands_options_and_their_values(tmp_path: Path) -> None:
    asked = {"rep": "report", "report --form": "--format", "report --format sar": "sarif"}
    script = 'eval "$(credwatch-agent completion bash)"\ncomplete -p credwatch-agent\n' + "\n".join(
        f"COMP_WORDS=(credwatch-agent {words}); COMP_CWORD={len(words.split())}; COMPREPLY=()\n"
        "_credwatch_agent_completion credwatch-agent; echo ${COMPREPLY[@]}"
        for words in asked
    )
    environ = {**os.environ, "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environ, check=True
    )
    first, *answers = done.stdout.splitlines()
    assert first.startswith("complete ")
    assert first.endswith("credwatch-agent")
    assert answers == list(asked.values())


@pytest.mark.parametrize(("shell", "expected"), [("zsh", "#compdef credwatch-agent"), ("fish", "complete --command")])
def test_other_shells_get_their_scripts(shell: str, expected: str, run: Run) -> None:
    code, out, _ = run("completion", shell)
    assert code == 0
    assert out.startswith(expected)


def test_the_gzip_of_an_example_is_read_back(run: Run, tmp_path: Path) -> None:
    (tmp_path / "all.jsonl.gz").write_bytes(gzip.compress((tmp_path / "all.jsonl").read_bytes()))
    (tmp_path / "back.jsonl").write_bytes(gzip.decompress((tmp_path / "all.jsonl.gz").read_bytes()))
    assert run("import", "--db", "back.db", "back.jsonl")[0] == 0
    assert ROLE in run("export", "--db", "back.db")[1]
