"""`credwatch-agent snapshot`: read what is attached, and keep it in a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import boto3
import typer
from botocore.exceptions import BotoCoreError, NoRegionError

from credwatch_agent.cli.console import err, out
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, UsageError
from credwatch_agent.snapshot import Snapshot, read_files, read_live, save
from credwatch_agent.snapshot.model import INSTANCES, ROLES, TASK_DEFINITIONS, TASKS


def snapshot(
    out_file: Annotated[Path, typer.Option("--out", help="File to write; replaced as a whole.")],
    authorization_details: Annotated[
        list[Path] | None,
        typer.Option(help="Read `aws iam get-account-authorization-details` JSON instead of the API; repeatable."),
    ] = None,
    eks: Annotated[bool, typer.Option("--eks", help="Read the pod identity associations of EKS too.")] = False,
    endpoint_url: Annotated[str, typer.Option(help="Endpoint for all AWS APIs; default: AWS's own.")] = "",
    region: Annotated[
        str, typer.Option(envvar="AWS_REGION", help="Region of ECS and EC2; default: the session's.")
    ] = "",
) -> int:
    """Read roles, policies, tasks and hosts. Never writes to AWS. Exit code 3 where something could not be read."""
    now_ns = time.time_ns()
    found = (
        read_files(authorization_details, now_ns) if authorization_details else _live(now_ns, region, endpoint_url, eks)
    )
    save(found, out_file)
    out.print(f"{_summary(found)} -> {out_file}", soft_wrap=True)
    for missing in found.missing:
        err.print(f"credwatch-agent: {missing.sentence}", soft_wrap=True)
    return COULD_NOT_KNOW if found.missing else CLEAN


def _live(now_ns: int, region: str, endpoint_url: str, eks: bool) -> Snapshot:
    """Read the account; a configuration with which no client can be made is the user's to mend."""
    try:
        return read_live(boto3.Session(), now_ns, region=region, endpoint_url=endpoint_url, eks=eks)
    except NoRegionError:
        raise UsageError("no region is set: pass --region, or set AWS_REGION") from None
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"no AWS client can be made: {error}") from None


def _summary(found: Snapshot) -> str:
    policies = sum(len(role.policies) for role in found.roles)
    parts = (
        (ROLES, f"{len(found.roles)} roles with {policies} policies"),
        (TASK_DEFINITIONS, f"{len(found.task_definitions)} task definitions"),
        (TASKS, f"{len(found.tasks)} running tasks"),
        (INSTANCES, f"{len(found.instances)} instances"),
    )
    return ", ".join(text if found.knows(layer) else f"{layer}: not known" for layer, text in parts)
