"""The services of the demo, one function each: its process, its roles, its storage, with or without its faults.

A part takes the table of names and the faults that are planted, and knows nothing of the other parts;
what they share (the container instance, its role, the execution role) belongs to `plan`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from examples.demo.nouns import Bucket, Host, Role, Service, User
from examples.demo.policies import allow, bucket, objects

ACCOUNT = "123456789012"
SECOND_ACCOUNT = "210987654321"
REGION = "eu-west-1"
TASKS = "ecs-tasks.amazonaws.com"
EC2 = "ec2.amazonaws.com"
APPS = "examples.demo.apps"

Faults = Collection[str]


class Names:
    """Default name -> the name that this world uses."""

    def __init__(self, rename: Mapping[str, str]) -> None:
        self._rename = rename

    def __call__(self, default: str) -> str:
        return self._rename.get(default, default)


@dataclass(frozen=True)
class Part:
    """A service and what exists for it alone."""

    service: Service
    roles: tuple[Role, ...] = ()
    hosts: tuple[Host, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    queues: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    users: tuple[User, ...] = ()


def _task(name: Names, service: str, role: str, environment: Mapping[str, str]) -> Service:
    """Return a service that runs as a task and finds its task role, if it has one, else the host's."""
    return Service(
        name(service),
        module=f"{APPS}.{service}",
        compute="task",
        host=name("ecs-host-1"),
        credentials="task-role" if role else "instance-profile",
        task_role=role,
        execution_role=name("ecsTaskExecutionRole"),
        environment=environment,
    )


def orders(name: Names, faults: Faults) -> Part:
    """Return a task with a task role that is too wide: whole services where a few actions are used."""
    role, invoices = name("orders-task-role"), name("example-shop-invoices")
    queue, table = name("order-events"), name("orders-table")
    wide = [allow("Invoices", "s3:*", *bucket(invoices))]
    tight = objects("Invoices", invoices, "GetObject", "PutObject", listed=True)
    # moto checks SQS and DynamoDB against `*` alone, so these two cannot be narrowed here
    events = [allow("Events", "sqs:*", "*"), allow("Orders", "dynamodb:*", "*")]
    notify = [allow("Notify", "sns:Publish", "*")] if "orders-grant-without-use" in faults else []
    return Part(
        _task(name, "orders", role, {"ORDERS_BUCKET": invoices, "ORDERS_QUEUE": queue, "ORDERS_TABLE": table}),
        roles=(
            Role(
                role,
                trust=(TASKS,),
                managed={name("orders-storage"): wide if "orders-storage-too-wide" in faults else tight},
                inline={"orders-events": [*events, *notify]},
            ),
        ),
        buckets=(Bucket(invoices),),
        queues=(queue,),
        tables=(table,),
    )


def thumbnailer(name: Names, faults: Faults) -> Part:
    """Return a task without a task role: it signs with the host's instance profile."""
    photos = name("example-shop-photos")
    role = "" if "thumbnailer-without-task-role" in faults else name("thumbnailer-task-role")
    grants = objects("Photos", photos, "GetObject", "PutObject", listed=True)
    return Part(
        _task(name, "thumbnailer", role, {"PHOTOS_BUCKET": photos}),
        roles=(Role(role, trust=(TASKS,), inline={"photos": grants}),) if role else (),
        buckets=(Bucket(photos),),
    )


def reporting(name: Names, faults: Faults) -> Part:
    """Return a task that assumes a role of a second account and passes the returned keys on as literals."""
    role, writer, archive = name("reporting-task-role"), name("reporting-archive-writer"), name("example-archive")
    writer_arn = f"arn:aws:iam::{SECOND_ACCOUNT}:role/{writer}"
    task = _task(name, "reporting", role, {"REPORTS_ROLE_ARN": writer_arn, "REPORTS_BUCKET": archive})
    return Part(
        replace(task, assumes={"s3": writer}),
        roles=(
            Role(
                role,
                trust=(TASKS,),
                inline={"archive": [allow("Archive", "sts:AssumeRole", writer_arn)]},
                source_condition="reporting-trust-without-condition" not in faults,
            ),
            Role(
                writer,
                trusted=(f"arn:aws:iam::{ACCOUNT}:role/{role}",),
                inline={"write": objects("Write", archive, "PutObject", listed=True)},
                account=SECOND_ACCOUNT,
            ),
        ),
        buckets=(Bucket(archive, SECOND_ACCOUNT),),
    )


