"""Which parameters pass a role: candidates from botocore's models, minus a reviewed list.

Owns `data/general/passrole.json`. A parameter is a candidate by its name; `NOT_ROLES`
and the other exclusions each say why they pass none. `PASSED_TO` names the services that a role is
passed to, each as the service authorization reference of that service says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_DEPTH = 8
_CANDIDATE = re.compile(r"(role(_?arn)?s?|rolearnupdate|roleupdate|roleoverride|role(name)?orarn)$", re.IGNORECASE)

# Parameters whose name says "role" and that hand no role to a service.
NOT_ROLES = {
    "accessRole": {"accessanalyzer"},  # names the role that is checked
    "assumableRoleArn": None,  # assumed across accounts; a role is never passed across accounts
    "ConsumerAccountRoleArn": None,  # of another account
    "crossAccountRole": None,  # of another account
    "crossAccountRoleArn": None,  # of another account
    "crossAccountRoleArns": None,  # of another account
    "DeliverCrossAccountRole": None,  # of another account
    "DatabaseAccessControlRole": None,  # a database's role
    "GeographicRole": None,  # what a column means
    "keyRole": None,  # a role inside Grafana
    "MasterBackendRole": None,  # a role inside OpenSearch
    "RemoveIamRoles": None,  # taken away, not passed
    "role": {"grafana"},  # an assertion's attribute
    "roleArn": {"account-access"},  # asked for, not passed
    "roleAlias": None,  # a name of IoT, not a role
    "SnowflakeRole": None,  # a role inside Snowflake
    "snowflakeRole": None,  # a role inside Snowflake
    "targetRoleArn": {"eks", "amp"},  # assumed across accounts by the first role
    "UserRole": None,  # LDAP
}
# Parts of a request in which every role is one that is named, or that the service's own code assumes.
NOT_PASSED_IN = ("CodeGenConfigurationNodes{}", "resourceIdentifier")
# Clients in which a role's ARN describes something and is never passed.
NOT_PASSING = {
    "securityhub": "findings describe other resources",
    "sts": "the role is assumed by the caller",
    "sso": "the role is assumed by the user",
    "rolesanywhere": "roles are assumed with a certificate; a profile only lists them",
    "iam": "roles are the operations' own resources; the exception is in EXTRA",
    "neptunedata": "the role is attached to the cluster, which passes it",
}
# Reads and removals compare or take away; they pass nothing.
_NO_PASS = re.compile(r"^(Get|List|Describe|Search|BatchGet|Delete|Disassociate|Remove|Untag|AssumeDecoratedRole)")
# Parameters that take a role under another name, or a role hidden in another resource.
EXTRA = {
    ("iam", "AddRoleToInstanceProfile"): ["RoleName"],
    ("ec2", "AssociateIamInstanceProfile"): ["IamInstanceProfile"],
    ("ec2", "ReplaceIamInstanceProfileAssociation"): ["IamInstanceProfile"],
    ("ec2", "RunInstances"): ["IamInstanceProfile"],
    ("ec2", "RequestSpotInstances"): ["LaunchSpecification.IamInstanceProfile"],
    ("ec2", "RequestSpotFleet"): [
        "SpotFleetRequestConfig.IamFleetRole",
        "SpotFleetRequestConfig.LaunchSpecifications[].IamInstanceProfile",
    ],
    ("ec2", "CreateFlowLogs"): ["DeliverLogsPermissionArn"],
    ("autoscaling", "CreateLaunchConfiguration"): ["IamInstanceProfile"],
    ("cognito-identity", "SetIdentityPoolRoles"): ["Roles.authenticated", "Roles.unauthenticated"],
    ("cognito-idp", "CreateUserPool"): ["SmsConfiguration.SnsCallerArn"],
    ("cognito-idp", "UpdateUserPool"): ["SmsConfiguration.SnsCallerArn"],
    ("cognito-idp", "SetUserPoolMfaConfig"): ["SmsMfaConfiguration.SmsConfiguration.SnsCallerArn"],
    ("eks", "CreateAccessEntry"): ["principalArn"],
    ("apigateway", "CreateAuthorizer"): ["authorizerCredentials"],
    ("apigateway", "PutIntegration"): ["credentials"],
    ("apigatewayv2", "CreateAuthorizer"): ["AuthorizerCredentialsArn"],
    ("apigatewayv2", "CreateIntegration"): ["CredentialsArn"],
    ("apigatewayv2", "UpdateAuthorizer"): ["AuthorizerCredentialsArn"],
    ("apigatewayv2", "UpdateIntegration"): ["CredentialsArn"],
    ("sns", "Subscribe"): ["Attributes.SubscriptionRoleArn"],
}
# The values of `iam:PassedToService`, as `service-authorization/latest/reference/list_<service>.html` gives them
# for each operation; `*` stands for the operations of the client that are not named.
PASSED_TO: dict[str, dict[str, str]] = {
    "apigateway": {"*": "apigateway.amazonaws.com"},
    "athena": {"*": "athena.amazonaws.com"},
    "batch": {
        "CreateComputeEnvironment": "batch.amazonaws.com,ec2.amazonaws.com,ecs.amazonaws.com,spotfleet.amazonaws.com",
        "RegisterJobDefinition": "ecs-tasks.amazonaws.com",
        "SubmitServiceJob": "sagemaker.amazonaws.com",
        "UpdateComputeEnvironment": "batch.amazonaws.com,ec2.amazonaws.com,ecs.amazonaws.com",
    },
    "bedrock": {"*": "bedrock.amazonaws.com"},
    "docdb": {"*": "rds-preview.amazonaws.com,rds.amazonaws.com"},
    "ecs": {
        "CreateCapacityProvider": "ecs.amazonaws.com",
        "CreateDaemon": "ecs-tasks.amazonaws.com",
        "CreateExpressGatewayService": "ecs-tasks.amazonaws.com,ecs.amazonaws.com",
        "CreateService": "ecs-tasks.amazonaws.com,ecs.amazonaws.com",
        "CreateTaskSet": "ecs-tasks.amazonaws.com",
        "RegisterTaskDefinition": "ecs-tasks.amazonaws.com",
        "RunTask": "ecs-tasks.amazonaws.com,ecs.amazonaws.com",
        "StartTask": "ecs-tasks.amazonaws.com,ecs.amazonaws.com",
    },
    "eks": {
        "CreateAccessEntry": "ec2.amazonaws.com",
        "CreateCluster": "ec2.amazonaws.com,eks.amazonaws.com",
        "CreatePodIdentityAssociation": "pods.eks.amazonaws.com",
        "*": "eks.amazonaws.com",
    },
    "events": {"*": "events.amazonaws.com"},
    "eventbridgev2": {"*": "events.amazonaws.com"},
    "firehose": {"*": "firehose.amazonaws.com"},
    "glue": {"*": "glue.amazonaws.com"},
    "lambda": {"*": "lambda.amazonaws.com"},
    "mediapackage-vod": {"*": "mediapackage-vod.amazonaws.com"},
    "rds": {"*": "rds-preview.amazonaws.com,rds.amazonaws.com"},
    "scheduler": {"*": "scheduler.amazonaws.com"},
}


def passing(session: Any) -> dict[str, dict[str, Any]]:
    """Return, for each client, the operations that pass a role with the paths of their parameters."""
    found: dict[str, dict[str, Any]] = {}
    for client in sorted(session.get_available_services()):
        model = session.get_service_model(client)
        paths = {name: _paths(client, model.operation_model(name)) for name in sorted(model.operation_names)}
        operations = {name: given[0] if len(given) == 1 else given for name, given in paths.items() if given}
        if operations:
            to = {"to": PASSED_TO[client]} if client in PASSED_TO else {}
            found[client] = {**to, "operations": operations}
    return found


def _paths(client: str, operation: Any) -> list[str]:
    extra = EXTRA.get((client, operation.name), [])
    if client in NOT_PASSING or _NO_PASS.match(operation.name) or not operation.input_shape:
        return extra
    candidates = {path for path in _walk(operation.input_shape, "", _DEPTH, frozenset()) if _passes(client, path)}
    return sorted({*candidates, *extra})


def _passes(client: str, path: str) -> bool:
    if path.startswith(NOT_PASSED_IN):
        return False
    name = re.sub(r"[\[\]{}]", "", path.rsplit(".", 1)[-1])
    where = NOT_ROLES.get(name, ())
    return where is not None and client not in where


def _walk(shape: Any, path: str, depth: int, seen: frozenset[str]) -> Iterator[str]:
    if not depth or shape.name in seen:
        return
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from _member(name, member, f"{path}.{name}".lstrip("."), depth - 1, seen | {shape.name})
    elif shape.type_name == "list":
        yield from _walk(shape.member, f"{path}[]", depth - 1, seen | {shape.name})
    elif shape.type_name == "map":
        yield from _walk(shape.value, path + "{}", depth - 1, seen | {shape.name})


def _member(name: str, shape: Any, path: str, depth: int, seen: frozenset[str]) -> Iterator[str]:
    if shape.type_name == "string":
        if _CANDIDATE.search(name) and not getattr(shape, "enum", None):
            yield path
    elif shape.type_name == "list" and shape.member.type_name == "string":
        if _CANDIDATE.search(name) and not getattr(shape.member, "enum", None):
            yield f"{path}[]"
    else:
        yield from _walk(shape, path, depth, seen)
