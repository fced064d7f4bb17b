"""The findings as CSV (RFC 4180): a row a finding, for spreadsheets.

A cell that a spreadsheet would take for a formula begins with an apostrophe: names in telemetry are not ours.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from credwatch_agent.exports.json import moment
from credwatch_agent.findings import Finding
from credwatch_agent.report import Report

COLUMNS = (
    "severity", "status", "id", "subject", "role", "policy", "statement", "sentence", "evidence", "fix", "first_seen",
    "last_seen", "owner", "reason", "expires", "fingerprint",
)  # fmt: skip


def render(report: Report) -> str:
    """Return the table, its first row the names of the columns; lines end with CRLF."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for one in report.findings:
        writer.writerow([_safe(cell) for cell in _cells(report, one)])
    return out.getvalue()


def _cells(report: Report, one: Finding) -> Iterator[str]:
    stands = report.life.of(one)
    yield from (one.severity.value, stands.status.value, one.id, one.subject, one.role_arn, one.policy)
    yield str(one.statement) if one.statement >= 0 else ""
    yield from (one.sentence, "; ".join(one.evidence), " ".join(fix.sentence for fix in one.fixes))
    yield from (moment(ns) if ns else "" for ns in (stands.first_ns, stands.last_ns))
    by = stands.exemption
    yield from (by.owner, by.reason, str(by.expires)) if by else ("", "", "")
    yield one.fingerprint


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
