"""The findings in AWS Security Finding Format: requests of `BatchImportFindings`, one JSON document a line.

A request holds at most 100 findings; AWS takes up to 240 KB a finding. Its `Id` is made of the fingerprint, so that
Security Hub updates a finding instead of adding one; what is resolved is archived.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from credwatch_agent.findings import Finding, Severity
from credwatch_agent.findings.life import Life, Standing, Status
from credwatch_agent.report import Report

AT_ONCE = 100
LABELS = {
    Severity.CRITICAL: "CRITICAL",
    Severity.HIGH: "HIGH",
    Severity.MEDIUM: "MEDIUM",
    Severity.LOW: "LOW",
    Severity.INFO: "INFORMATIONAL",
}
TYPES = ["Software and Configuration Checks/AWS Security Best Practices"]
_TITLE, _DESCRIPTION, _TEXT = 256, 1024, 512


def render(report: Report) -> str:
    """Return requests, one a line: each for `aws securityhub batch-import-findings --cli-input-json`."""
    every = [*_findings(report), *(_resolved(life, report) for life in report.life.resolved)]
    requests = [{"Findings": every[at : at + AT_ONCE]} for at in range(0, len(every), AT_ONCE)]
    return "\n".join(json.dumps(request, ensure_ascii=False) for request in requests)


def _findings(report: Report) -> Iterator[dict[str, Any]]:
    for one in report.findings:
        stands = report.life.of(one)
        first_ns = stands.first_ns or report.now_ns
        record = _record(report, one.fingerprint, one.id, one.severity, first_ns, report.now_ns)
        seen = {"FirstObservedAt": _moment(one.first_ns), "LastObservedAt": _moment(one.last_ns)} if one.last_ns else {}
        yield {
            **record,
            **seen,
            "Title": _cut(f"{one.id}: {one.sentence}", _TITLE),
            "Description": _cut("; ".join((one.sentence, *one.evidence)), _DESCRIPTION),
            "Remediation": {
                "Recommendation": {"Text": _cut(" ".join(fix.sentence for fix in one.fixes) or "-", _TEXT)}
            },
            "Resources": [_resource(one, report.region)],
            "RecordState": "ACTIVE",
            "Workflow": {"Status": "NEW" if stands.status is Status.OPEN else "SUPPRESSED"},
            "ProductFields": {**record["ProductFields"], **_answers(stands)},
        }


def _resolved(life: Life, report: Report) -> dict[str, Any]:
    severity = Severity(life.severity)
    return {
        **_record(report, life.fingerprint, life.id, severity, life.first_ns, life.resolved_ns),
        "Title": _cut(f"{life.id}: {life.sentence}", _TITLE),
        "Description": _cut(life.sentence, _DESCRIPTION),
        "Resources": [{"Type": "Other", "Id": life.subject}],
        "RecordState": "ARCHIVED",
        "Workflow": {"Status": "RESOLVED"},
    }


def _record(
    report: Report, fingerprint: str, name: str, severity: Severity, created_ns: int, updated_ns: int
) -> dict[str, Any]:
    account, region = report.account_id or "000000000000", report.region or "us-east-1"
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return {
        "SchemaVersion": "2018-10-08",
        "Id": f"credwatch/{region}/{account}/{fingerprint}",
        "ProductArn": f"arn:{partition}:securityhub:{region}:{account}:product/{account}/default",
        "GeneratorId": f"credwatch/{name}",
        "AwsAccountId": account,
        "Types": TYPES,
        "CreatedAt": _moment(created_ns),
        "UpdatedAt": _moment(updated_ns),
        "Severity": {"Label": LABELS[severity]},
        "ProductFields": {"credwatch/fingerprint": fingerprint, "credwatch/finding": name},
    }


def _resource(one: Finding, region: str) -> dict[str, Any]:
    arn = one.role_arn or (one.subject if one.subject.startswith("arn:") else "")
    if ":role/" in arn:
        return {"Type": "AwsIamRole", "Id": arn, "Partition": arn.split(":")[1], "Region": region or "us-east-1"}
    return {"Type": "Other", "Id": arn or one.subject}


def _answers(stands: Standing) -> dict[str, str]:
    by = stands.exemption
    answers = {"credwatch/status": stands.status.value}
    return {**answers, "credwatch/owner": by.owner, "credwatch/reason": by.reason} if by else answers


def _moment(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
