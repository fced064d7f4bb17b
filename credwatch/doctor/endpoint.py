"""Where telemetry goes, whose endpoint that is, and whether it answers OTLP. Pure but for `ask`."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from urllib.parse import urlsplit

from credwatch.doctor.model import Agent, Answered, Ask, Line, Post, Silent, Subject
from credwatch.doctor.seen import seen
from credwatch.headers import headers_in
from credwatch.settings import Settings
from credwatch.standard import METRICS, options

PROTOBUF = "application/x-protobuf"

_STATUSES: Mapping[int, tuple[str, str]] = {
    401: ("it wants credentials", "name a file of headers in CREDWATCH_HEADERS_FILE"),
    403: ("it refuses these credentials", "check the file of CREDWATCH_HEADERS_FILE"),
    404: ("it has no OTLP receiver at /v1/metrics", "name the OTLP/HTTP port, commonly 4318, without a path"),
    405: ("it takes no POST at /v1/metrics", "name the OTLP/HTTP port, commonly 4318, without a path"),
}


def endpoint(subject: Subject, settings: Settings, ask: Ask, agent: Agent) -> Iterator[Line]:
    """Yield the lines about the endpoint: where, with what, whether it answers, whether an agent saw the subject."""
    reached = yield from _endpoint(subject, settings, ask)
    yield from seen(subject, agent, reached, ask, settings.export_interval)


def _endpoint(subject: Subject, settings: Settings, ask: Ask) -> Generator[Line, None, Post | None]:
    """Yield all lines but the last; return how the agent is asked, if telemetry goes straight to one."""
    address, protocol, own, _ = settings.target
    if not address:
        fix = "set CREDWATCH_ENDPOINT, for example to http://127.0.0.1:4318"
        yield Line("exporting", "problem", "nowhere: neither CREDWATCH_ENDPOINT nor a standard OTLP endpoint", fix)
        return None
    whose = "its own, CREDWATCH_ENDPOINT" if own else "inherited, OTEL_EXPORTER_OTLP_ENDPOINT"
    yield Line("exporting", "ok", f"to {place(address)} by {protocol} ({whose})")
    lines, post = _request(subject, settings)
    yield from lines
    if any(line.state == "problem" for line in lines):
        return None
    return (yield from _probe(post, ask))


def place(url: str) -> str:
    """Return scheme, host and port of a URL: its user, path and query may hold a secret."""
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")  # gRPC needs no scheme
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is not valid"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{parts.scheme}://{host}{port}" if parts.scheme else f"{host}{port}"


def _request(subject: Subject, settings: Settings) -> tuple[list[Line], Post]:
    address, protocol, own, url = settings.target
    environ, lines = subject.environ, []
    headers: Mapping[str, str] = {}
    certificate = settings.certificate
    if own:
        if environ.get("OTEL_EXPORTER_OTLP_HEADERS"):
            lines.append(Line("headers", "note", "OTEL_EXPORTER_OTLP_HEADERS belong elsewhere and are not sent there"))
        if settings.headers_file:
            line, headers = _headers_of(subject, settings.headers_file)
            lines.append(line)
    else:
        standard, problems = options(environ, METRICS)
        lines += [Line("variable", "warning", problem, "correct it or leave it out") for problem in problems]
        headers, certificate = standard.headers, standard.certificate
        if settings.headers_file or settings.certificate:
            told = "CREDWATCH_HEADERS_FILE and CREDWATCH_CERTIFICATE are used only with CREDWATCH_ENDPOINT"
            lines.append(Line("headers", "warning", told, "set CREDWATCH_ENDPOINT, or leave them out"))
    if certificate:
        try:
            subject.text(certificate)
        except (OSError, ValueError):
            lines.append(
                Line("certificate", "problem", "the certificate file cannot be read", "check its path and mode")
            )
    if subject.foreign:
        headers = {}  # what another user's variable names must not be read with our rights and sent
    method = "grpc" if protocol == "grpc" else "POST"
    address = address if protocol == "grpc" else url
    return lines, Post(method, address, headers, subject.path(certificate) if certificate else "")


def _headers_of(subject: Subject, name: str) -> tuple[Line, Mapping[str, str]]:
    if subject.foreign:
        return Line("headers", "note", "the headers file of another user's process is not read"), {}
    try:
        headers = headers_in(name, subject.text(name))
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        return Line(
            "headers", "problem", f"CREDWATCH_HEADERS_FILE cannot be read: {why}", "check its path and mode"
        ), {}
    except ValueError as error:
        return Line("headers", "problem", f"CREDWATCH_HEADERS_FILE: {error}", "one `name: value` a line"), {}
    return Line("headers", "ok", f"CREDWATCH_HEADERS_FILE is readable: {len(headers)} sent"), headers


def _probe(post: Post, ask: Ask) -> Generator[Line, None, Post | None]:
    try:
        answered = ask(post)
    except Silent as silent:
        fix = "start the agent, or correct the endpoint; counts are kept until something takes them"
        yield Line("answers", "problem", f"no: {silent}", fix)
        return None
    if post.method == "grpc":
        yield Line("answers", "ok", "takes a TCP connection; whether it speaks OTLP/gRPC was not asked")
        return None
    yield _answer(answered)
    return (yield from _agent(post, ask)) if answered.status < 300 else None


def _answer(answered: Answered) -> Line:
    status = answered.status
    if status < 300 and answered.content_type.startswith(PROTOBUF):
        return Line("answers", "ok", "yes: it took an empty OTLP export")
    if status < 300:
        told = f"{status}, but not in OTLP's words (content type `{answered.content_type[:40]}`)"
        return Line("answers", "warning", told, "is this an OTLP receiver?")
    if status in _STATUSES:
        what, fix = _STATUSES[status]
        return Line("answers", "problem", f"{status}: {what}", fix)
    if status in (429, 502, 503, 504):
        return Line("answers", "warning", f"{status}: it is there, but busy or not ready; exports are tried again")
    return Line("answers", "problem", f"{status}: it refuses an OTLP export", "is this an OTLP receiver?")


def _agent(post: Post, ask: Ask) -> Generator[Line, None, Post | None]:
    base = post._replace(method="GET", url=post.url.removesuffix("/v1/metrics"))
    try:
        health = ask(base._replace(url=f"{base.url}/healthz", headers={}))
    except Silent:
        health = Answered(0, "", b"")
    if health.status == 200 and health.body.startswith(b"credwatch-agent"):
        yield Line("agent", "ok", "it is credwatch-agent")
        return base
    told = "it is not credwatch-agent itself (a Collector?): whether that forwards is not known"
    yield Line("agent", "note", told)
    return None
