"""`credwatch-agent watch`: after a change of a role's policies, what it broke and the way back."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from credwatch_agent.cli.console import err, out
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS, UsageError
from credwatch_agent.cli.policies import Evidence, find_role, read_evidence
from credwatch_agent.cli.second import Documents, Trails
from credwatch_agent.cli.stored import Db
from credwatch_agent.compare import Use, uses_of
from credwatch_agent.compare.model import with_trail
from credwatch_agent.evidence.settings import DAY_NS
from credwatch_agent.recommend import watch as after_change
from credwatch_agent.recommend.view import attached_to
from credwatch_agent.recommend.watch import Regression, Rollback
from credwatch_agent.snapshot import load

_NOTHING = "the change broke no call"
IDENTITY = frozenset({"", "identity-based"})
"""Values of `denied.layer` that speak of the role's own policies, or of none."""

_REFUSED = frozenset({"denied", "denied-or-missing"})


def watch(
    role: Annotated[str, typer.Argument(help="Name or ARN of the role.")],
    db: Db,
    before: Annotated[Path, typer.Option(help="Snapshot from before the change.")],
    snapshot: Annotated[Path, typer.Option(help="Snapshot from after it.")],
    since: Annotated[
        str, typer.Option(help="When the change was made, ISO 8601; default: when --before was taken.")
    ] = "",
    cloudtrail: Trails = None,
    last_accessed: Documents = None,
) -> int:
    """Name the refused calls that the change broke. Exit code 0: none, 1: some, 3: nothing reported, or unreadable."""
    old = load(before)
    earlier = find_role(old, role)
    since_ns = _moment(since) if since else old.taken_ns
    if since_ns > time.time_ns():
        raise UsageError(f"the change is in the future: {_stamp(since_ns)}")
    evidence = read_evidence(earlier.arn, db, snapshot, (time.time_ns() - since_ns) / DAY_NS, cloudtrail, last_accessed)
    for problem in evidence.problems:
        err.print(problem, soft_wrap=True)
    now = evidence.view.role
    was, is_ = attached_to(earlier), attached_to(now)
    refused = _refused(evidence)
    found = tuple(after_change.regressions(was, is_, refused))
    out.print(_summary(earlier.name, since_ns, evidence, found, len(refused) - len(found)), soft_wrap=True)
    if not after_change.changed(earlier, now):
        out.print("its policies are the same in both snapshots", soft_wrap=True)
    for each in found:
        _show(each)
    missing = dict.fromkeys(removed for each in found for removed in each.removed)
    for removed in missing:
        out.print(f"\nmissing: {removed.name}", soft_wrap=True)
        out.print(json.dumps(after_change.statement(was, removed), indent=2), soft_wrap=True)
    for way in after_change.rollback(earlier, now, found):
        _show_rollback(way)
    if found:
        return FINDINGS
    known = evidence.signed or evidence.view.coverage.second.uses
    return CLEAN if known and not evidence.problems else COULD_NOT_KNOW


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise UsageError(f"`--since {text}` is no ISO 8601 time; write one such as 2026-01-31T08:00:00Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp() * 10**9)


def _refused(evidence: Evidence) -> list[Use]:
    """Return the refused calls that the role's own policies may have refused, also those that CloudTrail alone saw."""
    own = tuple(uses_of(each for each in evidence.signed if each.usage.denied_layer in IDENTITY))
    others = uses_of(each for each in evidence.signed if each.usage.denied_layer not in IDENTITY)
    # CloudTrail names no layer: what recorders saw another one alone refuse is that one's
    not_ours = {_key(use) for use in others} - {_key(use) for use in own}
    uses = with_trail(own, evidence.view.coverage.second.uses)
    return [use for use in uses if use.outcome in _REFUSED and _key(use) not in not_ours]


def _key(use: Use) -> tuple[str, str, str]:
    return use.action, use.resource, use.outcome


def _summary(role: str, since_ns: int, evidence: Evidence, found: tuple[Regression, ...], others: int) -> str:
    moment = _stamp(since_ns)
    trail = sum(use.calls for use in evidence.view.coverage.second.uses)
    if not evidence.signed and not trail:
        return f"{role}: no process reported a call since {moment}: nothing is known"
    total = sum(signed.row.calls for signed in evidence.signed)
    kinds = "kind of refused call is" if others == 1 else "kinds of refused calls are"
    rest = f"; {others:,} other {kinds} not its doing" if others else ""
    broke = f"the change broke {len(found):,} kind{'s' * (len(found) > 1)} of calls" if found else _NOTHING
    also = f" by recorders and {trail:,} by CloudTrail" if trail else ""
    return f"{role}: {total:,} calls reported{also} since {moment}, {broke}{rest}"


def _stamp(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _show(each: Regression) -> None:
    use = each.use
    out.print(f"\n{use.action} on {use.resource}", soft_wrap=True)
    out.print(f"  {use.outcome} {use.calls:,} times to {', '.join(use.where)}", soft_wrap=True)
    if each.denies:
        out.print(f"  denied now by: {'; '.join(place.name for place in each.denies)}", soft_wrap=True)
        return
    word = "allowed it" if any(place.sure for place in each.removed) else "may have allowed it"
    out.print(f"  {word} before: {'; '.join(place.name for place in each.removed)}", soft_wrap=True)


def _show_rollback(way: Rollback) -> None:
    out.print(f"\nrollback of {way.policy}", soft_wrap=True)
    if way.document:
        out.print(json.dumps(json.loads(way.document), indent=2), soft_wrap=True)
    for command in way.commands:
        out.print(f"  {command}", soft_wrap=True)
