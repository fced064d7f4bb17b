"""OTLP over HTTP: OpenTelemetry's exporter on a session whose answers are judged. Imported only where it is used.

The session for an endpoint of our own takes nothing from the environment: no header, no certificate, no proxy.
"""

from __future__ import annotations

import netrc  # noqa: F401 - what `requests` imports at its first request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http import Compression

from credwatch.answers import judge
from credwatch.headers import NO_HEADERS
from credwatch.settings import Target
from credwatch.standard import METRICS, Options

# what an exporter itself sets; every other header came from the environment
_OWN_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "user-agent"}
)


def exporter(signal: str, *, own: bool) -> Callable[..., Any]:
    """Return what makes an exporter, imported."""
    if signal == METRICS:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

        return OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return OTLPSpanExporter


def arguments(target: Target, asked: Options, tell: Callable[[str], object], *, signs: bool) -> dict[str, Any]:
    """Return the arguments of such an exporter; raises OSError where a file cannot be read.

    `signs`: the application has exporters take a session that it made.
    """
    headers = asked.headers or NO_HEADERS
    session: requests.Session | None = None
    if target.own:
        session = _Own(headers, asked.certificate)
    elif not signs:
        session = requests.Session()
    if session is not None:
        session.hooks["response"].append(judge(tell))
    return {
        "endpoint": target.url,
        "headers": headers,
        "timeout": asked.timeout,
        "compression": Compression(asked.compression or "none"),
        "session": session,
        **({} if target.own else _certificates(asked)),
    }


class _Own(requests.Session):
    def __init__(self, headers: Mapping[str, str], certificate: str) -> None:
        super().__init__()
        self.trust_env = False  # no proxy, no .netrc: this endpoint is on the host or named on purpose
        self.auth = _only(headers)
        self._trusted = certificate or True

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        # the exporter takes certificates of the environment in place of none
        options.update(verify=self._trusted, cert=None, allow_redirects=False)
        return super().send(request, **options)


def _only(headers: Mapping[str, str]) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Return the last hook before sending: it takes away every header that is not ours."""
    allowed = _OWN_HEADERS | headers.keys()

    def strip(request: requests.PreparedRequest) -> requests.PreparedRequest:
        for name in [name for name in request.headers if name.lower() not in allowed]:
            del request.headers[name]
        return request

    return strip


def _certificates(asked: Options) -> dict[str, str]:
    files = {
        "certificate_file": asked.certificate,
        "client_key_file": asked.client_key,
        "client_certificate_file": asked.client_certificate,
    }
    named = {argument: path for argument, path in files.items() if path}
    for path in named.values():
        Path(path).read_bytes()  # read again at each connection, where nobody would be told
    return named
