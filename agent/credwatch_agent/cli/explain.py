"""`credwatch-agent explain`: whether a role may make a call, and which statement says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from credwatch_agent.cli.console import out
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS, UsageError
from credwatch_agent.cli.policies import find_role, read_policies
from credwatch_agent.iam.document import Policy, PolicyError, parse, unreadable
from credwatch_agent.iam.evaluate import EVERY_OTHER, MISSING, Decision, Missing, Request, evaluate
from credwatch_agent.snapshot import Role, load


def explain(
    role: Annotated[str, typer.Argument(help="Name or ARN of the role.")],
    action: Annotated[str, typer.Argument(help="IAM action, such as `s3:GetObject`.")],
    resource: Annotated[str, typer.Argument(help="ARN; `*` for an action without one.")],
    snapshot: Annotated[Path, typer.Option(help="File that `snapshot` wrote.")],
    context: Annotated[list[str] | None, typer.Option(help="`KEY=VALUE` of the request; repeatable.")] = None,
    scp: Annotated[
        list[Path] | None,
        typer.Option(help="Service control policies of one level: a document or a JSON list; repeatable, root first."),
    ] = None,
    resource_policy: Annotated[Path | None, typer.Option(help="The resource's own policy.")] = None,
) -> int:
    """Decide one call by the role's policies. Exit code 0: allowed, 1: denied, 3: it hangs on what is not known."""
    found = find_role(load(snapshot), role)
    if not action.partition(":")[2] or "*" in action:
        raise UsageError(f"`{action}` is no single action; write one such as `s3:GetObject`")
    keys = dict(_pair(each) for each in context or ())
    request = Request(action, resource, principal=found.arn, context=keys, unknown_keys=EVERY_OTHER)
    identity = [_parsed(each.name, each.document) for each in found.policies]
    boundary = _boundary(found)
    levels = [read_policies(path) for path in scp or ()]
    resources = read_policies(resource_policy) if resource_policy else []
    if len(resources) > 1:
        raise UsageError(f"{resource_policy} holds {len(resources)} policies; a resource has one")
    result = evaluate(
        request,
        identity=identity,
        boundary=boundary,
        scps=levels or None,
        resource_policy=resources[0] if resources else None,
    )
    out.print(f"{result.decision.value}: {'; '.join(reason.value for reason in result.reasons)}", soft_wrap=True)
    for ref in result.statements:
        named = f" ({ref.sid})" if ref.sid else ""
        out.print(f"  {ref.layer}: policy {ref.policy}, statement {ref.index}{named}", soft_wrap=True)
    for unknown in result.unknown:
        out.print(f"  hangs on: {unknown}", soft_wrap=True)
    for line in _layers(found, boundary, len(levels), bool(resources)):
        out.print(line, soft_wrap=True)
    return {Decision.ALLOWED: CLEAN, Decision.UNKNOWN: COULD_NOT_KNOW}.get(result.decision, FINDINGS)


def _layers(role: Role, boundary: Policy | Missing | None, levels: int, resource_policy: bool) -> Iterator[str]:
    """Say which layers were read, and of which nothing is known: each of these could still deny."""
    read = [f"{len(role.policies)} identity policies" if len(role.policies) != 1 else "1 identity policy"]
    unread = ["session policies", "resource control policies"]
    if boundary is None:
        read.append("no boundary is set")
    elif isinstance(boundary, Missing):
        unread.insert(0, f"the boundary {role.boundary}, of which the snapshot has no document")
    else:
        read.append(f"boundary {boundary.name}")
    if levels:
        read.append(f"{levels} level{'s' if levels > 1 else ''} of service control policies")
    else:
        unread.append("service control policies (--scp)")
    if resource_policy:
        read.append("the resource's policy")
    else:
        unread.append("the resource's policy (--resource-policy)")
    yield f"read: {', '.join(read)}"
    yield f"not read: {', '.join(unread)}"


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UsageError(f"`--context {text}` is no `KEY=VALUE`")
    return key, value


def _parsed(name: str, document: str) -> Policy:
    try:
        return parse(name, document)
    except PolicyError as error:
        return unreadable(name, error)


def _boundary(role: Role) -> Policy | Missing | None:
    if not role.boundary:
        return None
    return _parsed(role.boundary, role.boundary_document) if role.boundary_document else MISSING
