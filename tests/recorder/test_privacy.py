"""What leaves the process, as bytes: random calls of random operations, full of secrets, and none of these in them."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from credwatch import semconv
from credwatch.telemetry import metrics_data
from tests.recorder.support import Answer, Recording, Stub, session, swallowed

WORD = "s3ntinel"
_TOKEN = re.compile(rf"{WORD}\d+z")
_NUMBER = 7_700_000_000  # where the numbers among the parameters begin
_DEEPEST = 4
_ENCODED = [base64.b64encode(b"." * shift + WORD.encode())[2 * (shift > 0) + (shift > 1) : -4] for shift in range(3)]
SIGNALS = (WORD.encode(), b"77000", *_ENCODED)

# every variable that holds a secret, and some that credwatch reads
ENVIRONMENT = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "CREDWATCH_HEADERS_FILE",
    "DATABASE_PASSWORD",
)
# of attributes, those in which the name of a resource may be
_OF_RESOURCES = {semconv.RESOURCES, "server.address"}

MESSAGES = (
    "{text}",
    (
        "User: arn:aws:iam::123456789012:user/{text} is not authorized to perform: s3:GetObject on resource: "
        '"arn:aws:s3:::{bucket}/{key}" because no identity-based policy allows the s3:GetObject action'
    ),
    "{text} is not authorized to perform: kms:Decrypt on resource: {text} with an explicit deny in a {text} policy",
)


class Secrets:
    """Makes a value for each parameter of an operation, and remembers for which parameter each was."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[str, bool]] = {}

    def word(self, path: str, *, sensitive: bool = True, least: int = 0) -> str:
        """Return a text that is found again."""
        text = f"{WORD}{len(self.made)}z"
        self.made[text] = (path, sensitive)
        return text.ljust(least, "x")

    def value(self, shape: Any, path: str = "", depth: int = 0, *, sensitive: bool = False) -> Any:
        """Return a value that botocore takes for a parameter of this shape."""
        sensitive = sensitive or bool(shape.metadata.get("sensitive"))
        kind = shape.type_name
        if kind == "structure":
            names = set(shape.required_members) if depth >= _DEEPEST else set(shape.members)
            if getattr(shape, "is_tagged_union", False):
                names = {sorted(shape.members)[0]}
            members = sorted(names) if depth < _DEEPEST * 3 else []
            return {n: self.value(shape.members[n], f"{path}.{n}", depth + 1, sensitive=sensitive) for n in members}
        if kind == "list":
            return [self.value(shape.member, f"{path}[]", depth + 1, sensitive=sensitive)]
        if kind == "map":
            return {self.word(path): self.value(shape.value, f"{path}{{}}", depth + 1, sensitive=sensitive)}
        return self._scalar(shape, kind, path, sensitive)

    def _scalar(self, shape: Any, kind: str, path: str, sensitive: bool) -> Any:
        if kind == "boolean":
            return True
        if kind in {"integer", "long", "float", "double", "bigdecimal"}:
            return _NUMBER + len(self.made)
        if kind == "timestamp":
            return datetime(2077, 1, 1, tzinfo=timezone.utc)
        least = int(shape.metadata.get("min", 0))
        text = self.word(path, sensitive=sensitive or kind == "blob", least=least)
        return text.encode() if kind == "blob" else text


def _answers(secrets: Secrets, chance: random.Random, protocol: str) -> Answer | BaseException:
    """Return what the service says: a success, a denial in each of AWS's ways, another refusal, or nothing."""
    message = chance.choice(MESSAGES).format(
        text=secrets.word("message"),
        bucket=secrets.word("checked bucket", sensitive=False),
        key=secrets.word("checked key"),
    )
    headers = {"x-amz-meta-x": secrets.word("header"), "x-amz-id-2": secrets.word("header")}
    code = chance.choice(("AccessDenied", "AccessDeniedException", "ValidationError", "ExpiredToken", ""))
    if chance.random() < 0.1:
        return OSError(message)
    if "json" in protocol:
        body = json.dumps({"__type": code, "message": message} if code else {}).encode()
    else:
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        body = (f"<R>{error}</R>" if protocol in {"query", "ec2"} else error).encode() if code else b"<R/>"
    return Answer((403 if "Denied" in code else 400) if code else 200, body, headers)


