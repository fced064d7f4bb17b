"""Grafana's dashboards as code: panels as rows, written to JSON by `make docs`.

The data sources are variables of the dashboard, so that the JSON can be imported as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

WRONG_LAYER = 'span.credwatch.credential.source = "ec2-instance-profile" && resource.aws.ecs.task.arn != nil'
DENIED = 'span.credwatch.outcome =~ "denied|denied-or-missing"'
_CALLS = "rate(credwatch_calls_by_source_total[$__rate_interval])"


class Panel(NamedTuple):
    """A panel. `language` is `promql`, `traceql` (a series), or `search` (TraceQL, a table of traces)."""

    title: str
    language: str
    query: str
    legend: str = ""
    unit: str = "short"
    kind: str = "timeseries"
    says: str = ""


CREDENTIALS = (
    Panel(
        "Calls by source and service",
        "promql",
        f"sum by (job, credwatch_credential_source) ({_CALLS})",
        "{{job}}: {{credwatch_credential_source}}",
        "reqps",
        says="From the application's own MeterProvider: exact, for services that have one.",
    ),
    Panel(
        "Calls by source and service, from spans",
        "traceql",
        "{ span.credwatch.credential.source != nil } | rate()"
        " by (resource.service.name, span.credwatch.credential.source)",
        unit="reqps",
        says="As far as spans are sampled.",
    ),
    Panel(
        "Wrong layer: tasks that sign as their host",
        "traceql",
        f"{{ {WRONG_LAYER} }} | count_over_time() by (resource.service.name)",
        says="An ECS task that signs with the instance profile. It should be empty.",
    ),
    Panel(
        "Wrong layer: the traces",
        "search",
        f"{{ {WRONG_LAYER} }} | select(span.credwatch.iam.actions, span.credwatch.instance_profile.arn)",
        kind="table",
    ),
    Panel(
        "Denials by role",
        "traceql",
        f"{{ {DENIED} }} | count_over_time() by (span.credwatch.principal.arn, span.credwatch.principal.name)",
        says="The metadata service tells a role's name only, so one of the two may be empty.",
    ),
    Panel(
        "Denied and failed authentication by service",
        "promql",
        "sum by (job, credwatch_outcome) "
        '(increase(credwatch_calls_by_source_total{credwatch_outcome=~"denied|auth-failed"}[$__rate_interval]))',
        "{{job}}: {{credwatch_outcome}}",
    ),
    Panel(
        "Long-lived keys in use",
        "traceql",
        '{ span.credwatch.credential.type = "long-lived" } | count_over_time()'
        " by (resource.service.name, span.credwatch.credential.pseudonym)",
    ),
    Panel(
        "Age of access keys",
        "promql",
        "credwatch_access_key_age_seconds",
        "{{user}} {{key}}",
        "s",
        "bargauge",
        "From key_age.py; the next three from `report --format prometheus`.",
    ),
    Panel(
        "Findings", "promql", 'sum by (severity) (credwatch_findings{status="open"})', "{{severity}}", kind="bargauge"
    ),
    Panel(
        "Coverage: granted actions by evidence",
        "promql",
        "sum by (state) (credwatch_role_actions)",
        "{{state}}",
        kind="piechart",
    ),
    Panel("Coverage: not known", "promql", "credwatch_not_known", "sentences", kind="stat"),
)

AGENT = (
    Panel("Store", "promql", "credwatch_agent_store_up", "up", kind="stat"),
    Panel("Processes held", "promql", "credwatch_agent_processes", "processes", kind="stat"),
    Panel("Version", "promql", "credwatch_agent_build_info", "{{version}}", kind="stat"),
    Panel("Points taken", "promql", "rate(credwatch_agent_points_accepted_total[$__rate_interval])", "points", "cps"),
    Panel("Spans taken", "promql", "rate(credwatch_agent_spans_accepted_total[$__rate_interval])", "spans", "cps"),
    Panel(
        "Refused and rejected",
        "promql",
        "sum by (__name__, status) (increase({__name__=~"
        '"credwatch_agent_points_rejected_total|credwatch_agent_spans_rejected_total|credwatch_agent_requests_refused_total"}'
        "[$__rate_interval]))",
        "{{__name__}} {{status}}",
    ),
    Panel(
        "Time of a write, 99th percentile",
        "promql",
        "histogram_quantile(0.99, rate(credwatch_agent_store_write_seconds_bucket[$__rate_interval]))",
        "p99",
        "s",
    ),
    Panel("Errors that recorders kept from applications", "promql", "credwatch_recorder_errors", "errors"),
    Panel("Calls with a coarser resource", "promql", "credwatch_recorder_coarsened_calls", "calls"),
    Panel("Spans that recorders dropped", "promql", "credwatch_recorder_spans_dropped", "spans"),
)


def credentials() -> str:
    """Return the dashboard of who signs with what."""
    return _board("credwatch-credentials", "credwatch: who signs", CREDENTIALS)


def agent() -> str:
    """Return the dashboard of the agent itself."""
    return _board("credwatch-agent", "credwatch: the agent", AGENT)


def _board(uid: str, title: str, panels: Sequence[Panel]) -> str:
    board = {
        "uid": uid,
        "title": title,
        "tags": ["credwatch"],
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [_source("prometheus", "Prometheus"), _source("tempo", "Tempo")]},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }
    return json.dumps(board, indent=2) + "\n"


def _source(kind: str, label: str) -> dict[str, Any]:
    return {"name": kind, "label": label, "type": "datasource", "query": kind}


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    kind = "prometheus" if panel.language == "promql" else "tempo"
    source = {"type": kind, "uid": f"${{{kind}}}"}
    target: dict[str, Any] = {"refId": "A", "datasource": source}
    if kind == "prometheus":
        target |= {"expr": panel.query, "legendFormat": panel.legend}
    else:
        table = {"tableType": "spans"} if panel.language == "search" else {}
        target |= {"query": panel.query, "queryType": "traceql", **table}
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": source,
        "gridPos": {"h": 8, "w": 12, "x": number % 2 * 12, "y": number // 2 * 8},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [target],
    }
