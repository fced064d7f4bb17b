"""What the commands share about second sources: their options, and reading them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError

from credwatch_agent.cli.failure import UsageError
from credwatch_agent.cli.progress import working
from credwatch_agent.evidence import Settings, begins
from credwatch_agent.records import Second
from credwatch_agent.second import read
from credwatch_agent.snapshot import Index

Trails = Annotated[
    list[str] | None,
    typer.Option(
        "--cloudtrail", metavar="WHERE", help="CloudTrail log file, folder of them, or s3://BUCKET/PREFIX; repeatable."
    ),
]
Documents = Annotated[
    list[str] | None,
    typer.Option(
        "--last-accessed",
        metavar="[ROLE=]FILE",
        help="JSON of `aws iam get-service-last-accessed-details`; repeatable.",
    ),
]


def read_second(
    trails: Sequence[str] | None,
    documents: Sequence[str] | None,
    index: Index,
    now_ns: int,
    settings: Settings,
    *,
    quiet: bool = False,
) -> Second:
    """Return what second sources say of the longest window of any role."""
    since_ns = min((now_ns - settings.window_ns, *begins(index, now_ns, settings).values()))
    with working("reading second sources", quiet=quiet) as tell:
        return read(
            trails or (),
            documents or (),
            since_ns,
            _s3,
            lambda name: _role_arn(name, index),
            partial(tell, "CloudTrail files"),
        )


def _s3() -> Any:
    try:
        return boto3.Session().client("s3")
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"no S3 client can be made: {error}") from None


def _role_arn(name: str, index: Index) -> str:
    return name if name in index.roles else index.role_arn(name=name)
