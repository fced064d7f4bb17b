"""An application that is instrumented several times over: its calls, and what is true of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from tests.recorder.support import Answer, client, error, swallowed

ROLE = "arn:aws:iam::123456789012:role/app"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "ASIAENVIRONMENT00001", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
"""The application's environment, and all of it."""

_ASSUMED = (
    b"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAASSUMEDROLE00001</AccessKeyId>"
    b"<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
    b"</Credentials></AssumeRoleResult></AssumeRoleResponse>"
)
_PAGE = (
    b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>n</NextContinuationToken>"
    b"<Contents><Key>one</Key></Contents></ListBucketResult>"
)
_LAST = b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>two</Key></Contents></ListBucketResult>"
_QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
_TOPIC = "arn:aws:sns:eu-west-1:123456789012:orders"
_SENT = b'{"MessageId":"m","MD5OfMessageBody":"841a2d689ad86bd1611447453c22c6fc"}'

TRUTH: dict[str, int] = {
    "s3 GetObject allowed environment": 1,
    "s3 PutObject denied environment": 1,
    "s3 HeadBucket failed environment": 1,
    "s3 ListObjectsV2 allowed environment": 2,
    "dynamodb GetItem allowed explicit": 1,
    "sqs SendMessage allowed explicit": 1,
    "sns Publish allowed explicit": 1,
    "lambda Invoke allowed explicit": 1,
    "sts AssumeRole allowed environment": 1,
    f"s3 ListBuckets allowed assumed-role {ROLE} environment": 1,
    "s3 GetObject signed environment": 1,
}
"""Service, operation, outcome, source, principal and chain -> calls."""

ANSWERED = sum(TRUTH.values()) - 1
"""Calls, without the URL that is presigned for someone else."""


def results() -> list[object]:
    """Make each call once; return what the application sees of it."""
    return list(_results())


def _results() -> Iterator[object]:
    s3 = client("s3", Answer(200, b"body", {"etag": '"e"', "content-length": "4"}), key=None)
    answer = s3.get_object(Bucket="orders", Key="key")
    yield [answer["Body"].read().decode(), answer["ETag"]]
    yield s3.generate_presigned_url("get_object", {"Bucket": "orders", "Key": "key"}).partition("?")[0]
    denied = client("s3", error("AccessDenied", "no"), key=None)
    yield _raised(lambda: denied.put_object(Bucket="orders", Key="key", Body=b"body"))
    broken = client("s3", OSError("down"), key=None)
    yield _raised(lambda: broken.head_bucket(Bucket="orders"))
    paged = client("s3", Answer(200, _PAGE), Answer(200, _LAST), key=None)
    pages = paged.get_paginator("list_objects_v2").paginate(Bucket="orders")
    yield [found["Key"] for page in pages for found in page["Contents"]]
    # others write their headers into what these three send
    got = client("dynamodb", Answer(200, b'{"Item":{"id":{"S":"1"}}}')).get_item(TableName="t", Key={"id": {"S": "1"}})
    yield got["Item"]
    yield client("sqs", Answer(200, _SENT)).send_message(QueueUrl=_QUEUE, MessageBody="body")["MessageId"]
    published = b"<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>"
    yield client("sns", Answer(200, published)).publish(TopicArn=_TOPIC, Message="body")["MessageId"]
    yield client("lambda", Answer(200, b"done")).invoke(FunctionName="f", Payload=b"{}")["Payload"].read().decode()
    yield from _role()


def _role() -> Iterator[object]:
    sts = client("sts", Answer(200, _ASSUMED), key=None)
    keys: Any = sts.assume_role(RoleArn=ROLE, RoleSessionName="name")["Credentials"]
    listed = client("s3", Answer(200, b"<ListAllMyBucketsResult/>"), key=keys["AccessKeyId"]).list_buckets()
    yield listed["ResponseMetadata"]["HTTPStatusCode"]


def _raised(call: Callable[[], object]) -> list[str]:
    found = swallowed(call)
    return [type(found).__name__, str(found)]


def set_environment() -> None:
    """Give this process the application's credentials."""
    os.environ.update(ENVIRONMENT)
