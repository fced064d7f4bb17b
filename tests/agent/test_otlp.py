"""OTLP to records: what is said is what is decoded, and what breaks the contract is named alone."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint

from credwatch import semconv
from credwatch_agent.otlp import Encoding, Malformed, Metrics, Traces, decode_metrics, decode_traces
from credwatch_agent.records import Batch, Health, KeySighting, UsagePoint
from tests.agent import wire
from tests.agent.wire import NOW, PROCESS, START, USAGE, S, counter, metrics, point, span, traces
from tests.recorder.test_semconv import usages

ENCODINGS: tuple[Encoding, ...] = ("protobuf", "json")
OURS = {**semconv.encode(USAGE), semconv.PROCESS_ID: PROCESS}


def body(message: Message, encoding: Encoding = "protobuf") -> bytes:
    if encoding == "protobuf":
        return message.SerializeToString()
    return json.dumps(wire.otlp_json(message)).encode()


def decode(*entries: Metric, resource: Mapping[str, object] = wire.RESOURCE) -> Metrics:
    return decode_metrics(body(metrics(*entries, resource=resource)), "protobuf", now_ns=NOW)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_usage_point_arrives_as_it_was_sent(encoding: Encoding) -> None:
    decoded = decode_metrics(body(metrics(counter([point()])), encoding), encoding, now_ns=NOW)
    expected = UsagePoint(PROCESS, USAGE, 3, START, START + 60 * S)
    assert decoded == Metrics((Batch({"service.name": "orders", "credwatch.schema": "1"}, (expected,)),))


@given(usages, st.integers(0, 2**63 - 1), st.sampled_from(ENCODINGS))
def test_decoding_undoes_the_recorders_encoding(usage: semconv.Usage, value: int, encoding: Encoding) -> None:
    sent = counter([point({**semconv.encode(usage), semconv.PROCESS_ID: PROCESS}, value=value)])
    (batch,) = decode_metrics(body(metrics(sent), encoding), encoding, now_ns=NOW).batches
    assert batch.usage == (UsagePoint(PROCESS, usage, value, START, START + 60 * S),)


def test_key_sightings_carry_the_credential_and_its_two_times() -> None:
    credential = semconv.Usage("imds-other", "iam-role", "temporary", True, principal_name="web", account_id="1234")
    sent = {**semconv.encode(credential), semconv.PSEUDONYM: "00ff", semconv.PROCESS_ID: PROCESS}
    for name in (semconv.OUTCOME, semconv.DETAIL, semconv.MAPPING):
        del sent[name]  # a key has no call
    (batch,) = decode(counter([point(sent)], name=semconv.CREDENTIAL_SEEN)).batches
    assert batch.keys == (
        KeySighting(
            PROCESS, "00ff", "imds-other", "iam-role", "temporary", True, "web", "1234", 3, START, START + 60 * S
        ),
    )


@pytest.mark.parametrize(
    "metric",
    ["up", "closed", "errors", "coarsened", "spans_dropped"],
)
def test_health_needs_only_the_process(metric: str) -> None:
    name = f"credwatch.recorder.{metric}"
    (batch,) = decode(counter([point({semconv.PROCESS_ID: PROCESS})], name=name)).batches
    assert batch.health == (Health(PROCESS, name, 3, START, START + 60 * S),)


BROKEN: list[tuple[NumberDataPoint, str]] = [
    (point(semconv.encode(USAGE)), "attribute `credwatch.process.id` is missing"),
    (point({**OURS, semconv.PROCESS_ID: 5}), "`credwatch.process.id` is no text of 1 to 128 printable characters"),
    (point({**OURS, semconv.PROCESS_ID: ""}), "`credwatch.process.id` is no text of 1 to 128 printable characters"),
    (point({**OURS, semconv.PROCESS_ID: PROCESS[:-1] + "\0"}), "is no text of 1 to 128 printable characters"),
    (point({**OURS, semconv.SOURCE: "magic"}), "`credwatch.credential.source` has the unknown value `magic`"),
    (point({**OURS, semconv.RESOURCES: "x" * 70_000}), "is longer than 65536 characters"),
    (point({**OURS, semconv.CHAIN: '[["explicit","\\ud800"]]'}), "half of a surrogate pair"),
    (point({**OURS, semconv.SOURCE: ["a"]}), "`credwatch.credential.source` is missing"),
    (point({"otel.metric.overflow": True}), "`otel.metric.overflow` says that the sender merged calls"),
    (point(value=-1), "its value -1 is negative"),
    (point(value=1.0), "its value is a float"),
    (point(value=math.nan), "its value is a float"),
    (point(value=None), "it has no value"),
    (point(start=0), "it has no start time"),
    (point(time=0), "it has no time"),
    (point(start=10**9), "its start time is before the year 2020"),
    (point(time=NOW + 86_401 * S), "its time is more than a day ahead"),
    (point(time=2**64 - 1), "its time is more than a day ahead"),
]


@pytest.mark.parametrize(("broken", "sentence"), BROKEN, ids=[sentence for _, sentence in BROKEN])
def test_a_broken_point_is_rejected_alone_and_named(broken: NumberDataPoint, sentence: str) -> None:
    decoded = decode(counter([point(), broken]))
    assert [p.value for p in decoded.batches[0].usage] == [3]
    assert decoded.rejected == 1
    assert decoded.message.startswith("a point of `credwatch.calls` was rejected: ")
    assert sentence in decoded.message


def test_a_sighting_without_pseudonym_is_rejected() -> None:
    decoded = decode(counter([point()], name=semconv.CREDENTIAL_SEEN))
    assert (decoded.rejected, decoded.batches[0].keys) == (1, ())
    assert "`credwatch.credential.pseudonym` is missing" in decoded.message


def test_many_different_sentences_stay_one_short_message() -> None:
    broken = [point({**OURS, semconv.SOURCE: f"magic{i}"}) for i in range(100)]
    decoded = decode(counter(broken))
    assert decoded.rejected == 100
    assert decoded.message.endswith("; and more")
    assert len(decoded.message) < 500


@pytest.mark.parametrize(
    ("resource", "sentence"),
    [
        ({}, "the resource has no `credwatch.schema`; this agent reads schema 1"),
        ({semconv.SCHEMA_ATTRIBUTE: 99}, "has `credwatch.schema` 99; this agent reads schema 1: upgrade the agent"),
        ({semconv.SCHEMA_ATTRIBUTE: True}, "has `credwatch.schema` True"),
        ({semconv.SCHEMA_ATTRIBUTE: "1"}, "has `credwatch.schema` 1"),
    ],
)
def test_points_of_another_schema_are_rejected_and_foreign_metrics_are_not(
    resource: dict[str, object], sentence: str
) -> None:
    decoded = decode(counter([point(), point()]), counter([point()], name="http.requests"), resource=resource)
    assert (decoded.batches, decoded.rejected) == ((), 2)
    assert sentence in decoded.message


@pytest.mark.parametrize("name", ["http.server.requests", semconv.CALLS_BY_SOURCE, "credwatch.recorder.novelty"])
def test_metrics_that_are_not_ours_are_accepted_and_ignored(name: str) -> None:
    assert decode(counter([point(value=-1)], name=name), resource={}) == Metrics(())


@pytest.mark.parametrize("name", [semconv.CALLS, semconv.CREDENTIAL_SEEN, semconv.RECORDER_UP])
def test_a_metric_of_another_kind_is_rejected(name: str) -> None:
    decoded = decode(Metric(name=name, gauge=Gauge(data_points=[point()])))
    assert (decoded.rejected, decoded.message) == (1, f"`{name}` is a gauge, expected a sum")


@pytest.mark.parametrize(
    "sent",
    [
        counter([point()], temporality=wire.DELTA),
        counter([point()], monotonic=False),
        counter([point(), point({"otel.metric.overflow": True})]),
    ],
    ids=["delta", "not monotonic", "overflow"],
)
def test_counts_that_may_be_incomplete_are_not_exact(sent: Metric) -> None:
    assert [p.exact for p in decode(sent).batches[0].usage] == [False]


def test_a_marker_without_a_recorded_value_says_nothing() -> None:
    decoded = decode(counter([point(value=None, flags=1)]))
    assert (decoded.rejected, decoded.batches[0].usage) == (0, ())


def test_a_clock_set_back_costs_no_counts() -> None:
    (batch,) = decode(counter([point(time=START - S)])).batches
    assert [(p.start_ns, p.time_ns) for p in batch.usage] == [(START, START)]


def test_resource_attributes_become_texts_within_limits() -> None:
    resource = {**wire.RESOURCE, "flag": True, "n": 1.5, "list": ["a"], "raw": b"a", "long": "x" * 5_000}
    (batch,) = decode(counter([point()]), resource=resource).batches
    assert batch.resource == {"service.name": "orders", "credwatch.schema": "1", "flag": "true", "n": "1.5"}
    (batch,) = decode(counter([point()]), resource={**resource, **{f"a{i}": i for i in range(1_000)}}).batches
    assert len(batch.resource) == 128


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_span_keeps_its_ids_times_and_our_attributes(encoding: Encoding) -> None:
    child = span(
        parent_span_id=bytes.fromhex("00f067aa0ba902b7"),
        attributes=wire.attributes({**semconv.encode_span(USAGE), "rpc.method": "PutObject", "db.statement": "x"}),
    )
    decoded = decode_traces(body(traces(child), encoding), encoding, now_ns=NOW)
    (found,) = decoded.spans
    assert (found.trace_id, found.span_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert (found.parent_span_id, found.name) == ("00f067aa0ba902b7", "S3.PutObject")
    assert (found.start_ns, found.end_ns) == (START, START + S)
    assert found.attributes[semconv.ACTIONS] == ("s3:PutObject",)
    assert found.attributes["rpc.method"] == "PutObject"
    assert "db.statement" not in found.attributes
    assert found.resource["service.name"] == "orders"


@pytest.mark.parametrize("parent", [b"", bytes(8)], ids=["empty", "zeros"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_root_span_has_no_parent(parent: bytes, encoding: Encoding) -> None:
    (found,) = decode_traces(body(traces(span(parent_span_id=parent)), encoding), encoding, now_ns=NOW).spans
    assert found.parent_span_id == ""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"trace_id": b""}, "its trace id is not 32 hexadecimal digits"),
        ({"trace_id": bytes(16)}, "or is all zeros"),
        ({"span_id": b"abc"}, "its span id is not 16 hexadecimal digits"),
        ({"parent_span_id": b"abc"}, "its parent span id is not 16"),
        ({"start_time_unix_nano": 0}, "it has no start time"),
        ({"end_time_unix_nano": 2**64 - 1}, "its end time is more than a day ahead"),
    ],
)
def test_a_broken_span_is_rejected_alone_and_named(change: dict[str, Any], sentence: str) -> None:
    decoded = decode_traces(body(traces(span(), span(**change))), "protobuf", now_ns=NOW)
    assert (len(decoded.spans), decoded.rejected) == (1, 1)
    assert sentence in decoded.message


@pytest.mark.parametrize(
    ("encoding", "garbage"),
    [
        ("protobuf", b"garbage"),
        ("protobuf", b"\x0a\xff\xff\xff\xff\x0f"),
        ("json", b""),
        ("json", b"\xff\xfe"),
        ("json", b"[]"),
        ("json", b"3"),
        ("json", b"[" * 100_000),
        ("json", b'{"resourceMetrics": 3, "resourceSpans": 3}'),
        ("json", b'{"resourceMetrics": [null, null], "resourceSpans": [null, null]}'),
    ],
)
def test_a_body_that_is_not_otlp_is_malformed(encoding: Encoding, garbage: bytes) -> None:
    for decoder in (decode_metrics, decode_traces):
        with pytest.raises(Malformed, match="the body is no OTLP request in"):
            decoder(garbage, encoding, now_ns=NOW)


# JSON that is close to OTLP: right names, any values
NAMES = st.sampled_from(
    """resourceMetrics resourceSpans scopeMetrics scopeSpans metrics spans resource attributes key value stringValue
    intValue arrayValue values name sum dataPoints asInt asDouble flags traceId spanId parentSpanId startTimeUnixNano
    timeUnixNano aggregationTemporality isMonotonic""".split()  # noqa: SIM905 - a list would take thirty lines
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from([*OURS, semconv.CALLS])
)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=20
)
TEMPLATES = [wire.otlp_json(metrics(counter([point()]))), wire.otlp_json(traces(span()))]
VALID = [body(metrics(counter([point()]))), body(traces(span()))]


def total(decoder: Any, data: bytes, encoding: Encoding) -> None:
    try:
        decoded = decoder(data, encoding, now_ns=NOW)
    except Malformed:
        return
    assert isinstance(decoded, Metrics | Traces)


def paths(document: Any) -> list[tuple[Any, ...]]:
    if not isinstance(document, dict | list):
        return [()]
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    return [(), *((key, *path) for key, value in inner for path in paths(value))]


@settings(max_examples=150)
@given(st.sampled_from(TEMPLATES), st.data())
def test_no_json_document_raises_anything_but_malformed(template: dict[str, Any], data: st.DataObject) -> None:
    document = copy.deepcopy(template)
    *way, last = data.draw(st.sampled_from(paths(document)[1:]))
    part: Any = document
    for key in way:
        part = part[key]
    part[last] = data.draw(DOCUMENTS)
    for decoder in (decode_metrics, decode_traces):
        total(decoder, json.dumps(document).encode(), "json")


@pytest.mark.parametrize(
    "document",
    [
        {"resourceMetrics": [{"resource": {"attributes": [{"key": "\ud800", "value": {"stringValue": "\ud800"}}]}}]},
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "\ud800", "name": "\ud800"}]}]}]},
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "é", "startTimeUnixNano": 1e400}]}]}]},
    ],
)
def test_text_that_is_not_unicode_never_gets_through(document: dict[str, Any]) -> None:
    for decoder in (decode_metrics, decode_traces):
        total(decoder, json.dumps(document).encode(), "json")


@settings(max_examples=150)
@given(st.sampled_from(VALID), st.data())
def test_no_damaged_body_raises_anything_but_malformed(valid: bytes, data: st.DataObject) -> None:
    damaged = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    for decoder in (decode_metrics, decode_traces):
        total(decoder, bytes(damaged), "protobuf")


@settings(max_examples=100)
@given(st.binary(max_size=200), st.sampled_from(ENCODINGS))
def test_no_bytes_raise_anything_but_malformed(data: bytes, encoding: Encoding) -> None:
    for decoder in (decode_metrics, decode_traces):
        total(decoder, data, encoding)


def field_of(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length, sizes = len(content), bytearray()
    while length > 127:
        sizes.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *sizes, length]) + content


EMPTY = field_of(1, b"") * 1_000_000
BOMBS: list[tuple[Encoding, bytes]] = [
    ("protobuf", EMPTY),
    ("protobuf", field_of(1, field_of(2, field_of(2, EMPTY)) + field_of(2, field_of(2, b"")) * 1_000_000)),
    ("protobuf", field_of(1, field_of(2, field_of(2, field_of(1, semconv.CALLS.encode()) + field_of(7, EMPTY))))),
    ("json", b'{"resourceMetrics":[' + b"{}," * 1_000_000 + b"{}]}"),
    ("json", b"[" * 1_000_001),
]


@pytest.mark.parametrize(("encoding", "bomb"), BOMBS, ids=["resources", "scopes", "points", "objects", "lists"])
def test_a_million_empty_entries_are_refused_before_they_are_looked_at(encoding: Encoding, bomb: bytes) -> None:
    with pytest.raises(Malformed, match="send smaller batches"):
        decode_metrics(bomb, encoding, now_ns=NOW)


def test_a_hostile_body_of_full_size_takes_a_bounded_multiple_of_its_size() -> None:
    # measured in a process of its own, since the high-water mark of this one is past
    code = """if True:
        import resource, sys
        from credwatch_agent.otlp import Malformed, decode_metrics, decode_traces
        def field(number, content):
            size = len(content)
            return bytes([number << 3 | 2]) + b"".join(
                bytes([size >> shift & 127 | (128 if size >> shift + 7 else 0)])
                for shift in range(0, 35, 7) if size >> shift or not shift) + content
        empty = field(1, b"") * 8_000_000
        deep = field(1, field(2, field(2, b":\\0" * 7_900_000)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for body in (empty, deep):
            for decode in (decode_metrics, decode_traces):
                try:
                    decode(body, "protobuf", now_ns=1_800_000_000 * 10**9)
                except Malformed:
                    pass
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """.replace("\\\\0", "\\0")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 320, "MiB"


def test_a_million_attributes_are_not_looked_at() -> None:
    sent = point()
    sent.attributes.extend(wire.attributes(OURS)[:1] * 10_000)
    late = point({**{f"a{n}": n for n in range(1_000)}, **OURS})
    decoded = decode(counter([sent, late]))
    assert [p.usage for p in decoded.batches[0].usage] == [USAGE]
    assert decoded.rejected == 1


def test_an_attribute_nested_past_every_limit_is_malformed_not_a_crash() -> None:
    depth = 150
    value = '{"arrayValue":{"values":[' * depth + '{"stringValue":"x"}' + "]}}" * depth
    nested = f'{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"a","value":{value}}}]}}}}]}}'
    with pytest.raises(Malformed):
        decode_metrics(nested.encode(), "json", now_ns=NOW)
