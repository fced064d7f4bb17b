"""The records of a snapshot: frozen, made of text, numbers and tuples, so that a file keeps them whole.

Names are AWS's. Unknown is the empty string. Policy documents stay text: whether one parses is for
the policy engine to say. Times are AWS's ISO 8601 text, except `taken_ns`.
"""

from __future__ import annotations

from dataclasses import dataclass

ROLES = "roles"
ACCESS_KEYS = "access keys"
INSTANCE_PROFILES = "instance profiles"
INSTANCES = "EC2 instances"
TASK_DEFINITIONS = "task definitions"
TASKS = "tasks"
CONTAINER_INSTANCES = "container instances"
ASSOCIATIONS = "pod identity associations"
IDENTITY = "caller identity"

LAYERS = (ROLES, ACCESS_KEYS, INSTANCE_PROFILES, INSTANCES, TASK_DEFINITIONS, TASKS, CONTAINER_INSTANCES)
"""What every live snapshot asks for; the associations of EKS are read where that is asked for."""

NO_AWS_LABEL = "credwatch.no-aws"
"""Docker label by which a task definition says that a container never calls AWS."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy attached to a role; `arn`, `version` and `attachments` are empty for inline ones."""

    name: str
    document: str
    arn: str = ""
    version: str = ""
    attachments: int = 0

    @property
    def inline(self) -> bool:
        return not self.arn

    @property
    def aws_managed(self) -> bool:
        return self.arn.split(":")[4:5] == ["aws"]


@dataclass(frozen=True, slots=True)
class Role:
    """An IAM role; `trust` is its trust policy, `boundary` the ARN of its permissions boundary."""

    arn: str
    name: str
    path: str = "/"
    trust: str = ""
    policies: tuple[Policy, ...] = ()
    boundary: str = ""
    boundary_document: str = ""
    last_used: str = ""
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def service_linked(self) -> bool:
        return self.path.startswith("/aws-service-role/")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An IAM user's access key, by the pseudonym under which recorders report it."""

    pseudonym: str
    user_arn: str
    status: str = ""
    created: str = ""
    last_used: str = ""


@dataclass(frozen=True, slots=True)
class InstanceProfile:
    arn: str
    name: str
    role_arns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Instance:
    """An EC2 instance; `http_tokens`, `hop_limit` and `http_endpoint` are its metadata options."""

    instance_id: str
    profile_arn: str = ""
    http_tokens: str = ""
    hop_limit: int = 0
    http_endpoint: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    image: str = ""
    no_aws: bool = False


@dataclass(frozen=True, slots=True)
class TaskDefinition:
    arn: str
    family: str
    revision: str
    task_role_arn: str = ""
    execution_role_arn: str = ""
    network_mode: str = ""
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """A running task; `task_role_override` replaces the definition's role where it is set."""

    arn: str
    cluster_arn: str = ""
    definition_arn: str = ""
    task_role_override: str = ""
    container_instance_arn: str = ""
    launch_type: str = ""
    group: str = ""
    exec_enabled: bool = False


@dataclass(frozen=True, slots=True)
class ContainerInstance:
    arn: str
    cluster_arn: str = ""
    instance_id: str = ""


@dataclass(frozen=True, slots=True)
class Association:
    """An EKS Pod Identity association: a service account of a cluster and its role."""

    cluster: str
    namespace: str
    service_account: str
    role_arn: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A layer that could not be read, and one sentence why."""

    layer: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One account and region at one moment. `origin` is `live` or `files`."""

    taken_ns: int
    origin: str
    account_id: str = ""
    region: str = ""
    roles: tuple[Role, ...] = ()
    access_keys: tuple[AccessKey, ...] = ()
    instance_profiles: tuple[InstanceProfile, ...] = ()
    instances: tuple[Instance, ...] = ()
    task_definitions: tuple[TaskDefinition, ...] = ()
    tasks: tuple[Task, ...] = ()
    container_instances: tuple[ContainerInstance, ...] = ()
    associations: tuple[Association, ...] = ()
    missing: tuple[Missing, ...] = ()

    def knows(self, layer: str) -> bool:
        """Tell whether a layer was read, so that what is not in it does not exist."""
        return all(missing.layer != layer for missing in self.missing)
