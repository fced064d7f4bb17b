"""Small worlds for tests of findings: a snapshot and telemetry in a few words, compared as the agent does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from credwatch.semconv import Hop, Usage
from credwatch_agent import snapshot as s
from credwatch_agent.compare import compare
from credwatch_agent.evidence import Settings, join
from credwatch_agent.findings import World
from credwatch_agent.records import KeySighting, Process, Telemetry, UsageRow

ACCOUNT = "123456789012"
DAY = 86_400 * 10**9
NOW = 20_000 * DAY
BEGIN = NOW - 100 * DAY
TASK_TRUST = "ecs-tasks.amazonaws.com"
HOST_TRUST = "ec2.amazonaws.com"
HOST = "i-0aaaaaaaaaaaaaaaa"
PROFILE = f"arn:aws:iam::{ACCOUNT}:instance-profile/host"


def role_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:role/{name}"


def allow(sid: str, actions: str | Sequence[str], *resources: str, **more: Any) -> dict[str, Any]:
    names = actions if isinstance(actions, str) else list(actions)
    return {"Sid": sid, "Effect": "Allow", "Action": names, "Resource": list(resources or ("*",)), **more}


def document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def policy(name: str, *statements: Mapping[str, Any], **more: Any) -> s.Policy:
    return s.Policy(name, document(*statements), **more)


def trusting(*services: str, **more: Any) -> dict[str, Any]:
    """The statement of a trust policy that lets in services, with the condition that they are of this account."""
    statement = {"Effect": "Allow", "Principal": {"Service": list(services)}, "Action": "sts:AssumeRole"}
    return {**statement, "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}, **more}


def trust(*services: str, **more: Any) -> str:
    return document(trusting(*services, **more))


def role(name: str, *statements: Mapping[str, Any], trusts: str = TASK_TRUST, **more: Any) -> s.Role:
    """A role with one inline policy `p` of these statements."""
    policies = (policy("p", *statements),) if statements else ()
    return s.Role(role_arn(name), name, **{"trust": trust(trusts), "policies": policies, **more})


def snapshot(*roles: s.Role, **more: Any) -> s.Snapshot:
    return s.Snapshot(NOW, "live", account_id=ACCOUNT, region="eu-west-1", roles=roles, **more)


def ecs(family: str, task_role: str = "", *, container: str = "app", host: str = HOST, **more: Any) -> dict[str, Any]:
    """One running task of a family with one container, on a registered host, as arguments of `snapshot`."""
    base = f"arn:aws:ecs:eu-west-1:{ACCOUNT}"
    definition = s.TaskDefinition(
        f"{base}:task-definition/{family}:1",
        family,
        "1",
        **{"task_role_arn": task_role, "containers": (s.Container(container),), **more},
    )
    task = s.Task(f"{base}:task/shop/{family}", f"{base}:cluster/shop", definition.arn, "", f"{base}:ci/{host}")
    return {
        "task_definitions": (definition,),
        "tasks": (task,),
        "container_instances": (s.ContainerInstance(f"{base}:ci/{host}", f"{base}:cluster/shop", host),),
        "instances": (s.Instance(host, PROFILE),),
        "instance_profiles": (s.InstanceProfile(PROFILE, "host", (role_arn("host"),)),),
    }


def task_process(process_id: str, family: str, uri: str = "present", **more: str) -> Process:
    resource = {
        "service.name": family,
        "cloud.platform": "aws_ecs",
        "aws.ecs.task.arn": f"arn:aws:ecs:eu-west-1:{ACCOUNT}:task/shop/{family}",
        "aws.ecs.task.family": family,
        "aws.ecs.task.revision": "1",
        "container.name": "app",
        "credwatch.ecs.credentials_uri": uri,
        "credwatch.entry_point": f"{family}.py",
        **{key.replace("__", "."): value for key, value in more.items()},
    }
    return Process(process_id, {key: value for key, value in resource.items() if value}, BEGIN, NOW, closed=0)


def host_process(process_id: str, service: str, host: str = HOST, **more: str) -> Process:
    resource = {"service.name": service, "host.id": host, **{k.replace("__", "."): v for k, v in more.items()}}
    return Process(process_id, {key: value for key, value in resource.items() if value}, BEGIN, NOW, closed=0)


def call(process_id: str, source: str, principal: str, *actions: str, resource: str = "*", **more: Any) -> UsageRow:
    """Ten calls of one kind that needed `actions`. `principal` is a role's ARN or, of a host, its name."""
    named = {"principal_arn": principal} if principal.startswith("arn:") else {"principal_name": principal}
    service, _, operation = (actions[0] if actions else "sts:GetCallerIdentity").partition(":")
    times = {key: more.pop(key) for key in ("calls", "first_ns", "last_ns", "exact") if key in more}
    usage = Usage(
        source,
        **{
            "credential_type": "temporary",
            "service": service,
            "operation": operation,
            "authorizations": tuple((action, (resource,)) for action in actions),
            "mapping": "table",
            "account_id": ACCOUNT,
            **named,
            **more,
        },
    )
    return UsageRow(process_id, usage, **{"calls": 10, "first_ns": BEGIN, "last_ns": NOW, **times})


def chain(*hops: tuple[str, str]) -> tuple[Hop, ...]:
    return tuple(Hop(*hop) for hop in hops)


def key(process_id: str, pseudonym: str, source: str, principal: str = "", **more: Any) -> KeySighting:
    fields = {
        "provider": "",
        "credential_type": "temporary",
        "laundered": False,
        "account_id": ACCOUNT,
        "value": 10,
        "first_ns": BEGIN,
        "last_ns": NOW,
        **more,
    }
    return KeySighting(process_id=process_id, pseudonym=pseudonym, source=source, principal=principal, **fields)


def world(
    snap: s.Snapshot,
    processes: Sequence[Process] = (),
    usage: Sequence[UsageRow] = (),
    keys: Sequence[KeySighting] = (),
) -> World:
    index = s.Index(snap)
    telemetry = Telemetry({p.process_id: p for p in processes}, tuple(usage), tuple(keys))
    joined = join(telemetry, index, 0)
    return World(index, telemetry, joined, compare(index, joined, NOW, Settings(), lambda _action: True), NOW)
