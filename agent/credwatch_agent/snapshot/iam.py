"""From the answer of `GetAccountAuthorizationDetails` to records: one reading for API and file alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import unquote

from credwatch_agent.snapshot.model import InstanceProfile, Policy, Role

Json = Mapping[str, Any]


class Authorization(NamedTuple):
    roles: tuple[Role, ...]
    instance_profiles: tuple[InstanceProfile, ...]
    users: tuple[tuple[str, str], ...]
    """Name and ARN of each user."""


def pseudonym(key_id: str) -> str:
    """Return the name under which a recorder reports a key id: 16 hex digits of its SHA-256."""
    # the recorder's `signature.pseudonym`, which the agent may not import; a test holds the two equal
    return hashlib.sha256(key_id.encode()).hexdigest()[:16] if key_id else ""


def text(document: object) -> str:
    """Return a policy document as JSON text, whether it arrives decoded, as text or URL-encoded."""
    if isinstance(document, str):
        return unquote(document) if document.lstrip().startswith("%7B") else document
    return "" if document is None else json.dumps(document, ensure_ascii=False)


def moment(value: object) -> str:
    """Return a time as ISO 8601 text, whether it arrives as a datetime or as text."""
    iso = getattr(value, "isoformat", None)
    return "" if value is None else str(iso() if iso else value)


def parse(pages: Sequence[Json]) -> Authorization:
    """Return roles, instance profiles and users of the pages of one account."""
    managed = {policy["Arn"]: _version(policy) for page in pages for policy in page.get("Policies", ())}
    details = [role for page in pages for role in page.get("RoleDetailList", ())]
    users = [user for page in pages for user in page.get("UserDetailList", ())]
    return Authorization(
        tuple(sorted((_role(detail, managed) for detail in details), key=lambda role: role.arn)),
        _profiles(details),
        tuple(sorted((user["UserName"], user["Arn"]) for user in users)),
    )


def _role(detail: Json, managed: Mapping[str, Policy]) -> Role:
    boundary = (detail.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn", "")
    return Role(
        arn=detail["Arn"],
        name=detail["RoleName"],
        path=detail.get("Path", "/"),
        trust=text(detail.get("AssumeRolePolicyDocument")),
        policies=(
            *(_managed(attached, managed) for attached in detail.get("AttachedManagedPolicies", ())),
            *(Policy(p["PolicyName"], text(p.get("PolicyDocument"))) for p in detail.get("RolePolicyList", ())),
        ),
        boundary=boundary,
        boundary_document=_managed({"PolicyArn": boundary}, managed).document if boundary else "",
        last_used=moment((detail.get("RoleLastUsed") or {}).get("LastUsedDate")),
        tags=tuple(sorted((tag["Key"], tag["Value"]) for tag in detail.get("Tags", ()))),
    )


def _version(policy: Json) -> Policy:
    """Return a managed policy in its default version: made once, however many roles have it."""
    default: Json = next((v for v in policy.get("PolicyVersionList", ()) if v.get("IsDefaultVersion")), {})
    return Policy(
        name=policy.get("PolicyName", ""),
        document=text(default.get("Document")),
        arn=policy["Arn"],
        version=policy.get("DefaultVersionId") or default.get("VersionId", ""),
        attachments=policy.get("AttachmentCount", 0),
    )


def _managed(attached: Json, managed: Mapping[str, Policy]) -> Policy:
    arn = attached["PolicyArn"]
    policy = managed.get(arn) or Policy("", "", arn)
    name = attached.get("PolicyName") or arn.rpartition("/")[2]
    return policy if policy.name == name else replace(policy, name=name)


def _profiles(details: Sequence[Json]) -> tuple[InstanceProfile, ...]:
    found: dict[str, InstanceProfile] = {}
    for detail in details:
        for profile in detail.get("InstanceProfileList", ()):
            arns = {role["Arn"] for role in profile.get("Roles", ())} | {detail["Arn"]}
            found[profile["Arn"]] = InstanceProfile(profile["Arn"], profile["InstanceProfileName"], tuple(sorted(arns)))
    return tuple(found[arn] for arn in sorted(found))
