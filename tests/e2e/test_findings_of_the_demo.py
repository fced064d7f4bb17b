"""What the agent says of a world is exactly what was planted there: no fault missed, nothing more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from examples.demo import play
from examples.demo.faults import Finding
from examples.demo.plan import plan
from examples.demo.verdict import Verdict, reported, verdict
from tests.e2e.worlds import Played, played_out

pytestmark = pytest.mark.slow

CLEAN, FINDINGS = 0, 1


def test_the_report_says_exactly_what_was_planted(played: Played) -> None:
    play.snapshot(played.world, played.files)
    code, report = play.report(played.files)
    assert verdict(played.expected, report) == Verdict(missed=(), more=())
    assert code == FINDINGS
    assert {row["service"]: row["calls"] for row in report["services"]} == {
        name: sum(one.calls.values()) for name, one in played.finished.items()
    }


def test_a_world_with_nothing_wrong_yields_an_empty_list(tmp_path: Path) -> None:
    with played_out(plan(faults=(), services=["web", "async"]), (), tmp_path) as played:
        play.snapshot(played.world, played.files)
        code, report = play.report(played.files)
        assert (code, reported(report)) == (CLEAN, ())
        assert played.telemetry.usage


def test_a_verdict_tells_what_was_missed_from_what_is_too_much() -> None:
    known = Finding("task-using-instance-profile", "service/cron", "environment-stripped", ("unused-role",))
    found = {"id": known.id, "kind": "workload", "subject": "cron/cron", "cause": known.cause, "also": ["unused-role"]}
    assert verdict([known], {"findings": [found]}).exact
    assert verdict([], {"findings": [found]}) == Verdict((), (known,))
    assert verdict([known], {"findings": []}) == Verdict((known,), ())
    other = replace(known, cause="no-task-role")
    assert verdict([known], {"findings": [{**found, "cause": "no-task-role"}]}) == Verdict((known,), (other,))
    # one finding twice is one too many
    assert not verdict([known], {"findings": [found, found]}).exact
