"""`credwatch-agent report`: what is granted, what is used, what is wrong, and what is not known."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from credwatch.operations.coverage import unobservable
from credwatch_agent.cli.console import out
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS
from credwatch_agent.cli.second import Documents, Trails, read_second
from credwatch_agent.cli.stored import Db, read_telemetry
from credwatch_agent.evidence import Settings
from credwatch_agent.exports import json as as_json
from credwatch_agent.exports import table
from credwatch_agent.iam.catalogue import known
from credwatch_agent.report import Report, build
from credwatch_agent.snapshot import Index, load


def report(
    db: Db,
    snapshot: Annotated[Path, typer.Option(help="File that `snapshot` wrote.")],
    window: Annotated[
        float, typer.Option(min=1e-6, help="Days in which an action must not have been seen to be called unused.")
    ] = Settings().window_days,
    earlier: Annotated[
        Path | None, typer.Option(help="Snapshot of an earlier day: what was in use and is no longer granted is named.")
    ] = None,
    cloudtrail: Trails = None,
    last_accessed: Documents = None,
    statements: Annotated[
        bool, typer.Option("--statements", help="Show each role with its users and its statements.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")] = False,
) -> int:
    """Compare granted with used. Exit code 0: clean, 1: findings, 2: usage, 3: something could not be known."""
    attached = load(snapshot)
    telemetry = read_telemetry(db)
    before = load(earlier) if earlier else None
    now_ns = time.time_ns()
    settings = Settings(window_days=window)
    second = read_second(cloudtrail, last_accessed, Index(attached), now_ns, settings)
    made = build(telemetry, attached, now_ns, settings, emits, earlier=before, second=second)
    if json:
        out.print(as_json.render(made), soft_wrap=True)
    else:
        table.render(made, out, statements=statements)
    return _exit_code(made, bool(attached.missing or second.problems))


def emits(action: str) -> bool | None:
    """Tell whether some SDK operation is authorised as an action, as far as the operation map knows the action."""
    return not unobservable(action) if known(action) else None


def _exit_code(made: Report, incomplete: bool) -> int:
    if made.findings:
        return FINDINGS
    return COULD_NOT_KNOW if incomplete or not made.services else CLEAN
