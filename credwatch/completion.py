"""Completion of `credwatch` in a shell: by argcomplete where that is installed, else not at all.

Owns the subcommand `completion` and the answer that the script asks for. argcomplete is the extra
`credwatch[completion]`: services, which complete nothing, do not have it.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

SHELLS = ("bash", "zsh", "fish")
UNKNOWN = 3

_ASKED = "_ARGCOMPLETE"
"""Set by the script when it asks this program what may follow."""

_EPILOG = """\
exit codes: 0 printed, 2 usage, 3 argcomplete is not installed.

examples:
  eval "$(credwatch completion bash)"
  credwatch completion zsh > _credwatch
"""


def register(subcommands: Any) -> None:
    """Add `completion` to the subcommands of an argparse parser."""
    parser = subcommands.add_parser(
        "completion",
        help="print the completion script of a shell",
        description="Print the completion script of a shell. Needs argcomplete: pip install 'credwatch[completion]'.",
        epilog=_EPILOG,
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to complete")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script; returns the exit code."""
    try:
        from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - an extra
    except ImportError:
        sys.stderr.write("credwatch completion: argcomplete is not installed: pip install 'credwatch[completion]'\n")
        return UNKNOWN
    sys.stdout.write(shellcode(["credwatch"], shell=arguments.shell))
    return 0


def answer(parser: argparse.ArgumentParser) -> None:
    """Where a shell asks what may follow, answer and end this process."""
    if _ASKED not in os.environ:
        return
    try:
        import argcomplete  # noqa: PLC0415 - an extra
    except ImportError:
        raise SystemExit(1) from None  # and do not run what is still being typed
    argcomplete.autocomplete(parser)
