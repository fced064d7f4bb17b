"""What a signed request says about its key: the one truth about which credentials signed.

Pure functions over headers and URLs as botocore leaves them; knows no client, no session and no
source. The key id in the signature beats every attribute of a client.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

_PSEUDONYM_LENGTH = 16


class Signature(NamedTuple):
    """Who signed, as the request itself tells. Unknown parts are the empty string.

    `kind` is `header`, `query`, `post`, `sigv4a`, `bearer`, `unsigned`, or `unreadable`: signed, but not as we know it.
    """

    kind: str
    key_id: str = ""
    region: str = ""
    signing_name: str = ""


UNSIGNED = Signature("unsigned")
UNREADABLE = Signature("unreadable")


def pseudonym(key_id: str) -> str:
    """Return the name under which a key id leaves the process: 16 hex digits of its SHA-256.

    Stable across processes, so that a key can be followed through a fleet; not reversible in
    practice, but not anonymous either: the account can be read from a key id.
    """
    return hashlib.sha256(key_id.encode()).hexdigest()[:_PSEUDONYM_LENGTH] if key_id else ""


def key_type(key_id: str) -> str:
    """Return `long-lived` for an IAM user's key, `temporary` for one of STS, "" for anything else.

    Prefixes: IAM user guide, "IAM identifiers", unique identifier prefixes (AKIA, ASIA).
    """
    return {"AKIA": "long-lived", "ASIA": "temporary"}.get(key_id[:4], "")


# AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/s3/aws4_request, SignedHeaders=…
_CREDENTIAL = r"Credential=([^/,\s]+)/(?:[^/,]+)/([^,]*?)/?aws4_request"


def _from_authorization(value: str) -> Signature:
    if value.startswith("AWS4-"):
        return _from_credential(value)
    if value.startswith("Bearer "):
        return Signature("bearer")
    if value.startswith(("AWS ", "AWS3")):  # SigV2 for S3, `AWS AKID:signature`; the old AWS3 of SES
        key = value[4:] if value.startswith("AWS ") else value.partition("AWSAccessKeyId=")[2]
        return Signature("header", re.split(r"[:,]", key)[0])
    return UNSIGNED


def _from_credential(value: str) -> Signature:
    match = re.search(_CREDENTIAL, value)
    if match is None:
        return UNREADABLE
    return _scoped("sigv4a" if value.startswith("AWS4-ECDSA") else "header", match[1], match[2])


def _scoped(kind: str, key_id: str, scope: str) -> Signature:
    # SigV4 scopes are `region/service`, SigV4a ones only `service`: the region set is a header
    region, _, name = scope.strip("/").rpartition("/")
    return Signature(kind, key_id, region, name)


def from_request(headers: Mapping[str, object], url: str, body: object = None) -> Signature:
    """Return who signed a request, from its headers, its URL or (SigV2 in a form) its body."""
    value = headers.get("Authorization")
    if value:
        return _from_authorization(value.decode() if isinstance(value, bytes) else str(value))
    if "X-Amz-Credential=" in url or "AWSAccessKeyId=" in url:
        return _from_query(urlsplit(url).query)
    if isinstance(body, dict) and "AWSAccessKeyId" in body:
        return Signature("header", str(body["AWSAccessKeyId"]))
    return UNSIGNED


def beginning(headers: Any) -> str:
    """Return a SigV4 header up to its first comma: the credential with its scope, where SDKs write it; "" elsewhere.

    It is the same all day for a key, a region and a service.
    """
    # botocore's headers are an email message, whose look-up parses each header anew; signing adds last
    try:
        name, value = headers._headers[-1]
    except (AttributeError, IndexError):
        return ""
    return value.partition(",")[0] if name == "Authorization" and type(value) is str else ""


def _from_query(query: str) -> Signature:
    values = parse_qs(query)
    if "X-Amz-Credential" in values:
        key_id, _, scope = values["X-Amz-Credential"][0].partition("/")
        _, _, scope = scope.partition("/")
        kind = "sigv4a" if "ECDSA" in values.get("X-Amz-Algorithm", [""])[0] else "query"
        return _scoped(kind, key_id, scope.removesuffix("aws4_request"))
    return Signature("query", values["AWSAccessKeyId"][0]) if "AWSAccessKeyId" in values else UNSIGNED


def from_form(fields: Mapping[str, object]) -> Signature:
    """Return who signed the form fields of a presigned POST."""
    if "x-amz-credential" in fields:
        key_id, _, scope = str(fields["x-amz-credential"]).partition("/")
        return _scoped("post", key_id, scope.partition("/")[2].removesuffix("aws4_request"))
    return Signature("post", str(fields["AWSAccessKeyId"])) if "AWSAccessKeyId" in fields else UNSIGNED
