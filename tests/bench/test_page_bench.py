"""The page's benchmark runs and prints its table, and no view is too heavy; nothing here judges a time."""

from __future__ import annotations

import pytest

from credwatch_agent.web.views import VIEWS
from tests.bench import page


@pytest.mark.parametrize("roles", [10, pytest.param(2_000, marks=[pytest.mark.verify, pytest.mark.slow])])
def test_each_view_has_its_row_and_weighs_no_more_than_300_kilobytes(roles: int) -> None:
    _, rows = page.measure(roles, rounds=1)
    assert [row.path for row in rows] == [view.path for view in VIEWS]
    assert {row.path: row.weight for row in rows if row.weight > page.WEIGHT_KB} == {}


@pytest.mark.parametrize(
    ("html", "json", "weight", "passed"),
    [(20, 20, 300, True), (20.1, 1, 1, False), (1, 20.1, 1, False), (1, 1, 301, False)],
)
def test_a_row_passes_at_its_limits_and_not_above(html: float, json: float, weight: float, passed: bool) -> None:
    assert page.Row("/", 10, 1, html, json, weight).passed is passed
