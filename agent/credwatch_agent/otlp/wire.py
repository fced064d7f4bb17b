"""What metrics and traces share: bytes to OTLP messages, attribute values, times, rejections."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from typing import Literal

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

Encoding = Literal["protobuf", "json"]
Scalar = str | bool | int | float

MAX_TEXT = 65_536
"""Characters of one attribute that are taken; recorders send some hundred."""

MAX_ATTRIBUTES = 1_000
"""Attributes of one thing that are looked at; recorders send some thirty."""

_MAX_JSON_VALUES = 1_000_000  # objects and lists: what a body of points of some size can have
_MAX_RESOURCE_ATTRIBUTES = 128
_MAX_RESOURCE_TEXT = 4_096
_MAX_SENTENCES = 3
AHEAD_NS = 24 * 3600 * 10**9
EARLIEST_NS = 1_577_836_800 * 10**9  # 2020-01-01: before any recorder existed


class Malformed(ValueError):
    """The body is not an OTLP export request; the text says why."""


class BrokenPoint(ValueError):
    """One point or span breaks the contract; the text says how."""


def printable(text: str) -> str:
    """Return a text that quotes a sender as one line that can be encoded: no controls, no half surrogates."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


class Rejections:
    """Counts what was rejected and keeps the first few different sentences about it."""

    def __init__(self) -> None:
        self.count = 0
        self._sentences: dict[str, None] = {}

    def add(self, count: int, sentence: str) -> None:
        self.count += count
        if count and len(self._sentences) <= _MAX_SENTENCES:
            self._sentences[printable(sentence)] = None

    @property
    def message(self) -> str:
        """The sentences, or "" where nothing was rejected."""
        kept = list(self._sentences)[:_MAX_SENTENCES]
        return "; ".join(kept) + ("; and more" if len(self._sentences) > _MAX_SENTENCES else "")


def to_protobuf(body: bytes, encoding: Encoding, request: type[Message]) -> bytes:
    """Return a body in protobuf, whatever it came in; unknown fields of OTLP/JSON are ignored.

    Raises `Malformed`. Ids in JSON are hexadecimal where protobuf's own mapping has base64: they
    are read as base64 here, and `traces` undoes it.
    """
    if encoding == "protobuf":
        return body
    try:
        return json_format.ParseDict(_object(body), request(), ignore_unknown_fields=True).SerializeToString()
    except (json_format.Error, ValueError, OverflowError, RecursionError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise Malformed(f"the body is no OTLP request in json: {printable(reason)}") from None


def _object(body: bytes) -> dict[str, object]:
    # before anything is built: a small body of empty objects takes minutes and gigabytes
    if body.count(b"{") + body.count(b"[") > _MAX_JSON_VALUES:
        raise ValueError(f"it has more than {_MAX_JSON_VALUES} objects and lists; send smaller batches")
    text = body.decode()
    document = json.loads(text)
    if "\\u" in text:
        # half a surrogate pair, as a name, would crash protobuf's own reader
        json.dumps(document, ensure_ascii=False).encode()
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - `to_protobuf` turns every ValueError into its answer
    return document


def scalar(value: AnyValue) -> Scalar | None:
    """Return the value of an attribute, or None for lists, maps, bytes and nothing."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
    return None


def scalars(attributes: Iterable[KeyValue]) -> dict[str, Scalar]:
    """Return the scalar attributes by name; past `MAX_ATTRIBUTES` they are not looked at."""
    found = islice(attributes, MAX_ATTRIBUTES)
    return {item.key: value for item in found if (value := scalar(item.value)) is not None}


def resource_texts(attributes: Iterable[KeyValue]) -> dict[str, str]:
    """Return a resource's scalar attributes as texts; past the limits of size they are left out."""
    texts: dict[str, str] = {}
    for name, value in scalars(attributes).items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if len(texts) < _MAX_RESOURCE_ATTRIBUTES and len(name) + len(text) <= _MAX_RESOURCE_TEXT:
            texts[name] = text
    return texts


def check_time(what: str, time_ns: int, now_ns: int) -> int:
    """Return a time that can be believed, else raise `BrokenPoint`."""
    if not time_ns:
        raise BrokenPoint(f"it has no {what}")
    if time_ns < EARLIEST_NS:
        raise BrokenPoint(f"its {what} is before the year 2020: check the sender's clock")
    if time_ns > now_ns + AHEAD_NS:
        raise BrokenPoint(f"its {what} is more than a day ahead of the agent's clock: check both clocks")
    return time_ns
