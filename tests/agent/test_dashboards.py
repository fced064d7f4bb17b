"""Dashboards, alerts and ready queries name only what is sent: attributes of the contract, metrics of the agent."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from credwatch import semconv
from credwatch_agent.exports import prometheus
from credwatch_agent.receiver import meters
from credwatch_agent.snapshot import AccessKey, dumps
from examples.dashboards import boards, key_age
from tests.agent import test_report, worlds

ROOT = Path(__file__).parents[2]
HERE = ROOT / "examples" / "dashboards"
QUERIES = ROOT / "docs" / "queries.md"

ATTRIBUTES = {row.name for row in semconv.ATTRIBUTES if {"span", "resource"} & set(row.on.split())}
COUNTED = (semconv.SOURCE, semconv.SERVICE, semconv.OUTCOME)
"""Attributes of `credwatch.calls.by_source`."""

BY_SOURCE = f"{semconv.CALLS_BY_SOURCE.replace('.', '_')}_total"
OF_REPORT = set(re.findall(r"^# TYPE (\w+)", prometheus.render(test_report.report()), flags=re.MULTILINE))
SERIES = {
    BY_SOURCE,
    *meters.COUNTERS,
    *meters.GAUGES,
    *(f"{meters.LATENCY}_{suffix}" for suffix in ("bucket", "sum", "count")),
    *OF_REPORT,
    key_age.METRIC,
}
IN_PROMQL = SERIES | {name.replace(".", "_") for name in COUNTED}


def rules() -> Iterator[str]:
    for group in yaml.safe_load((HERE / "rules.yaml").read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def fenced(language: str) -> Iterator[tuple[str, str]]:
    """Return (section, line) of the code blocks of the page of queries."""
    section = ""
    for part in re.split(r"^## ", QUERIES.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        section = part.split(maxsplit=1)[0]
        for block in re.findall(rf"```{language}\n(.*?)```", part, flags=re.DOTALL):
            yield from ((section, line) for line in block.splitlines() if line)


PANELS = [*boards.CREDENTIALS, *boards.AGENT]
PROMQL = [
    *(panel.query for panel in PANELS if panel.language == "promql"),
    *(panel.legend for panel in PANELS),
    *rules(),
    *(line for _, line in fenced("promql")),
]
OTHERS = [
    *(panel.query for panel in PANELS if panel.language != "promql"),
    *(line for section, line in fenced("(?:text|yaml)") if section != "AWS"),
]


def test_promql_names_only_what_the_agent_the_report_and_the_counter_tell() -> None:
    named = {name for query in PROMQL for name in re.findall(r"credwatch_\w+", query)}
    assert named - IN_PROMQL == set()
    # nothing that can be asked is missing from both dashboards and alerts
    assert {n for n in SERIES if not n.startswith(meters.LATENCY)} - named <= {
        "credwatch_agent_points_folded_total",
        "credwatch_agent_processes_folded_total",
        "credwatch_agent_processes_forgotten_total",
        "credwatch_open_findings_by_id",
        "credwatch_window_calls",
        "credwatch_expired_exemptions",
        "credwatch_snapshot_timestamp_seconds",
    }


@pytest.mark.parametrize("query", [*(p.query for p in PANELS if p.language == "promql"), *rules()])
def test_promql_parses(query: str) -> None:
    promql_parser.parse(re.sub(r"\$__\w+", "5m", query))  # Grafana's variables


def test_other_queries_name_only_attributes_of_the_contract() -> None:
    named = {name for query in OTHERS for name in re.findall(r"credwatch\.[\w.]*\w", query)}
    assert named
    assert named - ATTRIBUTES == set()


def test_annotations_are_made_of_attributes_that_are_indexed() -> None:
    section = QUERIES.read_text(encoding="utf-8").partition("## AWS X-Ray")[2].partition("\n## ")[0]
    indexed = set(re.findall(r"- (credwatch\.[\w.]+)", section))
    assert indexed <= ATTRIBUTES
    assert {*re.findall(r"annotation\[(\w+)\]", section)} <= {name.replace(".", "_") for name in indexed}


@pytest.mark.parametrize("word", [*PROMQL, *OTHERS])
def test_words_that_a_query_compares_with_are_in_the_vocabularies(word: str) -> None:
    for attribute, vocabulary in (("source", semconv.SOURCES), ("outcome", semconv.OUTCOMES)):
        compared = re.findall(rf'credwatch[._][\w.]*{attribute}\s*(?:=~|!=|=|:)\s*["(]?([\w|-]+(?: OR [\w-]+)*)', word)
        for value in (one for found in compared for one in re.split(r"\||\s+OR\s+", found)):
            assert value in {*vocabulary, "nil"}


def test_the_age_of_keys_is_told_as_prometheus_reads_it() -> None:
    user = f"arn:aws:iam::{worlds.ACCOUNT}:user/ci"
    created = datetime.fromtimestamp(worlds.NOW / 10**9 - 90 * 86_400, timezone.utc).isoformat()
    keys = tuple(AccessKey(str(n), user, status, created) for n, status in enumerate(("Active", "Inactive")))
    text = key_age.render(json.loads(dumps(worlds.snapshot(access_keys=keys))))
    (family,) = text_string_to_metric_families(text)
    assert [(s.labels, s.value) for s in family.samples] == [({"user": user, "key": "0"}, 90 * 86_400)]


@pytest.mark.parametrize("arguments", [[], ["/nowhere.json"], [str(HERE / "rules.yaml")], [str(HERE / "agent.json")]])
def test_a_wrong_snapshot_is_one_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert key_age.main(arguments) == 2
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)


@pytest.mark.slow
@pytest.mark.verify
@pytest.mark.promtool
@pytest.mark.parametrize("command", [["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]])
def test_promtool_finds_the_rules_right(command: list[str]) -> None:
    done = subprocess.run(["promtool", *command], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
