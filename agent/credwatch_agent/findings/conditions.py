"""Conditions that would have changed nothing: what stayed the same in every call that a statement allowed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from credwatch_agent.compare import RoleView, StatementView
from credwatch_agent.evidence import Signed
from credwatch_agent.evidence.settings import DAY_NS
from credwatch_agent.findings import grants, words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.wildcards import changeable, subject

KEY = "aws:RequestedRegion"
LONG_NS = 30 * DAY_NS
"""A constant of fewer days is no constant, whatever the window."""

# their calls go to one region whatever the caller means, most of them to us-east-1
GLOBAL = frozenset(
    {
        "account", "aws-portal", "budgets", "ce", "chime", "cloudfront", "globalaccelerator", "health", "iam",
        "importexport", "networkmanager", "organizations", "pricing", "route53", "route53domains", "shield", "sts",
        "support", "trustedadvisor", "waf",
    }
)  # fmt: skip


def condition_could_be_added(world: World) -> Iterator[Finding]:
    """Only of statements that leave the region open, and of roles of which all calls are known."""
    for view in world.roles:
        open_ = [statement for statement in view.statements if _leaves_region_open(statement)]
        if not open_ or not changeable(view.role) or view.coverage.gaps:
            continue
        calls = _by_action(world.joined.by_role(view.role.arn))
        for statement in open_:
            signed = [item for grant in statement.used for item in calls[grant.action.lower()]]
            regions = {item.usage.region for item in signed}
            if len(regions) == 1 and regions != {""} and _long(signed):
                yield _finding(view, statement, signed, regions.pop())


def _by_action(signed: Sequence[Signed]) -> defaultdict[str, list[Signed]]:
    calls: defaultdict[str, list[Signed]] = defaultdict(list)
    for item in signed:
        if item.usage.outcome == "allowed":
            for action in item.usage.actions:
                calls[action.lower()].append(item)
    return calls


def _long(signed: Sequence[Signed]) -> bool:
    first_ns, last_ns = words.seen(signed)
    return last_ns - first_ns >= LONG_NS


def _leaves_region_open(statement: StatementView) -> bool:
    inner = statement.statement
    conditioned = any(condition.key.lower() == KEY.lower() for condition in inner.conditions)
    # a bucket, or whatever else a name alone identifies, is in one region
    wide = inner.not_resources or any(_open(entry) for entry in inner.resources)
    services = {grant.action.partition(":")[0] for grant in statement.used}
    return bool(services) and not services & GLOBAL and not conditioned and bool(wide)


def _open(entry: str) -> bool:
    parts = entry.split(":", 5)
    if len(parts) < 6:
        return True
    return "*" in parts[3] or (not parts[3] and parts[5].startswith("*"))


def _finding(view: RoleView, statement: StatementView, signed: Sequence[Signed], region: str) -> Finding:
    first_ns, last_ns = words.seen(signed)
    condition = {"StringEquals": {KEY: region}}
    source = grants.source(statement)
    old = source.get("Condition", {})
    merged = {**old, "StringEquals": {**old.get("StringEquals", {}), **condition["StringEquals"]}}
    return Finding(
        id="condition-could-be-added",
        severity=Severity.INFO,
        kind=Subject.STATEMENT,
        subject=subject(view.role, statement),
        sentence=(
            f"statement `{statement.name}` of policy `{statement.policy.name}` is open to every region, and"
            f" `{view.role.name}` used it in `{region}` alone"
        ),
        evidence=(words.calls(signed), f"region of all of them: `{region}`"),
        fixes=(
            Fix(
                "Add the condition; a failover to another region then needs another statement.",
                json.dumps({**source, "Condition": merged}, indent=2),
                "json",
            ),
            Fix(*grants.write(view.role, statement.policy), "shell"),
        ),
        role_arn=view.role.arn,
        first_ns=first_ns,
        last_ns=last_ns,
        policy=statement.policy.name,
        statement=statement.statement.index,
    )


RULES = (
    Rule(
        id="condition-could-be-added",
        severity="info",
        check=condition_could_be_added,
        what="A statement is open to every region, and all it was used for happened in one.",
        why="Keys that leak are tried in other regions, where nobody looks.",
        how_we_know=(
            "All calls that needed the statement's used actions name one region, over 30 days at least, and nothing"
            " stands against calling the role's other actions unused. Not said of global services, of a statement"
            " whose resources name their region, or of one with such a condition. VPC and account are not judged:"
            " telemetry does not tell from which VPC a call came, nor who owns a bucket."
        ),
        how_to_fix="Add `aws:RequestedRegion`.",
        references=("IAM user guide, AWS global condition context keys",),
    ),
)
