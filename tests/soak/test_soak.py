"""The soaks judge as they say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.soak.__main__ import main
from tests.soak.memory import flat


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([100] * 10, True), ([10, 50, 90, 100, 99, 101, 100], True), (list(range(100, 200)), False), ([100], True)],
)
def test_memory_is_flat_where_the_end_of_a_run_needs_no_more_than_its_warm_part(
    sizes: list[int], expected: bool
) -> None:
    assert flat(sizes) is expected


@pytest.mark.parametrize("arguments", [["unknown"], ["agent", "many"]])
def test_what_is_no_soak_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "usage: python -m tests.soak" in capsys.readouterr().err


@pytest.mark.verify
def test_the_recorder_is_exact_and_flat(
    capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> None:
    record_property("soak", "N = 40,000 calls")
    ended = main(["recorder", "40000"])
    printed = capsys.readouterr().out
    assert ended == 0, printed
