"""The benchmark runs and prints its tables; limits in instructions hold. Nothing here judges a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import measure, policy
from tests.bench.__main__ import Gate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def printed() -> str:
    command = [sys.executable, "-m", "tests.bench", "--quick"]
    ended = subprocess.run(command, cwd=measure.ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode in {0, 1}, ended.stderr  # 1: a gate failed, which is the next test's
    return ended.stdout


def test_every_configuration_has_its_row_of_time(printed: str) -> None:
    rows = {line.rsplit(maxsplit=3)[0] for line in printed.splitlines() if line.count("%") == 1}
    assert {row for row in measure.ROWS if row != measure.AGAIN} | {"bare again (noise)"} <= rows


def test_a_machine_without_valgrind_is_told_what_was_not_measured(printed: str) -> None:
    assert ("NOT MEASURED: instructions" in printed) is not measure.valgrind()


@pytest.mark.xfail(reason="the ledger costs some 3 times its limit of 45 k instructions: docs/benchmarks.md")
def test_the_ledger_keeps_its_limit_of_instructions(printed: str) -> None:
    assert measure.valgrind(), "install valgrind: the ledger's limit was not measured"
    assert "pass  ledger, instructions" in printed


@pytest.mark.parametrize(
    ("measured", "passed"), [(44.9, True), (45.0, True), (45.1, False)], ids=["below", "at", "above"]
)
def test_a_gate_fails_above_its_limit_only(measured: float, passed: bool) -> None:
    assert Gate("ledger", measured, 45.0, "k").passed is passed


def test_the_account_of_the_policy_bench_is_read_whole_and_each_recommendation_is_proved(tmp_path: Path) -> None:
    took = policy.whole_account(policy.write_account(tmp_path, 5), 5)
    assert set(took) == {*policy.COMPARED, "recommend"}
