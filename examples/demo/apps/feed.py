"""Publishes a feed to S3, many entries at a time, with asyncio and aiobotocore.

Runs as an ECS task. Configured by FEED_BUCKET.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from typing import Any

from aiobotocore.session import get_session

from examples.demo.tally import Tally


async def publish(s3: Any, bucket: str, number: int, tally: Tally) -> None:
    with tally.call("s3", "PutObject"):
        await s3.put_object(Bucket=bucket, Key=f"entries/{number:05}.txt", Body=b"entry %d" % number)


async def read(s3: Any, bucket: str, number: int, tally: Tally) -> bytes:
    with tally.call("s3", "GetObject"):
        answer = await s3.get_object(Bucket=bucket, Key=f"entries/{number:05}.txt")
    async with answer["Body"] as stream:
        body: bytes = await stream.read()
    return body


async def feed(bucket: str, rounds: int, tally: Tally) -> int:
    """Publish and read back all entries; returns their size in bytes."""
    async with get_session().create_client("s3") as s3:
        await asyncio.gather(*(publish(s3, bucket, number, tally) for number in range(rounds)))
        entries = await asyncio.gather(*(read(s3, bucket, number, tally) for number in range(rounds)))
    return sum(len(entry) for entry in entries)


def main() -> None:
    parser = argparse.ArgumentParser(description="Publish a feed.")
    parser.add_argument("--rounds", type=int, default=3, help="how many entries it has")
    rounds = parser.parse_args().rounds
    with Tally.from_environment() as tally:
        size = asyncio.run(feed(os.environ["FEED_BUCKET"], rounds, tally))
        print(f"async: {rounds} entries, {size} bytes")


if __name__ == "__main__":
    main()
