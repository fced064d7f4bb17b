"""`credwatch run -- CMD ...`: switch credwatch on for a command and every Python that it starts.

Owns the words of the command line and what a shell says of a command that cannot be started. Sets
variables and replaces this process by the command: signals, exit code and pid are the command's own.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from credwatch import settings

USAGE, CANNOT_RUN, NOT_FOUND = 2, 126, 127

_EPILOG = """\
The command keeps this process's id, signals and exit code. What cannot be started gives 127 (not
found) or 126 (found, but not to be run), as in a shell; 2 is a wrong use of this command.

examples:
  credwatch run -- python service.py
  credwatch run --endpoint http://127.0.0.1:4318 --service-name orders \\
    -- python -m orders
  credwatch run -- credwatch doctor
"""


def register(subcommands: Any) -> None:
    """Add `run` to the subcommands of an argparse parser."""
    parser = subcommands.add_parser(
        "run",
        help="run a command with credwatch switched on in every Python that it starts",
        description="Run a command with credwatch switched on in it and in every Python that it starts.",
        usage="credwatch run [--endpoint URL] [--service-name NAME]\n"
        "                     [--interval SECONDS] -- CMD [ARG ...]",
        epilog=_EPILOG,
    )
    parser.add_argument("--endpoint", metavar="URL", help="OTLP endpoint of the agent (CREDWATCH_ENDPOINT)")
    parser.add_argument("--service-name", metavar="NAME", help="name of the service (OTEL_SERVICE_NAME)")
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        help=f"seconds between exports, by default {settings.Settings().export_interval:g} (CREDWATCH_EXPORT_INTERVAL)",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD", help="the command and its arguments")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Become the command; returns an exit code only where that is not possible."""
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        return _say("no command is given: credwatch run -- CMD [ARG ...]", USAGE)
    environ = environment(os.environ, arguments.endpoint, arguments.service_name, arguments.interval)
    given = {"CREDWATCH_ENDPOINT": arguments.endpoint, "CREDWATCH_EXPORT_INTERVAL": arguments.interval}
    _, problems = settings.read({name: value for name, value in given.items() if value is not None})
    if problems:
        return _say(problems[0].replace(" is ignored", "").partition("; using")[0], USAGE)
    found = shutil.which(command[0])
    if found is None:
        return _missing(command[0])
    for sentence in warnings(command, found, environ):
        _say(sentence, 0)
    sys.stdout.flush()
    try:
        os.execve(found, command, environ)  # noqa: S606 - no shell: this is what the command is for
    except OSError as error:
        return _say(f"`{_shown(command[0])}` cannot be run: {(error.strerror or 'unknown error').lower()}", CANNOT_RUN)


def environment(
    environ: Mapping[str, str], endpoint: str | None, service_name: str | None, interval: str | None
) -> dict[str, str]:
    """Return the environment of the command: the given one, credwatch on, and what the options set."""
    given = {
        "CREDWATCH_ENABLED": "1",
        "CREDWATCH_ENDPOINT": endpoint,
        "OTEL_SERVICE_NAME": service_name,
        "CREDWATCH_EXPORT_INTERVAL": interval,
    }
    return {**environ, **{name: value for name, value in given.items() if value is not None}}


def warnings(command: Sequence[str], found: str, environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each reason why the command may run without credwatch."""
    parsed, _ = settings.read(environ)
    if parsed.off:
        name = "CREDWATCH_DISABLED" if parsed.disabled else "OTEL_SDK_DISABLED"
        return [f"{name} is set and wins: nothing will be recorded"]
    interpreter = [found, *command[1:]] if is_python(found) else shebang(found)
    if not interpreter or not is_python(interpreter[0]):
        return []
    if "S" in python_options(interpreter[1:]):
        return ["`python -S` reads no .pth file: credwatch stays off; leave -S out, or call credwatch.instrument()"]
    if Path(interpreter[0]).parent != Path(sys.executable).parent and not _has_credwatch(interpreter[0]):
        return [f"`{_shown(interpreter[0])}` is another Python, without credwatch: install credwatch there"]
    return []


def is_python(path: str) -> bool:
    """Return whether a program is a Python interpreter, by its name."""
    return re.fullmatch(r"(python|pypy)[\d.]*t?(\.exe)?", Path(path).name, re.IGNORECASE) is not None


def shebang(path: str) -> list[str]:
    """Return the interpreter of a script with its options, `env` looked through; [] if it has none."""
    try:
        with Path(path).open("rb") as file:
            line = file.readline(512)
    except OSError:
        return []
    if not line.startswith(b"#!"):
        return []
    try:
        words = shlex.split(os.fsdecode(line[2:]))
    except ValueError:
        return []
    if words and Path(words[0]).name == "env":
        words = words[2:] if words[1:2] == ["-S"] else words[1:]  # env's own -S splits its argument
        words[:1] = [shutil.which(words[0]) or words[0]] if words else []
    return words


def python_options(arguments: Sequence[str]) -> str:
    """Return the letters of a Python's own options: those before its script, -c or -m."""
    letters = ""
    words = iter(arguments)
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            break
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(words, None)
            continue
        own = re.split(r"[cmWX]", word[1:], maxsplit=1)[0]
        letters += own
        rest = word[1 + len(own) :]
        if rest[:1] in ("c", "m"):
            break
        if rest in ("W", "X"):
            next(words, None)
    return letters


def _has_credwatch(python: str) -> bool:
    """Ask another interpreter whether it has credwatch; where it does not answer, say nothing of it."""
    code = (
        "import importlib.util, sys; sys.path[:] = filter(None, sys.path)\n"  # not what lies in this directory
        "sys.exit(0 if importlib.util.find_spec('credwatch') else 9)"
    )
    try:
        return subprocess.run([python, "-c", code], capture_output=True, timeout=10, check=False).returncode != 9
    except (OSError, subprocess.TimeoutExpired):
        return True


def _missing(command: str) -> int:
    if os.sep not in command:
        return _say(f"`{_shown(command)}` is not found on the PATH", NOT_FOUND)
    path = Path(command)
    if not path.exists():
        return _say(f"`{_shown(command)}` does not exist", NOT_FOUND)
    what = "is a directory" if path.is_dir() else "is not executable (chmod +x, or name its interpreter)"
    return _say(f"`{_shown(command)}` {what}", CANNOT_RUN)


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _say(sentence: str, code: int) -> int:
    sys.stderr.write(f"credwatch run: {sentence}\n")
    return code
