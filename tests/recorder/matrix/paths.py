"""The columns of the matrix: every way in which a key comes to sign, and what must be counted of it."""

from __future__ import annotations

import io
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from botocore.config import Config

from tests.recorder.matrix.cloud import Cloud, Reply, event
from tests.recorder.matrix.drivers import Driver

Calls = Mapping[tuple[str, str], int]
"""(operation, outcome) -> calls signed with the row's credentials."""

Walk = Callable[[Driver, Cloud, dict[str, Any]], Awaitable[Calls]]

BUCKET, KEY = "bucket", "key"
EXPRESS = "bucket--euw1-az1--x-s3"


class Path(NamedTuple):
    """`session_key`: another key signs in the end, issued to the row's; the chain says so."""

    name: str
    walk: Walk
    sync_only: str = ""
    needs_crt: bool = False
    session_key: bool = False


async def plain(driver: Driver, _: Cloud, options: dict[str, Any]) -> Calls:
    async with driver.client("s3", **options) as s3:
        answer = await driver.done(s3.get_object(Bucket=BUCKET, Key=KEY))
        await driver.done(answer["Body"].read())
    return {("GetObject", "allowed"): 1}


async def retried(driver: Driver, cloud: Cloud, options: dict[str, Any]) -> Calls:
    cloud.script = [Reply(503), Reply(500)]
    async with driver.client("s3", Config(retries={"max_attempts": 4}), **options) as s3:
        await driver.done(s3.list_buckets())
    return {("ListBuckets", "allowed"): 1}


async def redirected(driver: Driver, cloud: Cloud, options: dict[str, Any]) -> Calls:
    body = b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>"
    cloud.script = [Reply(301, body, {"x-amz-bucket-region": "us-west-2"})]
    async with driver.client("s3", **options) as s3:
        await driver.done(s3.list_objects_v2(Bucket=BUCKET))
    return {("ListObjectsV2", "allowed"): 1}


def _presigned(version: str) -> Walk:
    async def walk(driver: Driver, _: Cloud, options: dict[str, Any]) -> Calls:
        async with driver.client("s3", Config(signature_version=version), **options) as s3:
            await driver.done(s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": KEY}))
        return {("GetObject", "signed"): 1}

    return walk


def _posted(version: str) -> Walk:
    async def walk(driver: Driver, _: Cloud, options: dict[str, Any]) -> Calls:
        async with driver.client("s3", Config(signature_version=version), **options) as s3:
            await driver.done(s3.generate_presigned_post(BUCKET, KEY))
        return {("PutObject", "signed"): 1}

    return walk


async def sigv2_header(driver: Driver, _: Cloud, options: dict[str, Any]) -> Calls:
    async with driver.client("s3", Config(signature_version="s3"), **options) as s3:
        await driver.done(s3.list_buckets())
    return {("ListBuckets", "allowed"): 1}


async def rds_token(driver: Driver, _: Cloud, options: dict[str, Any]) -> Calls:
    async with driver.client("rds", **options) as rds:
        await driver.done(rds.generate_db_auth_token("host", 5432, "user"))
    return {("connect", "signed"): 1}


async def dsql_token(driver: Driver, _: Cloud, options: dict[str, Any]) -> Calls:
    async with driver.client("dsql", **options) as dsql:
        await driver.done(dsql.generate_db_connect_auth_token("host"))
        await driver.done(dsql.generate_db_connect_admin_auth_token("host"))
    return {("DbConnect", "signed"): 1, ("DbConnectAdmin", "signed"): 1}


async def s3_express(driver: Driver, _: Cloud, options: dict[str, Any]) -> Calls:
    async with driver.client("s3", **options) as s3:
        for _again in range(2):
            await driver.done((await driver.done(s3.get_object(Bucket=EXPRESS, Key=KEY)))["Body"].read())
    return {("CreateSession", "allowed"): 1, ("GetObject", "allowed"): 2}


async def sigv4a(driver: Driver, _: Cloud, options: dict[str, Any]) -> Calls:
    async with driver.client("s3", Config(signature_version="v4a"), **options) as s3:
        await driver.done(s3.list_buckets())
    return {("ListBuckets", "allowed"): 1}


async def copy_snapshot(driver: Driver, _: Cloud, options: dict[str, Any]) -> Calls:
    async with driver.client("ec2", **options) as ec2:
        await driver.done(ec2.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId="snap-1"))
    return {("CopySnapshot", "signed"): 1, ("CopySnapshot", "allowed"): 1}


