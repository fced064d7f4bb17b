"""What a role may do that no recorder in an application can ever see.

Patterns of actions, each table with its source. They make an unseen action `unobservable`, and they
tell an ECS host's own work from application calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from credwatch.operations.coverage import forwarded
from credwatch_agent.snapshot import Index, Role

# AmazonEC2ContainerServiceforEC2Role, version 10: what the ECS agent does with the host's role
CONTAINER_INSTANCE = (
    "ec2:DescribeTags",
    "ecs:CreateCluster",
    "ecs:DeregisterContainerInstance",
    "ecs:DiscoverPollEndpoint",
    "ecs:ListTagsForResource",
    "ecs:Poll",
    "ecs:RegisterContainerInstance",
    "ecs:StartTelemetrySession",
    "ecs:Submit*",
    "ecs:TagResource",
    "ecs:UpdateContainerInstancesState",
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
)

# AmazonECSTaskExecutionRolePolicy, and what the guide adds inline for secrets and parameters
EXECUTION_ROLE = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "secretsmanager:GetSecretValue",
    "ssm:GetParameters",
    "kms:Decrypt",
)

# by name of the AWS managed policy that gives a host these duties
HOST_DUTIES = {
    "AmazonSSMManagedInstanceCore": (
        "ssm:DescribeAssociation",
        "ssm:DescribeDocument",
        "ssm:GetDeployablePatchSnapshotForInstance",
        "ssm:GetDocument",
        "ssm:GetManifest",
        "ssm:GetParameter",
        "ssm:GetParameters",
        "ssm:ListAssociations",
        "ssm:ListInstanceAssociations",
        "ssm:PutComplianceItems",
        "ssm:PutConfigurePackageResult",
        "ssm:PutInventory",
        "ssm:UpdateAssociationStatus",
        "ssm:UpdateInstanceAssociationStatus",
        "ssm:UpdateInstanceInformation",
    ),
    "CloudWatchAgentServerPolicy": (
        "cloudwatch:PutMetricData",
        "ec2:DescribeTags",
        "ec2:DescribeVolumes",
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:DescribeLogGroups",
        "logs:DescribeLogStreams",
        "logs:PutLogEvents",
        "logs:PutRetentionPolicy",
        "xray:*",
    ),
}

# no SDK operation is authorised as these: they belong to agents, drivers and wire protocols
NO_OPERATION = (
    "ec2messages:*",
    "elasticfilesystem:Client*",
    "kafka-cluster:*",
    "rds-db:connect",
    "ssmmessages:*",
)


def unseen_by_all(action: str) -> bool:
    """Tell whether an action belongs to agents, drivers or wire protocols."""
    return action.partition(":")[0].lower() in _UNSEEN_SERVICES and matches(action, NO_OPERATION)


def baseline(role: Role, index: Index) -> tuple[str, ...]:
    """Return the patterns of actions that infrastructure uses under a role, unseen by recorders."""
    patterns: list[str] = []
    if index.serves_container_instances(role.arn):
        patterns += CONTAINER_INSTANCE
    if role.arn in index.execution_roles:
        patterns += EXECUTION_ROLE
    for policy in role.policies:
        patterns += HOST_DUTIES.get(policy.name, ()) if policy.aws_managed else ()
    return tuple(patterns)


Forwarded = tuple[tuple[str, tuple[str, ...]], ...]
"""Calls (`service:Operation`) and the patterns of actions that their service may use for the caller."""

_forwarded = lru_cache(maxsize=4096)(forwarded)


def forwarding(calls: Iterable[tuple[str, str]]) -> Forwarded:
    """Return what services may have used on the caller's behalf while they served calls (service, operation)."""
    found = ((f"{service}:{operation}", _forwarded(service, operation)) for service, operation in sorted(set(calls)))
    return tuple((call, patterns) for call, patterns in found if patterns)


def matches(action: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether an action is one of the patterns; IAM compares action names without case."""
    return bool(patterns) and _pattern(patterns).fullmatch(action) is not None


@lru_cache(maxsize=1024)
def _pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(each).replace(r"\*", ".*") for each in patterns), re.IGNORECASE)


_UNSEEN_SERVICES = frozenset(each.partition(":")[0] for each in NO_OPERATION)
