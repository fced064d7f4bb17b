"""`credwatch-agent recommend`: a smaller policy for one role, and what it guarantees."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from textwrap import wrap
from typing import Annotated

import typer

from credwatch_agent.cli.console import err, out
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS
from credwatch_agent.cli.policies import read_evidence
from credwatch_agent.cli.report import Records
from credwatch_agent.cli.second import Documents, Trails
from credwatch_agent.cli.stored import Db
from credwatch_agent.evidence import Settings
from credwatch_agent.exports import cloudformation, policy_diff, policy_json, terraform
from credwatch_agent.recommend import WHAT_TO_DO, Recommendation
from credwatch_agent.recommend.view import attached, of_role


class Format(str, Enum):
    DIFF = "diff"
    JSON = "json"
    TERRAFORM = "terraform"
    CLOUDFORMATION = "cloudformation"


class Resources(str, Enum):
    CONTAINER = "container"
    FULL = "full"


def recommend(  # noqa: PLR0913, PLR0917 - an option each
    role: Annotated[str, typer.Argument(help="Name or ARN of the role.")],
    db: Db,
    snapshot: Annotated[Path, typer.Option(help="File that `snapshot` wrote.")],
    window: Annotated[
        float, typer.Option(min=1e-6, help="Days in which an action must not have been seen to be called unused.")
    ] = Settings().window_days,
    cloudtrail: Trails = None,
    last_accessed: Documents = None,
    record: Records = None,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.DIFF,
    resources: Annotated[Resources, typer.Option(help="How far to narrow resources.")] = Resources.CONTAINER,
) -> int:
    """Narrow a role's policies to what was seen. Exit code 0: nothing to change, 1: something, 3: not proved."""
    evidence = read_evidence(role, db, snapshot, window, cloudtrail, last_accessed, record or ())
    for problem in evidence.problems:
        _tell(problem)
    found = of_role(evidence.view, evidence.signed, evidence.now_ns, evidence.settings, resources.value)
    renderers = {
        Format.DIFF: lambda: policy_diff.render(attached(evidence.view), found),
        Format.JSON: lambda: policy_json.render(found),
        Format.TERRAFORM: lambda: terraform.render(found),
        Format.CLOUDFORMATION: lambda: cloudformation.render(found),
    }
    text = renderers[form]().rstrip("\n")
    if text:
        out.print(text, soft_wrap=True)
    _explain(found)
    if not found.claim.holds or evidence.problems:
        return COULD_NOT_KNOW
    return FINDINGS if any(each.change != "same" for each in found.policies) else CLEAN


def _explain(found: Recommendation) -> None:
    """Tell people on stderr what happens to each policy, why things stayed, and the claim."""
    for each in found.policies:
        if each.part == 1 and not found.skipped:
            _tell(f"{each.original}: {WHAT_TO_DO[each.change]}")
    for note in found.notes:
        _tell(f"- {note.where}: {note.text}" if note.where else f"- {note.text}", indent="  ")
    _tell(found.skipped or found.claim.text)
    if found.claim.why_not:
        _tell(f"not proved: {found.claim.why_not}")


def _tell(text: str, indent: str = "") -> None:
    """Write one sentence, wrapped between words so that names and ARNs stay whole."""
    later = f"{indent}  " if indent else ""
    for line in wrap(
        text, err.width, initial_indent=indent, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    ):
        err.print(line, soft_wrap=True)
