"""Makes thumbnails: reads photos from S3, halves them, writes them back.

Runs as an ECS task whose definition names no task role. Configured by PHOTOS_BUCKET.
Photos are PGM images (a text header, then a byte of grey for each pixel), so that no library is needed.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import boto3

from examples.demo.tally import Tally

SIDE = 32


class Thumbnailer:
    """Keeps thumbnails/ up to date with photos/ in one bucket."""

    def __init__(self, bucket: str, tally: Tally) -> None:
        self.bucket = bucket
        self.tally = tally
        self.s3: Any = boto3.client("s3")

    def upload(self, name: str, grey: int) -> None:
        body = b"P5 %d %d 255\n" % (SIDE, SIDE) + bytes((grey + column) % 256 for column in range(SIDE)) * SIDE
        with self.tally.call("s3", "PutObject"):
            self.s3.put_object(Bucket=self.bucket, Key=f"photos/{name}.pgm", Body=body)

    def keys(self, prefix: str) -> set[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {
            item["Key"].removeprefix(prefix)
            for page in self.tally.pages("s3", "ListObjectsV2", pages)
            for item in page.get("Contents", [])
        }

    def refresh(self) -> int:
        """Make the thumbnails that are missing; returns how many."""
        missing = self.keys("photos/") - self.keys("thumbnails/")
        for name in sorted(missing):
            with self.tally.call("s3", "GetObject"):
                photo = self.s3.get_object(Bucket=self.bucket, Key=f"photos/{name}")["Body"].read()
            with self.tally.call("s3", "PutObject"):
                self.s3.put_object(Bucket=self.bucket, Key=f"thumbnails/{name}", Body=halved(photo))
        return len(missing)


def halved(image: bytes) -> bytes:
    """Return a PGM image at half its width and height: every second pixel of every second row."""
    header, _, pixels = image.partition(b"\n")
    width, height = (int(part) for part in header.split()[1:3])
    rows = [pixels[row * width : (row + 1) * width : 2] for row in range(0, height, 2)]
    return b"P5 %d %d 255\n" % (len(rows[0]), len(rows)) + b"".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make thumbnails of new photos.")
    parser.add_argument("--rounds", type=int, default=3, help="how many photos arrive")
    rounds = parser.parse_args().rounds
    with Tally.from_environment() as tally:
        thumbnailer = Thumbnailer(os.environ["PHOTOS_BUCKET"], tally)
        made = 0
        for number in range(rounds):
            thumbnailer.upload(f"photo-{number:05}", grey=number)
            made += thumbnailer.refresh()
        print(f"thumbnailer: {rounds} photos, {made} thumbnails")


if __name__ == "__main__":
    main()
