"""The report as JSON, versioned: for scripts, and for whatever is built on top."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from credwatch_agent.findings import Finding
from credwatch_agent.findings.life import Life, Standing, Tally
from credwatch_agent.reach import RoleReach
from credwatch_agent.report import SCHEMA, Report, RoleRow, ServiceRow


def render(report: Report) -> str:
    """Return the report as one JSON document: `schema`, `generated`, `window`, and its parts."""
    document = {
        "schema": SCHEMA,
        "generated": moment(report.now_ns),
        "window": {"days": report.window_days, "default_days": report.default_days},
        "snapshot": {
            "taken": moment(report.snapshot_ns),
            "account": report.account_id,
            "region": report.region,
        },
        "calls": report.calls,
        "services": [_service(row) for row in report.services],
        "roles": [_role(row) for row in (*report.roles, *report.silent_roles)],
        "reach": {
            "roles": [_role_reach(each) for each in report.reach.roles],
            "workloads": [_plain(each) for each in report.reach.workloads],
        },
        "findings": [{**finding(one), **_standing(report.life.of(one))} for one in report.findings],
        "resolved": [_resolved(each) for each in report.life.resolved],
        "trend": [_tally(each) for each in report.life.tallies],
        "expired_exemptions": list(report.life.expired),
        "idle_exemptions": list(report.life.idle),
        "unknown": list(report.unknown),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def finding(one: Finding) -> dict[str, Any]:
    """Return one finding as JSON values."""
    return {**_plain(one), "fingerprint": one.fingerprint}


def _role_reach(each: RoleReach) -> dict[str, Any]:
    plain = _plain(each)
    for one in (*plain["assumed"], *plain["did"]):
        for name in ("first_ns", "last_ns"):
            if name in one:
                one[name.removesuffix("_ns")] = moment(one.pop(name))
    return plain


def _standing(stands: Standing) -> dict[str, Any]:
    found: dict[str, Any] = {
        "status": stands.status.value,
        "first_seen": moment(stands.first_ns) if stands.first_ns else None,
        "last_seen": moment(stands.last_ns) if stands.last_ns else None,
    }
    if stands.exemption:
        by = stands.exemption
        found["exemption"] = {"owner": by.owner, "reason": by.reason, "expires": str(by.expires), "where": by.where}
    return found


def _tally(each: Tally) -> dict[str, Any]:
    plain = _plain(each)
    return {"time": moment(plain.pop("time_ns")), **plain}


def _resolved(life: Life) -> dict[str, Any]:
    names = ("fingerprint", "id", "subject", "severity", "sentence")
    return {
        **{name: getattr(life, name) for name in names},
        "first_seen": moment(life.first_ns),
        "last_seen": moment(life.last_ns),
        "resolved": moment(life.resolved_ns),
    }


def moment(ns: int) -> str:
    """Return a time as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(ns // 10**9, timezone.utc).isoformat().replace("+00:00", "Z")


def _service(row: ServiceRow) -> dict[str, Any]:
    plain = _plain(row)
    plain["worst"] = row.worst.id if row.worst else None
    return plain


def _role(row: RoleRow) -> dict[str, Any]:
    plain = _plain(row)
    plain["states"] = {state.value: count for state, count in row.states}
    for statement, source in zip(plain["statements"], row.statements, strict=True):
        statement["states"] = {state.value: count for state, count in source.states}
        statement["used"] = [
            {"action": action, "calls": calls, "resources": list(resources)} for action, calls, resources in source.used
        ]
    return plain


def _plain(record: Any) -> dict[str, Any]:
    def convert(value: Any) -> Any:
        if isinstance(value, Enum):
            return value.value
        if is_dataclass(value) and not isinstance(value, type):
            return convert(asdict(value))
        if isinstance(value, dict):
            return {str(k): convert(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [convert(item) for item in value]
        return value

    plain: dict[str, Any] = convert(record)
    return plain
