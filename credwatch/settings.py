"""Every setting, each one environment variable: the table, and reading it from a given mapping.

A value that cannot be read is ignored and named in one sentence; it never stops the application.
`docs/configuration.md` is generated from the table.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"", "0", "false", "no", "off"})


def _flag(text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise ValueError("expected 1 or 0")


def _choice(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() in words:
            return text.lower()
        raise ValueError(f"expected one of {', '.join(words)}")

    return read


def _number(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(f"expected a number from {low:g} to {high:g}")
        return value

    return read


def _count(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return value

    return read


def _url(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if scheme in ("http", "https") and rest.strip("/"):
        return text.rstrip("/")
    raise ValueError("expected a URL that begins with http:// or https://")


def _target_of_signal(text: str) -> str:
    # gRPC takes a name of its own kind too; which protocol it is, another variable says: see `read`
    if any(letter.isspace() for letter in text) or not (("://" in text and _url(text)) or ":" in text):
        raise ValueError("expected a URL that begins with http:// or https://")
    return text


def _target(text: str) -> str:
    return _target_of_signal(text).rstrip("/")


class Target(NamedTuple):
    """Where a signal goes: `endpoint` is "" for nowhere, `own` if it is credwatch's own, `url` its address by HTTP."""

    endpoint: str
    protocol: str
    own: bool
    url: str


class Settings(NamedTuple):
    """What a process asked for. Defaults are those of an environment that says nothing; see `ROWS` for the meaning."""

    enabled: bool = False
    disabled: bool = False
    spans: str = "auto"
    resources: str = "container"
    key_id: str = "pseudonym"
    call_site: bool = True
    endpoint: str = ""
    protocol: str = ""
    headers_file: str = ""
    certificate: str = ""
    export_interval: float = 60.0
    exit_timeout: float = 1.0
    warnings: bool = False
    probe_imds: bool = False
    ledger_limit: int = 2_000
    # the standard ones that credwatch obeys
    sdk_disabled: bool = False
    otlp_endpoint: str = ""
    otlp_metrics_endpoint: str = ""
    otlp_traces_endpoint: str = ""
    otlp_protocol: str = "http/protobuf"
    otlp_metrics_protocol: str = ""
    otlp_traces_protocol: str = ""
    semconv_opt_in: str = ""

    @property
    def off(self) -> bool:
        return self.disabled or self.sdk_disabled

    @property
    def target(self) -> Target:
        """Where counts go."""
        return self._where("v1/metrics", self.otlp_metrics_endpoint, self.otlp_metrics_protocol)

    @property
    def spans_target(self) -> Target:
        """Where spans go, in a process without a TracerProvider."""
        return self._where("v1/traces", self.otlp_traces_endpoint, self.otlp_traces_protocol)

    @property
    def exports(self) -> bool:
        """Whether anything goes anywhere."""
        return bool(self.target.endpoint or self.spans_target.endpoint)

    def _where(self, path: str, endpoint: str, protocol: str) -> Target:
        if self.endpoint:
            return Target(self.endpoint, self.protocol or self.otlp_protocol, True, f"{self.endpoint}/{path}")
        protocol = self.protocol or protocol or self.otlp_protocol
        if _reached(endpoint, protocol):
            return Target(endpoint, protocol, False, endpoint)
        if _reached(self.otlp_endpoint, protocol):
            return Target(self.otlp_endpoint, protocol, False, f"{self.otlp_endpoint}/{path}")
        return Target("", protocol, False, "")


class Row(NamedTuple):
    """Where a setting is read from, how (a `ValueError` says what was expected), and what it means."""

    variable: str
    read: Callable[[str], Any]
    meaning: str


