"""The edge to the network: OTLP exporters as the settings ask for them, imported only here and only when used.

An endpoint of our own never receives the headers that the environment holds for another backend:
they are often a vendor's API key.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from credwatch.semconv import SCHEMA, SCHEMA_ATTRIBUTE
from credwatch.settings import Settings
from credwatch.telemetry import Point, metrics_data

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import TracerProvider
    from requests import PreparedRequest

logger = logging.getLogger("credwatch")

Made = TypeVar("Made")

TIMEOUT = 5.0
"""Seconds that one request may take, retries included; nothing of the application waits for it."""

SPANS_PER_REQUEST = 512

importing = threading.Lock()
"""Held while the worker imports exporters: a fork in the middle would leave a child with half a module for good."""

# what an exporter itself sets; every other header came from the environment
_OWN_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "user-agent"}
)


def headers_of(path: str) -> dict[str, str]:
    """Return the headers of a file of `name: value` lines; raises OSError or ValueError with a sentence."""
    return headers_in(path, Path(path).read_text(encoding="utf-8"))


def headers_in(path: str, text: str) -> dict[str, str]:
    """Return the headers in the text of such a file; raises ValueError with a sentence that names `path`."""
    headers = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"{path}, line {number}: expected `name: value`")
        headers[name.strip().lower()] = value.strip()
    return headers


def metric_exporter(settings: Settings) -> MetricExporter:
    """Return the exporter of points."""
    if settings.target[1] == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc  # noqa: PLC0415

        return grpc.OTLPMetricExporter(**_grpc_options(settings, grpc.OTLPMetricExporter))
    from opentelemetry.exporter.otlp.proto.http import metric_exporter as http  # noqa: PLC0415

    return http.OTLPMetricExporter(**_http_options(settings, "v1/metrics"))


def span_exporter(settings: Settings) -> SpanExporter:
    """Return the exporter of spans, for a process that has no TracerProvider."""
    if settings.target[1] == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc  # noqa: PLC0415

        return grpc.OTLPSpanExporter(**_grpc_options(settings, grpc.OTLPSpanExporter))
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http  # noqa: PLC0415

    return http.OTLPSpanExporter(**_http_options(settings, "v1/traces"))


def _http_options(settings: Settings, path: str) -> dict[str, Any]:
    if not settings.endpoint:
        return {"timeout": TIMEOUT}
    import requests  # noqa: PLC0415 - only where something is exported
    from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415

    headers = headers_of(settings.headers_file) if settings.headers_file else {}
    session = requests.Session()
    session.trust_env = False  # no proxy, no .netrc: this endpoint is on the host or named on purpose
    session.auth = _only(headers)
    return {
        "endpoint": f"{settings.endpoint}/{path}",
        "headers": headers,
        "timeout": TIMEOUT,
        "session": session,
        "compression": Compression.Gzip,
        "certificate_file": settings.certificate or None,
    }


def _only(headers: dict[str, str]) -> Callable[[PreparedRequest], PreparedRequest]:
    """Return the last hook before sending: it takes away every header that is not ours."""
    allowed = _OWN_HEADERS | headers.keys()

    def strip(request: PreparedRequest) -> PreparedRequest:
        for name in [name for name in request.headers if name.lower() not in allowed]:
            del request.headers[name]
        return request

    return strip


def _grpc_options(settings: Settings, exporter: type) -> dict[str, Any]:
    if not settings.endpoint:
        return {"timeout": TIMEOUT}
    import grpc  # noqa: PLC0415 - only where something is exported

    headers = headers_of(settings.headers_file) if settings.headers_file else {}
    options: dict[str, Any] = {
        "endpoint": settings.endpoint,
        # an empty sequence would be replaced by the environment's headers
        "headers": tuple(headers.items()) or (("x-credwatch", "1"),),
        "timeout": TIMEOUT,
        "insecure": settings.endpoint.startswith("http://"),
        "compression": grpc.Compression.Gzip,
    }
    if not options["insecure"]:
        # always given, or the exporter takes certificates and keys meant for another backend
        roots = Path(settings.certificate).read_bytes() if settings.certificate else None
        options["credentials"] = grpc.ssl_channel_credentials(root_certificates=roots)
    if "channel_options" in inspect.signature(exporter).parameters:
        # no proxy, as over HTTP; exporters before 1.36 have no such option
        options["channel_options"] = (("grpc.enable_http_proxy", 0),)
    return options


@contextlib.contextmanager
def _suppressed() -> Iterator[None]:
    """No other instrumentation makes spans of our own requests. Only ever in our thread."""
    from opentelemetry import context  # noqa: PLC0415

    key = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
    token = context.attach(context.set_value(key, True))
    try:
        yield
    finally:
        context.detach(token)


def renew_lock() -> None:
    """In a forked child: the thread that may hold the lock is not here."""
    global importing  # noqa: PLW0603 - a lock cannot be taken from a thread that is gone
    importing = threading.Lock()


def _collector() -> Any:
    """Return a span processor that keeps ended spans until they are taken: no thread of its own."""
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor  # noqa: PLC0415

    class Collector(SpanProcessor):
        def __init__(self) -> None:
            self._ended: list[ReadableSpan] = []

        def on_end(self, span: ReadableSpan) -> None:
            if span.context is not None and span.context.trace_flags.sampled:
                self._ended.append(span)

        def take(self, most: int) -> list[ReadableSpan]:
            taken, self._ended = self._ended[:most], self._ended[most:]
            return taken

    return Collector()


class _OneThread(logging.Filter):
    """Drops what the exporters log in our thread: a dead endpoint is worth one line, said by us."""

    def __init__(self, thread_id: int) -> None:
        super().__init__()
        self._thread_id = thread_id

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread_id


def quiet() -> None:
    """Keep the exporters' own log lines of the calling thread out of the application's log."""
    ours = _OneThread(threading.get_ident())
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("opentelemetry.exporter", "opentelemetry.sdk", "urllib3.connectionpool")):
            logging.getLogger(name).addFilter(ours)


class OtlpExport:
    """Sends points and spans by OTLP, as the settings ask; exporters are made at first use, in the worker."""

    def __init__(self, settings: Settings, version: str, metrics: MetricExporter | None = None) -> None:
        self._settings = settings
        self._version = version
        self._given = self._metrics = metrics
        self._spans: Any = None
        self._collected: Any = None
        self._resources: dict[frozenset[tuple[str, str]], Resource] = {}
        self._provider: Any = None
        self._told = False
        if settings.target[1] == "grpc" and metrics is None:
            # the gRPC exporters import it, and its import runs threads: in a process that exits, it fails
            import opentelemetry.sdk._logs  # noqa: F401, PLC0415

    def _exporter(self) -> MetricExporter | None:
        """Import all that sending takes and make the exporter, once a process, with no fork in between."""
        if self._metrics is None:
            with importing:
                import encodings.idna  # noqa: F401, PLC0415 - what a host's name is encoded with, at first use

                import opentelemetry.sdk.metrics.export  # noqa: PLC0415
                import opentelemetry.sdk.resources  # noqa: F401, PLC0415

                self._metrics = self._made(metric_exporter)
                quiet()
        return self._metrics

    def points(self, points: Sequence[Point], resource: Mapping[str, str]) -> bool:
        """Send one request; True if the receiver has it."""
        exporter = self._exporter()
        from opentelemetry.sdk.metrics.export import MetricExportResult  # noqa: PLC0415 - only where something is sent

        if exporter is None:
            return False
        with _suppressed():
            try:
                result = exporter.export(metrics_data(points, self._resource(resource), self._version))
            except OSError:  # a certificate file that is not there
                return False
        return bool(result is MetricExportResult.SUCCESS)

    def _made(self, make: Callable[[Settings], Made]) -> Made | None:
        """Return a new exporter, or None, said once, where a file that the settings name is not to be read."""
        try:
            return make(self._settings)
        except (OSError, ValueError) as error:
            if not self._told:
                self._told = True
                # the type alone: what the variable holds may be the header itself
                logger.warning(
                    "credwatch: CREDWATCH_HEADERS_FILE or CREDWATCH_CERTIFICATE cannot be used (%s); expected the path "
                    "of a readable file, headers as `name: value` lines; nothing is exported",
                    type(error).__name__,
                )
            return None

    def provider(self, resource: Mapping[str, str]) -> TracerProvider:
        """Return a private TracerProvider, for a process in which the application has none."""
        if self._provider is None:
            with importing:
                from opentelemetry.sdk.trace import TracerProvider as SdkProvider  # noqa: PLC0415

                self._collected = _collector()
                self._spans = self._made(span_exporter) if self._settings.sends_spans else None
                self._provider = SdkProvider(resource=self._resource(resource), shutdown_on_exit=False)
                self._provider.add_span_processor(self._collected)
                quiet()
        provider: TracerProvider = self._provider
        return provider

    def flush(self) -> bool:
        """Send what the private provider holds; True if the receiver has it all."""
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415

        delivered = True
        while self._collected is not None and (spans := self._collected.take(SPANS_PER_REQUEST)):
            if self._spans is None:
                delivered = False
                continue
            with _suppressed():
                delivered = self._spans.export(spans) is SpanExportResult.SUCCESS and delivered
        return delivered

    def forked(self) -> None:
        """In a child: new exporters, since a connection cannot be shared."""
        self._metrics, self._provider, self._collected = self._given, None, None

    def _resource(self, attributes: Mapping[str, str]) -> Resource:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

        key = frozenset(attributes.items())
        if key not in self._resources:
            self._resources.clear()
            own: dict[str, Any] = {**attributes, SCHEMA_ATTRIBUTE: SCHEMA}
            self._resources[key] = _application_resource().merge(Resource(own))
        return self._resources[key]


def _application_resource() -> Resource:
    """The resource of the application's provider, else that of OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES."""
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.sdk import resources  # noqa: PLC0415

    found = getattr(trace.get_tracer_provider(), "resource", None)
    if isinstance(found, resources.Resource):
        return found
    # not Resource.create(): it runs detectors in threads, which cannot start while the process exits
    return resources.OTELResourceDetector().detect()
