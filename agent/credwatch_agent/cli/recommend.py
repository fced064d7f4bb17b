"""`credwatch-agent recommend`: a smaller policy for one role, and what it guarantees."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from credwatch_agent.cli.console import err, out
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS
from credwatch_agent.cli.policies import read_evidence
from credwatch_agent.evidence import Settings
from credwatch_agent.exports import cloudformation, policy_diff, policy_json, terraform
from credwatch_agent.recommend.view import attached, of_role


class Format(str, Enum):
    DIFF = "diff"
    JSON = "json"
    TERRAFORM = "terraform"
    CLOUDFORMATION = "cloudformation"


class Resources(str, Enum):
    CONTAINER = "container"
    FULL = "full"


def recommend(
    role: Annotated[str, typer.Argument(help="Name or ARN of the role.")],
    db: Annotated[Path, typer.Option(help="SQLite file that `serve` keeps.")],
    snapshot: Annotated[Path, typer.Option(help="File that `snapshot` wrote.")],
    window: Annotated[
        float, typer.Option(min=1e-6, help="Days in which an action must not have been seen to be called unused.")
    ] = Settings().window_days,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.DIFF,
    resources: Annotated[Resources, typer.Option(help="How far to narrow resources.")] = Resources.CONTAINER,
) -> int:
    """Narrow a role's policies to what was seen. Exit code 0: nothing to change, 1: something, 3: not proved."""
    evidence = read_evidence(role, db, snapshot, window)
    found = of_role(evidence.view, evidence.signed, evidence.now_ns, evidence.settings, resources.value)
    renderers = {
        Format.DIFF: lambda: policy_diff.render(attached(evidence.view), found),
        Format.JSON: lambda: policy_json.render(found),
        Format.TERRAFORM: lambda: terraform.render(found),
        Format.CLOUDFORMATION: lambda: cloudformation.render(found),
    }
    out.print(renderers[form](), soft_wrap=True, end="" if form is Format.DIFF else "\n")
    for note in found.notes:
        where = f"{note.policy}, statement {note.statement}" if note.statement is not None else note.policy
        err.print(f"{where}: {note.text}" if where else note.text, soft_wrap=True)
    err.print(found.skipped or found.claim.text, soft_wrap=True)
    if found.claim.why_not:
        err.print(f"not proved: {found.claim.why_not}", soft_wrap=True)
    if not found.claim.holds:
        return COULD_NOT_KNOW
    return FINDINGS if any(each.change != "same" for each in found.policies) else CLEAN
