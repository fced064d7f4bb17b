"""What rules share when they look at telemetry: groups of calls, and the role at a chain's root."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TypeVar

from credwatch_agent.evidence import Place, Signed
from credwatch_agent.snapshot import Index

K = TypeVar("K")

HOST_SOURCE = "ec2-instance-profile"
PROFILE = "credwatch.instance_profile.arn"
LAUNCH_TYPE = "aws.ecs.launchtype"


def grouped(signed: Iterable[Signed], key: Callable[[Signed], K | None]) -> dict[K, list[Signed]]:
    """Return calls by key; those whose key is None are left out."""
    groups: defaultdict[K, list[Signed]] = defaultdict(list)
    for item in signed:
        found = key(item)
        if found is not None:
            groups[found].append(item)
    return dict(groups)


def root_role(signed: Signed, index: Index) -> str:
    """Return the ARN of the role at the root of the chain, or "" """
    usage = signed.usage
    if not usage.chain:
        return signed.role_arn
    root = usage.root
    if root.principal.startswith("arn:"):
        return index.role_arn(root.principal)
    profile = signed.place.process.resource.get(PROFILE, "")
    return index.role_arn(name=root.principal, profile_arn=profile)


def places(signed: Iterable[Signed]) -> tuple[Place, ...]:
    """Return the processes that made the calls, each once."""
    return tuple({item.row.process_id: item.place for item in signed}.values())


def first(values: Iterable[str]) -> str:
    """Return the first value that is not empty, or "" """
    return next((value for value in values if value), "")


ROLE_SOURCES = frozenset(
    {
        "ec2-instance-profile",
        "ecs-task-role",
        "eks-pod-identity",
        "web-identity",
        "lambda-execution-role",
        "imds-other",
        "container-other",
        "assumed-role",
        "sso",
        "login",
    }
)
"""Sources that give out the temporary keys of a role."""

LITERALS = frozenset({"explicit", "environment", "shared-credentials-file", "config-file"})
"""Sources that hold a key as text, from whomever."""


def pseudonym(text: str) -> str:
    """Return a key's pseudonym, also where the recorder was told to send the id itself."""
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text[:4] in {"AKIA", "ASIA"} else text


WAYS = {
    "environment": "environment variables",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the AWS config file",
    "explicit": "its code",
}
"""Sources that hold a key as text, in words."""


def site(item: Signed) -> str:
    """Return where in the application a call was made, as `file:line`, or "" """
    usage = item.usage
    return f"{usage.code_file}:{usage.code_line}" if usage.code_file else ""
