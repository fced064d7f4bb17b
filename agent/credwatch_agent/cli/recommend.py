"""`credwatch-agent recommend`: a smaller policy for one role, and what it guarantees."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from credwatch_agent.cli.console import data, err, say
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS
from credwatch_agent.cli.policies import read_evidence
from credwatch_agent.cli.progress import Quiet
from credwatch_agent.cli.report import Records, Window
from credwatch_agent.cli.second import Documents, Trails
from credwatch_agent.cli.stored import Db, Taken, one_of
from credwatch_agent.evidence.settings import DEFAULT_WINDOW_DAYS
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
    role: Annotated[str, typer.Argument(metavar="ROLE", help="Name or ARN of the role.")],
    db: Db,
    snapshot: Taken,
    window: Window = DEFAULT_WINDOW_DAYS,
    cloudtrail: Trails = None,
    last_accessed: Documents = None,
    record: Records = None,
    form: Annotated[Format, typer.Option("--format", metavar="FORMAT", help=one_of(Format))] = Format.DIFF,
    as_json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
    resources: Annotated[
        Resources, typer.Option(metavar="DETAIL", help="How far to narrow resources: container, full.")
    ] = Resources.CONTAINER,
    documented: Annotated[
        bool,
        typer.Option(
            "--documented",
            help="Name the services that roles are passed to (`iam:PassedToService`), where AWS documents them of "
            "every call: no request names them, so they were not seen.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> int:
    """Narrow a role's policies to what was seen."""
    evidence = read_evidence(role, db, snapshot, window, cloudtrail, last_accessed, record or (), quiet=quiet)
    for problem in evidence.problems:
        _tell(problem)
    found = of_role(
        evidence.view, evidence.signed, evidence.now_ns, evidence.settings, resources.value, documented=documented
    )
    renderers = {
        Format.DIFF: lambda: policy_diff.render(attached(evidence.view), found),
        Format.JSON: lambda: policy_json.render(found),
        Format.TERRAFORM: lambda: terraform.render(found),
        Format.CLOUDFORMATION: lambda: cloudformation.render(found),
    }
    text = renderers[Format.JSON if as_json else form]().rstrip("\n")
    if text:
        data(text)
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
    say(text, first=indent, later=f"{indent}  " if indent else "", console=err)
