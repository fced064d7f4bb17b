"""The nouns of a demo world: roles, users, hosts, services, buckets, and the plan that holds them. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Statement = dict[str, object]
Compute = Literal["task", "host"]
Credentials = Literal["task-role", "instance-profile", "user-key", "none"]
Interpreter = Literal["main", "async"]


@dataclass(frozen=True)
class Role:
    """An IAM role: who may assume it, customer-managed and inline policies by name.

    `trust` lists service principals, `trusted` ARNs of AWS principals (or `*`). Trust in ECS tasks is
    narrowed by aws:SourceAccount unless `source_condition` is off. `account` is the plan's own if empty.
    """

    name: str
    trust: tuple[str, ...] = ()
    managed: Mapping[str, list[Statement]] = field(default_factory=dict)
    inline: Mapping[str, list[Statement]] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()
    source_condition: bool = True
    account: str = ""


@dataclass(frozen=True)
class User:
    """An IAM user with one access key and one inline policy."""

    name: str
    statements: list[Statement]


@dataclass(frozen=True)
class Bucket:
    """An S3 bucket; `account` is the plan's own if empty."""

    name: str
    account: str = ""


@dataclass(frozen=True)
class Host:
    """An EC2 instance whose profile bears its role's name; `cluster`: it is a container instance."""

    name: str
    role: str
    cluster: bool = True
    http_tokens: Literal["required", "optional"] = "required"


@dataclass(frozen=True)
class Service:
    """An application: a module to run, where it runs, and where its credentials come from.

    `credentials` says what the process *should find*: the task's role, the host's instance profile, the
    key of `user` in its environment, or nothing. `environment` is the application's own configuration;
    `stripped` names variables that are lost on the way to the process. `assumes` maps an AWS service to
    the role that the application assumes to call it. `interpreter`: whose packages it runs with.
    """

    name: str
    module: str
    compute: Compute
    host: str
    credentials: Credentials
    task_role: str = ""
    execution_role: str = ""
    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    stripped: tuple[str, ...] = ()
    assumes: Mapping[str, str] = field(default_factory=dict)
    interpreter: Interpreter = "main"

    def __post_init__(self) -> None:
        found = "task-role" if self.task_role and not self.stripped else self.credentials
        if found != self.credentials or (self.credentials == "task-role" and not self.task_role):
            raise ValueError(f"service `{self.name}`: a task role and credentials `task-role` belong together")
        if self.task_role and self.compute != "task":
            raise ValueError(f"service `{self.name}`: only a task has a task role")
        if bool(self.user) != (self.credentials == "user-key"):
            raise ValueError(f"service `{self.name}`: a user and credentials `user-key` belong together")


@dataclass(frozen=True)
class Plan:
    """Everything that `seed` makes, in one region; what names no account of its own is in `account`."""

    account: str
    region: str
    cluster: str
    roles: tuple[Role, ...]
    hosts: tuple[Host, ...]
    services: tuple[Service, ...]
    buckets: tuple[Bucket, ...]
    queues: tuple[str, ...]
    tables: tuple[str, ...]
    auditor: User
    users: tuple[User, ...] = ()

    def role_arn(self, name: str) -> str:
        """Return the ARN of a role of the plan."""
        account = next((role.account for role in self.roles if role.name == name), "")
        return f"arn:aws:iam::{account or self.account}:role/{name}"

    def service(self, name: str) -> Service:
        """Return the service of this name."""
        return next(service for service in self.services if service.name == name)

    def host_of(self, service: Service) -> Host:
        """Return the host that a service runs on."""
        return next(host for host in self.hosts if host.name == service.host)
