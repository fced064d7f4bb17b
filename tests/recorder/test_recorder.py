"""What is recorded of real botocore calls: each call once, with its outcome, and nothing that was no use of keys."""

from __future__ import annotations

import gc
import random
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ParamValidationError
from botocore.stub import Stubber

from credwatch.operations import resolve
from credwatch.semconv import ATTEMPTS
from tests.recorder.support import Answer, Recording, Stub, client, error, swallowed

GET = {"Bucket": "bucket", "Key": "key"}
EU = ["eu-west-1", "eu-north-1"]


def test_a_successful_call_is_counted_with_its_source(recording: Recording) -> None:
    client("s3", Answer(200, b"body")).get_object(**GET)
    usage = recording.only()
    assert (usage.service, usage.operation, usage.outcome) == ("s3", "GetObject", "allowed")
    assert (usage.source, usage.credential_type, usage.region) == ("explicit", "temporary", "eu-west-1")
    assert usage.code_function.endswith("test_a_successful_call_is_counted_with_its_source")


def test_a_denial_names_action_resource_and_layer(recording: Recording) -> None:
    message = (
        "User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: s3:GetObjectVersion on "
        "resource: arn:aws:s3:::bucket/key because no identity-based policy allows the s3:GetObjectVersion action"
    )
    assert isinstance(swallowed(lambda: client("s3", error("AccessDenied", message)).get_object(**GET)), ClientError)
    usage = recording.only()
    assert (usage.outcome, usage.denied_layer, usage.actions) == ("denied", "identity-based", ("s3:GetObjectVersion",))


@pytest.mark.parametrize(
    ("detail", "named", "recorded"),
    [
        ("full", "arn:aws:s3:::bucket/a/key", ("arn:aws:s3:::bucket/a/key",)),
        ("prefix", "arn:aws:s3:::bucket/a/key", ("arn:aws:s3:::bucket/*",)),
        ("container", "arn:aws:s3:::bucket/a/key", ("arn:aws:s3:::bucket/*",)),
        (
            "container",
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/name/object/a/key",
            ("arn:aws:s3:eu-west-1:123456789012:accesspoint/name/object/*",),
        ),
        ("container", "arn:aws:kms:eu-west-1:123456789012:key/id", ("arn:aws:kms:eu-west-1:123456789012:key/id",)),
        ("none", "arn:aws:s3:::bucket/a/key", ()),
    ],
)
def test_what_a_denial_names_is_no_finer_than_was_asked_for(
    attach: Callable[..., Recording], detail: str, named: str, recorded: tuple[str, ...]
) -> None:
    recording = attach(resources=detail)
    message = (
        f"User: x is not authorized to perform: s3:GetObject on resource: {named} because no session policy allows"
    )
    swallowed(lambda: client("s3", error("AccessDenied", message)).get_object(**GET))
    assert recording.only().authorizations == (("s3:GetObject", recorded),)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (error("NoSuchKey", status=404), "allowed"),
        (error("NoSuchBucket", status=404), "answered"),
        (error("AccessDenied"), "denied-or-missing"),
        (error("InvalidAccessKeyId"), "auth-failed"),
        (error("InvalidRequest", status=400), "answered"),
        (error("InternalError", status=500), "failed"),
        (error("SlowDown", status=503), "failed"),
        (Answer(304), "allowed"),
    ],
)
def test_each_answer_has_its_outcome(recording: Recording, answer: Answer, outcome: str) -> None:
    assert isinstance(swallowed(lambda: client("s3", answer).get_object(**GET)), ClientError)
    assert recording.only().outcome == outcome


