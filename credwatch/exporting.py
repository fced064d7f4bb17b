"""The edge to the network: OTLP exporters as the settings ask for them, imported only here and only when used.

An endpoint of our own never receives the headers that the environment holds for another backend:
they are often a vendor's API key.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from credwatch.semconv import SCHEMA, SCHEMA_ATTRIBUTE
from credwatch.settings import Settings, Target
from credwatch.telemetry import Point, metrics_data

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import TracerProvider
    from requests import PreparedRequest, Response

    from credwatch.standard import Options

logger = logging.getLogger("credwatch")

Made = TypeVar("Made")

TIMEOUT = 5.0
"""Seconds that one request may take, retries included; nothing of the application waits for it."""

SPANS_PER_REQUEST = 512

importing = threading.Lock()
"""Held while the worker imports exporters: a fork in the middle would leave a child with half a module for good."""

# exporters take the environment's headers in place of none
_NO_HEADERS: Mapping[str, str] = {"x-credwatch": "1"}

# what an exporter itself sets; every other header came from the environment
_OWN_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "user-agent"}
)


Tell = Callable[[str], object]
"""Says a sentence in the application's log, once."""


def metric_exporter(settings: Settings, standard: Options, tell: Tell, environ: Mapping[str, str]) -> MetricExporter:
    """Return the exporter of points."""
    target = settings.target
    if target.protocol == "grpc":
        if target.own:
            from credwatch.channel import Points  # noqa: PLC0415

            points: MetricExporter = _own_channel(Points, settings, target, tell)
            return points
        from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc  # noqa: PLC0415

        return _exporter(grpc.OTLPMetricExporter, _grpc_options(target, standard))
    from opentelemetry.exporter.otlp.proto.http import metric_exporter as http  # noqa: PLC0415

    return _exporter(http.OTLPMetricExporter, _http_options(settings, target, standard, tell, environ))


def span_exporter(settings: Settings, standard: Options, tell: Tell, environ: Mapping[str, str]) -> SpanExporter:
    """Return the exporter of spans, for a process that has no TracerProvider."""
    target = settings.spans_target
    if target.protocol == "grpc":
        if target.own:
            from credwatch.channel import Spans  # noqa: PLC0415

            spans: SpanExporter = _own_channel(Spans, settings, target, tell)
            return spans
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc  # noqa: PLC0415

        return _exporter(grpc.OTLPSpanExporter, _grpc_options(target, standard))
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http  # noqa: PLC0415

    return _exporter(http.OTLPSpanExporter, _http_options(settings, target, standard, tell, environ))


class Refused(Exception):
    """An exporter cannot be made in this environment; the text is the type of its error."""


def _exporter(make: Callable[..., Made], options: dict[str, Any]) -> Made:
    quiet()  # its constructor speaks too, and may repeat what a variable holds
    known = inspect.signature(make).parameters  # older exporters know fewer
    asked = {name: value for name, value in options.items() if name in known}
    try:
        return make(**asked)
    except Exception as error:  # noqa: BLE001 - whatever it reads in the environment beside
        raise Refused(type(error).__name__) from None


def _http_options(
    settings: Settings, target: Target, standard: Options, tell: Tell, environ: Mapping[str, str]
) -> dict[str, Any]:
    import requests  # noqa: PLC0415 - only where something is exported
    from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415

    from credwatch.answers import judge  # noqa: PLC0415
    from credwatch.headers import headers_of  # noqa: PLC0415

    if not target.own:
        session = None if _signs(environ) else requests.Session()
        if session is not None:
            session.hooks["response"].append(judge(tell))
        return {
            "session": session,
            "endpoint": target.url,
            "headers": standard.headers or _NO_HEADERS,
            "timeout": standard.timeout or TIMEOUT,
            "compression": Compression(standard.compression or "none"),
            **_certificates(standard),
        }
    headers = headers_of(settings.headers_file) if settings.headers_file else {}
    if target.endpoint.startswith("https://") and settings.certificate:
        _authorities(settings.certificate)  # read again at each connection, where nobody would be told

    class Own(requests.Session):
        def send(self, request: PreparedRequest, **options: Any) -> Response:
            # the exporter takes certificates of the environment in place of none
            options.update(verify=settings.certificate or True, cert=None, allow_redirects=False)
            return super().send(request, **options)

    session = Own()
    session.hooks["response"].append(judge(tell))
    session.trust_env = False  # no proxy, no .netrc: this endpoint is on the host or named on purpose
    session.auth = _only(headers or _NO_HEADERS)
    return {
        "endpoint": target.url,
        "headers": headers or _NO_HEADERS,
        "timeout": TIMEOUT,
        "session": session,
        "compression": Compression.Gzip,
    }


