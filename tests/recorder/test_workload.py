"""Where a process runs, from the documents of the metadata endpoints, whatever they hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credwatch import semconv
from credwatch.workload import (
    CREDENTIALS_URI,
    IMDS_PROBE,
    IMDS_VERSION,
    POD_IDENTITY,
    Fetch,
    describe,
    ec2,
    ecs,
    entry_point,
    imds_base,
    probe,
)

METADATA = "http://169.254.170.2/v4/abc"
TASK = "arn:aws:ecs:eu-west-1:123456789012:task/prod/0123"
TASK_DOCUMENT = {
    "Cluster": "prod",
    "TaskARN": TASK,
    "Family": "orders",
    "Revision": "7",
    "LaunchType": "EC2",
    "Containers": [],
}
CONTAINER = {"DockerId": "d", "Name": "app", "Image": "app:1", "ContainerARN": TASK.replace("task/", "container/")}
IDENTITY = {"instanceId": "i-0", "instanceType": "m7g.large", "accountId": "123456789012", "region": "eu-west-1"}
PROFILE = {"Code": "Success", "InstanceProfileArn": "arn:aws:iam::123456789012:instance-profile/host"}
IMDS = "http://169.254.169.254"
POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "pod"}


def serving(documents: Mapping[str, Any]) -> Fetch:
    """Answer by the end of the URL; what is not bytes is served as JSON."""

    def fetch(method: str, url: str, headers: Mapping[str, str]) -> bytes | None:
        for end in sorted(documents, key=len, reverse=True):
            if url.endswith(end):
                found = documents[end]
                return found if found is None or isinstance(found, bytes) else json.dumps(found).encode()
        return None

    return fetch


def test_a_task_is_described() -> None:
    found = describe({"ECS_CONTAINER_METADATA_URI_V4": METADATA}, serving({"/task": TASK_DOCUMENT, "/abc": CONTAINER}))
    assert found["aws.ecs.task.arn"] == TASK
    assert found["aws.ecs.cluster.arn"] == "arn:aws:ecs:eu-west-1:123456789012:cluster/prod"
    assert found["aws.ecs.launchtype"] == "ec2"
    assert (found["container.name"], found["cloud.account.id"]) == ("app", "123456789012")
    assert found[CREDENTIALS_URI] == "absent"


@pytest.mark.parametrize("launch", ["EC2", "FARGATE", "EXTERNAL"])
def test_the_launch_type_is_that_of_the_metadata(launch: str) -> None:
    found = ecs(METADATA, serving({"/task": {**TASK_DOCUMENT, "LaunchType": launch}}))
    assert found is not None
    assert found["aws.ecs.launchtype"] == launch.lower()


def test_a_cluster_may_be_named_by_its_arn() -> None:
    cluster = "arn:aws:ecs:eu-west-1:123456789012:cluster/prod"
    found = ecs(METADATA, serving({"/task": {**TASK_DOCUMENT, "Cluster": cluster}}))
    assert found is not None
    assert found["aws.ecs.cluster.arn"] == cluster


def test_credentials_that_are_offered_are_said() -> None:
    environ = {"ECS_CONTAINER_METADATA_URI_V4": METADATA, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}
    assert describe(environ, serving({}))[CREDENTIALS_URI] == "present"


def test_an_instance_is_described_with_and_without_a_token() -> None:
    documents = {"/document": IDENTITY, "/info": PROFILE}
    for token in ({"/api/token": b"token"}, {}):
        found = ec2(IMDS, serving({**documents, **token}))
        assert found is not None
        assert found["host.id"] == "i-0"
        assert found["credwatch.instance_profile.arn"] == PROFILE["InstanceProfileArn"]


@pytest.mark.parametrize("missing", ["/document", "/info"])
@pytest.mark.parametrize(
    "body", [None, b"", b"<html>login</html>", b"[]", b"{", b"[" * 50_000, b"\xff\xfe", {}, "text"]
)
def test_what_is_not_shown_to_be_ec2_is_not(missing: str, body: object) -> None:
    assert ec2(IMDS, serving({"/document": IDENTITY, "/info": PROFILE, missing: body})) is None


@pytest.mark.parametrize("arn", ["x", "arn:", "arn:aws:iam", "arn:a:b:c", 5, None, {"a": 1}, ["arn"], "arn:" * 9_000])
def test_a_hostile_arn_is_no_arn(arn: object) -> None:
    assert ecs(METADATA, serving({"/task": {**TASK_DOCUMENT, "TaskARN": arn}})) is None
    assert ec2(IMDS, serving({"/document": IDENTITY, "/info": {"InstanceProfileArn": arn}})) is None


json_values = st.recursive(st.none() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c))


@given(json_values, json_values, st.sampled_from(sorted(TASK_DOCUMENT)))
def test_attributes_are_always_short_texts(value: object, other: object, name: str) -> None:
    served = serving({"/task": {**TASK_DOCUMENT, name: value}, "/abc": {"Name": other, "DockerId": "x" * 9_000}})
    found = describe({"ECS_CONTAINER_METADATA_URI_V4": METADATA}, served)
    assert all(isinstance(text, str) and 0 < len(text) <= 2_100 for text in found.values())


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {}),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_REGION": "eu-west-1"}, {"faas.name": "f", "cloud.region": "eu-west-1"}),
        (POD, {"k8s.pod.name": "pod", POD_IDENTITY: "none"}),
        ({**POD, "AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "arn"}, {POD_IDENTITY: "web-identity"}),
        ({**POD, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"},
         {POD_IDENTITY: "eks-pod-identity"}),
        ({**POD, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:80/x"}, {POD_IDENTITY: "none"}),
    ],
)  # fmt: skip
def test_the_environment_alone_may_tell(environ: dict[str, str], expected: dict[str, str]) -> None:
    assert expected.items() <= describe(environ, serving({})).items()


@pytest.mark.parametrize(
    ("documents", "version", "met"),
    [
        ({"/token": b"t"}, "2", "answered"),
        ({"/token": b"", "/instance-id": b"i-0"}, "1", "answered"),
        ({"/token": None, "/instance-id": b"i-0"}, "", "answered"),
        ({}, "", "blocked"),
    ],
    ids=["a token", "none is given", "the request for one is lost", "no answer"],
)
def test_it_is_told_whether_the_metadata_service_asks_for_a_token_and_whether_it_answers(
    documents: Mapping[str, Any], version: str, met: str
) -> None:
    found = ec2(IMDS, serving({"/document": IDENTITY, "/iam/info": PROFILE, **documents}))
    assert found is not None
    assert found.get(IMDS_VERSION, "") == version
    assert probe(IMDS, serving(documents)) == {IMDS_PROBE: met}


def test_names_of_the_workload_are_those_of_the_contract() -> None:
    names = (CREDENTIALS_URI, POD_IDENTITY, IMDS_VERSION, IMDS_PROBE)
    assert names == (semconv.CREDENTIALS_URI, semconv.POD_IDENTITY, semconv.IMDS_VERSION, semconv.IMDS_PROBE)


@pytest.mark.parametrize(
    ("argv", "module", "expected"),
    [
        (["/app/run.py", "--password=x"], "", "run.py"),
        (["/x/__main__.py", "secret"], "pkg.mod", "-m pkg.mod"),
        ([], "", ""),
        (["-c"], "", "-c"),
    ],
)
def test_the_entry_point_has_no_arguments(argv: list[str], module: str, expected: str) -> None:
    assert entry_point(argv, module) == expected


def test_the_endpoint_is_the_one_that_the_sdk_uses() -> None:
    assert imds_base({}) == IMDS
    assert imds_base({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1/"}) == "http://127.0.0.1:1"
