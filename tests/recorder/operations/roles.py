"""Which parameters pass a role: candidates from botocore's models, minus a reviewed list.

Owns `data/general/passrole.json`. A parameter is a candidate by its name; `NOT_ROLES`
and the other exclusions each say why they pass none. Which services a role is passed to, `passed_to`
knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.recorder.operations.passed_to import passed_to

_DEPTH = 12
_CANDIDATE = re.compile(
    r"(role(_?arn)?s?|rolearnupdate|roleupdate|roleoverride|role(name)?orarn|rolenamearn|(iam|invoker|sns)rolename)$",
    re.IGNORECASE,
)

# Parameters whose name says "role" and that hand no role to a service.
NOT_ROLES = {
    "AssumableRoleArns": None,  # assumed by the execution role that is passed, not by the service
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
    "Roles": {"budgets"},  # get a policy attached
    "SnowflakeRole": None,  # a role inside Snowflake
    "snowflakeRole": None,  # a role inside Snowflake
    "targetRoleArn": {"eks", "amp"},  # assumed across accounts by the first role
}
# Parts of a request in which every role is one that is named, or that the service's own code assumes.
NOT_PASSED_IN = ("CodeGenConfigurationNodes{}", "resourceIdentifier")
# Clients in which a role's ARN describes something and is never passed.
NOT_PASSING = {
    "securityhub": "findings describe other resources",
    "sts": "the role is assumed by the caller",
    "sso": "the role is assumed by the user",
    "auditmanager": "an assessment names its owners; nothing assumes their roles",
    "iam": "roles are the operations' own resources; the exception is in EXTRA",
    "neptunedata": "the role is attached to the cluster, which passes it",
}
# Operations whose role is of another account: a role is never passed across accounts.
ELSEWHERE = {("fis", "CreateTargetAccountConfiguration"), ("fis", "UpdateTargetAccountConfiguration")}
# Reads and removals compare or take away; they pass nothing.
_NO_PASS = re.compile(r"^(Get|List|Describe|Search|BatchGet|Delete|Disassociate|Remove|Untag)")
# Parameters that take a role under another name, that are an ARN of several kinds (`@role`: those of a role count),
# or that name what holds a role: an instance profile, a launch template, a task definition.
EXTRA = {
    ("iam", "AddRoleToInstanceProfile"): ["RoleName"],
    ("ec2", "AssociateIamInstanceProfile"): ["IamInstanceProfile"],
    ("ec2", "ReplaceIamInstanceProfileAssociation"): ["IamInstanceProfile"],
    ("ec2", "RunInstances"): ["IamInstanceProfile", "LaunchTemplate"],
    ("ec2", "RequestSpotInstances"): ["LaunchSpecification.IamInstanceProfile"],
    ("ec2", "RequestSpotFleet"): [
        "SpotFleetRequestConfig.IamFleetRole",
        "SpotFleetRequestConfig.LaunchSpecifications[].IamInstanceProfile",
        "SpotFleetRequestConfig.LaunchTemplateConfigs",
    ],
    ("ec2", "CreateFleet"): ["LaunchTemplateConfigs"],
    ("ec2", "CreateLaunchTemplate"): ["LaunchTemplateData.IamInstanceProfile"],
    ("ec2", "CreateLaunchTemplateVersion"): ["LaunchTemplateData.IamInstanceProfile"],
    ("ec2", "EnableFastLaunch"): ["LaunchTemplate"],
    ("ec2", "CreateFlowLogs"): ["DeliverLogsPermissionArn"],
    ("autoscaling", "CreateAutoScalingGroup"): ["LaunchTemplate", "MixedInstancesPolicy"],
    ("autoscaling", "UpdateAutoScalingGroup"): ["LaunchTemplate", "MixedInstancesPolicy"],
    ("autoscaling", "StartInstanceRefresh"): [
        "DesiredConfiguration.LaunchTemplate",
        "DesiredConfiguration.MixedInstancesPolicy",
    ],
    ("autoscaling", "CreateLaunchConfiguration"): ["IamInstanceProfile"],
    ("batch", "SubmitServiceJob"): ["serviceRequestPayload"],
    ("cloudformation", "DeleteStack"): ["RoleARN"],
    ("cognito-identity", "SetIdentityPoolRoles"): ["Roles.authenticated", "Roles.unauthenticated"],
    ("cognito-idp", "CreateUserPool"): ["SmsConfiguration.SnsCallerArn", "SmsConfiguration.EumsSms.CallerArn"],
    ("cognito-idp", "UpdateUserPool"): ["SmsConfiguration.SnsCallerArn", "SmsConfiguration.EumsSms.CallerArn"],
    ("cognito-idp", "SetUserPoolMfaConfig"): [
        "SmsMfaConfiguration.SmsConfiguration.SnsCallerArn",
        "SmsMfaConfiguration.SmsConfiguration.EumsSms.CallerArn",
    ],
    ("datapipeline", "ActivatePipeline"): ["pipelineId"],
    ("dms", "CreateReplicationInstance"): ["KerberosAuthenticationSettings.KeyCacheSecretIamArn"],
    ("dms", "ModifyReplicationInstance"): ["KerberosAuthenticationSettings.KeyCacheSecretIamArn"],
    ("drs", "StartRecovery"): ["sourceServers"],
    ("ecs", "CreateDaemon"): ["daemonTaskDefinitionArn"],
    ("ecs", "UpdateDaemon"): ["daemonTaskDefinitionArn"],
    **{
        ("ecs", operation): ["taskDefinition"]
        for operation in ("CreateService", "CreateTaskSet", "RunTask", "StartTask", "UpdateService")
    },
    ("eks", "CreateAccessEntry"): ["principalArn"],
    ("glue", "CreateConnection"): ["ConnectionInput.ConnectionProperties.ROLE_ARN@role"],
    ("glue", "CreateTable"): ["TableInput.ViewDefinition.Definer@role"],
    ("glue", "TestConnection"): ["TestConnectionInput.ConnectionProperties.ROLE_ARN@role"],
    ("glue", "UpdateConnection"): ["ConnectionInput.ConnectionProperties.ROLE_ARN@role"],
    ("glue", "UpdateTable"): ["TableInput.ViewDefinition.Definer@role"],
    ("imagebuilder", "CreateDistributionConfiguration"): ["distributions[].s3ExportConfiguration.roleName"],
    ("imagebuilder", "UpdateDistributionConfiguration"): ["distributions[].s3ExportConfiguration.roleName"],
    ("imagebuilder", "CreateInfrastructureConfiguration"): ["instanceProfileName"],
    ("imagebuilder", "UpdateInfrastructureConfiguration"): ["instanceProfileName"],
    ("iot", "CreateMitigationAction"): ["actionParams.enableIoTLoggingParams.roleArnForLogging"],
    ("iot", "UpdateMitigationAction"): ["actionParams.enableIoTLoggingParams.roleArnForLogging"],
    ("mgn", "StartCutover"): ["sourceServerIDs"],
    ("mgn", "StartTest"): ["sourceServerIDs"],
    **{
        ("opensearch", operation): [
            "dataSources[].iamRoleForDataSourceArn",
            "iamIdentityCenterOptions.iamRoleForIdentityCenterApplicationArn",
        ]
        for operation in ("CreateApplication", "UpdateApplication")
    },
    ("partnercentral-selling", "PutSellingSystemSettings"): ["ResourceSnapshotJobRoleIdentifier"],
    ("pcs", "CreateComputeNodeGroup"): ["iamInstanceProfileArn"],
    ("pcs", "UpdateComputeNodeGroup"): ["iamInstanceProfileArn"],
    **{
        ("rds", operation): ["CustomIamInstanceProfile"]
        for operation in (
            "CreateDBInstance",
            "CreateDBInstanceReadReplica",
            "RestoreDBInstanceFromDBSnapshot",
            "RestoreDBInstanceToPointInTime",
        )
    },
    # AWS checks it also where the role is taken away
    ("neptune", "RemoveRoleFromDBCluster"): ["RoleArn"],
    ("rds", "RemoveRoleFromDBCluster"): ["RoleArn"],
    ("rds", "RemoveRoleFromDBInstance"): ["RoleArn"],
    ("rds", "ModifyOptionGroup"): ["OptionsToInclude[].OptionSettings[].Value@role"],
    ("workspaces-instances", "CreateWorkspaceInstance"): ["ManagedInstance.IamInstanceProfile"],
    ("apigateway", "CreateAuthorizer"): ["authorizerCredentials"],
    ("apigateway", "PutIntegration"): ["credentials@role"],
    **{
        ("apigateway", operation): ["patchOperations[].value@role"]
        for operation in ("UpdateAccount", "UpdateAuthorizer", "UpdateIntegration")
    },
    ("apigatewayv2", "CreateApi"): ["CredentialsArn@role"],
    ("apigatewayv2", "UpdateApi"): ["CredentialsArn@role"],
    ("apigatewayv2", "CreateAuthorizer"): ["AuthorizerCredentialsArn"],
    ("apigatewayv2", "CreateIntegration"): ["CredentialsArn@role"],
    ("apigatewayv2", "UpdateAuthorizer"): ["AuthorizerCredentialsArn"],
    ("apigatewayv2", "UpdateIntegration"): ["CredentialsArn@role"],
    ("sns", "CreatePlatformApplication"): ["Attributes{}@role"],
    ("sns", "CreateTopic"): ["Attributes{}@role"],
    ("sns", "SetPlatformApplicationAttributes"): ["Attributes{}@role"],
    ("sns", "SetSMSAttributes"): ["attributes{}@role"],
    ("sns", "SetSubscriptionAttributes"): ["AttributeValue@role"],
    ("sns", "SetTopicAttributes"): ["AttributeValue@role"],
    ("sns", "Subscribe"): ["Attributes.SubscriptionRoleArn"],
    # the parameter of automation documents that AWS gives a meaning
    ("ssm", "CreateAssociation"): ["Parameters.AutomationAssumeRole[]"],
    ("ssm", "CreateAssociationBatch"): ["Entries[].Parameters.AutomationAssumeRole[]"],
    ("ssm", "UpdateAssociation"): ["Parameters.AutomationAssumeRole[]"],
    ("ssm", "RegisterTaskWithMaintenanceWindow"): [
        "TaskInvocationParameters.Automation.Parameters.AutomationAssumeRole[]"
    ],
    ("ssm", "UpdateMaintenanceWindowTask"): ["TaskInvocationParameters.Automation.Parameters.AutomationAssumeRole[]"],
    ("ssm", "StartAutomationExecution"): ["Parameters.AutomationAssumeRole[]"],
    ("ssm", "StartChangeRequestExecution"): [
        "Parameters.AutomationAssumeRole[]",
        "Runbooks[].Parameters.AutomationAssumeRole[]",
    ],
}


def passing(session: Any) -> dict[str, dict[str, Any]]:
    """Return, for each client, the operations that pass a role with the paths of their parameters."""
    found: dict[str, dict[str, Any]] = {}
    for client in sorted(session.get_available_services()):
        model = session.get_service_model(client)
        paths = {name: _paths(client, model.operation_model(name)) for name in sorted(model.operation_names)}
        paths = {name: given for name, given in paths.items() if given}
        if paths:
            to = passed_to(client, paths)
            operations = {name: given[0] if len(given) == 1 else given for name, given in paths.items()}
            found[client] = {**({"to": to} if to else {}), "operations": operations}
    return found


def _paths(client: str, operation: Any) -> list[str]:
    extra = EXTRA.get((client, operation.name), [])
    if (client, operation.name) in ELSEWHERE:
        return extra
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
