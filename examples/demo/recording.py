"""Counts of calls from moto's recording: an independent witness beside the applications' own tallies.

Pure: text in, counts out. Who signed is read from the Authorization header; which operation it was
from X-Amz-Target or Action, or, for REST services, by matching method and URL with botocore's model.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from botocore.loaders import Loader

_SIGNED = re.compile(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/aws4_request")


class Use(NamedTuple):
    """Who did what: ARN of a role or user ("anonymous" if unsigned), boto3's name of the service, the operation."""

    principal: str
    service: str
    operation: str


class Count(NamedTuple):
    """`calls` as the application made them; `attempts` counts requests, retries included."""

    calls: int
    attempts: int


def counts(recording: str, principals: Mapping[str, str]) -> dict[Use, Count]:
    """Return how often each principal used each operation; `principals` maps key ids to ARNs.

    A key that is not in `principals` stands for itself.
    """
    invocations: dict[Use, list[str]] = {}
    for number, entry in enumerate(_entries(recording)):
        headers = {name.lower(): value for name, value in entry["headers"].items()}
        if "/moto-api/" in entry["url"]:
            continue
        signed = _SIGNED.search(headers.get("authorization", ""))
        key, service = (signed[1], signed[2]) if signed else ("anonymous", "unknown")
        use = Use(principals.get(key, key), service, _operation(service, entry, headers))
        # all attempts of one call bear the same invocation id; another client's request is a call by itself
        invocations.setdefault(use, []).append(headers.get("amz-sdk-invocation-id", str(number)))
    return {use: Count(len(set(ids)), len(ids)) for use, ids in invocations.items()}


def _entries(recording: str) -> Iterator[dict[str, Any]]:
    # moto writes an entry and its line end separately: two requests at a time may share a line
    decoder, position = json.JSONDecoder(), 0
    while position < len(recording):
        if recording[position].isspace():
            position += 1
            continue
        entry, position = decoder.raw_decode(recording, position)
        yield entry


def _operation(service: str, entry: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    if "x-amz-target" in headers:
        return headers["x-amz-target"].rpartition(".")[2]
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        body: str = base64.b64decode(entry["body"]).decode() if entry["body_encoded"] else entry["body"]
        return parse_qs(body).get("Action", ["unknown"])[0]
    return _rest_operation(service, entry["method"], entry["url"], headers)


class _Rest(NamedTuple):
    """An operation of a REST service: what a request must look like to be one."""

    name: str
    method: str
    path: re.Pattern[str]
    query: frozenset[tuple[str, str]]
    required: frozenset[tuple[str, str]]
    """(`querystring` or `header`, name) of parameters that each such request has."""


def _rest_operation(service: str, method: str, url: str, headers: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    fixed = {(name, values[0]) for name, values in query.items()}
    present = {("querystring", name) for name in query} | {("header", name) for name in headers}
    fitting = [
        op
        for op in _rest_operations(service)
        if op.method == method and op.path.fullmatch(parts.path) and op.query <= fixed and op.required <= present
    ]
    return max(fitting, key=lambda op: len(op.query) + len(op.required)).name if fitting else "unknown"


@functools.cache
def _rest_operations(service: str) -> tuple[_Rest, ...]:
    loader = Loader()
    if service not in loader.list_available_services("service-2"):
        return ()
    model = loader.load_service_model(service, "service-2")
    return tuple(_rest(name, operation, model["shapes"]) for name, operation in model["operations"].items())


def _rest(name: str, operation: Mapping[str, Any], shapes: Mapping[str, Any]) -> _Rest:
    uri = urlsplit(operation["http"]["requestUri"])
    # {Key+} crosses slashes, {Bucket} does not
    path = re.sub(r"\\{[^}]*?(\\\+)?\\}", lambda m: ".+" if m[1] else "[^/]+", re.escape(uri.path))
    shape = shapes[operation["input"]["shape"]] if "input" in operation else {}
    required = [shape["members"][member] for member in shape.get("required", ())]
    return _Rest(
        name,
        operation["http"]["method"],
        re.compile(path.rstrip("/") + "/?"),
        frozenset((k, v[0]) for k, v in parse_qs(uri.query, keep_blank_values=True).items()),
        frozenset(_place(member) for member in required if member.get("location") in {"querystring", "header"}),
    )


def _place(member: Mapping[str, str]) -> tuple[str, str]:
    location, name = member["location"], member["locationName"]
    return location, name.lower() if location == "header" else name
