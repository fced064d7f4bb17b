"""The matrix itself: which cells exist, in which run each is tested, and why the others cannot be.

A cell is tested where no reason is given: the tests take their parameters from here, and
`docs/coverage-matrix.md` is generated from here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.recorder.matrix.paths import PATHS, Path
from tests.recorder.matrix.sources import SOURCES, Source

SYNC, CRT, ASYNC = "sync", "crt", "async"
RUNS = {
    SYNC: "tests/recorder/test_matrix.py",
    CRT: "tests/recorder/matrix/in_crt.py",
    ASYNC: "tests/recorder/matrix/in_async.py",
}

# what an unsigned client can do: every path that is a request and not a signature
_UNSIGNED = frozenset(
    {"SigV4 header", "retries", "redirect to another region", "event stream", "paginator", "waiter", "resource",
     "s3transfer in threads"}
)  # fmt: skip


class Cell(NamedTuple):
    source: Source
    path: Path

    @property
    def id(self) -> str:
        return f"{self.source.name} - {self.path.name}"

    @property
    def needs_crt(self) -> bool:
        return self.source.needs_crt or self.path.needs_crt


def impossible(cell: Cell, run: str) -> str:
    """Return why a cell cannot be, or ""."""
    if cell.source.name == "bearer token" and cell.path.name != "bearer header":
        return "a bearer token signs nothing: it goes in a header of its own"
    if cell.path.name == "bearer header" and cell.source.name != "bearer token":
        return "these are keys: no bearer token is sent"
    if cell.source.name == "unsigned" and cell.path.name not in _UNSIGNED:
        return "an unsigned client makes no signature"
    if run == ASYNC:
        if cell.needs_crt:
            return "aiobotocore signs in Python: neither SigV4a nor `login` works without awscrt"
        return cell.path.sync_only
    return ""


CELLS = tuple(Cell(source, path) for source in SOURCES for path in PATHS)


def tested(run: str) -> list[Cell]:
    """Return the cells of a run; awscrt has one of its own, for it changes how everything signs."""
    return [c for c in CELLS if not impossible(c, run) and (c.needs_crt == (run == CRT) or (run == CRT and _crt(c)))]


# the paths on which a source could matter: another key signs, or no event announces the signature
_TELLING = frozenset({"S3 Express", "presigned SigV4", "CopySnapshot's second signature"})


def parameters(run: str) -> list[Any]:
    """Return the cells of a run as parameters of a test: each source and path in every run, all at full size."""
    return [pytest.param(cell, id=cell.id, marks=_marks(cell)) for cell in tested(run)]


def _marks(cell: Cell) -> list[pytest.MarkDecorator]:
    if cell.path.name in ("SigV4 header", "bearer header") or cell.source.name == "environment":
        return []
    return [pytest.mark.slow if cell.path.name in _TELLING else pytest.mark.verify]


def _crt(cell: Cell) -> bool:
    # how awscrt signs does not depend on the source: one of them walks all paths
    return cell.source.name == "environment"
