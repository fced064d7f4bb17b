"""`credwatch-agent explain`: whether a role may make a call, and which statement says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from credwatch_agent.cli.console import document, say
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS, UsageError
from credwatch_agent.cli.policies import find_role, read_policies
from credwatch_agent.cli.stored import AsJson, Taken
from credwatch_agent.iam.document import Policy, PolicyError, parse, unreadable
from credwatch_agent.iam.evaluate import EVERY_OTHER, MISSING, Decision, Missing, Request, Result, evaluate
from credwatch_agent.snapshot import Role, load


def explain(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="Name or ARN of the role.")],
    action: Annotated[str, typer.Argument(metavar="ACTION", help="IAM action, such as `s3:GetObject`.")],
    resource: Annotated[str, typer.Argument(metavar="RESOURCE", help="ARN; `*` for an action without one.")],
    snapshot: Taken,
    context: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A condition key of the request; repeatable.")
    ] = None,
    scp: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Service control policies of one level: a document or a JSON list; repeatable, root first.",
        ),
    ] = None,
    resource_policy: Annotated[Path | None, typer.Option(metavar="FILE", help="The resource's own policy.")] = None,
    as_json: AsJson = False,
) -> int:
    """Decide one call by a role's policies."""
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
    layers = _layers(found, boundary, len(levels), bool(resources))
    if as_json:
        document(_described(request, result, layers))
    else:
        _show(result, layers)
    return {Decision.ALLOWED: CLEAN, Decision.UNKNOWN: COULD_NOT_KNOW}.get(result.decision, FINDINGS)


class _Layers(NamedTuple):
    """The layers that were read, and those of which nothing is known: each of these could still deny."""

    read: Sequence[str]
    unread: Sequence[str]


def _show(result: Result, layers: _Layers) -> None:
    say(f"{result.decision.value}: {'; '.join(reason.value for reason in result.reasons)}", later="  ")
    for ref in result.statements:
        named = f" ({ref.sid})" if ref.sid else ""
        say(f"{ref.layer}: policy {ref.policy}, statement {ref.index}{named}", first="  ", later="    ")
    for unknown in result.unknown:
        say(f"hangs on: {unknown}", first="  ", later="    ")
    say(f"read: {', '.join(layers.read)}", later="  ")
    say(f"not read: {', '.join(layers.unread)}", later="  ")


def _described(request: Request, result: Result, layers: _Layers) -> dict[str, object]:
    return {
        "principal": request.principal,
        "action": request.action,
        "resource": request.resource,
        "decision": result.decision.value,
        "reasons": [reason.value for reason in result.reasons],
        "statements": [
            {"layer": ref.layer, "policy": ref.policy, "statement": ref.index, "sid": ref.sid}
            for ref in result.statements
        ],
        "hangs_on": [str(unknown) for unknown in result.unknown],
        "read": list(layers.read),
        "not_read": list(layers.unread),
    }


def _layers(role: Role, boundary: Policy | Missing | None, levels: int, resource_policy: bool) -> _Layers:
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
    return _Layers(read, unread)


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
