"""The records of doctor: what was seen of a Python and its endpoint, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

JSON_VERSION = 1
"""Version of what `--json` prints, sent as `version`. Fields may be added without a new one."""

STATES: Mapping[str, str] = {
    "ok": "as it should be",
    "note": "good to know; nothing to do",
    "warning": "works, but not as you may expect",
    "problem": "credwatch does not record, or what it records does not arrive",
    "unknown": "could not be known from here",
}


class Line(NamedTuple):
    """One line of the answer. `state` is one of `STATES`; `fix` is "" where there is nothing to do."""

    id: str
    state: str
    told: str
    fix: str = ""


@dataclass(frozen=True)
class Python:
    """A Python and what is installed for it.

    `version` of credwatch, "" if not installed. `pth`: the path of credwatch.pth in a directory
    whose .pth files this Python reads, or ""; `pth_fault` says what is wrong with it. `no_site`: it
    runs without site (`-S`). `versions`: distribution name (normalised) -> version. `missing`:
    method of botocore -> what stays unknown without it; None where that cannot be looked at.
    `hooked`: whether credwatch is on in it; None where that cannot be seen. `by_opentelemetry`:
    auto-instrumentation starts it.
    """

    executable: str
    version: str = ""
    pth: str = ""
    pth_fault: str = ""
    no_site: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)
    floors: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] | None = None
    hooked: bool | None = None
    by_opentelemetry: bool = False
    plugin_works: bool | None = None


class Agent(NamedTuple):
    """How to ask the agent, as the caller says: its HTTP address, and headers. Else: as telemetry is sent."""

    url: str = ""
    headers: Mapping[str, str] | None = None

    @property
    def named(self) -> bool:
        return bool(self.url) or self.headers is not None


ANYWHERE = Agent()
"""Nobody was named: whoever takes the telemetry is asked, if that is an agent."""


class Answered(NamedTuple):
    """What an HTTP endpoint said: status, content type, the first bytes of the body."""

    status: int
    content_type: str
    body: bytes


class Silent(Exception):
    """An endpoint gave no answer; the text says how: "connection refused"."""


class Post(NamedTuple):
    """One request of the probe. `certificate` is a CA file, "" for the system's."""

    method: str
    url: str
    headers: Mapping[str, str]
    certificate: str = ""


Ask = Callable[[Post], Answered]
"""Sends one request, or for a `grpc` method only connects; raises `Silent`."""


class Subject(NamedTuple):
    """What is looked at. `who` names it; `text` reads one of its files or raises OSError, ValueError.

    `foreign`: it belongs to another user, so no file that it names is sent anywhere. `fingerprint`: what the
    agent knows it by, "" where that cannot be told, None for doctor itself. `now_ns` is the clock.
    """

    who: str
    python: Python | None
    environ: Mapping[str, str]
    text: Callable[[str], str]
    path: Callable[[str], str]
    foreign: bool = False
    notes: tuple[str, ...] = ()
    fingerprint: str | None = None
    now_ns: int = 0
