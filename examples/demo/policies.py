"""Policy statements of the demo: builders, and what AWS's own components and the auditor need."""

from __future__ import annotations

import json
from pathlib import Path

from examples.demo.nouns import Statement


def allow(sid: str, action: str | list[str], *resources: str) -> Statement:
    """Return a statement that allows `action` on `resources`."""
    return {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": list(resources)}


def bucket(name: str) -> tuple[str, str]:
    """Return the ARNs of a bucket and of everything in it."""
    return f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"


def objects(sid: str, name: str, *actions: str, listed: bool = False) -> list[Statement]:
    """Return statements for exactly `actions` on a bucket's objects, and for listing it."""
    container, inside = bucket(name)
    statements = [allow(sid, [f"s3:{action}" for action in actions], inside)]
    return [*statements, allow(f"{sid}List", "s3:ListBucket", container)] if listed else statements


# What the ECS agent of a container instance does with the host's role
# (ECS developer guide, "Amazon ECS container instance IAM role").
HOST_DUTIES = [
    "ec2:DescribeTags",
    "ecs:CreateCluster",
    "ecs:DeregisterContainerInstance",
    "ecs:DiscoverPollEndpoint",
    "ecs:Poll",
    "ecs:RegisterContainerInstance",
    "ecs:StartTelemetrySession",
    "ecs:UpdateContainerInstancesState",
    "ecs:Submit*",
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
]

# What ECS does for a task before it runs (ECS developer guide, "task execution IAM role").
EXECUTION_DUTIES = [
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
]

# Reading configuration, no data: what a snapshot of roles, tasks and hosts needs, as users are told to grant it.
_LEAST = Path(__file__).parents[1] / "iam" / "credwatch-agent-policy.json"
AUDIT: list[Statement] = json.loads(_LEAST.read_text(encoding="utf-8"))["Statement"]
