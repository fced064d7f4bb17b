"""The edge to the network: OTLP exporters as the settings ask for them, imported only here and only when used.

An endpoint of our own never receives the headers that the environment holds for another backend:
they are often a vendor's API key. How each transport is spoken is in `over_http` and `over_grpc`.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from credwatch.semconv import SCHEMA, SCHEMA_ATTRIBUTE
from credwatch.settings import Settings, Target
from credwatch.telemetry import Point, metrics_data

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import TracerProvider

    from credwatch.standard import Options

logger = logging.getLogger("credwatch")

TIMEOUT = 5.0
"""Seconds that one request may take, retries included; nothing of the application waits for it."""

SPANS_PER_REQUEST = 512

importing = threading.Lock()
"""Held while the worker imports exporters: a fork in the middle would leave a child with half a module for good."""


class _Transport(Protocol):
    def exporter(self, signal: str, *, own: bool) -> Callable[..., Any]: ...

    def arguments(
        self, target: Target, asked: Options, tell: Callable[[str], object], *, signs: bool
    ) -> dict[str, Any]: ...


def _imported(target: Target, signal: str, signers: list[str]) -> tuple[_Transport, Callable[..., Any]]:
    """Import all that sending takes, with no fork in between; return the transport and what makes the exporter.

    Nothing else happens here: a fork must not wait for a file, a log, or what the application made.
    """
    with importing:
        import encodings.idna  # noqa: F401, PLC0415 - what a host's name is encoded with, at first use
        import ssl  # noqa: F401, PLC0415

        transport = _transport(target.protocol)
        make = transport.exporter(signal, own=target.own)
        for name in signers:
            _load(name)
    return transport, make


def _load(signer: str) -> None:
    from importlib.metadata import entry_points  # noqa: PLC0415 - few applications have one

    for found in entry_points(group="opentelemetry_otlp_credential_provider", name=signer):
        with contextlib.suppress(Exception):  # the exporter meets it again, and it is said then
            found.load()


def _transport(protocol: str) -> _Transport:
    if protocol == "grpc":
        from credwatch import over_grpc  # noqa: PLC0415 - only where something is exported

        return over_grpc
    from credwatch import over_http  # noqa: PLC0415

    return over_http


class Refused(Exception):
    """An exporter cannot be made in this environment; the text is the type of its error."""


def _exporter(make: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    quiet()  # its constructor speaks too, and may repeat what a variable holds
    known = inspect.signature(make).parameters  # older exporters know fewer
    try:
        return make(**{name: value for name, value in arguments.items() if name in known})
    except Exception as error:  # noqa: BLE001 - whatever it reads in the environment beside
        raise Refused(type(error).__name__) from None


def _signers(environ: Mapping[str, str], target: Target) -> list[str]:
    """Return the entry points by which the application has exporters take what it made, a session that signs say."""
    if target.own:
        return []
    beginning = f"OTEL_PYTHON_EXPORTER_OTLP_{'GRPC' if target.protocol == 'grpc' else 'HTTP'}_"
    named = {name: value for name, value in environ.items() if name.startswith(beginning)}
    return [value for name, value in named.items() if value and name.endswith("CREDENTIAL_PROVIDER")]


def _own(settings: Settings) -> Options:
    """What is asked of an exporter for our own endpoint; raises OSError or ValueError where a file cannot be used."""
    import ssl  # noqa: PLC0415 - only where something is exported

    from credwatch.headers import headers_of  # noqa: PLC0415
    from credwatch.standard import Options  # noqa: PLC0415

    headers = headers_of(settings.headers_file) if settings.headers_file else {}
    certificate = settings.certificate if settings.endpoint.startswith("https://") else ""
    if certificate:  # else found wanting at each connection, where nobody would be told
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    return Options(headers=headers, timeout=TIMEOUT, compression="gzip", certificate=certificate)


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


_OWN_FILES = (
    "CREDWATCH_HEADERS_FILE or CREDWATCH_CERTIFICATE",
    ", headers as `name: value` lines, certificates as PEM",
)


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

    def points(self, points: Sequence[Point], resource: Mapping[str, str]) -> bool:
        """Send one request; True if the receiver has it."""
        if self._metrics is None:
            self._metrics = self._made("METRICS", self._settings.target)
        exporter = self._metrics
        if exporter is None:
            return not self._settings.target.endpoint  # nobody asked for counts: none are kept for a receiver
        from opentelemetry.sdk.metrics.export import MetricExportResult  # noqa: PLC0415 - there with its exporter

        with _suppressed():
            try:
                result = exporter.export(metrics_data(points, self._resource(resource), self._version))
            except (OSError, ValueError):  # a certificate file that is not there, or is none
                return False
        return bool(result is MetricExportResult.SUCCESS)

    def _made(self, signal: str, target: Target) -> Any:
        """Return a new exporter; None where nothing is to be sent, or, said once, where it cannot be made as asked."""
        if not target.endpoint:
            return None
        signers = _signers(self._environ, target)
        transport, make = _imported(target, signal, signers)
        try:
            asked = _own(self._settings) if target.own else self._standard(signal)
            with _suppressed():
                made = _exporter(make, transport.arguments(target, asked, self._tell, signs=bool(signers)))
        except Refused as error:
            self._tell(
                f"OpenTelemetry's exporter refuses a value of the OTEL_EXPORTER_OTLP_* variables ({error}); "
                "nothing is exported"
            )
            return None
        except (OSError, ValueError) as error:
            # the type alone: what the variable holds may be the header itself
            named, forms = _OWN_FILES if target.own else ("a file of OTEL_EXPORTER_OTLP_*", "")
            self._tell(
                f"{named} cannot be used ({type(error).__name__}); expected the path of a readable file{forms}; "
                "nothing is exported"
            )
            return None
        quiet()
        return made

    def _standard(self, signal: str) -> Options:
        """What the standard variables ask of the exporter of a signal; what of them is ignored is said."""
        from credwatch.standard import options  # noqa: PLC0415 - only where something is sent

        asked, problems = options(self._environ, signal)
        for problem in problems:
            self._tell(problem)
        return asked._replace(timeout=asked.timeout or TIMEOUT)

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
            self._spans = self._made("TRACES", self._settings.spans_target)
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
