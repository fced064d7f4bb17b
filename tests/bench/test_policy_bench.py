"""What the policy bench's gates rest on holds at a small size, counted in calls: nothing here judges a time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from credwatch_agent.compare import compare
from credwatch_agent.evidence import Settings, join
from credwatch_agent.snapshot import Index, read_files
from tests.bench import policy
from tests.bench.account import DAY_NS, POLICIES, account, telemetry

pytestmark = pytest.mark.slow

CEILING = 18_000
"""Python calls a role to load, evaluate, compare and contain, with all that is read once: 13,800 where there are 40."""


def counted(work: Callable[[], object]) -> int:
    """Return how many Python functions work calls."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


def test_the_account_of_the_bench_is_wide_and_the_same_each_time() -> None:
    made, again = list(account(30)), list(account(30))
    assert made == again
    documents = {each.name: each.document for role in made for each in role.policies}
    assert len(documents) == 30 + 30 // POLICIES
    services = {action.partition(":")[0] for role in made for action, _ in role.calls}
    assert len(services) > 20


def test_an_account_is_read_whole_each_recommendation_is_proved_and_more_roles_cost_in_proportion(
    tmp_path: Path,
) -> None:
    calls: dict[int, int] = {}
    for roles in (20, 40):
        directory = policy.write_account(tmp_path, roles)
        assert {*policy.smaller(directory)} == {"recommend"}
        calls[roles] = counted(partial(policy.whole_account, directory))
    assert calls[40] <= 40 * CEILING
    assert calls[40] <= policy.LINEAR_SLACK * 2 * calls[20]


def test_roles_with_the_same_gaps_share_the_grants_that_nobody_used(tmp_path: Path) -> None:
    directory = policy.write_account(tmp_path, 12)
    index = Index(read_files([directory / "details.json"], 0))
    views = compare(index, join(telemetry([]), index, 0), 90 * DAY_NS, Settings(), lambda _action: True)
    of_policy: dict[tuple[str, int], set[int]] = {}
    for view in views:
        for each in view.statements:
            if each.policy.arn:
                of_policy.setdefault((each.policy.arn, each.statement.index), set()).add(id(each.grants))
    assert of_policy
    assert all(len(tuples) == 1 for tuples in of_policy.values())
