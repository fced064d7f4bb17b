"""The report as one HTML page: no script, nothing loaded, light and dark, readable on a phone and on paper."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from credwatch_agent.evidence import State
from credwatch_agent.exports.json import moment
from credwatch_agent.findings import Finding, Severity
from credwatch_agent.findings.life import Status
from credwatch_agent.reach import RoleReach
from credwatch_agent.report import Report

_HERE = Path(__file__).parent
_BARS = 60


def render(report: Report, version: str) -> str:
    """Return the page."""
    rows = {row.arn: row for row in (*report.roles, *report.silent_roles)}
    reach: dict[str, RoleReach] = {each.arn: each for each in report.reach.roles}
    return _template().render(
        report=report,
        version=version,
        counts=[(severity.value, sum(f.severity is severity for f in report.open)) for severity in Severity],
        quiet=[(f, report.life.of(f)) for status in (Status.EXEMPTED, Status.ADOPTED) for f in report.standing(status)],
        roles=[(row, reach.get(arn)) for arn, row in rows.items()],
        states=[state.value for state in State],
        bars=_trend(report),
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"said": _said, "moment": moment, "name": _name, "day": lambda ns: moment(ns)[:10]}
    environment.globals["seen"] = _seen
    return environment.get_template("report.html.j2")


def _said(sentence: str) -> Markup:
    """Return a sentence whose code marks are elements; what is between them and around is escaped."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(sentence))))  # noqa: S704 - escaped first


def _name(arn: str) -> str:
    return arn.rpartition("/")[2] or arn


def _seen(finding: Finding) -> str:
    return f"seen {moment(finding.first_ns)} to {moment(finding.last_ns)}" if finding.last_ns else ""


def _trend(report: Report) -> list[dict[str, Any]]:
    """Return a bar for each remembered report: its height in hundredths, its day, its number of open findings."""
    shown = report.life.tallies[-_BARS:]
    most = max((sum(each.open.values()) for each in shown), default=0) or 1
    return [
        {"at": at, "height": round(100 * total / most), "day": moment(each.time_ns)[:10], "open": total}
        for at, each in enumerate(shown)
        for total in (sum(each.open.values()),)
    ]
