"""`credwatch-agent snapshot`: read what is attached, and keep it in a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import boto3
import typer
from botocore.exceptions import BotoCoreError, NoRegionError

from credwatch_agent.cli.console import document, err, say
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, UsageError
from credwatch_agent.cli.progress import Quiet, Tell, working
from credwatch_agent.cli.stored import AsJson
from credwatch_agent.findings.words import count
from credwatch_agent.snapshot import Snapshot, read_files, read_live, save
from credwatch_agent.snapshot.model import INSTANCES, ROLES, TASK_DEFINITIONS, TASKS


def snapshot(
    out_file: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write; replaced as a whole.")],
    authorization_details: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="JSON of `aws iam get-account-authorization-details` to read instead of the API; repeatable.",
        ),
    ] = None,
    eks: Annotated[bool, typer.Option("--eks", help="Read the pod identity associations of EKS too.")] = False,
    endpoint_url: Annotated[
        str, typer.Option(metavar="URL", help="Endpoint for all AWS APIs; default: AWS's own.")
    ] = "",
    region: Annotated[
        str, typer.Option(metavar="REGION", envvar="AWS_REGION", help="Region of ECS and EC2; default: the session's.")
    ] = "",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Read roles, policies, tasks and hosts into a file.

    Never writes to AWS.
    """
    now_ns = time.time_ns()
    with working("reading the account", quiet=quiet) as tell:
        found = (
            read_files(authorization_details, now_ns)
            if authorization_details
            else _live(now_ns, region, endpoint_url, eks, tell)
        )
    save(found, out_file)
    if as_json:
        document({"file": str(out_file), **_counts(found), "missing": [each.sentence for each in found.missing]})
    else:
        say(f"{_summary(found)} -> {out_file}")
    for missing in found.missing:
        say(f"credwatch-agent: {missing.sentence}", later="  ", console=err)
    return COULD_NOT_KNOW if found.missing else CLEAN


def _live(now_ns: int, region: str, endpoint_url: str, eks: bool, tell: Tell) -> Snapshot:
    """Read the account; a configuration with which no client can be made is the user's to mend."""
    try:
        return read_live(boto3.Session(), now_ns, region=region, endpoint_url=endpoint_url, eks=eks, tell=tell)
    except NoRegionError:
        raise UsageError("no region is set: pass --region, or set AWS_REGION") from None
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"no AWS client can be made: {error}") from None


def _summary(found: Snapshot) -> str:
    policies = sum(len(role.policies) for role in found.roles)
    parts = (
        (ROLES, f"{count(len(found.roles), 'role')} with {count(policies, 'policy')}"),
        (TASK_DEFINITIONS, count(len(found.task_definitions), "task definition")),
        (TASKS, count(len(found.tasks), "running task")),
        (INSTANCES, count(len(found.instances), "instance")),
    )
    return ", ".join(text if found.knows(layer) else f"{layer}: not known" for layer, text in parts)


def _counts(found: Snapshot) -> dict[str, int | None]:
    """Return how many of each there are; None where that is not known."""
    policies = [policy for role in found.roles for policy in role.policies]
    parts = (
        ("roles", ROLES, found.roles),
        ("policies", ROLES, policies),
        ("task_definitions", TASK_DEFINITIONS, found.task_definitions),
        ("running_tasks", TASKS, found.tasks),
        ("instances", INSTANCES, found.instances),
    )
    return {name: len(rows) if found.knows(layer) else None for name, layer, rows in parts}
