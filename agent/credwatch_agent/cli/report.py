"""`credwatch-agent report`: what is granted, what is used, what is wrong, and what is not known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError

from credwatch.operations.coverage import unobservable
from credwatch_agent.cli.console import out
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS, UsageError
from credwatch_agent.evidence import Settings, begins
from credwatch_agent.exports import json as as_json
from credwatch_agent.exports import table
from credwatch_agent.iam.catalogue import known
from credwatch_agent.records import Second
from credwatch_agent.report import Report, build
from credwatch_agent.second import read
from credwatch_agent.snapshot import Index, Snapshot, load
from credwatch_agent.store.sqlite import SqliteStore


def report(
    db: Annotated[Path, typer.Option(help="SQLite file that `serve` keeps.")],
    snapshot: Annotated[Path, typer.Option(help="File that `snapshot` wrote.")],
    window: Annotated[
        float, typer.Option(min=1e-6, help="Days in which an action must not have been seen to be called unused.")
    ] = Settings().window_days,
    earlier: Annotated[
        Path | None, typer.Option(help="Snapshot of an earlier day: what was in use and is no longer granted is named.")
    ] = None,
    cloudtrail: Annotated[
        list[str] | None,
        typer.Option(help="CloudTrail log file, folder of them, or s3://BUCKET/PREFIX; repeatable."),
    ] = None,
    last_accessed: Annotated[
        list[str] | None,
        typer.Option(help="FILE or ROLE=FILE of `aws iam get-service-last-accessed-details`; repeatable."),
    ] = None,
    statements: Annotated[
        bool, typer.Option("--statements", help="Show each role with its users and its statements.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")] = False,
) -> int:
    """Compare granted with used. Exit code 0: clean, 1: findings, 2: usage, 3: something could not be known."""
    attached = load(snapshot)
    with closing(SqliteStore.open(db, read_only=True)) as store:
        telemetry = store.telemetry()
    before = load(earlier) if earlier else None
    now_ns = time.time_ns()
    settings = Settings(window_days=window)
    second = read_second(cloudtrail or (), last_accessed or (), attached, now_ns, settings)
    made = build(telemetry, attached, now_ns, settings, emits, earlier=before, second=second)
    if json:
        out.print(as_json.render(made), soft_wrap=True)
    else:
        table.render(made, out, statements=statements)
    return _exit_code(made, bool(attached.missing or second.problems))


def read_second(
    trails: Sequence[str], documents: Sequence[str], attached: Snapshot, now_ns: int, settings: Settings
) -> Second:
    """Return what second sources say of the longest window of any role."""
    index = Index(attached)
    since_ns = min((now_ns - settings.window_ns, *begins(index, now_ns, settings).values()))
    return read(trails, documents, since_ns, _s3, lambda name: _role_arn(name, index))


def _s3() -> Any:
    try:
        return boto3.Session().client("s3")
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"no S3 client can be made: {error}") from None


def _role_arn(name: str, index: Index) -> str:
    return name if name in index.roles else index.role_arn(name=name)


def emits(action: str) -> bool | None:
    """Tell whether some SDK operation is authorised as an action, as far as the operation map knows the action."""
    return not unobservable(action) if known(action) else None


def _exit_code(made: Report, incomplete: bool) -> int:
    if made.findings:
        return FINDINGS
    return COULD_NOT_KNOW if incomplete or not made.services else CLEAN
