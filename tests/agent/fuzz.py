"""Requests that nobody should send, made from those that recorders do send: `cases` gives them without end.

A case is spoilt in its bytes, its JSON, its compression, its headers or its values; some stay good by chance.
"""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from credwatch import semconv
from credwatch_agent.receiver import JSON, PROTOBUF
from tests.agent.wire import DELTA, NOW, PROCESS, START, USAGE, counter, metrics, otlp_json, point, span, traces

METRICS, TRACES = "/v1/metrics", "/v1/traces"


class Case(NamedTuple):
    """One HTTP request; header names in lower case."""

    path: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def content_type(self) -> str:
        return dict(self.headers).get("content-type", "")

    @property
    def encoding(self) -> str:
        return dict(self.headers).get("content-encoding", "identity")


OURS = {**semconv.encode(USAGE), semconv.PROCESS_ID: PROCESS}
_HUGE = [0, 1, 2**31, 2**53 + 1, 2**63 - 1, -1, -(2**63)]
_TIMES = [0, 1, START, NOW + 10**15, 2**63, 2**64 - 1]
_VALUES: list[object] = [
    "",
    "x" * 3_000,
    "\0\ud7ff\n",
    5,
    -5,
    2**63 - 1,
    True,
    math.nan,
    math.inf,
    b"\xff",
    ["a", 1],
    [],
]


def _deep(levels: int) -> AnyValue:
    value = AnyValue(string_value="deep")
    for level in range(levels):
        pair = KeyValue(key="k", value=value)
        value = AnyValue(kvlist_value=KeyValueList(values=[pair])) if level % 2 else _listed(value)
    return value


def _listed(value: AnyValue) -> AnyValue:
    return AnyValue(array_value=ArrayValue(values=[value]))


def _seeds() -> list[tuple[str, Message]]:
    """Return messages that can be read, with values that break the contract each in one place."""
    made: list[Message] = [metrics(counter([point(), point(value=5)])), metrics(), metrics(counter([]))]
    made += [metrics(counter([point(value=value)])) for value in [*_HUGE, math.nan, math.inf, 1.5, None]]
    made += [metrics(counter([point(start=start, time=time)])) for start in _TIMES for time in _TIMES]
    made += [metrics(counter([point({**OURS, name: value})])) for name in OURS for value in _VALUES]
    made += [metrics(counter([point({**OURS, **{f"more.{n}": n for n in range(1_200)}})]))]
    made += [metrics(counter([point()]), resource={"service.name": value}) for value in _VALUES]
    made += [metrics(counter([point()]), resource={semconv.SCHEMA_ATTRIBUTE: value}) for value in (0, 2, "one", -1)]
    made += [metrics(counter([point()], name=name)) for name in (semconv.CREDENTIAL_SEEN, semconv.RECORDER_UP, "other")]
    made += [metrics(counter([point(flags=1)], temporality=DELTA, monotonic=False))]
    deep = metrics(counter([point()]))
    deep.resource_metrics[0].resource.attributes.append(KeyValue(key="deep", value=_deep(25)))
    made.append(deep)
    spans: list[Message] = [traces(span()), traces(span(span_id=b"")), traces(span(trace_id=b"\xff" * 40))]
    spans += [traces(span(name=name, end_time_unix_nano=end)) for name in ("", "\0", "x" * 5_000) for end in _TIMES]
    return [*((METRICS, message) for message in made), *((TRACES, message) for message in spans)]


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null')
_HOSTILE = [
    *(b"null", b"true", b"-1", b"1e999", b"NaN", b"-Infinity", b"18446744073709551616", b"1.5", b'""', b'"\\ud800"'),
    *(
        b'"\xff"',
        b"[]",
        b"{}",
        b"[[]]",
        b'{"a":1}',
        b'"9"',
        b'"-1"',
        b'"0x10"',
        b'"\\u0000"',
        b"\x00",
        b"]",
        b"}",
        b",",
    ),
    *(b'"resourceMetrics"', b'"scopeMetrics"', b'"sum"', b'"dataPoints"', b'"asInt"', b'"kvlistValue"', b'"spans"'),
    *(b"[" * 3_000, b'{"a":' * 500, b"9" * 5_000),
]
_VARINTS = [b"\xff" * 9 + b"\x01", b"\xff" * 11, b"\x80" * 10, b"\x00", b"\x7f", b"\x0a\xff\xff\xff\xff\x0f"]


