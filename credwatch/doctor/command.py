"""The subcommand `credwatch doctor`: options, words, exit code."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from credwatch.identity.command import coloured, process_id

if TYPE_CHECKING:
    from credwatch.doctor.model import Agent, Line, Subject

USAGE = 2
UNKNOWN = 3

_EPILOG = """\
exit codes: 0 no problem, 1 a problem, 2 usage, 3 could not be known. Asks of the network: an empty
export to the endpoint that is configured, and, of an agent, whether it has seen the process of --pid.
Prints no header, no secret, changes nothing.

examples:
  credwatch run -- credwatch doctor
  credwatch doctor --pid 4711
  credwatch doctor --pid 4711 --agent http://127.0.0.1:4318 --json
"""


def register(subcommands: Any) -> None:
    """Add `doctor` to the subcommands of an argparse parser."""
    parser = subcommands.add_parser(
        "doctor",
        help="does credwatch record here, and does what it records arrive",
        description="Does credwatch record in a Python started here, and does what it records arrive?",
        epilog=_EPILOG,
    )
    parser.add_argument("--pid", type=process_id, metavar="N", help="look at process N instead, from outside")
    parser.add_argument("--agent", default="", metavar="URL", help="ask this agent whether it has seen the process")
    parser.add_argument(
        "--agent-headers", default="", metavar="FILE", help="`name: value` lines to ask it with: a token that may read"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with a `version`")
    parser.add_argument("--no-color", action="store_true", help="no colours (NO_COLOR does the same)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out; returns the exit code."""
    # what activation would warn of is said in lines of our own
    logging.getLogger("credwatch").addHandler(logging.NullHandler())
    from credwatch.doctor import edges  # noqa: PLC0415 - imports botocore, and with it what hooks botocore
    from credwatch.doctor.checks import examine, exit_code  # noqa: PLC0415
    from credwatch.identity.edges import CannotRead  # noqa: PLC0415
    from credwatch.instrumentation import TESTED_BOTOCORE  # noqa: PLC0415

    try:
        agent = _agent(arguments)
    except ValueError as error:
        sys.stderr.write(f"credwatch doctor: {error}\n")
        return USAGE
    try:
        subject = edges.this_process() if arguments.pid is None else edges.other_process(arguments.pid)
    except CannotRead as error:
        sys.stderr.write(f"credwatch doctor: {error}\n")
        return UNKNOWN
    lines = examine(subject, edges.ask, TESTED_BOTOCORE, agent)
    code = exit_code(lines)
    sys.stdout.write(_json(subject, lines, code) if arguments.json else _text(subject, lines, arguments.no_color))
    return code


def _agent(arguments: argparse.Namespace) -> Agent:
    """Return what the options say of the agent; raises ValueError with a sentence."""
    from credwatch.doctor.model import Agent  # noqa: PLC0415
    from credwatch.headers import headers_of  # noqa: PLC0415

    url, name = arguments.agent, arguments.agent_headers
    if url and not url.startswith(("http://", "https://")):
        raise ValueError("--agent wants the agent's HTTP address, such as http://127.0.0.1:4318")
    try:
        return Agent(url, headers_of(name) if name else None)
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise ValueError(f"--agent-headers cannot be read: {why}; check its path and mode") from None


def _json(subject: Subject, lines: Sequence[Line], code: int) -> str:
    from credwatch.doctor.model import JSON_VERSION  # noqa: PLC0415

    told = [line._asdict() for line in lines]
    return (
        json.dumps({"version": JSON_VERSION, "subject": subject.who, "exit_code": code, "lines": told}, indent=2) + "\n"
    )


def _text(subject: Subject, lines: Sequence[Line], no_colour: bool) -> str:
    colour = coloured(no_colour)
    width = min(shutil.get_terminal_size((80, 24)).columns, 120)
    return render(subject.who, lines, width=width, colour=colour)


def render(who: str, lines: Sequence[Line], *, width: int = 80, colour: bool = False) -> str:
    """Return the text for a terminal, a paragraph a line; ends in a line break."""
    from credwatch.identity.render import Style, clean  # noqa: PLC0415

    style = Style(colour)
    marks = {"ok": style.good, "problem": style.bad, "warning": style.strong, "note": style.faint}
    found = [f"credwatch doctor: {who}"]
    for line in lines:
        first = f"  {line.state:9}{line.id:14}"
        text = clean(f"{line.told}. Fix: {line.fix}" if line.fix else line.told)
        body = textwrap.wrap(text, max(width - len(first), 20), break_on_hyphens=False, break_long_words=False)
        found.append(f"  {marks.get(line.state, style.bad)(f'{line.state:9}')}{line.id:14}{body[0]}")
        found += [" " * len(first) + more for more in body[1:]]
    return "\n".join(found) + "\n"
