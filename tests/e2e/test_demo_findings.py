"""The list that a report must reproduce: written out for the default world, computed for every other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from examples.demo.faults import FAULTS, PLANTED, expected, written
from examples.demo.nouns import Plan
from examples.demo.plan import FIRST, PARTS, plan
from examples.demo.variant import NAMES, variant

EXPECTED = Path(__file__).parents[2] / "examples" / "demo" / "expected.json"
SEEDS = range(20)


def names_of(built: Plan) -> set[str]:
    """Every subject that a finding about this world can have."""
    services = {f"service/{service.name}" for service in built.services}
    roles = {f"role/{role.name}" for role in built.roles}
    statements = {
        f"role/{role.name}#{policy}/{statement['Sid']}"
        for role in built.roles
        for policies in (role.managed, role.inline)
        for policy, listed in policies.items()
        for statement in listed
    }
    return services | roles | statements


def test_the_default_world_expects_what_is_written_down() -> None:
    assert EXPECTED.read_text(encoding="utf-8") == written(), "run `make docs`"
    assert json.loads(written())["findings"] == [finding.as_dict() for finding in expected()]


def test_a_smaller_world_expects_its_part() -> None:
    ids = {(finding.id, finding.cause) for finding in expected(services=FIRST)}
    assert ids == {
        ("admin-or-wildcard-statement", ""),
        ("task-using-instance-profile", "no-task-role"),
        ("unused-statement", ""),
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_belongs_to_a_service_and_is_found(fault: str) -> None:
    assert FAULTS[fault].service in PARTS
    assert FAULTS[fault].findings


@pytest.mark.parametrize("fault", [name for name, row in FAULTS.items() if row.removable])
def test_a_fault_changes_the_world_and_its_subjects_exist_there(fault: str) -> None:
    with_it, without = plan(faults=PLANTED | {fault}), plan(faults=PLANTED - {fault})
    assert with_it != without
    assert {finding.subject for finding in expected({fault})} <= names_of(with_it)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_variant_is_the_same_for_the_same_seed_and_keeps_no_name(seed: int) -> None:
    built, findings = variant(seed)
    assert (built, findings) == variant(seed)
    text = repr(built).replace("interpreter='async'", "")
    kept = [name for name in NAMES if re.search(rf"['/#]{re.escape(name)}['/#]", text)]
    assert kept == []
    assert {finding.subject for finding in findings} <= names_of(built)
    assert len(findings) == len({(finding.id, finding.subject) for finding in findings})


def test_variants_differ_in_names_order_and_faults() -> None:
    worlds = [variant(seed) for seed in SEEDS]
    assert len({repr(built) for built, _ in worlds}) == len(SEEDS)
    assert len({tuple(sorted(finding.id for finding in findings)) for _, findings in worlds}) > len(SEEDS) / 2
    for name, fault in FAULTS.items():
        ids = {finding.id for finding in fault.findings}
        assert any(ids <= {finding.id for finding in findings} for _, findings in worlds), name
