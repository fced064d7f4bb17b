"""Spans: one for each call, by the AWS SDK conventions, in the application's own trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry import context, trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from credwatch import semconv
from credwatch.guard import Guard
from tests.recorder.support import KEY, Answer, Recording, Stub, client, error, session, swallowed


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


def test_a_span_follows_the_aws_conventions(recording: Recording, spans: InMemorySpanExporter) -> None:
    client("s3", Answer(200, b"", {"x-amz-request-id": "REQUEST"})).list_buckets()
    span = only(spans)
    attributes = dict(span.attributes or {})
    expected = {
        "rpc.system": "aws-api",
        "rpc.service": "S3",
        "rpc.method": "ListBuckets",
        "http.response.status_code": 200,
        "aws.request_id": "REQUEST",
        "server.address": "s3.eu-west-1.amazonaws.com",
        "cloud.region": "eu-west-1",
        semconv.SOURCE: "explicit",
        semconv.OUTCOME: "allowed",
        semconv.ATTEMPTS: 1,
    }
    assert expected.items() <= attributes.items()
    assert (span.name, span.kind, span.status.status_code) == ("S3.ListBuckets", SpanKind.CLIENT, StatusCode.UNSET)
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= span.end_time
    assert KEY not in str(attributes)


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("http://127.0.0.1:4566", "127.0.0.1", 4566),
        ("http://[::1]:4566", "::1", 4566),
        ("http://[::1]", "::1", None),
        ("https://user:secret@host", "host", None),
    ],
)
def test_a_host_is_an_address_and_a_port(
    recording: Recording, spans: InMemorySpanExporter, url: str, address: str, port: int | None
) -> None:
    client("sqs", Answer(200, b"{}"), endpoint_url=url).list_queues()
    attributes = dict(only(spans).attributes or {})
    assert (attributes["server.address"], attributes.get("server.port")) == (address, port)
    assert "secret" not in str(attributes)


@pytest.mark.parametrize(
    ("opt_in", "expected", "absent"),
    [
        ("", {"rpc.system": "aws-api", "rpc.method": "ListBuckets"}, "rpc.system.name"),
        ("http,rpc", {"rpc.system.name": "aws-api", "rpc.method": "S3/ListBuckets"}, "rpc.system"),
        ("rpc/dup", {"rpc.system": "aws-api", "rpc.system.name": "aws-api", "rpc.method": "S3/ListBuckets"}, ""),
    ],
)
def test_names_follow_the_opt_in(
    attach: Callable[..., Recording], spans: InMemorySpanExporter, opt_in: str, expected: dict[str, str], absent: str
) -> None:
    attach(semconv_opt_in=opt_in)
    client("s3").list_buckets()
    attributes = dict(only(spans).attributes or {})
    assert expected.items() <= attributes.items()
    assert absent not in attributes


def test_an_error_is_an_error(recording: Recording, spans: InMemorySpanExporter) -> None:
    swallowed(client("s3", error("AccessDenied", "a message")).list_buckets)
    span = only(spans)
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "AccessDenied"
    assert "a message" not in span.to_json()


def test_the_parent_is_the_span_around_the_call(
    recording: Recording, provider: TracerProvider, spans: InMemorySpanExporter
) -> None:
    with provider.get_tracer("app").start_as_current_span("work") as parent:
        client("s3").list_buckets()
        assert trace.get_current_span() is parent
    child = next(span for span in spans.get_finished_spans() if span.name == "S3.ListBuckets")
    assert child.parent == parent.get_span_context()


@pytest.mark.parametrize("key", [_SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"], ids=["api", "contrib"])
def test_suppressed_calls_are_counted_and_have_no_span(
    recording: Recording, spans: InMemorySpanExporter, key: str
) -> None:
    token = context.attach(context.set_value(key, True))
    try:
        client("s3").list_buckets()
    finally:
        context.detach(token)
    assert spans.get_finished_spans() == ()
    assert recording.outcomes() == {("ListBuckets", "allowed"): 1}


@pytest.mark.parametrize("first", ["credwatch", "contrib"])
@pytest.mark.parametrize(
    ("service", "method", "params"),
    [
        ("s3", "list_buckets", {}),
        ("sns", "publish", {"TopicArn": "arn:aws:sns:eu-west-1:123456789012:t", "Message": "m"}),
        ("sqs", "send_message", {"QueueUrl": "https://sqs/123456789012/q", "MessageBody": "m"}),
        ("dynamodb", "get_item", {"TableName": "t", "Key": {"k": {"S": "v"}}}),
    ],
)
def test_contribs_span_is_enriched_and_stays_the_only_one(
    attach: Callable[..., Recording],
    provider: TracerProvider,
    spans: InMemorySpanExporter,
    first: str,
    service: str,
    method: str,
    params: dict[str, object],
) -> None:
    contrib = BotocoreInstrumentor()  # type: ignore[no-untyped-call]
    try:
        if first == "contrib":
            contrib.instrument(tracer_provider=provider)
        attach()
        if first == "credwatch":
            contrib.instrument(tracer_provider=provider)
        body = {"sns": b"<R><PublishResult/></R>", "s3": b""}.get(service, b"{}")
        getattr(client(service, Answer(200, body)), method)(**params)
    finally:
        contrib.uninstrument()
    span = only(spans)
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name.startswith("opentelemetry.instrumentation.botocore")
    assert (span.attributes or {})[semconv.SOURCE] == "explicit"


def test_contribs_span_is_enriched_even_while_the_source_is_not_settled(
    attach: Callable[..., Recording], provider: TracerProvider, spans: InMemorySpanExporter
) -> None:
    recording = attach()
    recording.instrumentation.registry.imds(KEY, "http://127.0.0.1:9", "host")
    contrib = BotocoreInstrumentor()  # type: ignore[no-untyped-call]
    contrib.instrument(tracer_provider=provider)
    try:
        client("s3").list_buckets()
    finally:
        contrib.uninstrument()
    assert list(recording.exported().values()) == [1]
    assert (only(spans).attributes or {})[semconv.SOURCE] in {"unknown", "imds-other"}


@pytest.mark.parametrize(("mode", "own"), [("own", 1), ("enrich", 0), ("off", 0), ("auto", 1)])
def test_the_mode_decides_whether_we_make_a_span(
    attach: Callable[..., Recording], spans: InMemorySpanExporter, mode: str, own: int
) -> None:
    attach(spans=mode)
    client("s3").list_buckets()
    assert len(spans.get_finished_spans()) == own


def test_no_host_leaves_where_no_resource_may(attach: Callable[..., Recording], spans: InMemorySpanExporter) -> None:
    attach(resources="none")
    swallowed(lambda: client("s3", Answer(200)).get_object(Bucket="sentinel-bucket", Key="k"))
    assert "server.address" not in (only(spans).attributes or {})


SENTINEL = "sentinel"


def test_nothing_of_parameters_headers_tokens_or_messages_leaves(
    attach: Callable[..., Recording], spans: InMemorySpanExporter
) -> None:
    recording = attach(guard=Guard(reraise=True))
    answers = [
        Answer(200, b"sentinel-body", {"x-amz-meta-x": "sentinel-header"}),
        error("AccessDenied", "sentinel-message", 403),
        error("InvalidArgument", "sentinel-message", 400),
    ]
    for answer in answers:
        made = session("ASIASENTINEL", "sentinel-secret", "sentinel-token").create_client("s3", region_name="eu-west-1")
        Stub(answer).on(made.meta.events)
        swallowed(
            lambda made=made: made.put_object(  # type: ignore[misc]  # a lambda's default is not typed
                Bucket="bucket",
                Key="sentinel-key",
                Body=b"sentinel-body",
                Metadata={"sentinel": "sentinel-value"},
                ContentType="sentinel/type",
                Tagging="sentinel=1",
                SSECustomerAlgorithm="AES256",
                SSECustomerKey=SENTINEL * 4,
            )
        )
        swallowed(lambda made=made: made.generate_presigned_url("get_object", {"Bucket": "b", "Key": "sentinel"}))  # type: ignore[misc]
    recording.exported()
    told = str(recording.export.requests) + "".join(span.to_json() for span in spans.get_finished_spans())
    assert len(spans.get_finished_spans()) == 6
    assert SENTINEL not in told.lower()
    assert "ASIASENTINEL" not in told


def test_a_call_of_another_operation_leaves_an_outer_aws_span_alone(
    recording: Recording, provider: TracerProvider, spans: InMemorySpanExporter
) -> None:
    tracer = provider.get_tracer("opentelemetry.instrumentation.botocore")
    with tracer.start_as_current_span("S3.GetObject", attributes={"rpc.method": "GetObject"}):
        client("s3").list_buckets()
    assert sorted(span.name for span in spans.get_finished_spans()) == ["S3.GetObject", "S3.ListBuckets"]
