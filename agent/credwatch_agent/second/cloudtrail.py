"""CloudTrail log files: bytes -> events that are alike, counted.

Format: AWS CloudTrail user guide, "CloudTrail record contents" (`eventVersion` 1.x). An event that several
files hold is counted once. A file that is cut, or of a version that nobody here has read, is a sentence.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from credwatch import operations
from credwatch_agent.iam.catalogue import known
from credwatch_agent.records import TrailUse

MOST_BYTES = 512 * 1024 * 1024
"""A log file holds a few minutes of events; what unpacks to more is not one."""

_VERSION = re.compile(r"1\.\d+")
_SESSION = re.compile(r"arn:[^:]*:sts::\d*:assumed-role/[^/]+/(.+)")
# Lambda and CloudFront name the version of their API in the event
_DATED = re.compile(r"(?:20\d{6}(?:v\d+)?|20\d\d_\d\d_\d\d)$")

# event sources whose first part is not the name of the boto3 client
_CLIENTS = {
    "monitoring": "cloudwatch",
    "elasticloadbalancing": "elbv2",
    "states": "stepfunctions",
    "elasticfilesystem": "efs",
    "es": "opensearch",
    "email": "ses",
    "tagging": "resourcegroupstaggingapi",
    "cloudcontrolapi": "cloudcontrol",
}

# by error code: common errors of the services' references; any other is `answered`
_OUTCOMES = {
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation", "Forbidden"),
        "denied",
    ),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "AuthFailure"), "auth-failed"),
    **dict.fromkeys(
        ("ThrottlingException", "Throttling", "RequestLimitExceeded", "SlowDown", "InternalFailure", "InternalError"),
        "failed",
    ),
    **dict.fromkeys(("DryRunOperation", "Client.DryRunOperation"), "allowed"),
}

# credential features of a user agent's `m/` part, as botocore's useragent.py lists them; the nearest step first
_HINTS = {
    "k": "web-identity",
    "i": "assumed-role",
    "0": "instance metadata",
    "z": "container endpoint",
    "s": "sso",
    "u": "sso",
    "AD": "login",
    "w": "process",
    "g": "environment",
    "n": "profile",
    "e": "code",
}
_FEATURES = re.compile(r"(?:^|[ \[])m/([\w+\-,]{1,400})")


class Unreadable(ValueError):
    """A file is no log file, or only a part of one; the text says how, without the file's name."""


class Trail:
    """Counts the events of log files, each event once."""

    def __init__(self, since_ns: int) -> None:
        self._since_ns = since_ns
        self._seen: set[str] = set()
        self._found: dict[_Key, _Count] = {}
        self.versions: Counter[str] = Counter()
        """Events of a version that is not understood, by version."""
        self.damaged = 0
        """Events that lack what every event has."""

    def add(self, data: bytes) -> None:
        """Count the events of one file, gzip or plain JSON. Raises `Unreadable`."""
        records = _records(data)
        for record in records:
            if not isinstance(record, dict):
                self.damaged += 1
                continue
            version = str(record.get("eventVersion", ""))
            if not _VERSION.fullmatch(version):
                self.versions[version] += 1
                continue
            try:
                self._count(record)
            except (KeyError, TypeError, ValueError, AttributeError):
                self.damaged += 1

    def _count(self, record: Mapping[str, Any]) -> None:
        at = _nanoseconds(record["eventTime"])
        event = str(record.get("eventID") or "")
        if at < self._since_ns or event in self._seen or not _by_a_role(record["userIdentity"]):
            return
        key = _key(record)
        if event:
            self._seen.add(event)
        found = self._found.get(key)
        self._found[key] = (
            _Count(found.calls + 1, min(found.first_ns, at), max(found.last_ns, at)) if found else _Count(1, at, at)
        )

    def uses(self) -> Iterator[TrailUse]:
        """Yield what was counted, in order."""
        for key, count in sorted(self._found.items()):
            yield TrailUse(*key, *count)


class _Key(NamedTuple):
    principal_arn: str
    session: str
    call: str
    authorizations: tuple[tuple[str, tuple[str, ...]], ...]
    detail: str
    outcome: str
    region: str
    hint: str
    invoked_by: str


class _Count(NamedTuple):
    calls: int
    first_ns: int
    last_ns: int


def _records(data: bytes) -> list[Any]:
    try:
        text = _unpacked(data) if data[:2] == b"\x1f\x8b" else data
        parsed = json.loads(text)
    except (EOFError, OSError, zlib.error):
        raise Unreadable("is cut or damaged: its gzip data end too early or do not fit their checksum") from None
    except (ValueError, RecursionError):
        raise Unreadable("is cut or damaged: it is no JSON") from None
    if isinstance(parsed, dict) and "digestStartTime" in parsed:
        return []  # a digest of log files, which lies beside them
    records = parsed.get("Records") if isinstance(parsed, dict) else None
    if not isinstance(records, list):
        raise Unreadable("is no CloudTrail log file: it has no list `Records`")
    return records


def _unpacked(data: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise Unreadable(f"unpacks to more than {MOST_BYTES // 2**20} MiB: it is no log file")
    return text


def _nanoseconds(text: str) -> int:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()) * 10**9


def _by_a_role(who: Mapping[str, Any]) -> bool:
    """Tell whether a role's session made an event: those of users and of AWS itself say nothing of a role's grants."""
    return who.get("type") == "AssumedRole"


def _key(record: Mapping[str, Any]) -> _Key:
    who = record["userIdentity"]
    arn = str(who.get("arn") or "")
    issuer = ((who.get("sessionContext") or {}).get("sessionIssuer") or {}).get("arn")
    session = _SESSION.fullmatch(arn)
    source, name = str(record["eventSource"]), str(record["eventName"])
    region = str(record.get("awsRegion") or "")
    authorizations, detail = _authorizations(source, name, record, (region, str(who.get("accountId") or "")))
    return _Key(
        principal_arn=str(issuer or arn),
        session=session[1] if session else "",
        call=f"{source.removesuffix('.amazonaws.com')}:{name}",
        authorizations=authorizations,
        detail=detail,
        outcome=_OUTCOMES.get(str(record["errorCode"]), "answered") if record.get("errorCode") else "allowed",
        region=region,
        hint=hint(str(record.get("userAgent") or "")),
        invoked_by=str(who.get("invokedBy") or ""),
    )


def _authorizations(
    source: str, name: str, record: Mapping[str, Any], place: tuple[str, str]
) -> tuple[tuple[tuple[str, tuple[str, ...]], ...], str]:
    """Return what the operation map makes of an event, else `prefix:Name` where IAM knows it, and how exactly."""
    prefix = source.partition(".")[0]
    operation = _DATED.sub("", name)
    given = record.get("requestParameters")
    found = operations.resolve(
        _CLIENTS.get(prefix, prefix),
        operation,
        _parameters(given if isinstance(given, dict) else {}),
        region=place[0],
        account=place[1],
    )
    if found.mapping != "unknown":
        return found.authorizations, found.detail
    action = f"{prefix}:{operation}"
    return (((action, ("*",)),), "service") if known(action) else ((), "")


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters under botocore's names: CloudTrail begins them with a small letter."""
    named = {name[:1].upper() + name[1:]: value for name, value in given.items()}
    if "BucketName" in named:
        named["Bucket"] = named.pop("BucketName")
    return named


def hint(user_agent: str) -> str:
    """Return which credential source an SDK's user agent names, "" where it names none."""
    found = _FEATURES.search(user_agent)
    features = set(found[1].split(",")) if found else set()
    return next((source for feature, source in _HINTS.items() if feature in features), "")
