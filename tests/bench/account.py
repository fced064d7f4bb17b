"""An account from a fixed seed, as `aws iam get-account-authorization-details` writes one, and what its roles did."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

from credwatch.semconv import Usage
from credwatch_agent.recommend import Call
from credwatch_agent.records import Process, Telemetry, UsageRow

POLICIES = 3
"""Inline policies of a role."""

CALLS = 20
"""Distinct calls of a role."""

DAY_NS = 86_400 * 10**9
NUMBER = "123456789012"

_SERVICES: dict[str, tuple[list[str], str]] = {
    "s3": (["GetObject", "PutObject", "DeleteObject", "ListBucket", "GetObjectTagging"], "arn:aws:s3:::{}/*"),
    "sqs": (["SendMessage", "ReceiveMessage", "DeleteMessage"], f"arn:aws:sqs:eu-west-1:{NUMBER}:{{}}"),
    "dynamodb": (["GetItem", "PutItem", "Query", "Scan"], f"arn:aws:dynamodb:eu-west-1:{NUMBER}:table/{{}}"),
    "sns": (["Publish", "Subscribe"], f"arn:aws:sns:eu-west-1:{NUMBER}:{{}}"),
    "lambda": (["InvokeFunction", "GetFunction"], f"arn:aws:lambda:eu-west-1:{NUMBER}:function:{{}}"),
    "secretsmanager": (["GetSecretValue"], f"arn:aws:secretsmanager:eu-west-1:{NUMBER}:secret:{{}}"),
}


def account(roles: int, seed: int = 7) -> Iterator[tuple[list[str], list[Call]]]:
    """Return for each role its documents and the calls that were seen of it."""
    chance = random.Random(seed)
    for _ in range(roles):
        documents = [_document(chance) for _ in range(POLICIES)]
        yield [json.dumps(each) for each in documents], [_call(chance, documents) for _ in range(CALLS)]


def details(roles: Sequence[tuple[list[str], list[Call]]]) -> dict[str, Any]:
    """Return the account as the AWS CLI writes it."""
    return {
        "UserDetailList": [],
        "GroupDetailList": [],
        "Policies": [],
        "RoleDetailList": [_role(number, documents) for number, (documents, _) in enumerate(roles)],
    }


def telemetry(roles: Sequence[tuple[list[str], list[Call]]]) -> Telemetry:
    """Return what the roles' recorders reported: a process a role, which is there for the whole window."""
    processes = {f"p{at}": Process(f"p{at}", {"service.name": f"app-{at}"}, 0, 90 * DAY_NS) for at in range(len(roles))}
    usage = tuple(_row(number, call) for number, (_, calls) in enumerate(roles) for call in calls)
    return Telemetry(processes, usage, ())


def _role(number: int, documents: Sequence[str]) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return {
        "Path": "/",
        "RoleName": f"app-{number}",
        "RoleId": f"AROA{number:016}",
        "Arn": _arn(number),
        "CreateDate": "2026-01-01T00:00:00Z",
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "InstanceProfileList": [],
        "RolePolicyList": [
            {"PolicyName": f"policy-{at}", "PolicyDocument": json.loads(each)} for at, each in enumerate(documents)
        ],
        "AttachedManagedPolicies": [],
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


def _document(chance: random.Random) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [_statement(chance) for _ in range(chance.randint(2, 5))]}


def _statement(chance: random.Random) -> dict[str, Any]:
    service = chance.choice(list(_SERVICES))
    names, arn = _SERVICES[service]
    actions = chance.choice(
        ([f"{service}:{name}" for name in chance.sample(names, chance.randint(1, len(names)))], [f"{service}:*"])
    )
    resources = chance.choice(
        (["*"], [arn.format(f"team-{chance.randint(0, 99)}-*") for _ in range(chance.randint(1, 4))])
    )
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resources}
    if chance.random() < 0.2:
        statement["Condition"] = {"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}}
    if chance.random() < 0.05:
        statement["Effect"] = "Deny"
    return statement


def _call(chance: random.Random, documents: list[dict[str, Any]]) -> Call:
    statement = chance.choice(chance.choice(documents)["Statement"])
    service = statement["Action"][0].partition(":")[0]
    names, arn = _SERVICES[service]
    container = arn.format(f"team-{chance.randint(0, 99)}-{chance.choice(('in', 'out', 'log'))}")
    return Call(f"{service}:{chance.choice(names)}", (container,), "container", 10, 0, 90 * DAY_NS)
