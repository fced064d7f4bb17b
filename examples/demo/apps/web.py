"""Serves pages from S3 with workers that are forked after the client was made, as gunicorn --preload does.

Runs as an ECS task. Configured by PAGES_BUCKET. The parent publishes the pages, each worker reads its
share of them; each process keeps a tally of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

import boto3

from examples.demo.tally import Tally

WORKERS = 2


class Pages:
    """Numbered pages in one bucket."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.s3: Any = boto3.client("s3")

    def publish(self, number: int, tally: Tally) -> None:
        with tally.call("s3", "PutObject"):
            self.s3.put_object(Bucket=self.bucket, Key=f"{number:05}.html", Body=b"<h1>Page %d</h1>" % number)

    def show(self, number: int, tally: Tally) -> bytes:
        with tally.call("s3", "GetObject"):
            body: bytes = self.s3.get_object(Bucket=self.bucket, Key=f"{number:05}.html")["Body"].read()
        return body


def serve(pages: Pages, numbers: range) -> None:
    """Answer requests for these pages: what a worker does until it is told to stop."""
    with Tally.of_worker() as tally:
        for number in numbers:
            pages.show(number, tally)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve pages from forked workers.")
    parser.add_argument("--rounds", type=int, default=3, help="how many pages there are")
    rounds = parser.parse_args().rounds
    pages = Pages(os.environ["PAGES_BUCKET"])
    with Tally.from_environment() as tally:
        for number in range(rounds):
            pages.publish(number, tally)
    workers = []
    for worker in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            serve(pages, range(worker, rounds, WORKERS))
            sys.exit(0)
        workers.append(pid)
    if any(os.waitpid(pid, 0)[1] for pid in workers):
        sys.exit("web: a worker failed")
    print(f"web: {rounds} pages, {WORKERS} workers")


if __name__ == "__main__":
    main()
