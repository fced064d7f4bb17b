"""A recommendation for CloudFormation: a template with the role's policies.

Formats: AWS::IAM::RolePolicy for inline policies, AWS::IAM::ManagedPolicy for managed ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from credwatch_agent.recommend import WHAT_TO_DO, Recommendation, Recommended


def render(found: Recommendation) -> str:
    """Return a JSON template of the policies that change; "" if there is none, since a template has a resource.

    A resource's metadata names the policy that it replaces, and why things of it stayed.
    One that is to be removed is not in the template.
    """
    role = found.role.rpartition("/")[2]
    changed = [each for each in found.policies if each.change not in {"same", "remove"}]
    if not changed:
        return ""
    names: dict[str, Any] = {}
    for each in changed:
        names[_logical(each.name, names)] = _resource(each, role, found.notes_of(each))
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": found.claim.text,
        "Resources": names,
    }
    return json.dumps(template, indent=2, ensure_ascii=False)


def _resource(each: Recommended, role: str, notes: Sequence[str]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"Replaces": each.arn or each.original, "Change": WHAT_TO_DO[each.change]}
    if notes:
        metadata["Notes"] = list(notes)
    if not each.arn:
        properties = {"PolicyName": each.name, "RoleName": role, "PolicyDocument": each.document}
        return {"Type": "AWS::IAM::RolePolicy", "Metadata": metadata, "Properties": properties}
    properties = {"ManagedPolicyName": each.name, "Roles": [role], "PolicyDocument": each.document}
    return {"Type": "AWS::IAM::ManagedPolicy", "Metadata": metadata, "Properties": properties}


def _logical(name: str, taken: dict[str, Any]) -> str:
    """Return a logical id: letters and digits, not yet taken."""
    plain = re.sub(r"[^A-Za-z0-9]", "", name.title()) or "Policy"
    number = 2
    found = plain
    while found in taken:
        found, number = f"{plain}{number}", number + 1
    return found
