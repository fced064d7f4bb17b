"""The command `credwatch`: a table of subcommands, each registered by its own room."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from credwatch import __version__, run
from credwatch.doctor import command as doctor
from credwatch.identity import command as whoami

COMMANDS: tuple[Callable[[Any], None], ...] = (whoami.register, run.register, doctor.register)
"""Each adds its subcommand and sets `run`, which takes the parsed arguments and returns the exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `credwatch`; returns the exit code: 0 clean, 1 findings, 2 usage, 3 could not know."""
    parser = argparse.ArgumentParser(prog="credwatch", description="Which credential source signs each AWS call.")
    parser.add_argument("--version", action="version", version=f"credwatch {__version__}")
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for register in COMMANDS:
        register(subcommands)
    parsed = parser.parse_args(arguments)
    code: int = parsed.run(parsed)
    return code
