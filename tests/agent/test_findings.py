"""What every finding keeps: one cause is one finding, ids and fingerprints stay, the order is fixed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credwatch_agent.findings import RULES, Finding, Rule, Severity, Subject, find
from credwatch_agent.findings.grouping import fold
from credwatch_agent.snapshot import Snapshot
from tests.agent.worlds import snapshot, world


def finding(name: str, subject: str = "a", **more: object) -> Finding:
    return replace(Finding(name, Severity.HIGH, Subject.WORKLOAD, subject, "s"), **more)  # type: ignore[arg-type]


def rule(name: str, *absorbs: str) -> Rule:
    return Rule(name, "high", lambda _world: (), "", "", "", "", absorbs=frozenset(absorbs))


TABLE = [rule("cause", "effect", "unused"), rule("effect", "trace"), rule("unused"), rule("trace")]


@pytest.mark.parametrize(
    ("found", "left"),
    [
        ([finding("cause"), finding("effect")], {("cause", "a"): ("effect",)}),
        ([finding("cause"), finding("effect", "b")], {("cause", "a"): (), ("effect", "b"): ()}),
        ([finding("cause", related=("r",)), finding("unused", "r")], {("cause", "a"): ("unused",)}),
        ([finding("effect"), finding("unused")], {("effect", "a"): (), ("unused", "a"): ()}),
        ([finding("cause"), finding("effect"), finding("trace")], {("cause", "a"): ("effect", "trace")}),
    ],
)
def test_what_follows_from_a_cause_is_listed_with_it(
    found: list[Finding], left: dict[tuple[str, str], tuple[str, ...]]
) -> None:
    assert {(f.id, f.subject): f.also for f in fold(found, TABLE)} == left


def test_a_fingerprint_stays_while_the_same_thing_is_wrong() -> None:
    first = finding("cause", cause="c", last_ns=1, evidence=("1 call",))
    assert first.fingerprint == replace(first, last_ns=2, evidence=("2 calls",), severity=Severity.LOW).fingerprint
    others = [replace(first, subject="b"), replace(first, cause="d"), replace(first, id="effect")]
    assert len({first.fingerprint, *(f.fingerprint for f in others)}) == 4


def test_ids_are_unique_and_what_a_rule_absorbs_exists() -> None:
    ids = [each.id for each in RULES]
    assert len(ids) == len(set(ids))
    assert set().union(*(each.absorbs for each in RULES)) <= set(ids)


@pytest.mark.parametrize("each", RULES, ids=[each.id for each in RULES])
def test_every_rule_is_documented(each: Rule) -> None:
    for text in (each.severity, each.what, each.why, each.how_we_know, each.how_to_fix, *each.references):
        assert text.strip()
    assert each.references
    page = (Path(__file__).parents[2] / "docs" / "findings.md").read_text(encoding="utf-8")
    assert f"\n## {each.id}\n" in page


def test_the_worse_severity_of_cause_and_effect_stays() -> None:
    absorbed = finding("effect", severity=Severity.CRITICAL)
    (found,) = fold([finding("cause"), absorbed], TABLE)
    assert found.severity is Severity.CRITICAL


def test_details_of_one_subject_are_told_apart() -> None:
    found = [finding("cause", detail="x"), finding("effect", detail="x"), finding("effect", detail="y")]
    assert [(f.id, f.detail, f.also) for f in fold(found, TABLE)] == [("cause", "x", ("effect",)), ("effect", "y", ())]


def test_an_empty_world_is_clean() -> None:
    assert find(world(snapshot())) == ()


def test_any_snapshot_is_judged_without_an_exception() -> None:
    @given(st.from_type(Snapshot))
    @settings(max_examples=20)
    def law(snap: Snapshot) -> None:
        assert all(each.sentence and each.subject for each in find(world(snap)))

    law()