async def event_stream(driver: Driver, cloud: Cloud, options: dict[str, Any]) -> Calls:
    cloud.script = [Reply(200, event("Records", b"row") + event("End", b""))]
    async with driver.client("s3", **options) as s3:
        answer = await driver.done(
            s3.select_object_content(
                Bucket=BUCKET,
                Key=KEY,
                Expression="select 1",
                ExpressionType="SQL",
                InputSerialization={"CSV": {}},
                OutputSerialization={"CSV": {}},
            )
        )
        assert len(await driver.all(answer["Payload"])) == 2
    return {("SelectObjectContent", "allowed"): 1}


async def paginated(driver: Driver, cloud: Cloud, options: dict[str, Any]) -> Calls:
    page = "<R><IsTruncated>{}</IsTruncated><NextContinuationToken>{}</NextContinuationToken></R>"
    cloud.script = [Reply(200, page.format(*words).encode()) for words in (("true", 1), ("true", 2), ("false", 3))]
    async with driver.client("s3", **options) as s3:
        assert len(await driver.all(s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET))) == 3
    return {("ListObjectsV2", "allowed"): 3}


async def waited(driver: Driver, cloud: Cloud, options: dict[str, Any]) -> Calls:
    cloud.script = [Reply(404), Reply(404)]
    async with driver.client("s3", **options) as s3:
        await driver.done(s3.get_waiter("bucket_exists").wait(Bucket=BUCKET, WaiterConfig={"Delay": 0}))
    return {("HeadBucket", "answered"): 2, ("HeadBucket", "allowed"): 1}


async def resource(driver: Driver, _: Cloud, options: dict[str, Any]) -> Calls:
    import boto3.session

    made = boto3.session.Session(botocore_session=driver.session(), region_name="eu-west-1").resource("s3", **options)
    made.Object(BUCKET, KEY).get()["Body"].read()
    made.meta.client.close()
    return {("GetObject", "allowed"): 1}


async def transferred(driver: Driver, _: Cloud, options: dict[str, Any]) -> Calls:
    from boto3.s3.transfer import TransferConfig
    from s3transfer.manager import TransferManager

    async with driver.client("s3", **options) as s3:
        with TransferManager(s3, TransferConfig(max_concurrency=2)) as manager:
            for future in [manager.upload(io.BytesIO(b"body"), BUCKET, f"{KEY}{n}") for n in range(3)]:
                future.result()
    return {("PutObject", "allowed"): 3}


def _without_tls(request: Any, **_: object) -> None:
    request.url = request.url.replace("https:", "http:", 1)


async def bearer(driver: Driver, cloud: Cloud, options: dict[str, Any]) -> Calls:
    cloud.script = [Reply(200, b"{}")]
    secure = os.environ["AWS_ENDPOINT_URL"].replace("http:", "https:", 1)
    async with driver.client("bedrock-runtime", endpoint_url=secure, **options) as bedrock:
        # botocore gives a token to HTTPS endpoints only; once it is signed, this one is asked
        bedrock.meta.events.register("before-send", _without_tls)
        answer = await driver.done(bedrock.invoke_model(modelId="model", body=b"{}"))
        await driver.done(answer["body"].read())
    return {("InvokeModel", "allowed"): 1}


_NO_RESOURCE = "aiobotocore has no resources; aioboto3's call the same clients"
_NO_TRANSFER = "aiobotocore has no s3transfer; aioboto3's transfers call the same clients"

PATHS: tuple[Path, ...] = (
    Path("SigV4 header", plain),
    Path("SigV2 header", sigv2_header),
    Path("retries", retried),
    Path("redirect to another region", redirected),
    Path("presigned SigV4", _presigned("s3v4")),
    Path("presigned SigV2", _presigned("s3")),
    Path("presigned POST SigV4", _posted("s3v4")),
    Path("presigned POST SigV2", _posted("s3")),
    Path("RDS token", rds_token),
    Path("DSQL token", dsql_token),
    Path("S3 Express", s3_express, session_key=True),
    Path("SigV4a", sigv4a, needs_crt=True),
    Path("CopySnapshot's second signature", copy_snapshot),
    Path("event stream", event_stream),
    Path("paginator", paginated),
    Path("waiter", waited),
    Path("resource", resource, sync_only=_NO_RESOURCE),
    Path("s3transfer in threads", transferred, sync_only=_NO_TRANSFER),
    Path("bearer header", bearer),
)
