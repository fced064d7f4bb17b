"""Text of policies that fixes propose: statements of what was observed, trust policies, commands.

Proposes never more than the statement it replaces. Whether evidence is enough is not decided here.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from credwatch_agent.compare import StatementView, Use
from credwatch_agent.evidence import Signed
from credwatch_agent.findings.model import Fix
from credwatch_agent.iam.catalogue import resource_types
from credwatch_agent.iam.pattern import could_match, covers, included, resource_tokens, tokens
from credwatch_agent.snapshot import Policy, Role

VERSION = "2012-10-17"


def document(statements: Iterable[Mapping[str, Any]]) -> str:
    """Return a policy document as text."""
    return json.dumps({"Version": VERSION, "Statement": list(statements)}, indent=2)


def statements(grants: Mapping[str, Iterable[str]]) -> list[dict[str, Any]]:
    """Return Allow statements for actions and their resources: a statement for each set of resources."""
    groups: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for action, resources in sorted(grants.items()):
        groups[tuple(sorted(set(resources)))].append(action)
    return [
        {"Effect": "Allow", "Action": actions, "Resource": list(resources)} for resources, actions in groups.items()
    ]


def wanted(signed: Iterable[Signed]) -> dict[str, set[str]]:
    """Return each action that allowed calls needed, with the resources."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for item in signed:
        if item.usage.outcome == "allowed":
            for action, resources in item.usage.authorizations:
                found[action].update(resources or ("*",))
    return dict(found)


def policy_fix(sentence: str, found: Mapping[str, Iterable[str]]) -> Fix:
    """Return a fix with the policy that allows what was found; without one where nothing was."""
    return Fix(sentence, document(statements(found)), "json") if found else Fix(sentence)


def observed(uses: Iterable[Use]) -> dict[str, set[str]]:
    """Return each action that was used, with the resources; `*` where none is known."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for use in uses:
        found[use.action].add(use.resource)
    return dict(found)


def replacement(view: StatementView, uses: Iterable[Use]) -> str:
    """Return the statement narrowed to what was used of it, as JSON: Sid and conditions kept.

    `uses` are calls that the statement may have allowed. No resource is wider than the original's.
    """
    original = source(view)
    kept = {key: original[key] for key in ("Condition",) if key in original}
    narrowed = {action: _narrowed(view, action, found) for action, found in observed(uses).items()}
    built = statements(narrowed)
    for position, statement in enumerate(built):
        if view.statement.sid:
            # a Sid is unique in its policy
            statement["Sid"] = view.statement.sid + (str(position + 1) if len(built) > 1 else "")
        statement.update(kept)
    return json.dumps(built[0] if len(built) == 1 else built, indent=2)


def source(view: StatementView) -> Mapping[str, Any]:
    """Return the statement as its document has it."""
    found = json.loads(view.policy.document)["Statement"]
    statement: Mapping[str, Any] = found if isinstance(found, dict) else found[view.statement.index]
    return statement


def _narrowed(view: StatementView, action: str, found: Iterable[str]) -> set[str]:
    """Return the resources of an action: those seen, where the original covers them, else the original's."""
    entries = view.statement.resources
    if not entries:
        return set(found)
    kept: set[str] = set()
    for resource in found:
        if resource == "*":
            kept.update(entries if resource_types(action) else {"*"})
        elif any("${" in entry for entry in entries):
            kept.update(entries)
        elif any(covers(entry, resource) for entry in entries):
            kept.add(resource)
        else:
            kept.update(entry for entry in entries if could_match(entry, resource))
    return kept or set(entries)


def reaches(entry: str, resource: str) -> bool:
    """Tell whether a Resource entry may match a resource of telemetry (`*` where none is known)."""
    return resource == "*" or could_match(entry, resource)


def task_trust(account: str) -> str:
    """Return the trust policy of a task role, narrowed to the tasks of one account."""
    condition = {
        "StringEquals": {"aws:SourceAccount": account},
        "ArnLike": {"aws:SourceArn": f"arn:aws:ecs:*:{account}:*"},
    }
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": condition,
    }
    return document([statement])


def write(role: Role, policy: Policy) -> tuple[str, str]:
    """Return how a changed policy is put into force: a sentence and commands."""
    if policy.inline:
        command = f"aws iam put-role-policy --role-name {role.name} --policy-name {policy.name}"
        sentence = f"Write the policy `{policy.name}` back with the statement changed."
        return sentence, f"{command} --policy-document file://policy.json"
    if policy.aws_managed or policy.attachments > 1:
        why = "AWS owns it" if policy.aws_managed else f"{policy.attachments} principals have it"
        return f"Copy the policy `{policy.name}` for this role, since {why}, and change the copy.", _fork(role, policy)
    command = f"aws iam create-policy-version --policy-arn {policy.arn} --policy-document file://policy.json"
    sentence = f"Make a new version of the policy `{policy.name}` with the statement changed."
    return sentence, f"{command} --set-as-default"


def _fork(role: Role, policy: Policy) -> str:
    name = f"{role.name}-{policy.name}"
    copy = f"arn:aws:iam::{role.arn.split(':')[4]}:policy/{name}"
    return "\n".join(
        (
            f"aws iam create-policy --policy-name {name} --policy-document file://policy.json",
            f"aws iam attach-role-policy --role-name {role.name} --policy-arn {copy}",
            f"aws iam detach-role-policy --role-name {role.name} --policy-arn {policy.arn}",
        )
    )


def within(inner: StatementView, outer: StatementView) -> bool:
    """Tell whether an Allow statement is surely contained in another; False is "not shown"."""
    ours, theirs = inner.statement, outer.statement
    if ours.not_actions or theirs.not_actions or not ours.resources or not theirs.resources:
        return False
    if theirs.conditions and theirs.conditions != ours.conditions:
        return False
    if any("${" in entry for entry in (*ours.resources, *theirs.resources)):
        return False
    actions = [tokens(action.lower(), variables=False) for action in theirs.actions]
    resources = [resource_tokens(entry, variables=False) for entry in theirs.resources]
    return all(included(tokens(action.lower(), variables=False), actions) for action in ours.actions) and all(
        included(resource_tokens(entry, variables=False), resources) for entry in ours.resources
    )
