"""Every source along every signing path: who signed is recorded, and each call once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recorder.matrix import cells, cloud
from tests.recorder.matrix.drivers import Driver
from tests.recorder.matrix.walk import Attach, make_world, walk


@pytest.fixture(scope="module")
def server() -> Iterator[cloud.Server]:
    with cloud.serving() as made:
        yield made


def _marks(cell: cells.Cell) -> list[pytest.MarkDecorator]:
    # each source and each path once in the fast run; all of them together are thousands of requests
    return [] if cell.path.name == "SigV4 header" or cell.source.name == "environment" else [pytest.mark.slow]


@pytest.mark.parametrize(
    "cell", [pytest.param(cell, id=cell.id, marks=_marks(cell)) for cell in cells.tested(cells.SYNC)]
)
def test_cell(
    cell: cells.Cell, server: cloud.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attach: Attach
) -> None:
    recorded, expected = walk(cell, make_world(server, tmp_path, monkeypatch), Driver(), attach)
    assert recorded == expected
