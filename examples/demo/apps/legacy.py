"""Backs up a database dump to S3, as it has for years.

Runs on an EC2 instance of its own. Configured by BACKUP_BUCKET.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import boto3

from examples.demo.tally import Tally


class Backups:
    """Numbered dumps in one bucket."""

    def __init__(self, bucket: str, tally: Tally) -> None:
        self.bucket = bucket
        self.tally = tally
        self.s3: Any = boto3.client("s3")

    def save(self, number: int) -> None:
        with self.tally.call("s3", "PutObject"):
            self.s3.put_object(Bucket=self.bucket, Key=f"dumps/{number:05}.sql", Body=b"-- dump %d\n" % number)

    def newest(self) -> str:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="dumps/")
        keys = [item["Key"] for page in self.tally.pages("s3", "ListObjectsV2", pages) for item in page["Contents"]]
        with self.tally.call("s3", "GetObject"):
            body: bytes = self.s3.get_object(Bucket=self.bucket, Key=max(keys))["Body"].read()
        return body.decode().strip()


def main() -> None:
    parser = argparse.ArgumentParser(description="Back up a database.")
    parser.add_argument("--rounds", type=int, default=3, help="how many dumps to save, at least 1")
    rounds = parser.parse_args().rounds
    with Tally.from_environment() as tally:
        backups = Backups(os.environ["BACKUP_BUCKET"], tally)
        for number in range(rounds):
            backups.save(number)
        print(f"legacy: {rounds} saved, the newest reads `{backups.newest()}`")


if __name__ == "__main__":
    main()
