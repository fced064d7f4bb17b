"""The report as Prometheus text: for the textfile collector or a push gateway.

No metric has a subject that grows with processes or calls: a series a finding id, a role, a service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from credwatch_agent.findings import Severity
from credwatch_agent.report import Report

Sample = tuple[Mapping[str, str], float]


def render(report: Report) -> str:
    """Return the exposition format 0.0.4; it ends with a newline."""
    return "".join(
        f"# HELP {name} {help_}\n# TYPE {name} gauge\n" + "".join(_line(name, *sample) for sample in samples)
        for name, help_, samples in _metrics(report)
    )


def _metrics(report: Report) -> Iterator[tuple[str, str, Iterable[Sample]]]:
    stands = Counter((one.severity.value, report.life.of(one).status.value) for one in report.findings)
    counts = {(severity.value, "open"): 0 for severity in Severity} | dict(stands)
    yield (
        "credwatch_findings",
        "Findings by severity and status (open, adopted, exempted).",
        [({"severity": severity, "status": status}, count) for (severity, status), count in sorted(counts.items())],
    )
    ids = Counter(one.id for one in report.open)
    yield "credwatch_open_findings_by_id", "Open findings by id.", [({"id": i}, n) for i, n in sorted(ids.items())]
    yield (
        "credwatch_role_actions",
        "Actions that a role grants, by state of evidence.",
        [
            ({"role": role.arn, "state": state.value}, count)
            for role in (*report.roles, *report.silent_roles)
            for state, count in role.states
        ],
    )
    calls: Counter[str] = Counter()
    for row in report.services:
        calls[row.name] += row.calls
    yield (
        "credwatch_window_calls",
        "Calls in the window.",
        [({"workload": name}, n) for name, n in sorted(calls.items())],
    )
    yield "credwatch_expired_exemptions", "Exemptions past their day.", [({}, len(report.life.expired))]
    yield "credwatch_not_known", "Sentences under `Not known`.", [({}, len(report.unknown))]
    yield "credwatch_report_timestamp_seconds", "When this was written.", [({}, report.now_ns // 10**9)]
    yield "credwatch_snapshot_timestamp_seconds", "When policies were read.", [({}, report.snapshot_ns // 10**9)]


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {value}\n" if inner else f"{name} {value}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
