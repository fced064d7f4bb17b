"""`credwatch run`: the command is itself, credwatch is on in every Python beneath it, and no failure is silent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from credwatch import run
from credwatch.cli import main

SHOW = "import sys; print('credwatch.bootstrap' in sys.modules)"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "no command is given"),
        (["--"], 2, "no command is given"),
        (["--", "no-such-command-at-all"], 127, "`no-such-command-at-all` is not found on the PATH"),
        (["--", "./no-such-file"], 127, "`./no-such-file` does not exist"),
        (["--", "/"], 126, "`/` is a directory"),
        (["--", str(Path(__file__))], 126, "is not executable"),
        (["--endpoint", "agent:4318", "--", "true"], 2, "CREDWATCH_ENDPOINT: expected a URL"),
        (["--interval", "soon", "--", "true"], 2, "CREDWATCH_EXPORT_INTERVAL: expected a number"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(
    arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *arguments]) == code
    err = capsys.readouterr().err
    assert err.startswith("credwatch run: ")
    assert told in err
    assert err.count("\n") == 1


def test_options_become_variables_and_nothing_else_changes() -> None:
    environ = {"PATH": "/bin", "CREDWATCH_ENDPOINT": "http://other"}
    assert run.environment(environ, None, None, None) == {**environ, "CREDWATCH_ENABLED": "1"}
    assert run.environment(environ, "http://agent:4318", "orders", "5") == {
        "PATH": "/bin",
        "CREDWATCH_ENABLED": "1",
        "CREDWATCH_ENDPOINT": "http://agent:4318",
        "OTEL_SERVICE_NAME": "orders",
        "CREDWATCH_EXPORT_INTERVAL": "5",
    }


@pytest.mark.parametrize(
    ("arguments", "letters"),
    [
        (["-S", "app.py"], "S"),
        (["-uS", "app.py"], "uS"),
        (["-I", "-c", "-S"], "I"),
        (["-Ic", "pass"], "I"),
        (["-W", "-S", "app.py"], ""),
        (["-Werror", "-X", "dev", "-B", "app.py"], "B"),
        (["--check-hash-based-pycs", "always", "-S", "app.py"], "S"),
        (["app.py", "-S"], ""),
        (["-m", "app", "-S"], ""),
        (["-", "-S"], ""),
        ([], ""),
    ],
)
def test_only_a_pythons_own_options_are_read(arguments: Sequence[str], letters: str) -> None:
    assert run.python_options(arguments) == letters


@pytest.mark.parametrize(
    ("command", "environ", "told"),
    [
        ([sys.executable, "-S", "app.py"], {}, "reads no .pth"),
        ([sys.executable, "-I", "app.py"], {}, ""),
        ([sys.executable, "app.py", "-S"], {}, ""),
        (["/bin/sh", "-S"], {}, ""),
        ([sys.executable, "app.py"], {"CREDWATCH_DISABLED": "1"}, "CREDWATCH_DISABLED is set and wins"),
        ([sys.executable, "app.py"], {"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED is set and wins"),
    ],
)
def test_a_command_that_would_run_without_credwatch_is_told(
    command: list[str], environ: dict[str, str], told: str
) -> None:
    found = run.warnings(command, command[0], environ)
    assert bool(found) == bool(told)
    assert told in " ".join(found)


def test_the_interpreter_of_a_script_is_looked_at_too(tmp_path: Path) -> None:
    for line, told in ((f"#!{sys.executable} -S", "reads no .pth"), (f"#!{sys.executable} -E", ""), ("#!/bin/sh", "")):
        script = tmp_path / "server"
        script.write_text(f"{line}\n", encoding="utf-8")
        assert told in " ".join(run.warnings(["server"], str(script), {}))
        assert bool(run.warnings(["server"], str(script), {})) == bool(told)
    script.write_text("#!/usr/bin/env -S python3 -S\n", encoding="utf-8")
    assert "reads no .pth" in run.warnings(["server"], str(script), {})[0]


# --- real commands ------------------------------------------------------------------------------


def credwatch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "credwatch", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "on"),
    [
        ([sys.executable, "-c", SHOW], True),
        ([sys.executable, "-I", "-c", SHOW], True),
        ([sys.executable, "-E", "-c", SHOW], True),
        ([sys.executable, "-S", "-c", SHOW], False),
        (["/bin/sh", "-c", f'exec {sys.executable} -c "{SHOW}"'], True),
    ],
    ids=["python", "isolated", "without PYTHON*", "without site", "by a shell"],
)
def test_credwatch_is_on_in_every_python_beneath_the_command(command: list[str], on: bool) -> None:
    done = credwatch("--", *command)
    assert (done.returncode, done.stdout) == (0, f"{on}\n")
    assert bool(done.stderr) is not on


@pytest.mark.slow
def test_a_server_that_starts_python_later_has_it_in_its_workers(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(f"{SHOW}\nimport os, signal; os.kill(os.getppid(), signal.SIGTERM)\ndef app(*_): ...\n", "utf-8")
    gunicorn = Path(sys.executable).with_name("gunicorn")
    done = credwatch("--", str(gunicorn), "--chdir", str(tmp_path), "--bind", "127.0.0.1:0", "app:app")
    assert done.stdout == "True\n"


@pytest.mark.slow
def test_exit_code_signal_and_process_id_are_the_commands_own() -> None:
    assert credwatch("--", sys.executable, "-c", "raise SystemExit(7)").returncode == 7
    assert credwatch("/bin/sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    with subprocess.Popen(
        [sys.executable, "-m", "credwatch", "run", "--", "/bin/sh", "-c", "echo $$"], stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        assert int(started.stdout.read()) == started.pid


@pytest.mark.slow
def test_a_program_that_the_system_refuses_exits_126(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    done = credwatch("--", str(broken))
    assert done.returncode == 126
    assert done.stderr == f"credwatch run: `{broken}` cannot be run: {os.strerror(8).lower()}\n"


@pytest.mark.slow
def test_another_python_without_credwatch_is_told(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, tmp_path / "env"], check=True)
    done = credwatch("--", str(tmp_path / "env" / "bin" / "python"), "-c", SHOW)
    assert done.returncode == 0
    assert "is another Python, without credwatch" in done.stderr
