"""Starts and stops the whole demo world: moto, one IMDS a host, the ECS endpoint, everything seeded.

    with running(plan()) as world:
        launch.run(world, "orders", rounds=3)
        world.counts()

Outside the block nothing is left: no process, no port, no file.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from examples.demo import moto_server, recording
from examples.demo.credentials import Rotating
from examples.demo.ecs_endpoint import EcsEndpoint
from examples.demo.httpd import serving
from examples.demo.imds import Imds
from examples.demo.nouns import Plan, Service
from examples.demo.recording import Count, Use
from examples.demo.seed import Clients, Seeded, seed


@dataclass(frozen=True)
class World:
    """A running world."""

    plan: Plan
    directory: Path
    moto: moto_server.Moto
    seeded: Seeded
    imds: Mapping[str, str]
    """URL of the metadata service, by host."""
    container: Mapping[str, Mapping[str, str]]
    """What ECS puts into the environment of a task's container, by service."""
    credentials: Mapping[str, Rotating]
    """What each endpoint serves: by host for an instance profile, by service for a task role."""
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    """Started by `launch`; what still runs when the world ends is killed."""

    def environment(self, service: Service) -> dict[str, str]:
        """Return what AWS and the service's definition put into the environment of its process."""
        given = {
            **service.environment,
            **self._where(),
            # a real host does not need it: there the address is fixed
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.imds[service.host],
            **self.container.get(service.name, {}),
            **(self.user_environment(service.user) if service.user else {}),
        }
        return {name: value for name, value in given.items() if name not in service.stripped}

    def user_environment(self, user: str) -> dict[str, str]:
        """Return the environment variables that make a process an IAM user's."""
        key = self.seeded.keys[user]
        return {"AWS_ACCESS_KEY_ID": key.key_id, "AWS_SECRET_ACCESS_KEY": key.secret}

    def auditor_environment(self) -> dict[str, str]:
        """Return what a process needs to read this account's configuration, and nothing else."""
        return {**self._where(), **self.user_environment(self.plan.auditor.name)}

    @contextmanager
    def owned(self) -> Iterator[Clients]:
        """Give clients of the account's owner, to whom nothing is refused; meanwhile nothing is refused to anyone."""
        clients = Clients(self.moto.url, self.plan.region)
        self.moto.enforce(after="inf")
        try:
            yield clients
        finally:
            self.moto.enforce()
            clients.close()

    def counts(self) -> dict[Use, Count]:
        """Return moto's own count of the calls since seeding, by role or user, service and operation."""
        return recording.counts(self.moto.recording(), self.moto.principals())

    def _where(self) -> dict[str, str]:
        region = self.plan.region
        return {"AWS_ENDPOINT_URL": self.moto.url, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}


@contextmanager
def running(plan: Plan) -> Iterator[World]:
    """Start the world of `plan`; policies are enforced and requests recorded from here on."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demo-world-")))
        moto = stack.enter_context(moto_server.running(directory))
        seeded = seed(plan, moto.url)
        credentials: dict[str, Rotating] = {}
        imds: dict[str, str] = {}
        for name, instance in seeded.instances.items():
            # EC2 names the session after the instance
            credentials[name] = _rotating(moto, plan.role_arn(instance.role), instance.instance_id)
            imds[name] = stack.enter_context(serving(Imds(instance, credentials[name], _now).answer))
        container = _serve_tasks(stack, moto, seeded, credentials)
        moto.enforce()
        moto.record()
        world = World(plan, directory, moto, seeded, imds, container, credentials)
        stack.callback(_end, world.processes)
        yield world


def _serve_tasks(
    stack: ExitStack, moto: moto_server.Moto, seeded: Seeded, credentials: dict[str, Rotating]
) -> dict[str, dict[str, str]]:
    endpoint = EcsEndpoint()
    url = stack.enter_context(serving(endpoint.answer))
    environments: dict[str, dict[str, str]] = {}
    for name, task in seeded.tasks.items():
        environment = {
            "AWS_EXECUTION_ENV": f"AWS_ECS_{task.launch_type}",
            "ECS_CONTAINER_METADATA_URI_V4": url + endpoint.add_metadata(task),
        }
        if task.role_arn:
            # ECS names the session after the task; a real task gets the path alone (…_RELATIVE_URI)
            credentials[name] = _rotating(moto, task.role_arn, task.task_arn.rpartition("/")[2])
            path = endpoint.add_credentials(task.role_arn, credentials[name])
            environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url + path
        environments[name] = environment
    return environments


def _end(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        with process:  # closes its pipes and waits
            if process.poll() is None:
                process.kill()


def _rotating(moto: moto_server.Moto, role_arn: str, session: str) -> Rotating:
    return Rotating(partial(moto.assume, role_arn, session), _now)


def _now() -> datetime:
    return datetime.now(timezone.utc)
