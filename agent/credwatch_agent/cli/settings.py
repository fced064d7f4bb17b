"""What `serve` can be told, and by whom: a default, a TOML file, the environment, the command line.

The later of these wins. Pure: the document, the environment and the flags are arguments.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from credwatch_agent.cli.failure import UsageError
from credwatch_agent.web.traces import parse as parse_template

PREFIX = "CREDWATCH_SERVE_"
"""Not `CREDWATCH_AGENT_`: Kubernetes sets such variables for a service named credwatch-agent."""

MAX_PORT = 65_535
DAY_NS = 86_400 * 10**9
_MAX_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `serve` is told; `grpc_port` is None where no gRPC is served, `tokens` where there are none."""

    db: str
    host: str
    port: int
    grpc_port: int | None
    tokens: Path | None
    tls_certificate: Path | None
    tls_key: Path | None
    client_ca: Path | None
    fold_after: float
    keep: float
    log_format: str
    log_level: str
    page: bool
    snapshot: Path | None
    window: float
    as_of: str
    exemptions: Path | None
    trace_url: str

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


class Setting(NamedTuple):
    """A row of the table: how a text is read, and what it means. `parse` raises `ValueError` with a reason."""

    name: str
    default: str | None
    parse: Callable[[str], Any]
    meaning: str

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


def is_loopback(host: str) -> bool:
    """Tell whether only this host reaches an address; a name other than localhost is not believed."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _text(text: str) -> str:
    if not text:
        raise ValueError("is empty: give a value, or leave it out")
    return text


def _host(text: str) -> str:
    if text != "localhost":
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise ValueError("is no loopback address, nor any other IP address: give one, such as 127.0.0.1") from None
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise ValueError(f"is no port: give a number from 0 to {MAX_PORT}")
    return int(text)


def _port_or_off(text: str) -> int | None:
    if text in ("off", "none"):
        return None
    try:
        return _port(text)
    except ValueError as error:
        raise ValueError(f"{error}, or `off`") from None


def _file(text: str) -> Path | None:
    return Path(text) if text else None


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1
    if not 0 < days <= _MAX_DAYS:
        raise ValueError(f"is no number of days: give one above 0, up to {_MAX_DAYS}")
    return days


def _trace_url(text: str) -> str:
    return parse_template(text) if text else ""


def _switch(text: str) -> bool:
    return _one_of("on", "off")(text) == "on"


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"is not one of {', '.join(allowed)}")
        return text

    return parse


SETTINGS: tuple[Setting, ...] = (
    Setting("db", None, _text, "SQLite file, made if it does not exist, or `postgresql://` or `clickhouse://` URL"),
    Setting("host", "127.0.0.1", _host, "address to listen on; one that is not loopback needs `tokens`"),
    Setting("port", "4318", _port, "port of OTLP/HTTP; 0 takes a free one"),
    Setting("grpc_port", "4317", _port_or_off, "port of OTLP/gRPC; 0 takes a free one, `off` serves none"),
    Setting("tokens", "", _file, "TOML file of bearer tokens and client certificates"),
    Setting("tls_certificate", "", _file, "PEM file of the agent's certificate and those above it: TLS on both ports"),
    Setting("tls_key", "", _file, "PEM file of its private key, without a passphrase"),
    Setting("client_ca", "", _file, "PEM file of authorities whose client certificates are believed (mTLS)"),
    Setting("fold_after", "100", _days, "days without a report after which a process is folded into a total"),
    Setting("keep", "400", _days, "days without a report after which a process or total is deleted"),
    Setting("log_format", "text", _one_of("text", "json"), "how events are written to stderr: `text` or `json`"),
    Setting("log_level", "warning", _one_of("error", "warning", "info"), "the least important events to write"),
    Setting("page", "on", _switch, "serve the page on the port of OTLP/HTTP: `on` or `off`"),
    Setting("snapshot", "", _file, "file that `snapshot` wrote, for the page; read again when it changed"),
    Setting("window", "90", _days, "days in which an action must not have been seen to be called unused on the page"),
    Setting("as_of", "now", _one_of("now", "last-report"), "the moment that the page shows: `now`, or `last-report`"),
    Setting("exemptions", "", _file, "TOML file of exempted findings, for the page"),
    Setting("trace_url", "", _trace_url, "address of a trace, with {trace_id}, {xray_id}, {datadog_id}, {region}"),
)


class Given(NamedTuple):
    """A setting's text, who gave it, and both as an error names them."""

    text: str
    origin: str
    where: str


def given(
    document: Mapping[str, Any], environ: Mapping[str, str], flags: Mapping[str, str | None], file: str = ""
) -> dict[str, Given]:
    """Return the text of each setting and who gave it; raises `UsageError` for what is no setting."""
    names = {setting.name for setting in SETTINGS}
    for name, value in document.items():
        if name not in names or isinstance(value, bool | list | dict):
            what = "must be a text or a number" if name in names else "is no setting: see docs/serve.md for the table"
            raise UsageError(f"`{name}` in `{file}` {what}")
    for variable in environ:
        if variable.startswith(PREFIX) and variable.removeprefix(PREFIX).lower() not in {*names, "config"}:
            raise UsageError(f"the variable `{variable}` is no setting: see docs/serve.md for the table")
    found: dict[str, Given] = {}
    for setting in SETTINGS:
        flag = flags.get(setting.name)
        if flag is not None:
            found[setting.name] = Given(flag, setting.flag, f"{setting.flag} {flag}")
        elif setting.variable in environ:
            text = environ[setting.variable]
            found[setting.name] = Given(text, setting.variable, f"{setting.variable}={text}")
        elif setting.name in document:
            text = str(document[setting.name])
            found[setting.name] = Given(text, file, f"{setting.name} = {text}` in `{file}")
        elif setting.default is not None:
            found[setting.name] = Given(setting.default, "default", f"{setting.flag} {setting.default}")
        else:
            raise UsageError(f"no `{setting.flag}` was given: {setting.meaning}; or set {setting.variable}")
    return found


def settings(texts: Mapping[str, Given]) -> Settings:
    """Return the settings that texts mean; raises `UsageError` with the place of the first that is wrong."""
    values = {}
    for setting in SETTINGS:
        text, _, where = texts[setting.name]
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as error:
            raise UsageError(f"`{where}` {error}") from None
    made = Settings(**values)
    if not made.loopback and made.tokens is None:
        raise UsageError(
            f"`{texts['host'].where}` is no loopback address: anyone who reaches it could write evidence; give "
            "`--tokens FILE`, or use 127.0.0.1 or ::1 and a Collector on this host for other hosts"
        )
    if (made.tls_certificate is None) != (made.tls_key is None):
        raise UsageError("`--tls-certificate` and `--tls-key` are given together or not at all")
    if made.client_ca and not (made.tls_certificate and made.tokens):
        raise UsageError(
            "`--client-ca` needs `--tls-certificate`, and in the file of `--tokens` the `[[certificate]]` rows that "
            "say who may do what"
        )
    if made.keep < made.fold_after:
        raise UsageError(f"`{texts['keep'].where}` is shorter than the {made.fold_after:g} days of `--fold-after`")
    return made


def without_password(location: str) -> str:
    """Return a store's location as it may be printed."""
    if "://" not in location:
        return location
    parts = urlsplit(location)
    user = f"{parts.username}@" if parts.username else ""
    place = parts.netloc.rpartition("@")[2]
    # a query may hold a password too
    return f"{parts.scheme}://{user}{place}{parts.path}{'?…' if parts.query else ''}"
