"""Where each process runs and which role signed each call: telemetry laid over the snapshot.

Here, and only here, calls that an older operation map described get the actions of this one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from credwatch import operations
from credwatch.semconv import CREDENTIALS_URI, ENTRY_POINT, Usage
from credwatch_agent.records import Process, Telemetry, UsageRow
from credwatch_agent.snapshot import Index, Instance, Task, TaskDefinition
from credwatch_agent.snapshot.index import family

# resource attributes, by OpenTelemetry's semantic conventions for services, clouds, hosts and ECS
SERVICE_NAME = "service.name"
HOST_ID = "host.id"
PLATFORM = "cloud.platform"
ACCOUNT = "cloud.account.id"
TASK_ARN = "aws.ecs.task.arn"
TASK_FAMILY = "aws.ecs.task.family"
TASK_REVISION = "aws.ecs.task.revision"
CONTAINER_NAME = "container.name"


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
    """A process and where it runs. `role_arn` is the role that the place gives it, "" if not known.

    `arrived`: the calls of it that are known, also those before the window.
    """

    process: Process
    workload: Workload
    task_arn: str = ""
    task: Task | None = None
    definition: TaskDefinition | None = None
    instance: Instance | None = None
    role_arn: str = ""
    arrived: int = 0

    @property
    def on_ecs(self) -> bool:
        return bool(self.task_arn)

    @property
    def credentials_uri(self) -> str:
        return self.process.resource.get(CREDENTIALS_URI, "")

    @property
    def platform(self) -> str:
        return self.process.resource.get(PLATFORM, "")

    @property
    def lost(self) -> int:
        """Return how many calls the process counted at its end that never arrived."""
        return max(0, (self.process.closed or 0) - self.arrived)


@dataclass(frozen=True, slots=True)
class Signed:
    """Calls of one kind by one process, and the role that they were authorised as ("" if no known role)."""

    row: UsageRow
    place: Place
    role_arn: str

    @property
    def usage(self) -> Usage:
        return self.row.usage


_Groups = Mapping[str, "tuple[Signed, ...]"]


@dataclass(frozen=True, slots=True)
class Joined:
    """All processes and calls of the window, in their places."""

    places: Mapping[str, Place]
    signed: tuple[Signed, ...]
    _by_role: _Groups = field(init=False, repr=False, compare=False)
    _stray_by_process: _Groups = field(init=False, repr=False, compare=False)
    _stray_by_name: _Groups = field(init=False, repr=False, compare=False)
    _placed: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        strays = [signed for signed in self.signed if not signed.role_arn and _may_be_a_role(signed.usage)]
        placed: defaultdict[str, list[str]] = defaultdict(list)
        for process_id, place in self.places.items():
            placed[place.role_arn].append(process_id)
        object.__setattr__(self, "_by_role", _grouped((signed.role_arn, signed) for signed in self.signed))
        object.__setattr__(self, "_stray_by_process", _grouped((s.row.process_id, s) for s in strays))
        object.__setattr__(self, "_stray_by_name", _grouped((s.usage.principal_name, s) for s in strays))
        object.__setattr__(self, "_placed", {arn: tuple(ids) for arn, ids in placed.items()})

    def by_role(self, role_arn: str) -> tuple[Signed, ...]:
        return self._by_role.get(role_arn, ())

    def places_of(self, role_arn: str) -> tuple[Place, ...]:
        """Return the processes that signed as a role or run where it is given, in the order of their ids."""
        ids = {signed.row.process_id for signed in self.by_role(role_arn)} | set(self._placed.get(role_arn, ()))
        return tuple(self.places[process_id] for process_id in sorted(ids) if process_id in self.places)

    def strays_of(self, process_id: str) -> tuple[Signed, ...]:
        """Return the calls of a process that were signed by it is not known whom."""
        return tuple(s for s in self._stray_by_process.get(process_id, ()) if not s.usage.principal_name)

    def strays_named(self, name: str) -> tuple[Signed, ...]:
        """Return the calls by a role of this name that could not be told to be one of the snapshot."""
        names = {name, family(name) or name}
        return tuple(stray for known in sorted(names) for stray in self._stray_by_name.get(known, ()))


def _grouped(pairs: Iterable[tuple[str, Signed]]) -> _Groups:
    groups: defaultdict[str, list[Signed]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return {key: tuple(values) for key, values in groups.items()}


def _may_be_a_role(usage: Usage) -> bool:
    """Tell whether credentials of which no ARN is known may be a role's: long-lived keys are a user's."""
    unsigned = usage.source in {"anonymous", "bearer-token"}
    return not usage.principal_arn and not unsigned and usage.credential_type != "long-lived"


def join(telemetry: Telemetry, index: Index, since_ns: int, begins: Mapping[str, int] | None = None) -> Joined:
    """Place every process that reported after `since_ns`, and every call that it made after it.

    `begins` names another time for single roles, by ARN: see `settings.begins`.
    """
    begins = begins or {}
    arrived: Counter[str] = Counter()
    for row in telemetry.usage:
        arrived[row.process_id] += row.calls
    placed = {key: _place(process, index, arrived[key]) for key, process in _processes(telemetry).items()}
    signed: list[Signed] = []
    for row in telemetry.usage:
        role_arn = _role_of(row.usage, index)
        if row.last_ns >= begins.get(role_arn, since_ns):
            signed.append(Signed(_current(row), placed[row.process_id], role_arn))
    recent = {one.row.process_id for one in signed}
    places = {
        key: place
        for key, place in placed.items()
        if key in recent or place.process.last_ns >= begins.get(place.role_arn, since_ns)
    }
    return Joined(places, tuple(signed))


def _processes(telemetry: Telemetry) -> dict[str, Process]:
    """Return every process, also one of which only calls are known: it lived as long as they tell."""
    found = dict(telemetry.processes)
    for row in telemetry.usage:
        if row.process_id not in telemetry.processes:
            known = found.get(row.process_id)
            first, last = (known.first_ns, known.last_ns) if known else (row.first_ns, row.last_ns)
            first, last = min(first, row.first_ns), max(last, row.last_ns)
            found[row.process_id] = Process(row.process_id, first_ns=first, last_ns=last)
    return found


def _current(row: UsageRow) -> UsageRow:
    """Return a row with the actions that this version of the operation map gives it.

    A denial keeps its own: AWS's message named the action. So does what a newer map described.
    """
    usage = row.usage
    if not _older(usage.mapping_version) or usage.outcome == "denied":
        return row
    partition = usage.principal_arn.split(":")[1] if usage.principal_arn.startswith("arn:") else "aws"
    made = _rederived(usage.service, usage.operation, usage.facets, usage.authorizations, partition, usage.detail)
    derived = usage._replace(
        facets=made.facets,
        authorizations=made.authorizations,
        mapping=made.mapping,
        mapping_version=made.version,
        detail=made.detail,
    )
    return replace(row, usage=derived)


def _older(version: str) -> bool:
    return version.isdecimal() and int(version) < int(operations.VERSION)


@lru_cache(maxsize=16_384)
def _rederived(  # what `rederive` takes, as a key
    service: str,
    operation: str,
    facets: tuple[tuple[str, str], ...],
    authorizations: tuple[tuple[str, tuple[str, ...]], ...],
    partition: str,
    detail: str,
) -> operations.Resolution:
    return operations.rederive(service, operation, facets, authorizations, partition=partition, detail=detail)


def _role_of(usage: Usage, index: Index) -> str:
    return index.role_arn(usage.principal_arn, usage.principal_name, usage.instance_profile_arn, usage.account_id)


def _place(process: Process, index: Index, arrived: int) -> Place:
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
    return Place(process, workload, task_arn, task, definition, instance, role, arrived)


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