ROWS: Mapping[str, Row] = {
    "enabled": Row("CREDWATCH_ENABLED", _flag, "switch credwatch on in this process"),
    "disabled": Row("CREDWATCH_DISABLED", _flag, "switch it off; wins over everything"),
    "spans": Row(
        "CREDWATCH_SPANS",
        _choice("auto", "own", "enrich", "off"),
        "`auto`: enrich a span that another instrumentation made for the call, else make one; `own`; `enrich`; `off`",
    ),
    "resources": Row(
        "CREDWATCH_RESOURCES",
        _choice("container", "prefix", "full", "none"),
        "how exact resources leave the process: bucket, table, queue (`container`), first key prefix, whole key, none",
    ),
    "key_id": Row("CREDWATCH_KEY_ID", _choice("pseudonym", "plain"), "how access key ids leave the process"),
    "call_site": Row("CREDWATCH_CALL_SITE", _flag, "record the application's line that made the call"),
    "endpoint": Row(
        "CREDWATCH_ENDPOINT", _url, "OTLP endpoint of the agent or a Collector; default: the standard OTLP endpoint"
    ),
    "protocol": Row(
        "CREDWATCH_PROTOCOL",
        _choice("http/protobuf", "grpc"),
        "`http/protobuf` or `grpc`; default: the standard OTLP protocol, else `http/protobuf`",
    ),
    "headers_file": Row("CREDWATCH_HEADERS_FILE", str, "file of `name: value` lines sent to CREDWATCH_ENDPOINT"),
    "certificate": Row("CREDWATCH_CERTIFICATE", str, "CA certificate file for CREDWATCH_ENDPOINT"),
    "export_interval": Row("CREDWATCH_EXPORT_INTERVAL", _number(0.05, 86_400), "seconds between exports of the counts"),
    "exit_timeout": Row(
        "CREDWATCH_EXIT_TIMEOUT",
        _number(0, 60),
        "seconds that a process waits at its end for its last counts to be sent; more for short jobs on a busy host",
    ),
    "warnings": Row("CREDWATCH_WARNINGS", _flag, "one log line for each wrong use of credentials"),
    "probe_imds": Row(
        "CREDWATCH_PROBE_IMDS", _flag, "in an ECS task, ask once whether the instance metadata service answers"
    ),
    "ledger_limit": Row(
        "CREDWATCH_LEDGER_LIMIT", _count(1, 1_000_000), "distinct usages kept exactly for one operation"
    ),
    "sdk_disabled": Row("OTEL_SDK_DISABLED", _flag, "OpenTelemetry is off: so is credwatch"),
    "otlp_endpoint": Row("OTEL_EXPORTER_OTLP_ENDPOINT", _target, "used where CREDWATCH_ENDPOINT is not set"),
    "otlp_metrics_endpoint": Row(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        _target_of_signal,
        "the same, for counts: wins over OTEL_EXPORTER_OTLP_ENDPOINT, and is used as it is",
    ),
    "otlp_traces_endpoint": Row(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        _target_of_signal,
        "the same, for spans of a process without a TracerProvider",
    ),
    "otlp_protocol": Row(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        _choice("http/protobuf", "grpc"),
        "used where CREDWATCH_PROTOCOL is not set; `http/json` is not spoken",
    ),
    "otlp_metrics_protocol": Row(
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
        _choice("http/protobuf", "grpc"),
        "the same, for counts that go to a standard endpoint",
    ),
    "otlp_traces_protocol": Row(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        _choice("http/protobuf", "grpc"),
        "the same, for spans that go to a standard endpoint",
    ),
    "semconv_opt_in": Row(
        "OTEL_SEMCONV_STABILITY_OPT_IN", str, "with `rpc` or `rpc/dup`: the new names of RPC attributes"
    ),
}
"""A row for each field of `Settings`."""


def _reached(endpoint: str, protocol: str) -> bool:
    return "://" in endpoint or (protocol == "grpc" and endpoint != "")


def read(environ: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Return the settings of an environment and a sentence for each value that was ignored."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, row in ROWS.items():
        text = environ.get(row.variable, "").strip()
        if not text:
            continue
        try:
            values[name] = row.read(text)
        except ValueError as error:
            problems.append(f"{row.variable} is ignored: {_why(error)}; using {Settings._field_defaults[name]!r}")
    settings = Settings(**values)
    return settings, [*problems, *_unreached(settings)]


def _unreached(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each standard endpoint that only gRPC could reach, where a signal needs it by HTTP."""
    if settings.endpoint:
        return
    expected = "expected a URL that begins with http:// or https://, for http/protobuf"
    nowhere = []
    for signal, target, endpoint, variable in (
        ("counts", settings.target, settings.otlp_metrics_endpoint, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
        ("spans", settings.spans_target, settings.otlp_traces_endpoint, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
    ):
        if endpoint and not _reached(endpoint, target.protocol):
            yield f"{variable} is ignored: {expected}"
        if not target.endpoint:
            nowhere.append(signal)
    if settings.otlp_endpoint and nowhere:
        yield f"OTEL_EXPORTER_OTLP_ENDPOINT is ignored for {' and '.join(nowhere)}: {expected}"


def _why(error: ValueError) -> str:
    # int() and float() repeat the value, which may be a secret pasted into the wrong variable
    text = str(error)
    return text if text.startswith("expected") else "expected a number"
