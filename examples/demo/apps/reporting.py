"""Writes reports into the archive of another account.

Runs as an ECS task. It assumes a role of the archive's account and makes a client from the keys that
come back, as many a tutorial does. Configured by REPORTS_ROLE_ARN and REPORTS_BUCKET.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import boto3

from examples.demo.tally import Tally


class Archive:
    """The bucket of the other account."""

    def __init__(self, role_arn: str, bucket: str, tally: Tally) -> None:
        self.bucket = bucket
        self.tally = tally
        sts: Any = boto3.client("sts")
        with tally.call("sts", "AssumeRole"):
            given = sts.assume_role(RoleArn=role_arn, RoleSessionName="reporting")["Credentials"]
        # these keys end in an hour and nobody renews them
        self.s3: Any = boto3.client(
            "s3",
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )

    def write(self, number: int) -> None:
        body = f"report {number}: all is well\n".encode()
        with self.tally.call("s3", "PutObject"):
            self.s3.put_object(Bucket=self.bucket, Key=f"reports/{number:05}.txt", Body=body)

    def count(self) -> int:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="reports/")
        return sum(page["KeyCount"] for page in self.tally.pages("s3", "ListObjectsV2", pages))


def main() -> None:
    parser = argparse.ArgumentParser(description="Archive reports in another account.")
    parser.add_argument("--rounds", type=int, default=3, help="how many reports to write")
    rounds = parser.parse_args().rounds
    with Tally.from_environment() as tally:
        archive = Archive(os.environ["REPORTS_ROLE_ARN"], os.environ["REPORTS_BUCKET"], tally)
        for number in range(rounds):
            archive.write(number)
        print(f"reporting: {archive.count()} reports archived")


if __name__ == "__main__":
    main()
