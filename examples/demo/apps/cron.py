"""Writes a manifest of all photos, a job of the night.

Runs in an ECS task, started by a crontab. Configured by PHOTOS_BUCKET.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import boto3

from examples.demo.tally import Tally


class Manifest:
    """The list of what is under photos/ in one bucket."""

    def __init__(self, bucket: str, tally: Tally) -> None:
        self.bucket = bucket
        self.tally = tally
        self.s3: Any = boto3.client("s3")

    def write(self, night: int) -> int:
        """Write the manifest of one night; returns how many photos it names."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="photos/")
        keys = [
            item["Key"] for page in self.tally.pages("s3", "ListObjectsV2", pages) for item in page.get("Contents", [])
        ]
        with self.tally.call("s3", "PutObject"):
            self.s3.put_object(Bucket=self.bucket, Key=f"manifests/{night:05}.txt", Body="\n".join(keys).encode())
        return len(keys)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a manifest of all photos.")
    parser.add_argument("--rounds", type=int, default=3, help="how many nights pass")
    rounds = parser.parse_args().rounds
    with Tally.from_environment() as tally:
        manifest = Manifest(os.environ["PHOTOS_BUCKET"], tally)
        for night in range(rounds):
            manifest.write(night)
        print(f"cron: {rounds} manifests")


if __name__ == "__main__":
    main()
