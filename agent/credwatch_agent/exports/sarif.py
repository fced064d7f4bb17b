"""The findings as SARIF 2.1.0: for code scanning, located at the statements of policies.

A finding about a policy points at `Statement[i]`: in a file of the repository where one holds that policy, else
in the policy's own text, which the log then carries. Findings about workloads and keys point at a name.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from credwatch_agent.exports import statements
from credwatch_agent.exports.statements import Region
from credwatch_agent.findings import RULES, Finding, Rule, Severity
from credwatch_agent.findings.life import Standing, Status
from credwatch_agent.report import Report
from credwatch_agent.snapshot import Policy, Snapshot

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "3.0",
    Severity.INFO: "0.5",
}
"""`security-severity`, by which GitHub sorts: above 9 is critical, 7 high, 4 medium."""


def render(report: Report, snapshot: Snapshot, files: Mapping[str, str], version: str) -> str:
    """Return one SARIF log.

    `files` are policy documents of the repository, by their path in it; `version` is the agent's.
    """
    worst = _worst(report.findings)
    rules = [rule for rule in RULES if rule.id in worst]
    index = {rule.id: number for number, rule in enumerate(rules)}
    places = _Places(snapshot, files)
    results = [_result(one, report.life.of(one), report.now_ns, index[one.id], places) for one in report.findings]
    driver = {
        "name": "credwatch-agent",
        "version": version,
        "rules": [_rule(rule, worst[rule.id]) for rule in rules],
    }
    run: dict[str, Any] = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    if places.artifacts:
        run["artifacts"] = [
            {"location": {"uri": uri}, "contents": {"text": text}, "mimeType": "application/json"}
            for uri, text in places.artifacts.items()
        ]
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _worst(findings: Iterable[Finding]) -> dict[str, Severity]:
    found: dict[str, Severity] = {}
    for one in findings:
        found[one.id] = min(found.get(one.id, one.severity), one.severity, key=lambda severity: severity.rank)
    return found


def _rule(rule: Rule, worst: Severity) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.what},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.how_to_fix} How we know: {rule.how_we_know} See: {'; '.join(rule.references)}."},
        "defaultConfiguration": {"level": LEVELS[worst]},
        "properties": {"security-severity": SCORES[worst], "tags": ["security", "iam"]},
    }


def _result(one: Finding, stands: Standing, now_ns: int, rule: int, places: _Places) -> dict[str, Any]:
    lines = [
        f"{one.sentence}.",
        *(f"- {each}" for each in one.evidence),
        *(f"Fix: {fix.sentence}" for fix in one.fixes),
    ]
    result: dict[str, Any] = {
        "ruleId": one.id,
        "ruleIndex": rule,
        "level": LEVELS[one.severity],
        "message": {"text": "\n".join(lines)},
        "locations": [places.of(one)],
        # the second is the one that GitHub goes by; without it an edit above the statement makes a new alert
        "partialFingerprints": {"credwatch/v1": one.fingerprint, "primaryLocationLineHash": f"{one.fingerprint}:1"},
        "baselineState": "new" if stands.first_ns in (0, now_ns) else "unchanged",
        "properties": {"severity": one.severity.value, "status": stands.status.value, "subject": one.subject},
    }
    if stands.status is not Status.OPEN:
        by = stands.exemption
        why = f"{by.reason} ({by.owner}, until {by.expires})" if by else "adopted by a baseline"
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": why}]
    return result


# --- locations --------------------------------------------------------------------------------------


@dataclass
class _Places:
    """Finds locations; `artifacts` are the texts of policies that are in no file, by the URI that they get."""

    snapshot: Snapshot
    files: Mapping[str, str]
    artifacts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._policies = {(role.arn, each.name): each for role in self.snapshot.roles for each in role.policies}
        files = {path: text for path, text in sorted(self.files.items(), reverse=True) if statements.placed(text)}
        self._by_document = {_canonical(text): path for path, text in files.items()}
        # a name that policies of several roles have says nothing
        several = Counter(name for name, _ in {(each.name, each.document) for each in self._policies.values()})
        named = {re.sub(r".*/|\.[^./]*$", "", path): path for path in files}
        self._by_name = {name: path for name, path in named.items() if several[name] == 1}

    def of(self, one: Finding) -> dict[str, Any]:
        policy = self._policies.get((one.role_arn, one.policy))
        if policy is None or not policy.document:
            uri = _uri(one.kind.value, one.subject)
            return {"physicalLocation": {"artifactLocation": {"uri": uri}}, **_logical(one.subject, one.kind.value)}
        uri, text = self._text(one.role_arn, policy)
        physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
        name = f"{one.role_arn} policy {policy.name}"
        if one.statement >= 0:
            name += f" Statement[{one.statement}]"
            region = statements.find(text, _statement(policy, one.statement), one.statement)
            if region:
                physical["region"] = _region(region)
        return {"physicalLocation": physical, **_logical(name, "object")}

    def _text(self, role_arn: str, policy: Policy) -> tuple[str, str]:
        path = self._by_document.get(_canonical(policy.document)) or self._by_name.get(policy.name)
        if path:
            return path, self.files[path]
        uri = _uri("iam", role_arn.rpartition("/")[2], f"{policy.name}.json")
        return uri, self.artifacts.setdefault(uri, _laid_out(policy.document))


def _statement(policy: Policy, index: int) -> Mapping[str, Any]:
    every = statements.placed(policy.document)
    found = every[index].statement if index < len(every) else {}
    return found if isinstance(found, dict) else {}


def _canonical(text: str) -> str:
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except (ValueError, RecursionError):
        return text


def _laid_out(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    except (ValueError, RecursionError):
        return text


def _logical(name: str, kind: str) -> dict[str, Any]:
    return {"logicalLocations": [{"fullyQualifiedName": name, "kind": kind}]}


def _region(found: Region) -> dict[str, int]:
    return {
        "startLine": found.line,
        "startColumn": found.column,
        "endLine": found.end_line,
        "endColumn": found.end_column,
    }


def _uri(*parts: str) -> str:
    """Return a relative URI of names, whatever characters they have."""
    return "/".join(re.sub(r"[^A-Za-z0-9._-]+", "_", part) for part in parts)
