"""`credwatch-agent watch`: after a change of a role's policies, what it broke and the way back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from credwatch_agent.cli.console import document, err, out, say
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS, UsageError
from credwatch_agent.cli.policies import Evidence, find_role, read_evidence
from credwatch_agent.cli.progress import Quiet
from credwatch_agent.cli.second import Documents, Trails
from credwatch_agent.cli.stored import AsJson, Db
from credwatch_agent.compare import Use, uses_of
from credwatch_agent.compare.model import with_trail
from credwatch_agent.evidence.settings import DAY_NS
from credwatch_agent.exports.layout import shell_lines, visible
from credwatch_agent.findings.words import count
from credwatch_agent.recommend import watch as after_change
from credwatch_agent.recommend.view import attached_to
from credwatch_agent.recommend.watch import Regression, Rollback
from credwatch_agent.snapshot import load

_NOTHING = "the change broke no call"
IDENTITY = frozenset({"", "identity-based"})
"""Values of `denied.layer` that speak of the role's own policies, or of none."""

_REFUSED = frozenset({"denied", "denied-or-missing"})


def watch(  # noqa: PLR0913, PLR0917 - an option each
    role: Annotated[str, typer.Argument(metavar="ROLE", help="Name or ARN of the role.")],
    db: Db,
    before: Annotated[Path, typer.Option(metavar="FILE", help="Snapshot from before the change.")],
    snapshot: Annotated[Path, typer.Option(metavar="FILE", help="Snapshot from after it.")],
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="When the change was made, ISO 8601; default: when --before was taken."),
    ] = "",
    cloudtrail: Trails = None,
    last_accessed: Documents = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Name the calls that a change of a role's policies broke."""
    old = load(before)
    earlier = find_role(old, role)
    since_ns = _moment(since) if since else old.taken_ns
    if since_ns > time.time_ns():
        raise UsageError(f"the change is in the future: {_stamp(since_ns)}")
    days = (time.time_ns() - since_ns) / DAY_NS
    evidence = read_evidence(earlier.arn, db, snapshot, days, cloudtrail, last_accessed, quiet=quiet)
    for problem in evidence.problems:
        say(problem, console=err)
    now = evidence.view.role
    was, is_ = attached_to(earlier), attached_to(now)
    refused = _refused(evidence)
    found = tuple(after_change.regressions(was, is_, refused))
    same = not after_change.changed(earlier, now)
    told = _Told(
        _summary(earlier.name, since_ns, evidence, found, len(refused) - len(found)),
        "its policies are the same in both snapshots" if same else "",
        found,
        {
            removed.name: after_change.statement(was, removed)
            for removed in dict.fromkeys(removed for each in found for removed in each.removed)
        },
        tuple(after_change.rollback(earlier, now, found)),
    )
    if as_json:
        document(_described(told, evidence))
    else:
        _show(told)
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


class _Told(NamedTuple):
    """What there is to say; `missing` holds statements by name."""

    summary: str
    note: str
    found: Sequence[Regression]
    missing: Mapping[str, Any]
    ways: Sequence[Rollback]


def _described(told: _Told, evidence: Evidence) -> dict[str, Any]:
    return {
        "summary": told.summary,
        **({"note": told.note} if told.note else {}),
        "broken": [
            {
                "action": each.use.action,
                "resource": each.use.resource,
                **({"passed_to": list(each.use.passed_to)} if each.use.passed_to else {}),
                "outcome": each.use.outcome,
                "calls": each.use.calls,
                "where": list(each.use.where),
                "denied_by": [place.name for place in each.denies],
                "allowed_by": [{"statement": place.name, "sure": place.sure} for place in each.removed],
            }
            for each in told.found
        ],
        "missing": [{"name": name, "statement": statement} for name, statement in told.missing.items()],
        "rollback": [
            {
                "policy": way.policy,
                "document": json.loads(way.document) if way.document else None,
                "commands": list(way.commands),
            }
            for way in told.ways
        ],
        "problems": list(evidence.problems),
    }


def _show(told: _Told) -> None:
    say(told.summary, later="  ")
    if told.note:
        say(told.note)
    for each in told.found:
        _show_broken(each)
    for name, statement in told.missing.items():
        out.print()
        say(f"missing: {name}", later="  ")
        document(statement)
    for way in told.ways:
        _show_rollback(way)


def _show_broken(each: Regression) -> None:
    use = each.use
    out.print()
    to = f", passed to {' or '.join(use.passed_to)}" if use.passed_to else ""
    say(f"{use.action} on {use.resource}{to}", later="  ")
    say(f"{use.outcome} {count(use.calls, 'time')} to {', '.join(use.where)}", first="  ", later="    ")
    if each.denies:
        say(f"denied now by: {'; '.join(place.name for place in each.denies)}", first="  ", later="    ")
        return
    word = "allowed it" if any(place.sure for place in each.removed) else "may have allowed it"
    say(f"{word} before: {'; '.join(place.name for place in each.removed)}", first="  ", later="    ")


def _show_rollback(way: Rollback) -> None:
    out.print()
    say(f"rollback of {way.policy}", later="  ")
    if way.document:
        document(json.loads(way.document))
    for command in way.commands:
        for line in shell_lines(command, out.width - 2):
            out.print(f"  {visible(line)}", soft_wrap=True)
