"""Finds the bytes of second sources: files, folders, and S3 through a client that is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from credwatch_agent.records import Accessed, Second
from credwatch_agent.second import accessed
from credwatch_agent.second.cloudtrail import Trail, Unreadable

_DAY_NS = 86_400 * 10**9
_LOG = re.compile(r"\.json(?:\.gz)?$")
_DATE = re.compile(r"/(\d{4})/(\d\d)/(\d\d)/[^/]+$")
_DIGEST = "CloudTrail-Digest"

Content = tuple[str, Callable[[], bytes]]


class _Unlisted(Exception):
    """A folder or bucket could not be listed; the text is a sentence."""


def read(
    trails: Sequence[str],
    documents: Sequence[str],
    since_ns: int,
    s3: Callable[[], Any],
    roles: Callable[[str], str],
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> Second:
    """Return what CloudTrail files (a file, a folder, `s3://bucket/prefix`) and last-accessed documents say.

    Events before `since_ns` are left out, and so are files that lie under a day before it. `s3` makes a
    boto3 client when one is needed. A document is named `FILE`, or `ROLE=FILE` where it does not say whose it
    is; `roles` gives a role's ARN by its name; `tell` takes how many files of a place were read, and of how many.
    Raises nothing for what cannot be read: see `Second.problems`.
    """
    problems: list[str] = []
    trail = Trail(since_ns)
    for where in trails:
        try:
            contents = list(_in_bucket(where, s3(), since_ns) if where.startswith("s3://") else _in(where, since_ns))
        except _Unlisted as error:
            problems.append(str(error))
            continue
        if not contents:
            problems.append(f"`{where}` holds no CloudTrail file of the window: nothing is known from there")
        for done, (name, load) in enumerate(contents):
            tell(done, len(contents))
            problems += filter(None, [_add(trail, name, load)])
    problems += _strange(trail)
    found: list[Accessed] = []
    for document in documents:
        problems += _document(document, roles, found)
    return Second(tuple(trail.uses()), tuple(found), tuple(problems))


def _add(trail: Trail, name: str, load: Callable[[], bytes]) -> str:
    """Count the events of one file; return a sentence where that fails."""
    try:
        trail.add(load())
    except Unreadable as error:
        return f"CloudTrail file `{name}` {error}; what its events say is not known: fetch it again"
    except (OSError, ClientError, BotoCoreError) as error:
        return f"CloudTrail file `{name}` cannot be read ({_why(error)}): what its events say is not known"
    return ""


def _strange(trail: Trail) -> Iterator[str]:
    for version, count in sorted(trail.versions.items()):
        yield (
            f"{count} CloudTrail events have version `{version}`, and this agent reads 1.x:"
            " what they say is not known; look for a newer agent"
        )
    if trail.damaged:
        yield f"{trail.damaged} CloudTrail events lack what every event has: what they say is not known"


def _in(where: str, since_ns: int) -> Iterator[Content]:
    path = Path(where)
    try:
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    except OSError as error:
        raise _Unlisted(f"`{where}` cannot be listed ({_why(error)}): nothing is known from there") from None
    for file in files:
        if not path.is_dir() or _wanted(file.as_posix(), since_ns):
            yield str(file), file.read_bytes


def _in_bucket(where: str, s3: Any, since_ns: int) -> Iterator[Content]:
    parts = urlsplit(where)
    bucket, prefix = parts.netloc, parts.path.lstrip("/")
    try:
        pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix))
    except (ClientError, BotoCoreError) as error:
        raise _Unlisted(f"`{where}` cannot be listed ({_why(error)}): nothing is known from there") from None
    for key in (item["Key"] for page in pages for item in page.get("Contents", ())):
        if _wanted(f"/{key}", since_ns):
            yield f"s3://{bucket}/{key}", partial(_object, s3, bucket, key)


def _object(s3: Any, bucket: str, key: str) -> bytes:
    content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def _wanted(path: str, since_ns: int) -> bool:
    """Tell whether a path is a log file that may hold events of the window: it lies under its day, in UTC."""
    if not _LOG.search(path) or _DIGEST in path:
        return False
    date = _DATE.search(path)
    if not date:
        return True
    try:
        day = datetime(int(date[1]), int(date[2]), int(date[3]), tzinfo=timezone.utc)
    except ValueError:
        return True
    return int(day.timestamp()) * 10**9 + _DAY_NS >= since_ns


def _document(given: str, roles: Callable[[str], str], found: list[Accessed]) -> Iterator[str]:
    role, equals, name = given.partition("=")
    role, name = (role, name) if equals else ("", given)
    arn = roles(role) if role else ""
    if role and not arn:
        yield f"last-accessed document `{name}` is said to be of `{role}`, which is no role of the snapshot"
        return
    try:
        found += accessed.parse(Path(name).read_bytes(), arn)
    except accessed.Unreadable as error:
        yield f"last-accessed document `{name}` {error}; what it says is not known"
    except OSError as error:
        yield f"last-accessed document `{name}` cannot be read ({_why(error)}): what it says is not known"


def _why(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "no error code"))
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error).splitlines()[0]
