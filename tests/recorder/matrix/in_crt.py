"""The cells that need awscrt, and one source along every path with it; run by `tests/recorder/test_matrix.py`."""

from __future__ import annotations

import pytest

from tests.recorder.matrix import cells
from tests.recorder.matrix.drivers import AsyncDriver, Driver
from tests.recorder.matrix.sources import World
from tests.recorder.matrix.walk import Attach, walk


@pytest.mark.parametrize("cell", cells.parameters(cells.CRT))
def test_cell(cell: cells.Cell, world: World, attach: Attach) -> None:
    recorded, expected = walk(cell, world, Driver(), attach)
    assert recorded == expected


@pytest.mark.parametrize("cell", cells.parameters(cells.ASYNC_CRT))
def test_async_cell(cell: cells.Cell, world: World, attach: Attach) -> None:
    recorded, expected = walk(cell, world, AsyncDriver(), attach)
    assert recorded == expected
