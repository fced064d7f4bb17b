"""`credwatch-agent report`: what is granted, what is used, what is wrong, and what is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from credwatch_agent.cli.compared import Asked, compared, read_exemptions
from credwatch_agent.cli.console import out
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS
from credwatch_agent.evidence import Settings
from credwatch_agent.evidence.settings import DEFAULT_WINDOW_DAYS
from credwatch_agent.exports import json as as_json
from credwatch_agent.exports import table
from credwatch_agent.report import Report

Db = Annotated[str, typer.Option(metavar="PATH|URL", help="Store that `serve` keeps: SQLite file or PostgreSQL URL.")]
Taken = Annotated[Path, typer.Option(help="File that `snapshot` wrote.")]
Window = Annotated[
    float, typer.Option(min=1e-6, help="Days in which an action must not have been seen to be called unused.")
]


def report(
    db: Db,
    snapshot: Taken,
    window: Window = DEFAULT_WINDOW_DAYS,
    statements: Annotated[
        bool, typer.Option("--statements", help="Show each role with its users and its statements.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")] = False,
    exemptions: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML file of exempted findings.")] = None,
    remember: Annotated[
        bool, typer.Option("--remember", help="Keep this report in the history: first and last seen, resolved, trend.")
    ] = False,
) -> int:
    """Compare granted with used. Exit code 0: clean, 1: findings, 2: usage, 3: something could not be known."""
    asked = Asked(db, snapshot, Settings(window_days=window), read_exemptions(exemptions))
    made, attached = compared(asked, remember=remember)
    if json:
        out.print(as_json.render(made), soft_wrap=True)
    else:
        table.render(made, out, statements=statements)
    return exit_code(made, bool(attached.missing))


def exit_code(made: Report, incomplete: bool) -> int:
    """Return the exit code: an open finding or an expired exemption comes before what could not be known."""
    if made.open or made.life.expired:
        return FINDINGS
    return COULD_NOT_KNOW if incomplete or not made.services else CLEAN
