"""An account from a fixed seed, as `aws iam get-account-authorization-details` writes one, and what its roles did.

As wide as real ones: each role has two managed policies, AWS's own documents as moto carries them (a third as
many as there are roles, shared between them), and an inline one over all services of the catalogue: lists of
actions, `service:*`, `service:Get*`, resources of the services' own ARN templates, conditions, Denies.
500 roles have 666 documents with some 2,325 statements.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from credwatch.semconv import Usage
from credwatch_agent.iam.catalogue import expand, resource_templates, services
from credwatch_agent.recommend import Call
from credwatch_agent.records import Process, Telemetry, UsageRow

POLICIES = 3
"""Policies of a role: two managed, one inline."""

CALLS = 20
"""Distinct calls of a role."""

DAY_NS = 86_400 * 10**9
NUMBER = "123456789012"
REGION = "eu-west-1"
SEED = 7

BROAD = 0.04
"""The share of inline statements that grant (nearly) everything.

It decides most of what a scan costs that lists actions; this one gives the figures that the goal was set with
(cloudsplaining: 570 MB, about a minute on a slow machine).
"""

_BROAD: tuple[Mapping[str, Any], ...] = (
    {"Action": "*"},
    {"NotAction": ["iam:*", "organizations:*", "account:*"]},
)

_PATHS = frozenset({"/", "/service-role/", "/job-function/"})
"""Of AWS's policies that a role can have; the others are for service-linked roles."""

_COMMON = (
    "AdministratorAccess", "PowerUserAccess", "ReadOnlyAccess", "ViewOnlyAccess", "SecurityAudit", "AmazonS3FullAccess",
    "AmazonEC2FullAccess", "AmazonSQSFullAccess", "AmazonDynamoDBFullAccess", "AWSLambda_FullAccess",
    "CloudWatchAgentServerPolicy", "AmazonSSMManagedInstanceCore", "AmazonECSTaskExecutionRolePolicy",
)  # fmt: skip
"""These are in any account; the others are drawn."""

_DISTINCT = 167
"""Of AWS's policies in any account: a larger one has copies, so that it has more of the same and no other mixture."""

_POPULAR = (
    "s3", "sqs", "sns", "dynamodb", "lambda", "ec2", "logs", "cloudwatch", "kms", "secretsmanager", "ssm", "ecr",
    "ecs", "iam", "sts", "kinesis", "events", "states", "rds", "glue", "athena", "execute-api", "elasticloadbalancing",
)  # fmt: skip


class Document(NamedTuple):
    """A policy of a role; an inline one has no ARN."""

    name: str
    arn: str
    document: Mapping[str, Any]


class Made(NamedTuple):
    """A role: its policies and its calls, pairs of an action and a resource."""

    policies: tuple[Document, ...]
    calls: tuple[tuple[str, str], ...]


