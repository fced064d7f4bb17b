"""Answers of `GetServiceLastAccessedDetails`: which services, and which of their actions, a role tried last and when.

They count denied attempts, reach back some 400 days and come hours late: they can block `unused`, and
never prove `used`. A document names the role only where something was accessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from credwatch_agent.records import Accessed


class Unreadable(ValueError):
    """A document is none of these answers, or only a part of one; the text says how, without the file's name."""


def parse(data: bytes, role_arn: str = "") -> tuple[Accessed, ...]:
    """Return what one document says; `role_arn` is whose it is, where that is known. Raises `Unreadable`."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise Unreadable("is cut or damaged: it is no JSON") from None
    services = document.get("ServicesLastAccessed") if isinstance(document, dict) else None
    if not isinstance(services, list):
        raise Unreadable("is no answer of `aws iam get-service-last-accessed-details`: no `ServicesLastAccessed`")
    status = document.get("JobStatus", "COMPLETED")
    if status != "COMPLETED":
        raise Unreadable(f"holds a job that is `{status}`: ask again once it is `COMPLETED`")
    if document.get("IsTruncated"):
        raise Unreadable("holds the first page only: fetch it again without `--max-items`")
    try:
        return tuple(found for service in services for found in _service(service, role_arn))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"is not as `aws iam get-service-last-accessed-details` writes it ({error!r})") from None


def _service(service: Mapping[str, Any], role_arn: str) -> Iterator[Accessed]:
    namespace = service["ServiceNamespace"]
    whose = role_arn or service.get("LastAuthenticatedEntity", "")
    if whose and service.get("LastAuthenticated"):
        yield Accessed(whose, f"{namespace}:*", _nanoseconds(service["LastAuthenticated"]))
    for action in service.get("TrackedActionsLastAccessed") or ():
        whose = role_arn or action.get("LastAccessedEntity", "")
        if whose and action.get("LastAccessedTime"):
            yield Accessed(whose, f"{namespace}:{action['ActionName']}", _nanoseconds(action["LastAccessedTime"]))


def _nanoseconds(value: str | float) -> int:
    # the AWS CLI writes ISO 8601, its first version and raw answers seconds since the epoch
    if isinstance(value, int | float):
        return int(value) * 10**9
    moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()) * 10**9
