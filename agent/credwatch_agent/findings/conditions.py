"""Conditions that would have changed nothing: what stayed the same in every call that a statement allowed.

The region of all of them, and the services that took the roles that were passed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from credwatch_agent.compare import RoleView, StatementView
from credwatch_agent.compare.passed import ACTION, PASSED_TO, passed_to
from credwatch_agent.evidence import Signed
from credwatch_agent.evidence.settings import DAY_NS
from credwatch_agent.findings import grants, words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.wildcards import changeable, subject
from credwatch_agent.iam.document import with_equals
from credwatch_agent.iam.element import actions

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
    """Only of statements that leave region or service open, and of roles of which all calls are known."""
    for view in world.roles:
        open_ = [statement for statement in view.statements if _leaves_region_open(statement)]
        passing = [statement for statement in view.statements if _leaves_service_open(statement)]
        if not (open_ or passing) or not changeable(view.role) or view.coverage.gaps:
            continue
        calls = _by_action(world.joined.by_role(view.role.arn))
        for statement in open_:
            signed = [item for grant in statement.used for item in calls[grant.action.lower()]]
            regions = {item.usage.region for item in signed}
            if len(regions) == 1 and regions != {""} and _long(signed):
                yield _of_region(view, statement, signed, regions.pop())
        signed = calls[ACTION.lower()]
        if any(action == ACTION for use in view.coverage.second.uses for action, _ in use.authorizations):
            continue  # CloudTrail does not say which service took the role
        services = [to for item in signed for to in _passed(item)]
        if passing and services and all(services) and _long(signed):
            named = sorted({service for to in services for service in to})
            yield from (_of_service(view, statement, signed, named) for statement in passing)


def _passed(item: Signed) -> Iterator[tuple[str, ...]]:
    """Yield, of each `iam:PassRole` of a call, the services to one of which the roles were passed."""
    for action, resources in item.usage.authorizations:
        if action == ACTION:
            yield passed_to(action, resources, item.usage.facets)


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


def _leaves_service_open(statement: StatementView) -> bool:
    """Tell whether a statement names `iam:PassRole`, was used for it, and does not say which service takes the role."""
    inner = statement.statement
    named = ACTION.lower() in map(str.lower, inner.actions)
    # what is left of the statement would grant it as before
    alone = not actions([each for each in inner.actions if each.lower() != ACTION.lower()]).match(ACTION)
    conditioned = any(condition.key.lower() == PASSED_TO.lower() for condition in inner.conditions)
    return named and alone and not conditioned and any(grant.action == ACTION for grant in statement.used)


def _of_region(view: RoleView, statement: StatementView, signed: Sequence[Signed], region: str) -> Finding:
    return _finding(
        view,
        statement,
        signed,
        f"is open to every region, and `{view.role.name}` used it in `{region}` alone",
        f"region of all of them: `{region}`",
        Fix(
            "Add the condition; a failover to another region then needs another statement.",
            json.dumps(with_equals(grants.source(statement), KEY, region), indent=2),
            "json",
        ),
    )


def _of_service(view: RoleView, statement: StatementView, signed: Sequence[Signed], services: list[str]) -> Finding:
    source = grants.source(statement)
    rest = [each for each in statement.statement.actions if each.lower() != ACTION.lower()]
    alone = with_equals({**source, "Action": ACTION}, PASSED_TO, services[0] if len(services) == 1 else services)
    if rest and "Sid" in alone:
        alone["Sid"] += "PassRole"
    return _finding(
        view,
        statement,
        signed,
        f"lets roles be passed to every service, and `{view.role.name}` passed them to {words.listed(services)} alone",
        f"services that take the role, as AWS documents the operations: {words.listed(services)}",
        Fix(
            "Add the condition; a new kind of deployment then needs its service in it.",
            json.dumps([{**source, "Action": rest}, alone] if rest else alone, indent=2),
            "json",
        ),
    )


def _finding(
    view: RoleView, statement: StatementView, signed: Sequence[Signed], what: str, evidence: str, fix: Fix
) -> Finding:
    first_ns, last_ns = words.seen(signed)
    return Finding(
        id="condition-could-be-added",
        severity=Severity.INFO,
        kind=Subject.STATEMENT,
        subject=subject(view.role, statement),
        sentence=f"statement `{statement.name}` of policy `{statement.policy.name}` {what}",
        evidence=(words.calls(signed), evidence),
        fixes=(fix, Fix(*grants.write(view.role, statement.policy), "shell")),
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
        what="A statement is open to every region or lets roles be passed to every service, and one was enough.",
        why=(
            "Keys that leak are tried in other regions, where nobody looks. A role that may be passed to every service"
            " may be run in one that nobody uses."
        ),
        how_we_know=(
            "All calls that needed the statement's used actions name one region, over 30 days at least, and nothing"
            " stands against calling the role's other actions unused. Not said of global services, of a statement"
            " whose resources name their region, or of one with such a condition. VPC and account are not judged:"
            " telemetry does not tell from which VPC a call came, nor who owns a bucket. Of a statement that names"
            " `iam:PassRole`: AWS documents of every operation that passed a role, over 30 days at least, the service"
            " that takes it."
        ),
        how_to_fix="Add `aws:RequestedRegion`, or `iam:PassedToService` where roles are passed.",
        references=(
            "IAM user guide, AWS global condition context keys",
            "IAM user guide, grant a user permissions to pass a role to an AWS service",
        ),
    ),
)
