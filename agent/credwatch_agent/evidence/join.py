"""Where each process runs and which role signed each call: telemetry laid over the snapshot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from credwatch.semconv import ENTRY_POINT, Usage
from credwatch_agent.records import Process, Telemetry, UsageRow
from credwatch_agent.snapshot import Index, Instance, Task, TaskDefinition

# resource attributes, by OpenTelemetry's semantic conventions for services, clouds, hosts and ECS
SERVICE_NAME = "service.name"
HOST_ID = "host.id"
PLATFORM = "cloud.platform"
ACCOUNT = "cloud.account.id"
TASK_ARN = "aws.ecs.task.arn"
TASK_FAMILY = "aws.ecs.task.family"
TASK_REVISION = "aws.ecs.task.revision"
CONTAINER_NAME = "container.name"
CREDENTIALS_URI = "credwatch.ecs.credentials_uri"
"""`present`, `absent`, or `stripped`: the first process of the container has it, this one lacks it."""


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """A class of processes: a service, its ECS family and container where it has them, its entry point."""

    service: str
    family: str = ""
    container: str = ""
    entry_point: str = ""

    @property
    def where(self) -> str:
        """Return `family/container` on ECS, the service's name elsewhere."""
        return f"{self.family}/{self.container}" if self.family else self.service


@dataclass(frozen=True, slots=True)
class Place:
    """A process and where it runs. `role_arn` is the role that the place gives it, "" if not known."""

    process: Process
    workload: Workload
    task_arn: str = ""
    task: Task | None = None
    definition: TaskDefinition | None = None
    instance: Instance | None = None
    role_arn: str = ""

    @property
    def on_ecs(self) -> bool:
        return bool(self.task_arn)

    @property
    def credentials_uri(self) -> str:
        return self.process.resource.get(CREDENTIALS_URI, "")

    @property
    def platform(self) -> str:
        return self.process.resource.get(PLATFORM, "")


@dataclass(frozen=True, slots=True)
class Signed:
    """Calls of one kind by one process, and the role that they were authorised as ("" if no known role)."""

    row: UsageRow
    place: Place
    role_arn: str

    @property
    def usage(self) -> Usage:
        return self.row.usage


@dataclass(frozen=True, slots=True)
class Joined:
    """All processes and calls of the window, in their places."""

    places: Mapping[str, Place]
    signed: tuple[Signed, ...]
    _signed_by: Mapping[str, list[Signed]] = field(init=False, repr=False, compare=False)
    _placed_with: Mapping[str, list[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        signed_by: defaultdict[str, list[Signed]] = defaultdict(list)
        placed_with: defaultdict[str, list[str]] = defaultdict(list)
        for signed in self.signed:
            signed_by[signed.role_arn].append(signed)
        for process_id, place in self.places.items():
            placed_with[place.role_arn].append(process_id)
        object.__setattr__(self, "_signed_by", dict(signed_by))
        object.__setattr__(self, "_placed_with", dict(placed_with))

    def by_role(self, role_arn: str) -> tuple[Signed, ...]:
        return tuple(self._signed_by.get(role_arn, ()))

    def places_of(self, role_arn: str) -> tuple[Place, ...]:
        """Return where processes run that have a role by their place, or signed with it."""
        signers = (signed.row.process_id for signed in self._signed_by.get(role_arn, ()))
        found = dict.fromkeys((*self._placed_with.get(role_arn, ()), *signers))
        return tuple(self.places[process_id] for process_id in found if process_id in self.places)


def join(telemetry: Telemetry, index: Index, since_ns: int) -> Joined:
    """Place every process that reported after `since_ns`, and every call that it made after it."""
    recent = {row.process_id for row in telemetry.usage if row.last_ns >= since_ns}
    processes = {key: p for key, p in telemetry.processes.items() if p.last_ns >= since_ns or key in recent}
    places = {key: _place(process, index) for key, process in processes.items()}
    return Joined(places, tuple(_signed(telemetry, index, places, since_ns)))


def _signed(telemetry: Telemetry, index: Index, places: Mapping[str, Place], since_ns: int) -> Iterator[Signed]:
    for row in telemetry.usage:
        if row.last_ns >= since_ns:
            place = places.get(row.process_id) or _place(Process(row.process_id), index)
            yield Signed(row, place, _role_of(row.usage, index))


def _role_of(usage: Usage, index: Index) -> str:
    return index.role_arn(usage.principal_arn, usage.principal_name, usage.instance_profile_arn, usage.account_id)


def _place(process: Process, index: Index) -> Place:
    resource = process.resource
    task_arn = resource.get(TASK_ARN, "")
    task = index.tasks.get(task_arn)
    definition = _definition(resource, task, index)
    instance = index.instances.get(resource.get(HOST_ID, "")) or index.host(task)
    family = resource.get(TASK_FAMILY, "") or (definition.family if definition else "")
    workload = Workload(
        service=resource.get(SERVICE_NAME, "") or "(no service.name)",
        family=family if task_arn else "",
        container=_container(resource, definition) if task_arn else "",
        entry_point=resource.get(ENTRY_POINT, ""),
    )
    role = index.task_role(task, definition) if task_arn else _host_role(instance, index)
    return Place(process, workload, task_arn, task, definition, instance, role)


def _definition(resource: Mapping[str, str], task: Task | None, index: Index) -> TaskDefinition | None:
    of_task = index.definition_of(task) if task else None
    return of_task or index.definition(resource.get(TASK_FAMILY, ""), resource.get(TASK_REVISION, ""))


def _container(resource: Mapping[str, str], definition: TaskDefinition | None) -> str:
    """Return the container's name; a task with one container leaves no doubt where none is reported."""
    name = resource.get(CONTAINER_NAME, "")
    if not name and definition and len(definition.containers) == 1:
        return definition.containers[0].name
    return name


def _host_role(instance: Instance | None, index: Index) -> str:
    return index.role_arn(profile_arn=instance.profile_arn) if instance and instance.profile_arn else ""
