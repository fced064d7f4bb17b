"""`iam:PassRole`: which parameters of which operations hand a role to a service.

The data is generated from botocore's models: every parameter that takes a role, minus a reviewed
list of those that pass none (`make operations`). Some hand over what holds a role: an instance profile,
a launch template, a task definition. Which service the role is passed to (`iam:PassedToService`) is
named where AWS documents it.
"""

import re
from typing import NamedTuple

from credwatch.operations import packaged

ACTION = "iam:PassRole"
ROLE_FACET, PROFILE_FACET = "passes-role", "passes-profile"
PASSED_TO = "iam:PassedToService"
NAMED = "arn:{partition}:iam::{account}:role/*{}"
HIDDEN = "arn:{partition}:iam::{account}:role/*"
"""The role in something that the request names: it does not name the role."""

_HOLDERS = re.compile(
    r"(InstanceProfile(Arn|Name)?|JobFlowRole|instanceRole"
    r"|LaunchTemplate(Configs)?|MixedInstancesPolicy|taskDefinition(Arn)?"
    r"|pipelineId|serviceRequestPayload|sourceServers|sourceServerIDs)$",
    re.IGNORECASE,
)
"""How the path of a parameter ends that names what holds a role."""


class Passing(NamedTuple):
    """The parameters (paths) that take a role and those that take what holds one; the services, with commas."""

    roles: tuple[str, ...]
    profiles: tuple[str, ...]
    service: str


def find(service: str, operation: str) -> Passing | None:
    """Return how an operation passes a role, None where it passes none."""
    client = packaged.client("passrole", service)
    paths = client["operations"].get(operation) if client else None
    if not client or not paths:
        return None
    to = client.get("to", {})
    listed = (paths,) if isinstance(paths, str) else tuple(paths)
    profiles = tuple(path for path in listed if _HOLDERS.search(path))
    roles = tuple(path for path in listed if path not in profiles)
    return Passing(roles, profiles, to.get(operation, to.get("*", "")))


def operations(service: str) -> set[str]:
    """Return the operations of a client that pass a role."""
    client = packaged.client("passrole", service)
    return set(client["operations"]) if client else set()
