"""OTLP over gRPC: OpenTelemetry's exporter, or a channel of our own. Imported only where it is used."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from credwatch.headers import NO_HEADERS
from credwatch.settings import Target
from credwatch.standard import METRICS, Options

with contextlib.suppress(ImportError):
    importlib.import_module("grpc._channel")  # else imported with the first channel, where a fork may come in between


def exporter(signal: str, *, own: bool) -> Callable[..., Any]:
    """Return what makes an exporter, imported."""
    if own:
        from credwatch import channel  # noqa: PLC0415

        return channel.Points if signal == METRICS else channel.Spans
    if signal == METRICS:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

        return OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return OTLPSpanExporter


def arguments(target: Target, asked: Options, tell: Callable[[str], object], *, signs: bool) -> dict[str, Any]:
    """Return the arguments of such an exporter; raises OSError where a file cannot be read.

    `signs`, that the application has exporters take credentials that it made, changes nothing: they ask for them.
    """
    scheme = target.endpoint.partition("://")[0]
    insecure = scheme == "http" or (scheme != "https" and asked.insecure)
    given: dict[str, Any] = {"endpoint": target.endpoint, "timeout": asked.timeout}
    if target.own:
        credentials = None if insecure else _credentials(asked)
        return {**given, "headers": tuple(asked.headers.items()), "credentials": credentials, "tell": tell}
    # where no file is named, the exporter may have some of the application's
    named = not insecure and (asked.certificate or asked.client_key or asked.client_certificate)
    return {
        **given,
        "headers": tuple((asked.headers or NO_HEADERS).items()),
        "insecure": insecure,
        "compression": grpc.Compression.Gzip if asked.compression == "gzip" else grpc.Compression.NoCompression,
        **({"credentials": _credentials(asked)} if named else {}),
    }


def _credentials(asked: Options) -> grpc.ChannelCredentials:
    paths = (asked.certificate, asked.client_key, asked.client_certificate)
    roots, key, chain = (Path(path).read_bytes() if path else None for path in paths)
    return grpc.ssl_channel_credentials(roots, key, chain)
