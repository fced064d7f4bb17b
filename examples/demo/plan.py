"""The demo world as data: accounts, roles, hosts and services, each a row; every name in one place.

A new service is a new `Service` row (and its role, its bucket ...); a renamed world is the same
`plan` with a `rename` table. Nothing here opens a socket or talks to an API: `seed` does that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Statement = dict[str, object]
Compute = Literal["task", "host"]
Credentials = Literal["task-role", "instance-profile", "user-key", "none"]


@dataclass(frozen=True)
class Role:
    """An IAM role: who may assume it (service principals), customer-managed and inline policies by name."""

    name: str
    trust: tuple[str, ...]
    managed: Mapping[str, list[Statement]] = field(default_factory=dict)
    inline: Mapping[str, list[Statement]] = field(default_factory=dict)


@dataclass(frozen=True)
class User:
    """An IAM user with one access key and one inline policy."""

    name: str
    statements: list[Statement]


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
    key of `user` in its environment, or nothing. `environment` is the application's own configuration.
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

    def __post_init__(self) -> None:
        if bool(self.task_role) != (self.credentials == "task-role"):
            raise ValueError(f"service `{self.name}`: a task role and credentials `task-role` belong together")
        if self.task_role and self.compute != "task":
            raise ValueError(f"service `{self.name}`: only a task has a task role")
        if bool(self.user) != (self.credentials == "user-key"):
            raise ValueError(f"service `{self.name}`: a user and credentials `user-key` belong together")


@dataclass(frozen=True)
class Plan:
    """Everything that `seed` makes, in one account and region."""

    account: str
    region: str
    cluster: str
    roles: tuple[Role, ...]
    hosts: tuple[Host, ...]
    services: tuple[Service, ...]
    buckets: tuple[str, ...]
    queues: tuple[str, ...]
    tables: tuple[str, ...]
    auditor: User
    users: tuple[User, ...] = ()

    def role_arn(self, name: str) -> str:
        return f"arn:aws:iam::{self.account}:role/{name}"

    def service(self, name: str) -> Service:
        return next(service for service in self.services if service.name == name)


def plan(rename: Mapping[str, str] | None = None) -> Plan:
    """Return the demo's plan; `rename` gives other names to roles, services, buckets, queues and tables."""

    def name(default: str) -> str:
        return (rename or {}).get(default, default)

    orders, thumbnailer, host = name("orders"), name("thumbnailer"), name("ecs-host-1")
    invoices, photos = name("example-shop-invoices"), name("example-shop-photos")
    orders_role, host_role, execution = name("orders-task-role"), name("ecsInstanceRole"), name("ecsTaskExecutionRole")
    queue, table = name("order-events"), name("orders-table")
    return Plan(
        account="123456789012",
        region="eu-west-1",
        cluster=name("shop"),
        buckets=(invoices, photos),
        queues=(queue,),
        tables=(table,),
        roles=(
            # too wide: whole services where a few actions are used, and one grant that nothing uses
            Role(
                orders_role,
                trust=("ecs-tasks.amazonaws.com",),
                managed={name("orders-storage"): [_allow("Invoices", "s3:*", *_bucket(invoices))]},
                inline={
                    "orders-events": [
                        _allow("Events", "sqs:*", "*"),
                        _allow("Orders", "dynamodb:*", "*"),
                        _allow("Notify", "sns:Publish", "*"),
                    ]
                },
            ),
            # the host's own duties, and the grant that someone added to make an application work
            Role(
                host_role,
                trust=("ec2.amazonaws.com",),
                managed={name("ecs-host-duties"): [_allow("Host", HOST_DUTIES, "*")]},
                inline={"photos": [_allow("Photos", "s3:*", *_bucket(photos))]},
            ),
            Role(
                execution,
                trust=("ecs-tasks.amazonaws.com",),
                inline={"pull-and-log": [_allow("PullAndLog", EXECUTION_DUTIES, "*")]},
            ),
        ),
        hosts=(Host(host, role=host_role),),
        services=(
            Service(
                orders,
                module="examples.demo.apps.orders",
                compute="task",
                host=host,
                credentials="task-role",
                task_role=orders_role,
                execution_role=execution,
                environment={"ORDERS_BUCKET": invoices, "ORDERS_QUEUE": queue, "ORDERS_TABLE": table},
            ),
            Service(
                thumbnailer,
                module="examples.demo.apps.thumbnailer",
                compute="task",
                host=host,
                credentials="instance-profile",
                execution_role=execution,
                environment={"PHOTOS_BUCKET": photos},
            ),
        ),
        auditor=User(name("credwatch-agent"), [_allow("ReadConfiguration", AUDIT, "*")]),
    )


def _allow(sid: str, action: str | list[str], *resources: str) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": list(resources)}


def _bucket(name: str) -> tuple[str, str]:
    return f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"


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

# Reading configuration, no data: what a snapshot of roles, tasks and hosts needs.
AUDIT = ["iam:Get*", "iam:List*", "ecs:Describe*", "ecs:List*", "ec2:Describe*", "sts:GetCallerIdentity"]
