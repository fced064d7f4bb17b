"""The operation map answers as AWS documents: hand-checked cases, one line each, beside this file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credwatch import semconv
from credwatch.operations import VERSION, Resolution, coverage, rederive, resolve

CASES = [
    (path.stem, number, json.loads(line))
    for path in sorted((Path(__file__).parent / "operations").glob("*.jsonl"))
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
]
ASKED = ("partition", "region", "account", "detail", "missing")


@pytest.mark.parametrize("case", [pytest.param(c, id=f"{f}:{n}-{c['operation']}") for f, n, c in CASES])
def test_a_call_is_checked_for_what_aws_documents(case: dict[str, Any]) -> None:
    asked = {name: case[name] for name in ASKED if name in case}
    answer = resolve(case["service"], case["operation"], case["params"], **asked)
    assert {action: list(arns) for action, arns in answer.authorizations} == case["authorizations"]
    assert answer.mapping in {case["mapping"]} if "mapping" in case else {"table", "derived"}
    assert answer.version == VERSION
    assert case["source"].startswith("https://docs.a")


def test_a_case_is_written_once() -> None:
    keys = [
        json.dumps({k: v for k, v in case.items() if k != "authorizations"}, sort_keys=True) for _, _, case in CASES
    ]
    assert len(keys) == len(set(keys))
    assert len(keys) >= 400


@pytest.mark.parametrize(
    ("service", "operation", "mapping", "action"),
    [
        ("xray", "GetGroup", "identity", "xray:GetGroup"),
        ("cloudhsmv2", "DescribeClusters", "identity", "cloudhsm:DescribeClusters"),
        ("s3", "OperationOfTomorrow", "identity", "s3:OperationOfTomorrow"),
        ("iotthingsgraph", "GetEntities", "identity", "iotthingsgraph:GetEntities"),
        ("timestream-query", "Query", "unknown", ""),
        ("cognito-idp", "AdminListUserSessions", "identity", "cognito-idp:AdminListUserSessions"),
        ("cloudfront", "ListDistributionsByOwnedResource", "unknown", ""),
        ("no-such-service", "Get", "unknown", ""),
        ("../s3", "GetObject", "unknown", ""),
        ("identity", "GetObject", "unknown", ""),
        ("s3", "Bad Operation!", "unknown", ""),
    ],
)
def test_what_no_row_covers_is_identity_or_unknown(service: str, operation: str, mapping: str, action: str) -> None:
    answer = resolve(service, operation, {"Bucket": "photos"})
    assert answer.mapping == mapping
    assert answer.authorizations == (((action, ("*",)),) if action else ())
    assert answer.detail == ("service" if action else "none")


@pytest.mark.parametrize(
    "statements",
    [
        [],
        ["DROP TABLE t"],
        ['SELECT * FROM "t"', "EXISTS(SELECT * FROM t WHERE a = 1)"],
        ['SELECT * FROM "t"', 7],
    ],
)
def test_partiql_that_is_not_all_understood_is_unknown(statements: list[object]) -> None:
    answer = resolve("dynamodb", "BatchExecuteStatement", {"Statements": [{"Statement": s} for s in statements]})
    assert (answer.authorizations, answer.mapping, answer.detail) == ((), "unknown", "none")


@pytest.mark.parametrize("statement", ["SELECT 'a from secret b' FROM t", "select 'it''s from secret x', a from t"])
def test_no_text_of_a_partiql_statement_is_taken_for_a_table(statement: str) -> None:
    answer = resolve("dynamodb", "ExecuteStatement", {"Statement": statement})
    assert answer.authorizations == (("dynamodb:PartiQLSelect", ("arn:aws:dynamodb:*:*:table/t",)),)


@pytest.mark.parametrize(
    ("operation", "params", "facets"),
    [
        ("PutObject", {"ACL": "public-read", "Tagging": "secret=1"}, (("acl", "yes"), ("tagging", "yes"))),
        ("PutObject", {"ACL": None, "Tagging": ""}, ()),
        ("GetObject", {"VersionId": "v-secret"}, (("version", "yes"),)),
        ("DeleteObjects", {"Delete": {"Objects": [{"Key": "k", "VersionId": "1"}]}}, (("version", "yes"),)),
        ("GetObject", {"Bucket": "n--euw1-az1--x-s3"}, (("variant", "express"),)),
    ],
)
def test_facets_name_what_decided_and_never_its_value(
    operation: str, params: dict[str, object], facets: tuple[tuple[str, str], ...]
) -> None:
    assert resolve("s3", operation, {"Bucket": "b", **params}).facets == facets


@pytest.mark.parametrize(
    ("service", "operation", "params", "detail"),
    [
        ("s3", "GetObject", {}, "service"),
        ("s3", "GetObject", {"Bucket": "name-abc-s3alias"}, "service"),
        ("kms", "Encrypt", {"KeyId": "alias/a"}, "service"),
        ("sqs", "SendMessage", {}, "service"),
        ("dynamodb", "GetItem", {"TableName": "arn:aws:s3:::not-a-table"}, "service"),
        ("dynamodb", "GetItem", {"TableName": "t"}, "container"),
        ("dynamodb", "ListTables", {}, "container"),
    ],
)
def test_detail_is_never_finer_than_the_resources(
    service: str, operation: str, params: dict[str, object], detail: str
) -> None:
    assert resolve(service, operation, params, region="r", account="a").detail == detail


def test_an_arn_of_another_kind_is_not_believed() -> None:
    answer = resolve("dynamodb", "GetItem", {"TableName": "arn:aws:s3:::b"}, region="eu-west-1", account="1")
    assert answer.authorizations == (("dynamodb:GetItem", ("arn:aws:dynamodb:*:*:table/*",)),)


# --- roles that are passed ----------------------------------------------------------------------

ROLE = "arn:aws:iam::111122223333:role/app"
ANY_ROLE = "arn:aws:iam::111122223333:role/*"


@pytest.mark.parametrize(
    ("service", "operation", "params", "arns", "to"),
    [
        ("lambda", "CreateFunction", {"Role": ROLE}, (ROLE,), "lambda.amazonaws.com"),
        ("glue", "CreateJob", {"Role": "Etl"}, ("arn:aws:iam::111122223333:role/*Etl",), "glue.amazonaws.com"),
        ("sagemaker", "CreateModel", {"ExecutionRoleArn": ROLE}, (ROLE,), "sagemaker.amazonaws.com"),
        ("stepfunctions", "CreateStateMachine", {"roleArn": ROLE}, (ROLE,), "states.amazonaws.com"),
        # a canary's role trusts Lambda; it is passed to Synthetics
        ("synthetics", "CreateCanary", {"ExecutionRoleArn": ROLE}, (ROLE,), "synthetics.amazonaws.com"),
        (
            "apprunner",
            "CreateService",
            {"InstanceConfiguration": {"InstanceRoleArn": ROLE}},
            (ROLE,),
            "bullet.amazonaws.com",
        ),
        ("backup", "StartBackupJob", {"IamRoleArn": ROLE}, (ROLE,), "backup.amazonaws.com"),
        # the reference leaves the value of a fleet's role empty
        ("codebuild", "CreateProject", {"serviceRole": ROLE}, (ROLE,), "codebuild.amazonaws.com"),
        ("codebuild", "CreateFleet", {"fleetServiceRole": ROLE}, (ROLE,), None),
        (
            "ecs",
            "RegisterTaskDefinition",
            {"taskRoleArn": ROLE, "executionRoleArn": f"{ROLE}2"},
            (ROLE, f"{ROLE}2"),
            "ecs-tasks.amazonaws.com",
        ),
        ("ec2", "RunInstances", {"IamInstanceProfile": {"Name": "web"}}, (ANY_ROLE,), "ec2.amazonaws.com"),
        # what the request names may hold a role: a launch template, a task definition, a document
        ("ec2", "RunInstances", {"LaunchTemplate": {"LaunchTemplateId": "lt-1"}}, (ANY_ROLE,), "ec2.amazonaws.com"),
        (
            "autoscaling",
            "UpdateAutoScalingGroup",
            {"LaunchTemplate": {"LaunchTemplateId": "lt-1"}},
            (ANY_ROLE,),
            "autoscaling.amazonaws.com,ec2.amazonaws.com",
        ),
        ("ecs", "CreateDaemon", {"daemonTaskDefinitionArn": "x"}, (ANY_ROLE,), "ecs-tasks.amazonaws.com"),
        ("batch", "SubmitServiceJob", {"serviceRequestPayload": "{}"}, (ANY_ROLE,), "sagemaker.amazonaws.com"),
        ("ec2", "CreateFlowLogs", {"DeliverLogsPermissionArn": ROLE}, (ROLE,), "vpc-flow-logs.amazonaws.com"),
        # a parameter of several meanings: the ARN of a role counts
        ("sns", "SetTopicAttributes", {"AttributeValue": ROLE}, (ROLE,), "sns.amazonaws.com"),
        (
            "apigateway",
            "UpdateIntegration",
            {"patchOperations": [{"path": "/credentials", "value": ROLE}, {"path": "/type", "value": "AWS"}]},
            (ROLE,),
            "apigateway.amazonaws.com",
        ),
        (
            "emr",
            "RunJobFlow",
            {"JobFlowRole": "EMR_EC2"},
            (ANY_ROLE,),
            "application-autoscaling.amazonaws.com,ec2.amazonaws.com,elasticmapreduce.amazonaws.com",
        ),
    ],
)
def test_a_role_that_is_handed_to_a_service_is_passed(
    service: str, operation: str, params: dict[str, object], arns: tuple[str, ...], to: str | None
) -> None:
    answer = resolve(service, operation, params, account="111122223333")
    assert dict(answer.authorizations)["iam:PassRole"] == arns
    assert dict(answer.facets).get("iam:PassedToService") == to


@pytest.mark.parametrize("value", ["", "role/app", "arn:aws:iam::*:user/*", "arn:aws:iam::111122223333:role/", None, 1])
def test_a_parameter_of_several_meanings_passes_no_role_where_it_holds_none(value: object) -> None:
    for service, operation, params in (
        ("sns", "SetTopicAttributes", {"AttributeValue": value}),
        ("sns", "CreateTopic", {"Attributes": {"DisplayName": value}}),
        ("apigateway", "PutIntegration", {"credentials": value}),
        ("apigatewayv2", "CreateIntegration", {"CredentialsArn": value}),
        ("apigateway", "UpdateAccount", {"patchOperations": [{"op": "replace", "value": value}, value]}),
    ):
        answer = resolve(service, operation, params, account="111122223333")
        assert "iam:PassRole" not in dict(answer.authorizations)
        assert "passes-role" not in dict(answer.facets)


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("sts", "AssumeRole", {"RoleArn": ROLE}),
        ("lambda", "CreateFunction", {"FunctionName": "f"}),
        ("iot", "CreateAuditSuppression", {"resourceIdentifier": {"iamRoleArn": ROLE}}),
        ("glue", "CreateJob", {"CodeGenConfigurationNodes": {"n": {"RedshiftSource": {"TmpDirIAMRole": ROLE}}}}),
    ],
)
def test_a_role_that_is_named_or_assumed_is_not_passed(service: str, operation: str, params: dict[str, object]) -> None:
    assert "iam:PassRole" not in dict(resolve(service, operation, params).authorizations)


# --- what is stored heals -----------------------------------------------------------------------


def again(answer: Resolution, service: str, operation: str) -> Resolution:
    return rederive(service, operation, answer.facets, answer.authorizations, detail=answer.detail)


def test_the_version_that_stored_an_answer_derives_it_again() -> None:
    for file, number, case in CASES:
        asked = {name: case[name] for name in ASKED if name in case}
        answer = resolve(case["service"], case["operation"], case["params"], **asked)
        assert again(answer, case["service"], case["operation"]) == answer, f"{file}:{number}"


def test_an_answer_of_the_identity_rule_is_read_with_the_rows_of_today() -> None:
    healed = rederive("glue", "BatchGetJobs", (), (("glue:BatchGetJobs", ("*",)),), detail="service")
    assert [action for action, _ in healed.authorizations] == ["glue:BatchGetJobs", "glue:GetJob"]
    assert healed.authorizations[0][1] == ("arn:aws:glue:*:*:job/*",)
    assert (healed.mapping, healed.detail) == ("table", "service")


def test_a_new_action_on_the_same_resources_takes_their_arns() -> None:
    job = ("arn:aws:glue:eu-west-1:111122223333:job/etl",)
    healed = rederive("glue", "BatchGetJobs", (), (("glue:BatchGetJobs", job),), detail="container")
    assert healed.authorizations == (("glue:BatchGetJobs", job), ("glue:GetJob", job))
    assert healed.detail == "container"


def test_facets_that_this_version_does_not_know_decide_nothing() -> None:
    healed = rederive("s3", "PutObject", (("of-tomorrow", "yes"), ("variant", "none-of-ours")), ())
    assert healed.authorizations == (("s3:PutObject", ("arn:aws:s3:::*/*",)),)
    assert (healed.facets, healed.detail) == ((), "service")


# --- beyond one call ----------------------------------------------------------------------------


def test_what_a_call_is_checked_for_is_among_what_its_operation_may_be() -> None:
    for file, number, case in CASES:
        possible = coverage.possible(case["service"], case["operation"])
        assert set(case["authorizations"]) <= possible, f"{file}:{number}"
        assert not any(coverage.unobservable(action) for action in possible), f"{file}:{number}"


@pytest.mark.parametrize("action", ["rds-db:connect", "ssmmessages:OpenDataChannel", "kafka-cluster:Connect"])
def test_what_no_operation_shows_is_unobservable_in_any_spelling(action: str) -> None:
    assert coverage.unobservable(action)
    assert coverage.unobservable(action.upper())
    assert coverage.emitters(action) == ()


@pytest.mark.parametrize(
    ("service", "operation", "patterns"),
    [
        ("s3", "GetObject", {"kms:Decrypt"}),
        ("sqs", "SendMessage", {"kms:GenerateDataKey"}),
        ("ec2", "CreateVolume", {"kms:CreateGrant", "kms:GenerateDataKeyWithoutPlaintext"}),
        ("dynamodb", "ImportTable", {"logs:PutLogEvents", "s3:GetObject"}),
        ("cloudcontrol", "CreateResource", {"*"}),
        ("ecs", "CreateService", {"iam:CreateServiceLinkedRole"}),
        # what the reference's column "Dependent actions" said
        ("autoscaling", "CreateAutoScalingGroup", {"iam:CreateServiceLinkedRole"}),
        ("elasticache", "CreateCacheCluster", {"ec2:CreateNetworkInterface", "ec2:DescribeSubnets"}),
        ("rds", "CreateDBInstance", {"kms:CreateGrant", "secretsmanager:CreateSecret"}),
        ("athena", "StartQueryExecution", {"glue:*", "s3:*"}),
        ("cloudformation", "CreateStack", {"*"}),
        ("dynamodb", "ExportTableToPointInTime", {"s3:PutObject"}),
        ("redshift-data", "ExecuteStatement", {"redshift:GetClusterCredentials"}),
        ("efs", "CreateMountTarget", {"ec2:CreateNetworkInterface"}),
        ("cloudwatch", "PutMetricAlarm", {"iam:CreateServiceLinkedRole"}),
        ("kafka", "CreateCluster", {"kafka:TagResource"}),
        # keys of what is encrypted
        ("secretsmanager", "PutSecretValue", {"kms:Decrypt", "kms:GenerateDataKey"}),
        ("dynamodb", "TransactWriteItems", {"kms:Decrypt"}),
        ("sqs", "SendMessageBatch", {"kms:Decrypt", "kms:GenerateDataKey"}),
        ("efs", "CreateFileSystem", {"iam:CreateServiceLinkedRole", "kms:CreateGrant"}),
        ("rds", "RestoreDBInstanceFromDBSnapshot", {"kms:CreateGrant"}),
        ("glue", "GetTable", {"kms:Decrypt"}),
        # what a function is made of, and where it runs
        ("lambda", "CreateFunction", {"ec2:DescribeSubnets", "ecr:BatchGetImage", "kms:Encrypt", "s3:GetObject"}),
        # a dry run of what the group will launch
        ("autoscaling", "UpdateAutoScalingGroup", {"ec2:RunInstances"}),
        # without a role of its own, an automation, a product or a scan uses the caller's grants
        ("ssm", "StartAutomationExecution", {"*"}),
        ("servicecatalog", "ProvisionProduct", {"*"}),
        ("cloudformation", "DetectStackDrift", {"*"}),
    ],
)
def test_a_service_may_use_grants_on_the_callers_behalf(service: str, operation: str, patterns: set[str]) -> None:
    assert patterns <= set(coverage.forwarded(service, operation))


def test_a_call_that_nothing_forwards_needs_no_other_grant() -> None:
    assert coverage.forwarded("sts", "GetCallerIdentity") == ()
    assert coverage.forwarded("no-such-service", "Get") == ()


def test_emitters_name_every_layer() -> None:
    assert ("glue", "GetUnfilteredTableMetadata", "table") in coverage.emitters("glue:GetTable")
    assert ("dynamodb", "ExecuteStatement", "derived") in coverage.emitters("dynamodb:PartiQLSelect")
    assert ("lambda", "CreateFunction", "table") in coverage.emitters("iam:PassRole")
    assert ("sagemaker", "CreateModel", "identity") in coverage.emitters("iam:PassRole")


@pytest.mark.parametrize(
    ("service", "operation"),
    [("cognito-idp", "GetClientToken"), ("sso", "GetRoleCredentials"), ("connectparticipant", "SendMessage")],
)
def test_a_call_without_a_signature_is_checked_for_nothing(service: str, operation: str) -> None:
    answer = resolve(service, operation, {})
    assert (answer.authorizations, answer.mapping, answer.detail) == ((), "derived", "none")


# --- whatever the caller passes -----------------------------------------------------------------

NAMES = sorted({name for _, _, case in CASES for name in case["params"]})
OPERATIONS = sorted({(case["service"], case["operation"]) for _, _, case in CASES})
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.just(object()),
    st.sampled_from(["arn:", "arn:aws:s3", "arn:aws:s3:::", "arn:a:s3:::x/y", "/", "a/b/c", "?versionId=", "--x-s3"]),
)  # fmt: skip
keys = st.one_of(st.sampled_from([*NAMES, "Put", "TableName", "Objects", "Statement", "Key"]), st.text(), st.integers())
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400)
@given(st.sampled_from(OPERATIONS), st.dictionaries(keys, junk, max_size=5) | junk, st.sampled_from(semconv.DETAILS))
def test_no_parameters_make_it_raise(call: tuple[str, str], params: Mapping[str, object], detail: str) -> None:
    answer = resolve(*call, params, detail=detail)
    assert answer.mapping in semconv.MAPPINGS
    assert answer.detail in semconv.DETAILS
    assert [action for action, _ in answer.authorizations] == sorted({action for action, _ in answer.authorizations})
    for _, arns in answer.authorizations:
        assert list(arns) == sorted(set(arns))
        assert all(type(arn) is str and (arn == "*" or arn.count(":") >= 5) for arn in arns)
    usage = semconv.Usage(
        source="unknown", authorizations=answer.authorizations, facets=answer.facets, mapping=answer.mapping,
        mapping_version=answer.version, detail=answer.detail,
    )  # fmt: skip
    assert semconv.decode(semconv.encode(usage)) == usage


@given(st.text() | st.integers(), st.text() | st.none())
def test_no_names_make_it_raise(service: str, operation: str) -> None:
    assert resolve(service, operation, {}).mapping in semconv.MAPPINGS
