"""What every finding keeps: one cause is one finding, ids and fingerprints stay, the order is fixed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from credwatch_agent.findings import RULES, Finding, Rule, Severity, Subject, find
from credwatch_agent.findings.grouping import fold


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
    ids = [r.id for r in RULES]
    assert len(ids) == len(set(ids))


def test_an_empty_world_is_clean() -> None:
    from tests.agent.worlds import snapshot, world

    assert find(world(snapshot())) == ()