def test_retries_are_attempts_of_one_call(recording: Recording, spans: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    client("s3", error("SlowDown", status=503), error("SlowDown", status=503), Answer(), retries=4).list_buckets()
    assert recording.outcomes() == {("ListBuckets", "allowed"): 1}
    (span,) = spans.get_finished_spans()  # type: ignore[attr-defined]
    assert span.attributes[ATTEMPTS] == 3


def test_no_connection_is_failed(recording: Recording) -> None:
    broken = EndpointConnectionError(endpoint_url="http://x")
    assert swallowed(client("s3", broken).list_buckets) is broken
    assert recording.only().outcome == "failed"


def test_what_was_never_signed_is_no_use_of_credentials(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.session.Session.get_credentials", lambda self: None)
    assert isinstance(swallowed(client("s3", key=None).list_buckets), NoCredentialsError)
    assert isinstance(swallowed(lambda: client("s3").get_object(Bucket="b")), ParamValidationError)
    stubbed = client("s3")
    with Stubber(stubbed) as stub:
        stub.add_response("list_buckets", {"Buckets": []})
        stub.add_client_error("list_buckets", "AccessDenied")
        stubbed.list_buckets()
        swallowed(stubbed.list_buckets)
    gc.collect()
    assert recording.counts() == {}


def test_an_unsigned_request_is_anonymous(recording: Recording) -> None:
    client("s3", config=Config(signature_version=UNSIGNED)).get_object(**GET)
    assert (recording.only().source, recording.only().credential_type) == ("anonymous", "")


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_presigned_url_is_signed(recording: Recording, version: str) -> None:
    made = client("s3", config=Config(signature_version=version))
    made.generate_presigned_url("get_object", Params=GET)
    usage = recording.only()
    assert (usage.service, usage.operation, usage.outcome, usage.source) == ("s3", "GetObject", "signed", "explicit")


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_presigned_post_names_its_operation(recording: Recording, version: str) -> None:
    client("s3", config=Config(signature_version=version)).generate_presigned_post("bucket", "key")
    usage = recording.only()
    assert (usage.service, usage.operation, usage.outcome, usage.source) == ("s3", "PutObject", "signed", "explicit")


def test_a_database_token_names_its_operation(recording: Recording) -> None:
    client("rds").generate_db_auth_token("host", 5432, "user")
    usage = recording.only()
    assert (usage.service, usage.operation, usage.outcome) == ("rds-db", "connect", "signed")


def test_a_signature_in_the_body_is_read(recording: Recording) -> None:
    body = b"<ListDomainsResponse><ListDomainsResult/></ListDomainsResponse>"
    client("sdb", Answer(200, body), config=Config(signature_version="v2")).list_domains()
    assert recording.only().source == "explicit"


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("event", ["before-send", "after-call.s3.ListBuckets"])
def test_a_call_whose_end_was_not_seen_is_abandoned(recording: Recording, event: str) -> None:
    def interrupt(**_: object) -> None:
        raise Interrupted

    made = client("s3", Answer(200))
    made.meta.events.register_first(event, interrupt)
    assert isinstance(swallowed(made.list_buckets), Interrupted)
    gc.collect()
    assert recording.outcomes() == {("ListBuckets", "abandoned"): 1}


def test_clients_older_than_the_recorder_are_seen_from_their_first_call(attach: Callable[..., Recording]) -> None:
    made = client("s3")
    recording = attach()
    made.list_buckets()
    made.list_buckets()
    assert sum(recording.counts().values()) == 2
    assert recording.outcomes() == {("ListBuckets", "allowed"): 2}


def test_clients_older_than_a_second_activation_are_seen(attach: Callable[..., Recording]) -> None:
    first = attach()
    made = client("s3")
    made.list_buckets()
    first.instrumentation.detach()
    second = attach()
    made.list_buckets()
    made.list_buckets()
    gc.collect()
    assert second.outcomes() == {("ListBuckets", "allowed"): 2}
    assert first.outcomes() == {("ListBuckets", "allowed"): 1}


def test_each_page_is_a_call(recording: Recording) -> None:
    token = "<NextContinuationToken>t</NextContinuationToken>"
    page = f"<ListBucketResult><IsTruncated>{{}}</IsTruncated>{token}</ListBucketResult>"
    made = client("s3", Answer(200, page.format("true").encode()), Answer(200, page.format("false").encode()))
    assert len(list(made.get_paginator("list_objects_v2").paginate(Bucket="bucket"))) == 2
    assert recording.outcomes() == {("ListObjectsV2", "allowed"): 2}


def test_resources_are_clients(recording: Recording) -> None:
    made = boto3.session.Session("AKIAEXAMPLE", "secret", region_name="eu-west-1").resource("s3")
    Stub(Answer(200, b"body")).on(made.meta.client.meta.events)
    made.Object("bucket", "key").get()
    usage = recording.only()
    assert (usage.operation, usage.credential_type) == ("GetObject", "long-lived")
    assert usage.code_file == __file__


def test_threads_lose_no_count(recording: Recording) -> None:
    made = client("s3")

    def work() -> None:
        for _ in range(25):
            made.list_buckets()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recording.outcomes() == {("ListBuckets", "allowed"): 200}
    assert sum(recording.exported().values()) == 200


def test_a_role_chain_is_followed_through_sts(recording: Recording) -> None:
    def assumed(key: str) -> Answer:
        body = f"""<AssumeRoleResponse><AssumeRoleResult><AssumedRoleUser>
            <Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><AssumedRoleId>x</AssumedRoleId></AssumedRoleUser>
            <Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
            <SessionToken>t</SessionToken><Expiration>2036-01-01T00:00:00Z</Expiration></Credentials>
            </AssumeRoleResult></AssumeRoleResponse>"""
        return Answer(200, body.encode())

    role = "arn:aws:iam::123456789012:role/path/r"
    client("sts", assumed("ASIAFIRST"), key="AKIAUSER").assume_role(RoleArn=role, RoleSessionName="name")
    client("sts", assumed("ASIASECOND"), key="ASIAFIRST").assume_role(RoleArn=role + "2", RoleSessionName="name")
    client("s3", key="ASIASECOND").list_buckets()
    (usage,) = [u for u in recording.counts() if u.operation == "ListBuckets"]
    assert (usage.source, usage.laundered, usage.principal_arn) == ("assumed-role", True, role + "2")
    assert [hop.source for hop in usage.chain] == ["assumed-role", "explicit"]


def test_a_fault_of_the_map_costs_the_mapping_and_not_the_count(
    attach: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("row")

    from credwatch.guard import Guard

    monkeypatch.setattr("credwatch.instrumentation.resolve", broken)
    guard = Guard()
    recording = attach(guard=guard)
    client("s3").list_buckets()
    assert (recording.only().mapping, recording.only().authorizations) == ("unknown", ())
    assert guard.errors == 1


def test_a_key_that_could_not_be_placed_is_unknown_and_not_anonymous(
    attach: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    from credwatch.guard import Guard
    from credwatch.provenance import Registry

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Registry, "sighted", broken)
    recording = attach(guard=Guard())
    client("s3").list_buckets()
    assert recording.only().source == "unknown"


@pytest.mark.parametrize("detail", ["container", "prefix", "none"])
def test_what_was_called_before_changes_no_usage(attach: Callable[..., Recording], detail: str) -> None:
    """A usage is remembered for the calls that are alike: the map, asked anew for each call, must say the same."""
    choose = random.Random(20261124).choice
    recording = attach(resources=detail)
    answers = {200: Answer(), 304: Answer(304), 404: error("NoSuchKey", status=404), 403: error("AccessDenied")}
    expected: Counter[tuple[str, object, str]] = Counter()
    made = {
        (status, region): client("s3", answer, region_name=region)
        for status, answer in answers.items()
        for region in EU
    }
    for _ in range(400):
        status, region = choose([200, 200, 200, 304, 404, 403]), choose(EU)
        operation, method = choose([("GetObject", "get_object"), ("HeadObject", "head_object")])
        params = {"Bucket": choose(["a", "b", "d--ol-s3"]), "Key": choose(["x/1", "y/2"])}
        if choose([True, False]):
            params["VersionId"] = "1"
        swallowed(partial(getattr(made[status, region], method), **params))
        missing, outcome = status == 404, {403: "denied-or-missing"}.get(status, "allowed")
        said = resolve("s3", operation, params, region=region, account="{account}", detail=detail, missing=missing)
        expected[operation, said.authorizations, outcome] += 1
    counted: Counter[tuple[str, object, str]] = Counter()
    for key, calls, *_ in recording.instrumentation.ledger.snapshot():
        counted[key.operation, key.authorizations, key.outcome.name] += calls
    assert counted == expected
