"""The benchmark of evidence runs and prints its table; nothing here judges a time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.bench import measure

pytestmark = pytest.mark.slow


def test_each_size_has_its_row_and_every_evidence_row_is_compared() -> None:
    command = [sys.executable, "-m", "tests.bench.compare", "--roles", "4", "--rows", "200"]
    printed = subprocess.run(command, cwd=measure.ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split()[:2] for line in printed.splitlines()[1:3]] == [["2", "100"], ["4", "200"]]
    assert "40 used, 200 unused, 80 findings" in printed
    assert "with as many kinds of CloudTrail events" in printed
    assert "one role, 1,000 uses x 50 statements" in printed
