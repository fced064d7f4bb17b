"""The cells that need awscrt, and one source along every path with it; run by `tests/recorder/test_matrix.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recorder.matrix import cells, cloud
from tests.recorder.matrix.drivers import AsyncDriver, Driver
from tests.recorder.matrix.walk import Attach, make_world, walk


@pytest.fixture(scope="module")
def server() -> Iterator[cloud.Server]:
    with cloud.serving() as made:
        yield made


@pytest.mark.parametrize("cell", cells.parameters(cells.CRT))
def test_cell(
    cell: cells.Cell, server: cloud.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attach: Attach
) -> None:
    recorded, expected = walk(cell, make_world(server, tmp_path, monkeypatch), Driver(), attach)
    assert recorded == expected


@pytest.mark.parametrize("cell", cells.parameters(cells.ASYNC_CRT))
def test_async_cell(
    cell: cells.Cell, server: cloud.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attach: Attach
) -> None:
    recorded, expected = walk(cell, make_world(server, tmp_path, monkeypatch), AsyncDriver(), attach)
    assert recorded == expected
