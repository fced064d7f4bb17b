"""Joins over a snapshot: from what telemetry and AWS name to the records they mean."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar

from credwatch_agent.snapshot.model import (
    Association,
    ContainerInstance,
    Instance,
    InstanceProfile,
    Role,
    Snapshot,
    Task,
    TaskDefinition,
)

K = TypeVar("K")
T = TypeVar("T")

# arn:aws:sts::123456789012:assumed-role/NAME/SESSION: the session's ARN has lost the role's path
_SESSION = re.compile(r"arn:([^:]+):sts::(\d*):assumed-role/([^/]+)/.*")


def family(name: str) -> str:
    """Return how a recorder names a role of IAM Identity Center, of whose suffix it does not know, or ""."""
    known, _, suffix = name.rpartition("_")
    return f"{known}_*" if known.startswith("AWSReservedSSO_") and suffix else ""


class Index:
    """A snapshot with the look-ups that joining needs; everything that is not known is None or ""."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.roles: dict[str, Role] = {role.arn: role for role in snapshot.roles}
        self.profiles: dict[str, InstanceProfile] = {profile.arn: profile for profile in snapshot.instance_profiles}
        self.instances: dict[str, Instance] = {instance.instance_id: instance for instance in snapshot.instances}
        self.definitions: dict[str, TaskDefinition] = {d.arn: d for d in snapshot.task_definitions}
        self.tasks: dict[str, Task] = {task.arn: task for task in snapshot.tasks}
        self.container_instances: dict[str, ContainerInstance] = {c.arn: c for c in snapshot.container_instances}
        self._by_name: dict[tuple[str, str], Role] = {(_account(role.arn), role.name): role for role in snapshot.roles}
        self._by_family = _grouped(((_account(r.arn), family(r.name)), r) for r in snapshot.roles if family(r.name))
        self._by_revision = {(d.family, d.revision): d for d in snapshot.task_definitions}
        self.execution_roles = frozenset(d.execution_role_arn for d in snapshot.task_definitions)
        self.undefined = tuple(task for task in snapshot.tasks if task.definition_arn not in self.definitions)
        self._definitions_of = _grouped((d.task_role_arn, d) for d in snapshot.task_definitions)
        self._registered = {c.instance_id: c for c in snapshot.container_instances if c.instance_id}
        self._associated = _grouped(((a.namespace, a.service_account), a) for a in snapshot.associations)
        self._profiles_of = _grouped((arn, p) for p in snapshot.instance_profiles for arn in p.role_arns)
        self._instances_of = _grouped((i.profile_arn, i) for i in snapshot.instances if i.profile_arn)
        self._tasks_of = _grouped((self.task_role(task, self.definition_of(task)), task) for task in snapshot.tasks)

    def role_arn(self, arn: str = "", name: str = "", profile_arn: str = "", account_id: str = "") -> str:
        """Return the role's ARN from whatever of a principal is known, or "" if it is no known role.

        A session ARN and a bare name are resolved by the snapshot; of an unknown role, a session
        ARN gives the ARN that the role has if its path is `/`.
        """
        session = _SESSION.fullmatch(arn)
        if session:
            partition, account, role_name = session.groups()
            role = self._by_name.get((account, role_name))
            return role.arn if role else f"arn:{partition}:iam::{account}:role/{role_name}"
        if arn:
            return arn if ":role/" in arn else ""
        return self._named(name, profile_arn, account_id)

    def _named(self, name: str, profile_arn: str, account_id: str) -> str:
        profile = self.profiles.get(profile_arn)
        if profile:
            arns = [arn for arn in profile.role_arns if not name or arn.rpartition("/")[2] == name]
            if len(arns) == 1:
                return arns[0]
        account = _account(profile_arn) or account_id or self.snapshot.account_id
        role = self._by_name.get((account, name))
        alike = (role,) if role else self._by_family.get((account, name), ())
        return alike[0].arn if len(alike) == 1 else ""

    def definition(self, family: str, revision: str) -> TaskDefinition | None:
        return self._by_revision.get((family, revision))

    def definition_of(self, task: Task) -> TaskDefinition | None:
        return self.definitions.get(task.definition_arn)

    def definitions_of(self, role_arn: str) -> tuple[TaskDefinition, ...]:
        """Return the task definitions whose tasks have a role, by themselves or by an override that runs."""
        running = (self.definitions.get(task.definition_arn) for task in self.tasks_of(role_arn))
        found = {d.arn: d for d in (*self._definitions_of.get(role_arn, ()), *running) if d}
        return tuple(found[arn] for arn in sorted(found))

    @staticmethod
    def task_role(task: Task | None, definition: TaskDefinition | None) -> str:
        """Return the role that a task has: the override, else the definition's, else ""."""
        override = task.task_role_override if task else ""
        return override or (definition.task_role_arn if definition else "")

    def registered(self, instance_id: str) -> ContainerInstance | None:
        """Return the ECS container instance that an EC2 instance is registered as."""
        return self._registered.get(instance_id)

    def association(self, namespace: str, service_account: str) -> Association | None:
        """Return the association of a service account, where one cluster alone has it."""
        found = self._associated.get((namespace, service_account), ())
        return found[0] if len(found) == 1 else None

    def host(self, task: Task | None) -> Instance | None:
        """Return the EC2 instance that a task runs on, where the snapshot tells."""
        registered = self.container_instances.get(task.container_instance_arn) if task else None
        return self.instances.get(registered.instance_id) if registered else None

    def profiles_of(self, role_arn: str) -> tuple[InstanceProfile, ...]:
        return self._profiles_of.get(role_arn, ())

    def instances_of(self, role_arn: str) -> tuple[Instance, ...]:
        """Return the EC2 instances whose profile carries a role."""
        return tuple(i for p in self.profiles_of(role_arn) for i in self._instances_of.get(p.arn, ()))

    def tasks_of(self, role_arn: str) -> tuple[Task, ...]:
        """Return the running tasks that have a role."""
        return self._tasks_of.get(role_arn, ())

    def serves_container_instances(self, role_arn: str) -> bool:
        """Tell whether a registered ECS container instance runs with a role."""
        return any(instance.instance_id in self._registered for instance in self.instances_of(role_arn))


def _account(arn: str) -> str:
    return arn.split(":")[4] if arn.count(":") >= 5 else ""


def _grouped(pairs: Iterable[tuple[K, T]]) -> dict[K, tuple[T, ...]]:
    groups: defaultdict[K, list[T]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return {key: tuple(values) for key, values in groups.items()}
