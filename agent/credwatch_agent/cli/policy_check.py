"""`credwatch-agent policy-check`: for CI, whether a changed policy grants nothing new and breaks nothing observed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from credwatch_agent.cli.console import out
from credwatch_agent.cli.diff import sentence
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS
from credwatch_agent.cli.policies import read_evidence, read_policies
from credwatch_agent.cli.stored import Db
from credwatch_agent.evidence import Settings
from credwatch_agent.iam.contain import Proved, Refuted, contain
from credwatch_agent.recommend import lost
from credwatch_agent.recommend.view import calls


def policy_check(
    a: Annotated[Path, typer.Argument(help="The policy as it is: a document, or a JSON list of them.")],
    b: Annotated[Path, typer.Argument(help="The policy as it would be.")],
    role: Annotated[str, typer.Option(help="Name or ARN of the role that has it.")],
    db: Db,
    snapshot: Annotated[Path, typer.Option(help="File that `snapshot` wrote.")],
    window: Annotated[float, typer.Option(min=1e-6, help="Days of observed calls to keep.")] = Settings().window_days,
) -> int:
    """Exit code 0 only if B grants nothing new and keeps each observed call; 1 if not, 3 if not proved."""
    old, new = read_policies(a), read_policies(b)
    evidence = read_evidence(role, db, snapshot, window)
    granted = contain(new, old)
    observed = list(calls(evidence.signed))
    gone = lost(old, new, observed)
    out.print(sentence(str(b), str(a), granted), soft_wrap=True)
    for each in gone:
        out.print(f"{b} loses {each.call.action} on {each.resource} ({each.call.calls:,} calls)", soft_wrap=True)
    if not gone:
        out.print(f"{b} breaks no observed call ({sum(each.calls for each in observed):,} calls)", soft_wrap=True)
    if gone or isinstance(granted, Refuted):
        return FINDINGS
    return CLEAN if isinstance(granted, Proved) and observed else COULD_NOT_KNOW
