"""How answers become HTML: the Jinja environment, and the few words and addresses that templates need.

Autoescape is on, and every value that is put out is made visible first: a name may hold control or
bidirectional characters, which a reader must see and a browser must not obey.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from credwatch.semconv import OUTCOMES, SOURCES
from credwatch_agent.exports.layout import visible
from credwatch_agent.web import pictures

HERE = Path(__file__).parent

SEVERITIES = {"critical": "!!", "high": "!", "medium": "=", "low": "·", "info": "i"}
"""A mark beside each severity's colour."""

STATES = {
    "used": "seen in use, by a call that this grant allowed",
    "insufficient": "not seen, but the evidence is not enough to call it unused",
    "unobservable": "no recorder can see its use",
    "unused": "not seen in the whole window, and nothing stands against calling it unused",
}
"""What each evidence state means, in the order in which they are shown."""


def _finalize(value: Any) -> Any:
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def address(path: str, **query: str | int) -> str:
    """Return the address of a view; parameters that are empty are left out."""
    given = {name: str(value) for name, value in query.items() if value}
    return f"{path}?{urlencode(given, errors='replace')}" if given else path


def page_address(path: str, asked: Mapping[str, str], page: int) -> str:
    """Return the address of another page of a list."""
    return address(path, **{**asked, "page": str(page)})


def count(number: int) -> str:
    return f"{number:,}"


def plural(number: int, noun: str, nouns: str = "") -> str:
    """Return `1 role`, `2 roles`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def days(number: float) -> str:
    """Return a length of days in the unit that people would use."""
    for size, unit in ((1.0, "day"), (1 / 24, "hour"), (1 / 1440, "minute")):
        if number >= size:
            return plural(round(number / size), unit)
    return plural(round(number * 86_400), "second")


def at(iso: str) -> str:
    """Return an ISO time as people read it, in UTC."""
    return datetime.fromisoformat(iso.replace("Z", "+00:00")).strftime("%Y-%m-%d %H:%M") if iso else "?"


def period(first: str, last: str) -> str:
    """Return from when to when, saying nothing twice."""
    begun, ended = at(first), at(last)
    if begun == ended:
        return begun
    return f"{begun} \N{EN DASH} {ended[11:] if begun[:10] == ended[:10] else ended}"


def name_of(arn: str) -> str:
    """Return the name at the end of an ARN."""
    return arn.rpartition("/")[2] or arn


_JOINT = re.compile(r"(?<=[/:.=,])(?=[^/:.=,])")


def broken(text: str) -> Markup:
    """Return a name that a narrow column may break where people would."""
    return Markup("<wbr>").join(visible(part) for part in _JOINT.split(text))


def short_path(site: str) -> str:
    """Return the file and its folder of a call site, which people know their code by."""
    return "/".join(site.split("/")[-2:])


def percent(part: int, whole: int) -> int:
    return round(100 * part / whole) if whole else 0


def fingerprint(names: list[str]) -> str:
    """Return what changes when one of the static files does."""
    digest = hashlib.sha256()
    for name in names:
        digest.update((HERE / "static" / name).read_bytes())
    return digest.hexdigest()[:12]


STATIC = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def environment() -> Environment:
    """Return the environment of the page's templates."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        count=count,
        plural=plural,
        days=days,
        at=at,
        name=name_of,
        visible=visible,
        short_path=short_path,
        broken=broken,
    )
    made.globals.update(
        url=address,
        page_url=page_address,
        sources=list(SOURCES),
        outcomes=list(OUTCOMES),
        area=pictures.area,
        flow=pictures.flow,
        period=period,
        percent=percent,
        marks=SEVERITIES,
        state_words=STATES,
        version=fingerprint(list(STATIC)),
    )
    made.globals["p"] = made.get_template("parts.html").module
    return made
