"""Works off an inbox in S3: counts the words of each file, writes the result, then clears the inbox.

Runs on an EC2 instance of its own. Configured by INBOX_BUCKET.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import boto3
from botocore.exceptions import ClientError

from examples.demo.tally import Tally


class Inbox:
    """Files under inbox/ and their word counts under counts/, in one bucket."""

    def __init__(self, bucket: str, tally: Tally) -> None:
        self.bucket = bucket
        self.tally = tally
        self.s3: Any = boto3.client("s3")

    def receive(self, number: int) -> None:
        with self.tally.call("s3", "PutObject"):
            self.s3.put_object(Bucket=self.bucket, Key=f"inbox/{number:05}.txt", Body=b"word " * number)

    def waiting(self) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="inbox/")
        return [
            item["Key"] for page in self.tally.pages("s3", "ListObjectsV2", pages) for item in page.get("Contents", [])
        ]

    def work_off(self, key: str) -> None:
        with self.tally.call("s3", "GetObject"):
            words = len(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().split())
        with self.tally.call("s3", "PutObject"):
            self.s3.put_object(Bucket=self.bucket, Key=f"counts/{key.removeprefix('inbox/')}", Body=b"%d" % words)

    def clear(self, key: str) -> bool:
        """Remove a file; returns False where that is not allowed, which leaves it for next time."""
        try:
            with self.tally.call("s3", "DeleteObject"):
                self.s3.delete_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
            return False
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Count the words of what comes in.")
    parser.add_argument("--rounds", type=int, default=3, help="how many files come in, at least 1")
    rounds = parser.parse_args().rounds
    with Tally.from_environment() as tally:
        inbox = Inbox(os.environ["INBOX_BUCKET"], tally)
        for number in range(rounds):
            inbox.receive(number)
        keys = inbox.waiting()
        for key in keys:
            inbox.work_off(key)
        # stops at the first refusal: the others would be refused alike
        cleared = all(inbox.clear(key) for key in keys)
        print(f"batch: {len(keys)} files, inbox {'cleared' if cleared else 'not cleared: access denied'}")


if __name__ == "__main__":
    main()