def account(roles: int, seed: int = SEED) -> Iterator[Made]:
    """Return each role of an account of so many."""
    chance = random.Random(seed)
    managed = _managed(chance, -(-roles // POLICIES))
    for number in range(roles):
        inline = Document(f"app-{number}", "", _document(chance))
        policies = (*chance.sample(managed, k=min(2, len(managed))), inline)
        yield Made(policies, tuple(_calls(chance, policies)))


def details(roles: Sequence[Made]) -> dict[str, Any]:
    """Return the account as the AWS CLI writes it."""
    managed = {each.arn: each for role in roles for each in role.policies if each.arn}
    attached = Counter(each.arn for role in roles for each in role.policies)
    return {
        "UserDetailList": [],
        "GroupDetailList": [],
        "Policies": [_detail(at, each, attached[each.arn]) for at, each in enumerate(managed.values())],
        "RoleDetailList": [_role(number, role.policies) for number, role in enumerate(roles)],
    }


def calls(made: Sequence[tuple[str, str]]) -> list[Call]:
    """Return a role's calls as `recommend` takes them."""
    return [Call(action, (resource,), "container", 10, 0, 90 * DAY_NS) for action, resource in made]


def telemetry(roles: Sequence[Sequence[tuple[str, str]]]) -> Telemetry:
    """Return what the roles' recorders reported: a process a role, which is there for the whole window."""
    processes = {f"p{at}": Process(f"p{at}", {"service.name": f"app-{at}"}, 0, 90 * DAY_NS) for at in range(len(roles))}
    return Telemetry(processes, tuple(_row(at, each) for at, made in enumerate(roles) for each in calls(made)), ())


# --- as AWS's API writes it --------------------------------------------------------------------------


def _detail(number: int, policy: Document, attachments: int) -> dict[str, Any]:
    version = {"Document": policy.document, "VersionId": "v1", "IsDefaultVersion": True, "CreateDate": _CREATED}
    return {
        "PolicyName": policy.name,
        "PolicyId": f"ANPA{number:016}",
        "Arn": policy.arn,
        "Path": "/",
        "DefaultVersionId": "v1",
        "AttachmentCount": attachments,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": True,
        "CreateDate": _CREATED,
        "UpdateDate": _CREATED,
        "PolicyVersionList": [version],
    }


_CREATED = "2026-01-01T00:00:00Z"


def _role(number: int, policies: Sequence[Document]) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return {
        "Path": "/",
        "RoleName": f"app-{number}",
        "RoleId": f"AROA{number:016}",
        "Arn": _arn(number),
        "CreateDate": _CREATED,
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "InstanceProfileList": [],
        "RolePolicyList": [
            {"PolicyName": each.name, "PolicyDocument": each.document} for each in policies if not each.arn
        ],
        "AttachedManagedPolicies": [{"PolicyName": each.name, "PolicyArn": each.arn} for each in policies if each.arn],
        "Tags": [],
        "RoleLastUsed": {},
    }


def _arn(number: int) -> str:
    return f"arn:aws:iam::{NUMBER}:role/app-{number}"


def _row(number: int, call: Call) -> UsageRow:
    service, _, operation = call.action.partition(":")
    usage = Usage(
        "ecs-task-role",
        principal_arn=_arn(number),
        service=service,
        operation=operation,
        authorizations=((call.action, call.resources),),
        mapping="table",
        detail=call.detail,
    )
    return UsageRow(f"p{number}", usage, call.calls, call.first_ns, call.last_ns)


# --- policies ---------------------------------------------------------------------------------------


def _managed(chance: random.Random, count: int) -> list[Document]:
    """Return AWS's managed policies; in a larger account also copies of them that the account made its own."""
    # here, so that moto is no part of the memory of a process that reads an account
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    every = {name: each for name, each in json.loads(aws_managed_policies_data).items() if each["Path"] in _PATHS}
    drawn = chance.sample(sorted(every.keys() - set(_COMMON)), k=len(every) - len(_COMMON))
    names = [*_COMMON, *drawn][:_DISTINCT]
    found = []
    for at in range(count):
        copy, which = divmod(at, len(names))
        name = names[which]
        document = every[name]["Document"]
        if copy:
            found.append(Document(f"{name}-{copy}", f"arn:aws:iam::{NUMBER}:policy/{name}-{copy}", document))
        else:
            found.append(Document(name, f"arn:aws:iam::aws:policy{every[name]['Path']}{name}", document))
    return found


def _document(chance: random.Random) -> dict[str, Any]:
    count = chance.choice((1, 2, 3, 4, 4))
    return {"Version": "2012-10-17", "Statement": [_statement(chance, at) for at in range(count)]}


def _statement(chance: random.Random, at: int) -> dict[str, Any]:
    if chance.random() < BROAD:
        return {"Sid": f"S{at}", "Effect": "Allow", **chance.choice(_BROAD), "Resource": "*"}
    service = chance.choice(_POPULAR if chance.random() < 0.6 else services())
    every = expand(f"{service}:*") or (f"{service}:*",)
    actions = chance.choice((_some, _verbs, _all))(chance, service, every)
    statement: dict[str, Any] = {"Sid": f"S{at}", "Effect": "Allow", "Action": actions, "Resource": "*"}
    templates = resource_templates(chance.choice(every))
    if templates and chance.random() < 0.6:
        count = chance.randint(1, 3)
        statement["Resource"] = [_filled(chance.choice(templates), f"{_name(chance)}-*") for _ in range(count)]
    if chance.random() < 0.2:
        statement["Condition"] = {"StringEquals": {"aws:RequestedRegion": [REGION, "eu-central-1"]}}
    if chance.random() < 0.05:
        statement["Effect"] = "Deny"
    return statement


def _some(chance: random.Random, _service: str, every: Sequence[str]) -> list[str]:
    return sorted(chance.sample(every, k=min(len(every), chance.randint(1, 8))))


def _verbs(chance: random.Random, service: str, every: Sequence[str]) -> list[str]:
    """Return what reads or changes a service: `Get*`, `List*` and the like, as far as it has such actions."""
    verbs = sorted({verb for each in every for verb in re.findall("^[A-Z]?[a-z]+", each.partition(":")[2])})
    return [f"{service}:{verb}*" for verb in sorted(chance.sample(verbs, k=min(len(verbs), chance.randint(1, 4))))]


def _all(_chance: random.Random, service: str, _every: Sequence[str]) -> list[str]:
    return [f"{service}:*"]


# --- calls ------------------------------------------------------------------------------------------


def _calls(chance: random.Random, policies: Sequence[Document]) -> Iterator[tuple[str, str]]:
    """Return distinct calls that the policies speak of: each statement's actions on resources such as it names."""
    statements = [each for policy in policies for each in _list(policy.document["Statement"])]
    made: dict[tuple[str, str], None] = {}
    while len(made) < CALLS:
        made[_call(chance, chance.choice(statements))] = None
    yield from made


def _call(chance: random.Random, statement: Mapping[str, Any]) -> tuple[str, str]:
    pattern = chance.choice(_list(statement.get("Action", "s3:*")))
    if pattern == "*":
        pattern = f"{chance.choice(_POPULAR)}:*"
    action = chance.choice(expand(pattern) or ("s3:GetObject",))
    named = chance.choice(_list(statement.get("Resource", "*")))
    if named == "*":
        named = chance.choice(resource_templates(action) or ("*",))
    name = _name(chance)
    return action, named if named == "*" else _filled(named, name).replace("*", name).replace("?", "x")


def _name(chance: random.Random) -> str:
    return f"team-{chance.randint(0, 99)}-{chance.randint(0, 9_999)}"


def _filled(template: str, name: str) -> str:
    known = {"Partition": "aws", "Region": REGION, "Account": NUMBER}
    return re.sub(r"\$\{([^}]*)\}", lambda found: known.get(found[1], name), template)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
