"""The subcommand `credwatch whoami`: options, exit code, where the text goes."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from credwatch.identity.model import Identity, World

CLEAN, FINDINGS, USAGE, UNKNOWN = 0, 1, 2, 3

_EPILOG = """\
exit codes: 0 nothing wrong (with --expect: it is that role), 1 something is wrong (another role),
2 usage, 3 could not be known. Never prints a secret, runs a credential_process or assumes a role;
asks the metadata endpoints that the SDK would ask, and AWS only with --verify.

examples:
  credwatch whoami
  credwatch whoami --expect orders-task-role
  credwatch whoami --pid 4711 --parents --json
"""


def register(subcommands: Any) -> None:
    """Add `whoami` to the subcommands of an argparse parser."""
    parser = subcommands.add_parser(
        "whoami",
        help="which credential source would this process use, and what is wrong with it",
        description="Which credential source would a process use, and what is wrong with it.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--pid", type=process_id, metavar="N", help="look at the environment and files of process N instead"
    )
    parser.add_argument("--profile", metavar="NAME", help="as if code gave this profile: it beats the environment")
    parser.add_argument("--expect", metavar="ROLE", help="name, ARN or glob: exit 0 if it is that role, 1 if not")
    parser.add_argument("--verify", action="store_true", help="ask AWS too (sts:GetCallerIdentity)")
    parser.add_argument(
        "--parents", action="store_true", help="also read the environment of the parent process and of PID 1"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with a `version`")
    parser.add_argument("--no-color", action="store_true", help="no colours (NO_COLOR does the same)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out; returns the exit code."""
    # botocore takes a tenth of a second to import: other subcommands need none of it
    from credwatch.identity import edges  # noqa: PLC0415
    from credwatch.identity.ask import inspect  # noqa: PLC0415
    from credwatch.identity.verify import CannotVerify, verify  # noqa: PLC0415

    try:
        world = _world(arguments)
    except edges.CannotRead as error:
        return _cannot(str(error))
    report = inspect(world, arguments.profile)
    identity, failed = report.identity, ""
    if arguments.verify:
        try:
            identity = verify(identity, report.keys, world.environ)
        except CannotVerify as error:
            failed = str(error)
    _print(identity, arguments)
    if failed:
        return _cannot(failed)
    return _expected(identity, arguments.expect) if arguments.expect is not None else _plain(identity)


def _world(arguments: argparse.Namespace) -> World:
    from credwatch.identity import edges  # noqa: PLC0415

    if arguments.pid is None:
        return edges.this_process(parents=arguments.parents)
    return edges.other_process(arguments.pid, parents=arguments.parents)


def _print(identity: Identity, arguments: argparse.Namespace) -> None:
    from credwatch.identity.render import render  # noqa: PLC0415

    if arguments.json:
        sys.stdout.write(json.dumps(identity.as_json(), indent=2) + "\n")
        return
    colour = coloured(arguments.no_color)
    width = min(shutil.get_terminal_size((80, 24)).columns, 120)
    who = f"Process {arguments.pid}" if arguments.pid is not None else ""
    sys.stdout.write(render(identity, now=datetime.now(timezone.utc), width=width, colour=colour, who=who))


def _plain(identity: Identity) -> int:
    if any(step.state == "unsure" for step in identity.steps):
        return UNKNOWN
    return FINDINGS if identity.wrong else CLEAN


def _expected(identity: Identity, expected: str) -> int:
    from credwatch.identity.expect import matches  # noqa: PLC0415

    matched = matches(identity, expected)
    if matched is None:
        return _cannot("the role is not known without asking AWS: try --verify")
    if not matched:
        actual = identity.principal or f"no role ({identity.source})"
        sys.stderr.write(f"credwatch whoami: expected {expected!a}, it is {actual}\n")
    return CLEAN if matched else FINDINGS


def _cannot(sentence: str) -> int:
    sys.stderr.write(f"credwatch whoami: {sentence}\n")
    return UNKNOWN


def coloured(no_color: bool) -> bool:
    """Return whether to write colours: to a terminal that has them, and where nobody asked for none."""
    asked_for_none = no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not asked_for_none


def process_id(text: str) -> int:
    """Return the process id that an option names; for argparse."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"`{text}` is no process id")
    return int(text)
