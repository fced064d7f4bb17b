"""Turns a report into Prometheus text: findings, evidence by role, age of access keys. Needs nothing but Python.

    credwatch-agent report --json --db DB --snapshot account.json > report.json
    python report_metrics.py report.json account.json > /var/lib/node_exporter/textfile/credwatch.prom

Run it after each nightly snapshot; node_exporter's textfile collector, or a push gateway, takes it from there.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

METRICS = {
    "credwatch_report_generated_timestamp_seconds": "when the report was made",
    "credwatch_report_findings": "findings, by id and severity",
    "credwatch_report_role_actions": "granted actions of a role, by evidence state",
    "credwatch_report_role_gaps": "what stands against a verdict of unused on a role",
    "credwatch_report_service_signs_with": "1 for each credential source that a service signed with",
    "credwatch_report_access_key_age_seconds": "age of an active access key of a user, when the report was made",
}

Sample = tuple[Mapping[str, str], float]


def main(arguments: list[str]) -> int:
    """Print the metrics of a report and the snapshot that it was made with; return 2 where they cannot be read."""
    try:
        report, snapshot = (json.loads(Path(name).read_text(encoding="utf-8")) for name in arguments)
        text = render(report, snapshot)
    except (ValueError, OSError, KeyError) as error:
        print(f"report_metrics.py REPORT.json SNAPSHOT.json: {error}", file=sys.stderr)
        return 2
    sys.stdout.write(text)
    return 0


def render(report: Mapping[str, Any], snapshot: Mapping[str, Any]) -> str:
    """Return the exposition (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
    made = _seconds(report["generated"])
    found = Counter((one["id"], one["severity"]) for one in report["findings"])
    samples: dict[str, Iterable[Sample]] = {
        "credwatch_report_generated_timestamp_seconds": [({}, made)],
        "credwatch_report_findings": [({"id": i, "severity": s}, n) for (i, s), n in sorted(found.items())],
        "credwatch_report_role_actions": [
            ({"role": role["name"], "state": state}, n)
            for role in report["roles"]
            for state, n in role["states"].items()
        ],
        "credwatch_report_role_gaps": [({"role": role["name"]}, len(role["gaps"])) for role in report["roles"]],
        "credwatch_report_service_signs_with": [
            ({"service": row["name"], "source": source}, 1) for row in report["services"] for source in row["sources"]
        ],
        "credwatch_report_access_key_age_seconds": [
            ({"user": key["user_arn"], "key": key["pseudonym"]}, made - _seconds(key["created"]))
            for key in snapshot["access_keys"]
            if key["status"] == "Active" and key["created"]
        ],
    }
    return "\n".join(line for name, rows in samples.items() for line in _family(name, rows)) + "\n"


def _seconds(moment: str) -> float:
    return round(datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp())


def _family(name: str, rows: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {METRICS[name]}"
    yield f"# TYPE {name} gauge"
    for labels, value in rows:
        # JSON escapes `\\`, `"` and line ends as this format does
        within = ",".join(f"{label}={json.dumps(text, ensure_ascii=False)}" for label, text in labels.items())
        yield f"{name}{{{within}}} {value:.0f}" if within else f"{name} {value:.0f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