class Seed(NamedTuple):
    """A body, in which form it is, and for JSON where its tokens are."""

    path: str
    content_type: str
    body: bytes
    tokens: tuple[tuple[int, int], ...]


def _seed_of(path: str, message: Message) -> Iterator[Seed]:
    yield Seed(path, PROTOBUF, message.SerializeToString(), ())
    try:
        text = json.dumps(otlp_json(message)).encode()
    except ValueError:  # what JSON cannot say
        return
    yield Seed(path, JSON, text, tuple(match.span() for match in _TOKEN.finditer(text)))


SEEDS = [seed for path, message in _seeds() for seed in _seed_of(path, message)]


def _overwrite(rng: Random, body: bytes) -> bytes:
    at = rng.randrange(len(body) + 1)
    return body[:at] + rng.randbytes(rng.randint(1, 4)) + body[at + rng.randint(0, 4) :]


def _flip(rng: Random, body: bytes) -> bytes:
    if not body:
        return b"\x01"
    spoilt = bytearray(body)
    spoilt[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def _cut(rng: Random, body: bytes) -> bytes:
    return body[: rng.randrange(len(body) + 1)]


def _repeat(rng: Random, body: bytes) -> bytes:
    start = rng.randrange(len(body) + 1)
    part = body[start : start + rng.randint(1, 40)]
    return body[:start] + part * rng.randint(2, 20) + body[start:]


def _varint(rng: Random, body: bytes) -> bytes:
    at = rng.randrange(len(body) + 1)
    return body[:at] + rng.choice(_VARINTS) + body[at + rng.randint(0, 2) :]


def _splice(rng: Random, body: bytes) -> bytes:
    other = rng.choice(SEEDS).body
    return body[: rng.randrange(len(body) + 1)] + other[rng.randrange(len(other) + 1) :]


def _noise(rng: Random, body: bytes) -> bytes:
    return rng.randbytes(rng.randrange(200))


def _keep(_rng: Random, body: bytes) -> bytes:
    return body


SPOILERS: list[Callable[[Random, bytes], bytes]] = [
    _flip, _flip, _overwrite, _overwrite, _cut, _repeat, _varint, _splice, _noise, _keep
]  # fmt: skip


def _spoil_json(rng: Random, seed: Seed) -> bytes:
    start, end = rng.choice(seed.tokens)
    return seed.body[:start] + rng.choice(_HOSTILE) + seed.body[end:]


_TYPES = [
    "",
    "text/plain",
    "application/json; charset=utf-16",
    "Application/X-Protobuf ; a=b",
    "x" * 300,
    "\xff",
    PROTOBUF,
    JSON,
]
_ENCODINGS = ["br", "GZIP", "gzip, gzip", "identity", "", "deflate", "\xff"]
_PATHS = [
    "/v1/logs",
    "/v1/metrics/",
    "//v1/metrics",
    "/v1/metrics%00",
    "/",
    "/v2",
    "/V1/METRICS",
    "/v1/traces?x=" + "y" * 900,
]
_METHODS = ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "NONSENSE"]
_BOMB = gzip.compress(bytes(20_000_000))


def _compressed(rng: Random, body: bytes) -> bytes:
    squeezed = gzip.compress(body, 1)
    return rng.choice(SPOILERS)(rng, squeezed) if rng.random() < 0.7 else squeezed


def case(rng: Random) -> Case:
    """Return one request."""
    seed = rng.choice(SEEDS)
    path, method, content_type, encoding = seed.path, "POST", seed.content_type, ""
    body = _spoil_json(rng, seed) if seed.tokens and rng.random() < 0.7 else rng.choice(SPOILERS)(rng, seed.body)
    kind = rng.random()
    if kind < 0.12:
        encoding, body = "gzip", _compressed(rng, body)
    elif kind < 0.16:
        content_type = rng.choice(_TYPES)
    elif kind < 0.18:
        encoding = rng.choice(_ENCODINGS)
    elif kind < 0.20:
        path = rng.choice(_PATHS)
    elif kind < 0.22:
        method = rng.choice(_METHODS)
    elif kind < 0.2202:
        encoding, body = "gzip", _BOMB
    headers = [("content-type", content_type)]
    if encoding:
        headers.append(("content-encoding", encoding))
    return Case(path, method, tuple(headers), body)
