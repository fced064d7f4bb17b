"""`credwatch-agent policy-check`: for CI, whether a changed policy grants nothing new and breaks nothing observed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from credwatch_agent.cli.console import document, say
from credwatch_agent.cli.diff import described, sentence
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS
from credwatch_agent.cli.policies import read_evidence, read_policies
from credwatch_agent.cli.progress import Quiet
from credwatch_agent.cli.stored import AsJson, Db, Taken
from credwatch_agent.evidence.settings import DEFAULT_WINDOW_DAYS
from credwatch_agent.findings.words import count
from credwatch_agent.iam.contain import Proved, Refuted, contain
from credwatch_agent.recommend import lost
from credwatch_agent.recommend.view import calls


def policy_check(
    a: Annotated[Path, typer.Argument(metavar="A", help="The policy as it is: a document, or a JSON list of them.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The policy as it would be.")],
    role: Annotated[str, typer.Option(metavar="ROLE", help="Name or ARN of the role that has it.")],
    db: Db,
    snapshot: Taken,
    window: Annotated[
        float, typer.Option(metavar="DAYS", min=1e-6, help="Days of observed calls to keep.")
    ] = DEFAULT_WINDOW_DAYS,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Prove that a changed policy adds nothing, breaks nothing."""
    old, new = read_policies(a), read_policies(b)
    evidence = read_evidence(role, db, snapshot, window, quiet=quiet)
    granted = contain(new, old)
    observed = list(calls(evidence.signed))
    gone = lost(old, new, observed)
    # one call may be lost in more than one way, such as from two regions
    losses: Counter[tuple[str, str]] = Counter()
    for each in gone:
        losses[each.call.action, each.resource] += each.call.calls
    total = sum(each.calls for each in observed)
    if as_json:
        rows = [{"action": action, "resource": on, "calls": number} for (action, on), number in losses.items()]
        document({**described(str(b), str(a), granted), "loses": rows, "observed_calls": total})
    else:
        say(sentence(str(b), str(a), granted), later="  ")
        for (action, on), number in losses.items():
            say(f"{b} loses {action} on {on} ({count(number, 'call')})", later="  ")
        if not gone:
            say(f"{b} breaks no observed call ({count(total, 'call')})", later="  ")
    if gone or isinstance(granted, Refuted):
        return FINDINGS
    return CLEAN if isinstance(granted, Proved) and observed else COULD_NOT_KNOW