def _signs(environ: Mapping[str, str]) -> bool:
    """Return whether the application has the exporter take a session of its own, one that signs for example."""
    return any(
        name.startswith("OTEL_PYTHON_EXPORTER_OTLP_HTTP_") and name.endswith("CREDENTIAL_PROVIDER") for name in environ
    )


def _certificates(standard: Options) -> dict[str, str]:
    """Return the files for TLS that standard variables name, as arguments; raises OSError where one cannot be read."""
    files = {
        "certificate_file": standard.certificate,
        "client_key_file": standard.client_key,
        "client_certificate_file": standard.client_certificate,
    }
    named = {argument: path for argument, path in files.items() if path}
    for path in named.values():
        Path(path).read_bytes()
    return named


def _authorities(path: str) -> bytes:
    """Return the certificates in a file, as PEM; raises OSError where it cannot be read or has none."""
    import ssl  # noqa: PLC0415 - only where something is exported

    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    return Path(path).read_bytes()


def _only(headers: Mapping[str, str]) -> Callable[[PreparedRequest], PreparedRequest]:
    """Return the last hook before sending: it takes away every header that is not ours."""
    allowed = _OWN_HEADERS | headers.keys()

    def strip(request: PreparedRequest) -> PreparedRequest:
        for name in [name for name in request.headers if name.lower() not in allowed]:
            del request.headers[name]
        return request

    return strip


def _grpc_options(target: Target, standard: Options) -> dict[str, Any]:
    import grpc  # noqa: PLC0415 - only where something is exported

    scheme = target.endpoint.partition("://")[0]
    insecure = scheme == "http" or (scheme != "https" and standard.insecure)
    return {
        "endpoint": target.endpoint,
        "headers": tuple((standard.headers or _NO_HEADERS).items()),
        "timeout": standard.timeout or TIMEOUT,
        "insecure": insecure,
        "compression": grpc.Compression.Gzip if standard.compression == "gzip" else grpc.Compression.NoCompression,
        **({} if insecure else _grpc_certificates(grpc, standard)),
    }


def _own_channel(make: Callable[..., Any], settings: Settings, target: Target, tell: Tell) -> Any:
    import grpc  # noqa: PLC0415 - only where something is exported

    from credwatch.headers import headers_of  # noqa: PLC0415

    headers = headers_of(settings.headers_file) if settings.headers_file else {}
    credentials = None
    if not target.endpoint.startswith("http://"):
        roots = _authorities(settings.certificate) if settings.certificate else None
        credentials = grpc.ssl_channel_credentials(root_certificates=roots)
    return make(target.endpoint, tuple(headers.items()), TIMEOUT, credentials, tell)


def _grpc_certificates(grpc: Any, standard: Options) -> dict[str, Any]:
    """Return the credentials of a channel; where no file is named, the exporter's own provider may have some."""
    paths = (standard.certificate, standard.client_key, standard.client_certificate)
    if not any(paths):
        return {}
    roots, key, chain = (Path(path).read_bytes() if path else None for path in paths)
    return {"credentials": grpc.ssl_channel_credentials(roots, key, chain)}


class _Thread(threading.local):
    exporting = False


_thread = _Thread()


@contextlib.contextmanager
def _suppressed() -> Iterator[None]:
    """No other instrumentation makes spans of our own requests, and no exporter logs them. Only ever in our thread."""
    from opentelemetry import context  # noqa: PLC0415

    key = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
    token = context.attach(context.set_value(key, True))
    _thread.exporting = True
    try:
        yield
    finally:
        _thread.exporting = False
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


class _NotOurs(logging.Filter):
    """Drops what is logged while we export: a dead endpoint is worth one line, said by us."""

    def filter(self, _: logging.LogRecord) -> bool:
        return not _thread.exporting  # what logs calls its filters in its own thread


_not_ours = _NotOurs()