def legacy(name: Names, faults: Faults) -> Part:
    """Return a host process with an IAM user's key in its environment, although the host has a role."""
    host, role, user, backups = (
        name("legacy-host"),
        name("legacy-host-role"),
        name("legacy-backup"),
        name("example-shop-backups"),
    )
    grants = objects("Backups", backups, "GetObject", "PutObject", listed=True)
    keyed = "legacy-user-key" in faults
    return Part(
        Service(
            name("legacy"),
            module=f"{APPS}.legacy",
            compute="host",
            host=host,
            credentials="user-key" if keyed else "instance-profile",
            user=user if keyed else "",
            environment={"BACKUP_BUCKET": backups},
        ),
        roles=(Role(role, trust=(EC2,), inline={"backups": grants}),),
        hosts=(Host(host, role=role, cluster=False),),
        buckets=(Bucket(backups),),
        users=(User(user, grants),) if keyed else (),
    )


def batch(name: Names, faults: Faults) -> Part:
    """Return a host process that may do all it does, except for the one clean-up at its end."""
    host, role, inbox = name("batch-host"), name("batch-host-role"), name("example-shop-inbox")
    actions = ["GetObject", "PutObject"]
    if "batch-may-not-delete" not in faults:
        actions.append("DeleteObject")
    return Part(
        Service(
            name("batch"),
            module=f"{APPS}.batch",
            compute="host",
            host=host,
            credentials="instance-profile",
            environment={"INBOX_BUCKET": inbox},
        ),
        roles=(Role(role, trust=(EC2,), inline={"inbox": objects("Inbox", inbox, *actions, listed=True)}),),
        hosts=(Host(host, role=role, cluster=False),),
        buckets=(Bucket(inbox),),
    )


def web(name: Names, faults: Faults) -> Part:
    """Return a task whose workers are forked after its clients were made; nothing is wrong with it."""
    role, pages = name("web-task-role"), name("example-shop-pages")
    grants = objects("Pages", pages, "GetObject", "PutObject")
    if "web-may-escalate" in faults:
        grants.append(allow("Deploy", "iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/{role}"))
    return Part(
        _task(name, "web", role, {"PAGES_BUCKET": pages}),
        roles=(Role(role, trust=(TASKS,), inline={"pages": grants}),),
        buckets=(Bucket(pages),),
    )


def asynchronous(name: Names, faults: Faults) -> Part:
    """Return a task that uses aiobotocore, in an environment of its own; nothing is wrong with it."""
    role, feed = name("async-task-role"), name("example-shop-feed")
    mixed = "async-trust-mixed" in faults
    return Part(
        replace(_task(name, "async", role, {"FEED_BUCKET": feed}), module=f"{APPS}.feed", interpreter="async"),
        roles=(
            Role(
                role,
                trust=(TASKS, EC2) if mixed else (TASKS,),
                trusted=("*",) if "async-trusts-everyone" in faults else (),
                inline={"feed": objects("Feed", feed, "GetObject", "PutObject")},
            ),
        ),
        buckets=(Bucket(feed),),
    )


def cron(name: Names, faults: Faults) -> Part:
    """Return a job that a crontab starts inside a task: the variable that leads to the task role is lost."""
    role, photos = name("cron-task-role"), name("example-shop-photos")
    task = _task(name, "cron", role, {"PHOTOS_BUCKET": photos})
    if "cron-environment-stripped" in faults:
        lost = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        task = replace(task, stripped=lost, credentials="instance-profile")
    return Part(
        task,
        roles=(Role(role, trust=(TASKS,), inline={"photos": objects("Photos", photos, "PutObject", listed=True)}),),
        buckets=(Bucket(photos),),
    )
