"""The variables of OpenTelemetry's OTLP exporters for one signal: what they ask for, and what of it cannot be obeyed.

A signal's own variable (`OTEL_EXPORTER_OTLP_METRICS_HEADERS`) goes before the general one
(`OTEL_EXPORTER_OTLP_HEADERS`) and replaces it: OpenTelemetry specification, "OpenTelemetry Protocol Exporter". Endpoint
and protocol are settings, because it depends on them whether there is an exporter at all. A value that cannot be obeyed
is ignored and named, never repeated: it may be a secret. Pure; nothing here is imported before something is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from credwatch.headers import header

LONGEST = 60.0
"""Seconds that a request may take, whatever the variable says: the specification counts milliseconds, OpenTelemetry for
Python seconds, and 10000 must not be three hours."""

METRICS, TRACES = "METRICS", "TRACES"


class Options(NamedTuple):
    """What the environment asks of one exporter; None and "" where it asks nothing. `timeout` is in seconds."""

    headers: Mapping[str, str] = {}
    timeout: float | None = None
    compression: str = ""
    certificate: str = ""
    client_key: str = ""
    client_certificate: str = ""
    insecure: bool = False


def _headers(text: str) -> dict[str, str]:
    found = {}
    for part in text.split(","):
        if part.strip():
            name, equals, value = part.partition("=")
            read = header(unquote(name), unquote(value)) if equals else None
            if read is None:
                raise ValueError("expected `name=value,name=value`, percent-encoded")
            found[read[0]] = read[1]
    return found


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise ValueError("expected a number of seconds above 0")
    return min(seconds, LONGEST)


def _compression(text: str) -> str:
    if text.lower() not in ("gzip", "none"):
        raise ValueError("expected gzip or none")
    return text.lower()


def _true(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return text.lower() == "true"


ROWS: tuple[tuple[str, str, Callable[[str], Any], str], ...] = (
    ("headers", "HEADERS", _headers, "headers, `name=value,name=value`"),
    ("timeout", "TIMEOUT", _seconds, f"seconds that a request may take, {LONGEST:g} at most"),
    ("compression", "COMPRESSION", _compression, "`gzip` or `none`"),
    ("certificate", "CERTIFICATE", str, "file of the CA certificates to trust"),
    ("client_key", "CLIENT_KEY", str, "file of the client's private key, for mTLS"),
    ("client_certificate", "CLIENT_CERTIFICATE", str, "file of the client's certificate, for mTLS"),
    ("insecure", "INSECURE", _true, "`true`: gRPC without TLS, where the endpoint names no scheme"),
)
"""Field of `Options`, end of the variable's name, how it is read, what it means."""


def options(environ: Mapping[str, str], signal: str) -> tuple[Options, list[str]]:
    """Return what is asked of the exporter of a signal, and a sentence for each variable that is ignored."""
    values: dict[str, Any] = {}
    problems = []
    for name, end, read, _ in ROWS:
        own, general = f"OTEL_EXPORTER_OTLP_{signal}_{end}", f"OTEL_EXPORTER_OTLP_{end}"
        variable = own if environ.get(own, "").strip() else general
        text = environ.get(variable, "").strip()
        try:
            if text:
                values[name] = read(text)
        except ValueError as error:
            problems.append(f"{variable} is ignored: {error}")
    return Options(**values), problems