def _operations(chance: random.Random, calls: int) -> Iterator[tuple[str, list[str]]]:
    """Yield services, each with some of its operations."""
    services = session().get_available_services()
    for service in chance.sample(services, min(len(services), max(1, calls // 5))):
        names = session().get_service_model(service).operation_names
        yield service, chance.sample(list(names), min(len(names), 5))


def _call(client: Any, name: str, params: Mapping[str, Any], *, presign: bool) -> None:
    if presign:
        method = next(python for python, api in client.meta.method_to_api_mapping.items() if api == name)
        client.generate_presigned_url(method, dict(params))
    else:
        client._make_api_call(name, dict(params))


def _make_calls(seed: int, calls: int) -> tuple[Secrets, int]:
    """Make about so many calls; return the secrets that were in them and how many requests were signed."""
    chance = random.Random(seed)
    secrets, signed = Secrets(), 0
    for service, names in _operations(chance, calls):
        made = session(f"ASIA{secrets.word('key id')}", secrets.word("secret"), secrets.word("token"))
        client = made.create_client(service, region_name="us-east-1")
        client.meta.events.register("before-call", _with_header(secrets))
        for name in names:
            model = client.meta.service_model.operation_model(name)
            params = secrets.value(model.input_shape) if model.input_shape is not None else {}
            stub = Stub(_answers(secrets, chance, client.meta.service_model.protocol))
            client.meta.events.register_last("before-send", stub)
            swallowed(lambda name=name, params=params: _call(client, name, params, presign=chance.random() < 0.1))  # type: ignore[misc]  # noqa: B023
            client.meta.events.unregister("before-send", stub)
            signed += len(stub.requests)
        client.close()
    return secrets, signed


def _with_header(secrets: Secrets) -> Callable[..., None]:
    def add(params: Any, **_: object) -> None:
        params["headers"]["x-secret"] = secrets.word("header")

    return add


def _exported(recording: Recording, spans: InMemorySpanExporter) -> tuple[bytes, list[tuple[str, str]]]:
    """Close the recorder; return all bytes that left, and every attribute in them."""
    recording.exported()
    sent, attributes = b"", []
    for points, told in recording.export.requests:
        body = encode_metrics(metrics_data(points, Resource(dict(told)), "1")).SerializeToString()
        sent += body
        for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for metric in of_resource.scope_metrics[0].metrics:
                attributes += [(a.key, str(a.value)) for point in metric.sum.data_points for a in point.attributes]
    body = encode_spans(spans.get_finished_spans()).SerializeToString()
    for of_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in of_spans.scope_spans:
            attributes += [(a.key, str(a.value)) for span in scope.spans for a in span.attributes]
    return sent + body, attributes


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    found = {name: f"{WORD}{number}z" for number, name in enumerate(ENVIRONMENT, 1_000_000)}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    # no retries: each call is sent once
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return found


def sizes(lean: int, full: int) -> list[Any]:
    """A sample for every run, and the whole."""
    return [pytest.param(0, lean, id="sample"), pytest.param(1, full, id="full", marks=pytest.mark.verify)]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "calls"), sizes(60, 1_500))
def test_without_resources_no_secret_leaves(
    seed: int,
    calls: int,
    attach: Callable[..., Recording],
    spans: InMemorySpanExporter,
    environ: dict[str, str],
    record_property: Callable[[str, object], None],
) -> None:
    record_property("privacy, no resources", f"N = {calls:,} calls")
    recording = attach(environ=environ, resources="none", call_site=False)
    _, signed = _make_calls(seed, calls)
    sent, attributes = _exported(recording, spans)
    assert signed > calls / 2
    assert sum(recording.counts().values()) >= signed
    assert len(spans.get_finished_spans()) >= signed
    found = [(name, value) for name, value in attributes if WORD in value]
    assert found == []
    assert [signal for signal in SIGNALS if signal in sent] == []


@pytest.mark.slow
@pytest.mark.parametrize("detail", ["container", "full"])
@pytest.mark.parametrize(("seed", "calls"), sizes(60, 1_500))
def test_only_resources_name_what_the_application_named(
    seed: int,
    calls: int,
    detail: str,
    attach: Callable[..., Recording],
    spans: InMemorySpanExporter,
    environ: dict[str, str],
    record_property: Callable[[str, object], None],
) -> None:
    record_property(f"privacy, resources {detail}", f"N = {calls:,} calls")
    recording = attach(environ=environ, resources=detail, call_site=False)
    secrets, signed = _make_calls(seed, calls)
    sent, attributes = _exported(recording, spans)
    assert signed > calls / 2
    named = {token for name, value in attributes if name in _OF_RESOURCES for token in _TOKEN.findall(value)}
    assert named  # else nothing was tried
    assert [(name, value) for name, value in attributes if WORD in value and name not in _OF_RESOURCES] == []
    # the parameters that the map knows as identifiers: never a secret, a body, a header, or what a message says
    told = {secrets.made.get(token, ("environment", True)) for token in named}
    # AWS marks whole parameters of some services as sensitive, also the ARN of the role that a call passes
    secret = {path for path, sensitive in told if sensitive and not path.endswith("RoleArn")}
    assert secret <= ({"checked key"} if detail == "full" else set())
    assert {token.decode() for token in re.findall(_TOKEN.pattern.encode(), sent)} == named
