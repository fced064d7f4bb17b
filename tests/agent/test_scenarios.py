"""Every finding: where it fires, where it must not, and where evidence is insufficient; nothing else is found."""

from __future__ import annotations

from collections import Counter

import pytest

from credwatch_agent.findings import RULES, Finding
from tests.agent import scenario as sc

EVERY = list(sc.scenarios())
KINDS = {"fires", "silent", "insufficient"}


def _subject(finding: Finding) -> str:
    """Return `role/NAME`, `role/NAME#POLICY/SID`, `key/NAME`, or the workload's own name."""
    if finding.kind == "workload":
        return finding.subject
    if finding.kind == "key":
        return f"key/{finding.subject}"
    arn, _, rest = finding.subject.partition(" policy ")
    role = f"role/{arn.rpartition('/')[2]}"
    return f"{role}#{rest.replace(' ', '/')}" if rest else role


def _said(finding: Finding) -> tuple[str, ...]:
    also = ", ".join(finding.also)
    return (finding.severity.value, finding.id, _subject(finding), finding.cause, also)


@pytest.mark.parametrize("one", EVERY, ids=[f"{each.rule}: {each.when}" for each in EVERY])
def test_a_scenario_has_its_findings_and_no_others(one: sc.Scenario) -> None:
    report = sc.report(one)
    named = {finding[1] for finding in one.findings} | {i for f in one.findings for i in f[4].split(", ")}
    assert (one.rule in named) is (one.kind == "fires") or one.kind == "insufficient", "the scenario contradicts itself"
    assert sorted(map(_said, report.findings)) == one.findings
    for part in one.unknown:
        assert any(part in sentence for sentence in report.unknown), report.unknown


def test_every_finding_has_scenarios_of_each_kind() -> None:
    counted = Counter((each.rule, each.kind) for each in EVERY)
    assert {each.kind for each in EVERY} == KINDS
    assert [(rule.id, kind) for rule in RULES for kind in sorted(KINDS) if not counted[rule.id, kind]] == []
    assert len(EVERY) >= 90
