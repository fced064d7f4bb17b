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
from credwatch.operations import VERSION, resolve

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
    assert answer.mapping in {"table", "derived"}
    assert answer.version == VERSION
    assert case["source"].startswith("https://docs.a")


def test_a_case_is_written_once() -> None:
    keys = [
        json.dumps({k: v for k, v in case.items() if k != "authorizations"}, sort_keys=True) for _, _, case in CASES
    ]
    assert len(keys) == len(set(keys))
    assert len(keys) >= 120


@pytest.mark.parametrize(
    ("service", "operation", "mapping", "action"),
    [
        ("xray", "GetGroup", "identity", "xray:GetGroup"),
        ("elbv2", "DescribeRules", "identity", "elasticloadbalancing:DescribeRules"),
        ("s3", "OperationOfTomorrow", "identity", "s3:OperationOfTomorrow"),
        ("iotthingsgraph", "GetEntities", "unknown", ""),
        ("cognito-idp", "GetClientToken", "unknown", ""),
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


@settings(max_examples=400, deadline=None)
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
