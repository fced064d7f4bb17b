"""The parts of the demo world that need no process: endpoints as functions, the tally, the recording, the plan."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from examples.demo.apps.thumbnailer import halved
from examples.demo.credentials import Issued, Rotating
from examples.demo.ecs_endpoint import EcsEndpoint, Task
from examples.demo.imds import ROLES, TOKEN_HEADER, TOKEN_PATH, TTL_HEADER, Imds, Instance
from examples.demo.nouns import Service
from examples.demo.plan import plan
from examples.demo.recording import Count, Use, counts
from examples.demo.tally import Tally

START = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
HOURS = timedelta(hours=6)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def rotating(clock: Clock) -> Rotating:
    """Credentials whose keys are numbered ASIA1, ASIA2 ..."""
    numbers = iter(range(1, 100))

    def issue() -> Issued:
        return Issued(f"ASIA{next(numbers)}", "secret", "token", clock.now, clock.now + HOURS)

    return Rotating(issue, clock)


def imds(clock: Clock, *, v1_allowed: bool = False) -> Imds:
    instance = Instance(
        instance_id="i-0123",
        account="123456789012",
        region="eu-west-1",
        zone="eu-west-1a",
        image="ami-1",
        instance_type="m5.large",
        private_ip="10.0.0.1",
        launched=START,
        role="host",
        profile_arn="arn:aws:iam::123456789012:instance-profile/host",
        profile_id="AIPA1",
        v1_allowed=v1_allowed,
    )
    return Imds(instance, rotating(clock), clock)


def token(service: Imds, ttl: str = "21600") -> dict[str, str]:
    reply = service.answer("PUT", TOKEN_PATH, {TTL_HEADER: ttl})
    assert (reply.status, reply.headers[TTL_HEADER]) == (200, ttl)
    return {TOKEN_HEADER: reply.body}


# --- credentials --------------------------------------------------------------------------------


def test_credentials_are_kept_until_they_are_about_to_expire() -> None:
    clock = Clock()
    credentials = rotating(clock)
    assert [credentials.current().key_id, credentials.current().key_id] == ["ASIA1", "ASIA1"]
    clock.now = START + HOURS - timedelta(minutes=6)
    assert credentials.current().key_id == "ASIA1"
    clock.now = START + HOURS - timedelta(minutes=5)
    assert credentials.current().key_id == "ASIA2"
    assert credentials.rotate().key_id == credentials.current().key_id == "ASIA3"


def test_secrets_stay_out_of_representations() -> None:
    assert "secret" not in repr(rotating(Clock()).current())


# --- instance metadata --------------------------------------------------------------------------


@pytest.mark.parametrize("ttl", ["", "0", "-1", "21601", "soon", "1.5"])
def test_token_needs_a_lifetime_in_range(ttl: str) -> None:
    service = imds(Clock())
    assert service.answer("PUT", TOKEN_PATH, {TTL_HEADER: ttl}).status == 400
    assert service.answer("PUT", TOKEN_PATH, {}).status == 400


def test_token_is_refused_to_a_forwarded_request() -> None:
    assert imds(Clock()).answer("PUT", TOKEN_PATH, {TTL_HEADER: "60", "x-forwarded-for": "10.0.0.9"}).status == 403


@pytest.mark.parametrize("path", [TOKEN_PATH, f"{ROLES}/", f"{ROLES}/host", "/latest/meta-data/iam/info", "/nothing"])
def test_no_path_answers_without_a_token_or_with_a_wrong_one(path: str) -> None:
    service = imds(Clock())
    assert service.answer("GET", path, {}).status == 401
    assert service.answer("GET", path, {TOKEN_HEADER: "guessed"}).status == 401


def test_token_ends_with_its_own_lifetime() -> None:
    clock = Clock()
    service = imds(clock)
    short, long = token(service, "60"), token(service, "120")
    clock.now += timedelta(seconds=60)
    assert service.answer("GET", "/latest/meta-data/instance-id", short).status == 401
    assert service.answer("GET", "/latest/meta-data/instance-id", long).body == "i-0123"


def test_version_1_needs_no_token_but_still_refuses_a_wrong_one() -> None:
    service = imds(Clock(), v1_allowed=True)
    assert service.answer("GET", "/latest/meta-data/instance-id", {}).body == "i-0123"
    assert service.answer("GET", "/latest/meta-data/instance-id", {TOKEN_HEADER: "guessed"}).status == 401


def test_metadata_names_the_role_and_never_its_arn() -> None:
    clock = Clock()
    service = imds(clock)
    header = token(service)

    def get(path: str) -> str:
        reply = service.answer("GET", path, header)
        assert reply.status == 200
        assert "role/" not in reply.body
        return reply.body

    assert get(f"{ROLES}/") == get(ROLES) == "host"
    assert get("/latest/meta-data/placement/region") == "eu-west-1"
    assert json.loads(get("/latest/meta-data/iam/info")) == {
        "Code": "Success",
        "LastUpdated": "2026-01-31T12:00:00Z",
        "InstanceProfileArn": "arn:aws:iam::123456789012:instance-profile/host",
        "InstanceProfileId": "AIPA1",
    }
    assert json.loads(get(f"{ROLES}/host")) == {
        "Code": "Success",
        "LastUpdated": "2026-01-31T12:00:00Z",
        "Type": "AWS-HMAC",
        "AccessKeyId": "ASIA1",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": "2026-01-31T18:00:00Z",
    }
    identity = json.loads(get("/latest/dynamic/instance-identity/document"))
    assert (identity["accountId"], identity["instanceId"]) == ("123456789012", "i-0123")
    assert service.answer("GET", f"{ROLES}/other", header).status == 404
    assert service.answer("POST", ROLES, header).status == 405


# --- the ECS endpoint ---------------------------------------------------------------------------


def test_ecs_endpoint_keeps_several_tasks_apart() -> None:
    endpoint = EcsEndpoint()

    def task(name: str) -> Task:
        return Task(
            "cluster/c", f"task/{name}", name, "3", name, "EC2", "eu-west-1a", "app", f"container/{name}", "i", ""
        )

    paths = {name: endpoint.add_metadata(task(name)) for name in ("a", "b")}
    credentials = endpoint.add_credentials("arn:role/a", rotating(Clock()))
    for name, path in paths.items():
        container = json.loads(endpoint.answer("GET", path, {}).body)
        served = json.loads(endpoint.answer("GET", f"{path}/task", {}).body)
        assert (served["TaskARN"], served["Family"], served["Revision"]) == (f"task/{name}", name, "3")
        assert served["Containers"] == [container]
        assert path.endswith(container["DockerId"])
    assert json.loads(endpoint.answer("GET", credentials, {}).body) == {
        "RoleArn": "arn:role/a",
        "AccessKeyId": "ASIA1",
        "SecretAccessKey": "secret",
        "Token": "token",
        "Expiration": "2026-01-31T18:00:00Z",
    }
    assert endpoint.answer("GET", "/v2/credentials/guessed", {}).status == 400
    assert endpoint.answer("GET", "/v4/guessed/task", {}).status == 404
    assert endpoint.answer("PUT", credentials, {}).status == 405


# --- recording ----------------------------------------------------------------------------------


def entry(service: str, method: str, path: str, *, key: str = "ASIA1", body: str = "", **headers: str) -> str:
    scope = f"Credential={key}/20260131/eu-west-1/{service}/aws4_request"
    return json.dumps(
        {
            "method": method,
            "url": f"http://127.0.0.1:5000{path}",
            "headers": {
                "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
            "body": base64.b64encode(body.encode()).decode(),
            "body_encoded": True,
        }
    )


@pytest.mark.parametrize(
    ("recorded", "operation"),
    [
        (entry("s3", "GET", "/"), "ListBuckets"),
        (entry("s3", "GET", "/bucket"), "ListObjects"),
        (entry("s3", "GET", "/bucket?list-type=2&prefix=a/"), "ListObjectsV2"),
        (entry("s3", "GET", "/bucket?versions"), "ListObjectVersions"),
        (entry("s3", "GET", "/bucket/a/b.json"), "GetObject"),
        (entry("s3", "GET", "/bucket/a/b.json?tagging"), "GetObjectTagging"),
        (entry("s3", "HEAD", "/bucket"), "HeadBucket"),
        (entry("s3", "HEAD", "/bucket/key"), "HeadObject"),
        (entry("s3", "PUT", "/bucket"), "CreateBucket"),
        (entry("s3", "PUT", "/bucket/key"), "PutObject"),
        (entry("s3", "PUT", "/bucket/key", x_amz_copy_source="/a/b"), "CopyObject"),
        (entry("s3", "PUT", "/bucket/key?partNumber=1&uploadId=u"), "UploadPart"),
        (entry("s3", "POST", "/bucket/key?uploads"), "CreateMultipartUpload"),
        (entry("s3", "POST", "/bucket/key?uploadId=u"), "CompleteMultipartUpload"),
        (entry("s3", "POST", "/bucket?delete"), "DeleteObjects"),
        (entry("s3", "DELETE", "/bucket/key"), "DeleteObject"),
        (entry("sqs", "POST", "/", X_Amz_Target="AmazonSQS.SendMessage"), "SendMessage"),
        (entry("dynamodb", "POST", "/", X_Amz_Target="DynamoDB_20120810.Query"), "Query"),
        (
            entry(
                "sts",
                "POST",
                "/",
                body="Action=GetCallerIdentity&Version=2011-06-15",
                Content_Type="application/x-www-form-urlencoded; charset=utf-8",
            ),
            "GetCallerIdentity",
        ),
        (entry("made-up", "GET", "/"), "unknown"),
    ],
)
def test_operation_is_read_from_the_request(recorded: str, operation: str) -> None:
    (use,) = counts(recorded, {"ASIA1": "arn:role"})
    assert (use.principal, use.operation) == ("arn:role", operation)


def test_retries_are_attempts_of_one_call_and_a_shared_line_loses_nothing() -> None:
    one, retried = (entry("s3", "GET", "/bucket/key", amz_sdk_invocation_id=id_) for id_ in ("one", "two"))
    unsigned = json.dumps({"method": "GET", "url": "http://h/bucket", "headers": {}, "body": "", "body_encoded": False})
    control = entry("s3", "POST", "/moto-api/reset-auth")
    assert counts(one + retried + "\n\n" + retried + "\n" + unsigned + control, {}) == {
        Use("ASIA1", "s3", "GetObject"): Count(calls=2, attempts=3),
        Use("anonymous", "unknown", "unknown"): Count(calls=1, attempts=1),
    }


# --- tally --------------------------------------------------------------------------------------


class Refused(Exception):
    def __init__(self) -> None:
        self.response = {"Error": {"Code": "AccessDenied"}}


def test_tally_counts_failures_by_code() -> None:
    def pages() -> Iterator[int]:
        yield from (1, 2)
        raise Refused

    tally = Tally()
    with tally.call("s3", "PutObject"):
        pass
    with pytest.raises(Refused), tally.call("s3", "PutObject"):
        raise Refused
    with pytest.raises(Refused):
        list(tally.pages("s3", "ListObjectsV2", pages()))
    assert list(tally.pages("s3", "ListObjectsV2", iter([3]))) == [3]
    assert tally.as_dict() == {
        "s3": {"ListObjectsV2": {"AccessDenied": 1, "ok": 3}, "PutObject": {"AccessDenied": 1, "ok": 1}},
    }


def test_tally_is_written_even_if_the_application_dies(tmp_path: Path) -> None:
    path = tmp_path / "tally.json"
    with pytest.raises(ZeroDivisionError), Tally(path) as tally, tally.call("sqs", "SendMessage"):
        raise ZeroDivisionError
    assert json.loads(path.read_text()) == {"sqs": {"SendMessage": {"ZeroDivisionError": 1}}}


# --- plan ---------------------------------------------------------------------------------------


def test_renamed_plan_keeps_no_old_name() -> None:
    names = ["orders-task-role", "ecsInstanceRole", "example-shop-invoices", "example-shop-photos", "order-events"]
    text = repr(plan({name: f"new-{number}" for number, name in enumerate(names)}))
    assert [name for name in names if name in text] == []


@pytest.mark.parametrize(
    "row",
    [
        {"credentials": "task-role"},
        {"credentials": "instance-profile", "task_role": "r"},
        {"credentials": "task-role", "task_role": "r", "compute": "host"},
        {"credentials": "user-key"},
        {"credentials": "none", "user": "u"},
    ],
)
def test_service_that_contradicts_itself_is_refused(row: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="service `app`"):
        Service(**{"name": "app", "module": "m", "compute": "task", "host": "h", **row})  # type: ignore[arg-type]


def test_thumbnail_has_half_the_width_and_height() -> None:
    image = b"P5 4 4 255\n" + bytes(range(16))
    assert halved(image) == b"P5 2 2 255\n" + bytes([0, 2, 8, 10])
