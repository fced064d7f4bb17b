"""Rules about trust policies: who may assume a role. Nothing here is about who did.

Never a finding on `ec2.amazonaws.com`: EC2 does not fill `aws:SourceAccount` or `aws:SourceArn`, and
a condition on them breaks the role (prowler issue 2810).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from credwatch_agent.findings import grants, words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.wildcards import changeable
from credwatch_agent.iam import document as documents
from credwatch_agent.iam.condition import Condition
from credwatch_agent.iam.document import PolicyError, Statement
from credwatch_agent.snapshot import Role

TASKS = "ecs-tasks.amazonaws.com"
EC2 = frozenset({"ec2.amazonaws.com", "ec2.amazonaws.com.cn"})

_POSITIVE = frozenset({"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike", "IpAddress"})
# keys that tell callers apart so that not everyone is let in (IAM user guide, "Global condition context keys")
_NARROWING = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceip",
        "aws:sourceorgid",
        "aws:sourceorgpaths",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
        "sts:externalid",
    }
)
_SOURCE = frozenset({"aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths"})


def _trusts(world: World) -> Iterator[tuple[Role, tuple[Statement, ...]]]:
    """Yield each role that can be changed with the Allow statements of its trust policy."""
    for view in world.roles:
        role = view.role
        if changeable(role) and role.trust:
            try:
                parsed = documents.parse("trust", role.trust)
            except PolicyError:
                continue  # who may assume the role is not known; `coverage` says so
            yield role, tuple(s for s in parsed.statements if s.allows and _assumes(s))


def _assumes(statement: Statement) -> bool:
    names = ("sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML")
    return any(statement.action_globs.match(name) is not bool(statement.not_actions) for name in names)


def _narrows(condition: Condition, keys: frozenset[str]) -> bool:
    """Tell whether a condition demands a value of one of the keys, other than any value."""
    if condition.operator not in _POSITIVE or condition.if_exists or condition.qualifier == "ForAllValues":
        return False
    wide = {"*", "0.0.0.0/0", "::/0"}
    return condition.key.lower() in keys and not wide & set(condition.values)


def _services(statement: Statement) -> set[str]:
    return {name for kind, name in statement.principals if kind == "Service"}


def trust_wildcard_principal(world: World) -> Iterator[Finding]:
    for role, statements in _trusts(world):
        open_ = [s for s in statements if _everyone(s) and not any(_narrows(c, _NARROWING) for c in s.conditions)]
        if open_:
            yield _finding(
                "trust-wildcard-principal",
                Severity.CRITICAL,
                role,
                f"everyone with an AWS account may assume `{role.name}`",
                tuple(_shown(role, statement) for statement in open_),
                (
                    Fix(
                        "Name the principals, or narrow the statement to the organisation.",
                        json.dumps({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-EXAMPLE"}}}, indent=2),
                        "json",
                    ),
                    _update(role),
                ),
            )


def _everyone(statement: Statement) -> bool:
    return bool(statement.not_principals) or ("AWS", "*") in statement.principals


def trust_mixed_compute(world: World) -> Iterator[Finding]:
    for role, statements in _trusts(world):
        services = set().union(*(_services(s) for s in statements)) if statements else set()
        if TASKS in services and services & EC2:
            yield _finding(
                "trust-mixed-compute",
                Severity.MEDIUM,
                role,
                f"`{role.name}` may be assumed by EC2 instances and by ECS tasks: host and application share it",
                (f"the trust policy lets in {words.listed(sorted(services))}",),
                (
                    Fix(
                        "Make one role for the hosts and one for the tasks; this is the tasks' trust policy.",
                        grants.task_trust(role.arn.split(":")[4]),
                        "json",
                    ),
                    _update(role),
                ),
            )


def trust_missing_source_condition(world: World) -> Iterator[Finding]:
    for role, statements in _trusts(world):
        bare = [s for s in statements if TASKS in _services(s) and not any(_narrows(c, _SOURCE) for c in s.conditions)]
        if bare:
            mixed = any(_services(s) & EC2 for s in bare)
            yield _finding(
                "trust-missing-source-condition",
                Severity.LOW,
                role,
                f"the trust policy of `{role.name}` lets in ECS tasks without saying of which account",
                tuple(_shown(role, statement) for statement in bare),
                (
                    Fix(
                        "Let in the tasks of this account alone."
                        + (
                            " Keep EC2 in a statement of its own without the condition: EC2 does not send these keys."
                            if mixed
                            else ""
                        ),
                        grants.task_trust(role.arn.split(":")[4]),
                        "json",
                    ),
                    _update(role),
                ),
            )


def _shown(role: Role, statement: Statement) -> str:
    who = words.listed(name for _, name in (*statement.principals, *statement.not_principals))
    keys = words.listed(sorted({condition.key for condition in statement.conditions}))
    named = statement.sid or f"statement {statement.index}"
    what = "every principal but" if statement.not_principals else "lets in"
    return f"`{named}` of the trust policy: {what} {who}, {f'with conditions on {keys}' if keys else 'no condition'}"


def _update(role: Role) -> Fix:
    return Fix(
        "Write the trust policy back.",
        f"aws iam update-assume-role-policy --role-name {role.name} --policy-document file://trust.json",
        "shell",
    )


def _finding(
    name: str, severity: Severity, role: Role, sentence: str, evidence: tuple[str, ...], fixes: tuple[Fix, ...]
) -> Finding:
    return Finding(name, severity, Subject.ROLE, role.arn, sentence, evidence, fixes, role_arn=role.arn)


_KNOWN = "The trust policy's text in the snapshot; a policy that does not parse gives no finding."

RULES = (
    Rule(
        id="trust-wildcard-principal",
        severity="critical",
        check=trust_wildcard_principal,
        what="A trust policy lets in every principal, and no condition narrows it.",
        why="Anyone with an AWS account can assume the role.",
        how_we_know=_KNOWN,
        how_to_fix="Name the principals, or add a condition such as `aws:PrincipalOrgID`.",
        references=("IAM user guide, AWS JSON policy elements: Principal",),
    ),
    Rule(
        id="trust-mixed-compute",
        severity="medium",
        check=trust_mixed_compute,
        what="One role trusts both `ec2.amazonaws.com` and `ecs-tasks.amazonaws.com`.",
        why="Host and application share one identity: neither can be narrowed, and calls cannot be told apart.",
        how_we_know=_KNOWN,
        how_to_fix="One role for the hosts, one for the tasks.",
        references=("Amazon ECS developer guide, security-iam-roles",),
    ),
    Rule(
        id="trust-missing-source-condition",
        severity="low",
        check=trust_missing_source_condition,
        what="A trust policy lets in `ecs-tasks.amazonaws.com` without `aws:SourceAccount` or `aws:SourceArn`.",
        why="ECS could be made to use the role for someone else's task (confused deputy).",
        how_we_know=f"{_KNOWN} Never said of `ec2.amazonaws.com`, which does not send these keys.",
        how_to_fix="Add the condition.",
        references=("Amazon ECS developer guide, task IAM role", "prowler issue 2810 (why not for EC2)"),
    ),
)
