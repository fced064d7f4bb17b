"""`credwatch-agent snapshot`: read what is attached, and keep it in a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import boto3
import typer

from credwatch_agent.cli.console import err, out
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW
from credwatch_agent.snapshot import Snapshot, read_files, read_live, save


def snapshot(
    out_file: Annotated[Path, typer.Option("--out", help="File to write; replaced as a whole.")],
    authorization_details: Annotated[
        list[Path] | None,
        typer.Option(help="Read `aws iam get-account-authorization-details` JSON instead of the API; repeatable."),
    ] = None,
    endpoint_url: Annotated[str, typer.Option(help="Endpoint for all AWS APIs; default: AWS's own.")] = "",
    region: Annotated[str, typer.Option(help="Region of ECS and EC2; default: the session's.")] = "",
) -> int:
    """Read roles, policies, tasks and hosts. Never writes to AWS. Exit code 3 where something could not be read."""
    now_ns = time.time_ns()
    if authorization_details:
        found = read_files(authorization_details, now_ns)
    else:
        found = read_live(boto3.Session(), now_ns, region=region, endpoint_url=endpoint_url)
    save(found, out_file)
    out.print(f"{_summary(found)} -> {out_file}", soft_wrap=True)
    for missing in found.missing:
        err.print(f"credwatch-agent: {missing.sentence}", soft_wrap=True)
    return COULD_NOT_KNOW if found.missing else CLEAN


def _summary(found: Snapshot) -> str:
    policies = sum(len(role.policies) for role in found.roles)
    return (
        f"{len(found.roles)} roles with {policies} policies, {len(found.tasks)} tasks of "
        f"{len(found.task_definitions)} task definitions, {len(found.instances)} instances"
    )
