"""Combinations of actions by which a principal can give itself more than it has, granted and unused.

Each row is a way that AWS's own documentation of the actions makes plain; `iam:PassRole` in a row
lets the caller hand a stronger role to something that it controls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from credwatch_agent.compare import RoleView, StatementView
from credwatch_agent.evidence import State
from credwatch_agent.findings import grants, words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.wildcards import carriers, changeable, subject


class Way(NamedTuple):
    """Actions that together give more permissions, and how."""

    actions: tuple[str, ...]
    how: str


PASS_ROLE = "iam:PassRole"  # noqa: S105  # a permission, no password

WAYS = (
    Way(("iam:PutRolePolicy",), "write any inline policy into a role"),
    Way(("iam:AttachRolePolicy",), "attach any policy to a role"),
    Way(("iam:PutUserPolicy",), "write any inline policy into a user"),
    Way(("iam:AttachUserPolicy",), "attach any policy to a user"),
    Way(("iam:PutGroupPolicy",), "write any inline policy into a group"),
    Way(("iam:AttachGroupPolicy",), "attach any policy to a group"),
    Way(("iam:AddUserToGroup",), "put a user into a stronger group"),
    Way(("iam:CreatePolicyVersion",), "replace the text of an attached policy"),
    Way(("iam:SetDefaultPolicyVersion",), "bring back an older, wider version of a policy"),
    Way(("iam:UpdateAssumeRolePolicy",), "let itself into another role"),
    Way(("iam:DeleteRolePermissionsBoundary",), "take away the boundary of a role"),
    Way(("iam:CreateAccessKey",), "make a key for another user"),
    Way(("iam:CreateLoginProfile",), "give another user a console password"),
    Way(("iam:UpdateLoginProfile",), "change another user's console password"),
    Way(("lambda:UpdateFunctionCode",), "run its code with a function's role"),
    Way((PASS_ROLE, "lambda:CreateFunction", "lambda:InvokeFunction"), "run its code with a stronger role in Lambda"),
    Way((PASS_ROLE, "lambda:CreateFunction", "lambda:CreateEventSourceMapping"), "run its code with a stronger role"),
    Way((PASS_ROLE, "ec2:RunInstances"), "start an instance with a stronger role"),
    Way((PASS_ROLE, "ecs:RegisterTaskDefinition", "ecs:RunTask"), "run a task with a stronger role"),
    Way((PASS_ROLE, "cloudformation:CreateStack"), "have CloudFormation act with a stronger role"),
    Way((PASS_ROLE, "glue:CreateDevEndpoint"), "get a shell with a stronger role in Glue"),
    Way((PASS_ROLE, "glue:CreateJob", "glue:StartJobRun"), "run a job with a stronger role in Glue"),
    Way((PASS_ROLE, "codebuild:CreateProject", "codebuild:StartBuild"), "run a build with a stronger role"),
    Way((PASS_ROLE, "sagemaker:CreateNotebookInstance"), "open a notebook with a stronger role"),
)


def privilege_escalation_unused(world: World) -> Iterator[Finding]:
    for view in world.roles:
        if not changeable(view.role):
            continue
        states = {action.lower(): state for action, state in view.actions.items()}
        granted: dict[int, list[Way]] = {}
        for way in WAYS:
            holder = _holder(view, way, states)
            if holder is not None:
                granted.setdefault(holder, []).append(way)
        for position, ways in granted.items():
            yield _finding(view, view.statements[position], ways)


def _holder(view: RoleView, way: Way, states: dict[str, State]) -> int | None:
    """Return the statement that grants the unused part of a way, or None where the way is not open or is used."""
    found = {action: states.get(action.lower()) for action in way.actions}
    if None in found.values():
        return None
    unused = {action.lower() for action, state in found.items() if state is State.UNUSED}
    for position, statement in enumerate(view.statements):
        if any(grant.action.lower() in unused for grant in statement.grants):
            return position
    return None


def _finding(view: RoleView, statement: StatementView, ways: list[Way]) -> Finding:
    actions = sorted({action for way in ways for action in way.actions})
    carried = view.coverage.carriers
    return Finding(
        id="privilege-escalation-unused",
        severity=Severity.HIGH,
        kind=Subject.STATEMENT,
        subject=subject(view.role, statement),
        sentence=(
            f"`{view.role.name}` could {words.either(way.how for way in ways)}, and was not seen to:"
            f" {words.listed(actions)}"
        ),
        evidence=(
            *(f"{' with '.join(f'`{action}`' for action in way.actions)}: {way.how}" for way in ways),
            carriers(view),
        ),
        fixes=(
            Fix(f"Take {words.listed(actions)} out of statement `{statement.name}`."),
            Fix(*grants.write(view.role, statement.policy), "shell"),
        ),
        role_arn=view.role.arn,
        first_ns=min((c.first_ns for c in carried), default=0),
        last_ns=max((c.last_ns for c in carried), default=0),
        policy=statement.policy.name,
        statement=statement.statement.index,
    )


RULES = (
    Rule(
        id="privilege-escalation-unused",
        severity="high, listed first",
        check=privilege_escalation_unused,
        what="A role is granted actions by which it could give itself more, and does not use them.",
        why="Whoever takes over the workload takes over what the role can reach with them, often the account.",
        how_we_know=(
            "The statements grant every action of a known combination, and evidence says `unused` of at least one of"
            " them. Conditions and resources of the statements are not weighed."
        ),
        how_to_fix="Remove the actions.",
        references=("IAM user guide, actions, resources and condition keys for IAM", "MITRE ATT&CK T1098.003"),
        absorbs=frozenset({"unused-statement", "unused-action"}),
    ),
)
