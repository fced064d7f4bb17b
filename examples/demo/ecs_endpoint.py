"""The two endpoints that the ECS agent offers to the tasks of a host: credentials and metadata v4.

A pure function of method, path and headers; `httpd.serving` puts it on a port. Formats: ECS
developer guide, "Task IAM role" and "Task metadata endpoint version 4". The metadata name no role.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from examples.demo.credentials import Rotating
from examples.demo.httpd import Reply


@dataclass(frozen=True)
class Task:
    """A running task with one container, as the ECS API describes it."""

    cluster_arn: str
    task_arn: str
    family: str
    revision: str
    service_name: str
    launch_type: str
    zone: str
    container: str
    container_arn: str
    image: str
    role_arn: str
    """ARN of the task role, or "" where the task definition names none."""


class EcsEndpoint:
    """Serves any number of tasks; each has its own unguessable paths."""

    def __init__(self) -> None:
        self._pages: dict[str, Mapping[str, object]] = {}
        self._credentials: dict[str, tuple[str, Rotating]] = {}

    def add_credentials(self, role_arn: str, credentials: Rotating) -> str:
        """Serve a task role's credentials; returns the path, which a real task gets as its relative URI."""
        path = f"/v2/credentials/{uuid4()}"
        self._credentials[path] = (role_arn, credentials)
        return path

    def add_metadata(self, task: Task) -> str:
        """Serve a task's metadata; returns the container's path, under which `/task` is the task."""
        docker_id = uuid4().hex
        path = f"/v4/{docker_id}"
        container = _container(task, docker_id)
        self._pages[path] = container
        self._pages[f"{path}/task"] = _task(task, container)
        return path

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        del headers
        if method != "GET":
            return Reply(405)
        if path in self._credentials:
            role_arn, credentials = self._credentials[path]
            return _json(200, {"RoleArn": role_arn, **credentials.current().document()})
        if path.startswith("/v2/credentials/"):
            message = "Credentials not found"
            return _json(400, {"code": "InvalidIdInRequest", "message": message, "HTTPErrorCode": 400})
        page = self._pages.get(path.rstrip("/"))
        return _json(200, page) if page else Reply(404)


def _container(task: Task, docker_id: str) -> dict[str, object]:
    return {
        "DockerId": docker_id,
        "Name": task.container,
        "DockerName": f"ecs-{task.family}-{task.revision}-{task.container}-{docker_id[:20]}",
        "Image": task.image,
        "ImageID": f"sha256:{docker_id * 2}",
        "Labels": {
            "com.amazonaws.ecs.cluster": task.cluster_arn,
            "com.amazonaws.ecs.container-name": task.container,
            "com.amazonaws.ecs.task-arn": task.task_arn,
            "com.amazonaws.ecs.task-definition-family": task.family,
            "com.amazonaws.ecs.task-definition-version": task.revision,
        },
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": 128, "Memory": 128},
        "Type": "NORMAL",
        "ContainerARN": task.container_arn,
        "Networks": [{"NetworkMode": "bridge", "IPv4Addresses": ["172.17.0.2"]}],
    }


def _task(task: Task, container: Mapping[str, object]) -> dict[str, object]:
    return {
        "Cluster": task.cluster_arn,
        "TaskARN": task.task_arn,
        "Family": task.family,
        "Revision": task.revision,
        "ServiceName": task.service_name,
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "AvailabilityZone": task.zone,
        "LaunchType": task.launch_type,
        "Containers": [container],
    }


def _json(status: int, value: Mapping[str, object]) -> Reply:
    return Reply(status, json.dumps(value), "application/json")