def quiet() -> None:
    """Keep what exporters say of our exports out of the application's log; of its own exports they go on to speak."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("opentelemetry.", "urllib3.connectionpool")):
            logging.getLogger(name).addFilter(_not_ours)


class OtlpExport:
    """Sends points and spans by OTLP, as the settings ask; exporters are made at first use, in the worker."""

    def __init__(
        self,
        settings: Settings,
        version: str,
        metrics: MetricExporter | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._version = version
        self._given = self._metrics = metrics
        self._spans: Any = None
        self._collected: Any = None
        self._resources: dict[frozenset[tuple[str, str]], Resource] = {}
        self._provider: Any = None
        self._told: set[str] = set()
        protocols = {target.protocol for target in (settings.target, settings.spans_target)}
        if "grpc" in protocols and metrics is None:
            # the gRPC exporters import it, and its import runs threads: in a process that exits, it fails
            import opentelemetry.sdk._logs  # noqa: F401, PLC0415

    def _exporter(self) -> MetricExporter | None:
        """Import all that sending takes and make the exporter, once a process, with no fork in between."""
        if self._metrics is None and self._settings.target.endpoint:
            with importing:
                import encodings.idna  # noqa: F401, PLC0415 - what a host's name is encoded with, at first use

                import opentelemetry.sdk.metrics.export  # noqa: PLC0415
                import opentelemetry.sdk.resources  # noqa: F401, PLC0415

                self._metrics = self._made(metric_exporter, "METRICS", own=self._settings.target.own)
        return self._metrics

    def points(self, points: Sequence[Point], resource: Mapping[str, str]) -> bool:
        """Send one request; True if the receiver has it."""
        exporter = self._exporter()
        if exporter is None:
            return not self._settings.target.endpoint  # nobody asked for counts: none are kept for a receiver
        from opentelemetry.sdk.metrics.export import MetricExportResult  # noqa: PLC0415 - there with its exporter

        with _suppressed():
            try:
                result = exporter.export(metrics_data(points, self._resource(resource), self._version))
            except (OSError, ValueError):  # a certificate file that is not there, or is none
                return False
        return bool(result is MetricExportResult.SUCCESS)

    def _made(self, make: Callable[..., Made], signal: str, *, own: bool) -> Made | None:
        """Return a new exporter, or None, said once, where it cannot be made as the settings or the environment ask."""
        from credwatch.standard import Options, options  # noqa: PLC0415 - only where something is sent

        # an endpoint of our own takes nothing that was meant for another
        standard, problems = (Options(), []) if own else options(self._environ, signal)
        for problem in problems:
            self._tell(problem)
        try:
            with _suppressed():
                made = make(self._settings, standard, self._tell, self._environ)
        except Refused as error:
            self._tell(
                f"OpenTelemetry's exporter refuses a value of the OTEL_EXPORTER_OTLP_* variables ({error}); "
                "nothing is exported"
            )
            return None
        except (OSError, ValueError) as error:
            # the type alone: what the variable holds may be the header itself
            named = "CREDWATCH_HEADERS_FILE or CREDWATCH_CERTIFICATE" if own else "a file of OTEL_EXPORTER_OTLP_*"
            self._tell(
                f"{named} cannot be used ({type(error).__name__}); expected the path of a readable file"
                f"{', headers as `name: value` lines, certificates as PEM' if own else ''}; nothing is exported"
            )
            return None
        quiet()
        return made

    def _tell(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            logger.warning("credwatch: %s", sentence)

    def provider(self, resource: Mapping[str, str]) -> TracerProvider:
        """Return a private TracerProvider, for a process in which the application has none."""
        if self._provider is None:
            with importing:
                from opentelemetry.sdk.trace import TracerProvider as SdkProvider  # noqa: PLC0415

                self._collected = _collector()
                target = self._settings.spans_target
                self._spans = self._made(span_exporter, "TRACES", own=target.own) if target.endpoint else None
                self._provider = SdkProvider(resource=self._resource(resource), shutdown_on_exit=False)
                self._provider.add_span_processor(self._collected)
        provider: TracerProvider = self._provider
        return provider

    def flush(self) -> bool:
        """Send what the private provider holds; True if the receiver has it all."""
        delivered = True
        while self._collected is not None and (spans := self._collected.take(SPANS_PER_REQUEST)):
            if self._spans is None:
                delivered = False
                continue
            from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415 - there with its exporter

            try:
                with _suppressed():
                    delivered = self._spans.export(spans) is SpanExportResult.SUCCESS and delivered
            except (OSError, ValueError):  # exporters before 1.40 let what `requests` raises out
                delivered = False
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
