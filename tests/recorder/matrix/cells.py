"""The matrix itself: which cells exist, in which run each is tested, and why the others cannot be.

A cell is tested where no reason is given: the tests take their parameters from here, and
`docs/coverage-matrix.md` is generated from here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.recorder.matrix.paths import PATHS, Path
from tests.recorder.matrix.sources import SOURCES, Source

SYNC, ASYNC, CRT, ASYNC_CRT = "sync", "async", "crt", "async-crt"
TESTS = {
    SYNC: "tests/recorder/test_matrix.py::test_cell",
    ASYNC: "tests/recorder/matrix/in_async.py::test_cell",
    CRT: "tests/recorder/matrix/in_crt.py::test_cell",
    ASYNC_CRT: "tests/recorder/matrix/in_crt.py::test_async_cell",
}
"""Run -> the test that walks its cells. awscrt has runs of its own, for it changes how everything signs."""

UNSEEN = {
    "s3transfer by CRT (`boto3[crt]`, the AWS CLI)": (
        "signs in native code with keys that it asks of the session: no signer of botocore is called"
    ),
    "`SigV4Auth(...).add_auth(request)` called by the application": (
        "no client, no event and no signer; wrapping every signature class would double what clients sign"
    ),
    "another SDK or HTTP library (`requests` with `aws4auth`, Go, Java, the AWS CLI)": "not botocore in this process",
    "the request of a presigned URL": "whoever holds the URL sends it: the signature is counted as `signed`, once",
}
"""What signs and is not seen -> why. The agent compares with last-accessed data and key sightings of the fleet."""

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
    return cell.path.sync_only if run in (ASYNC, ASYNC_CRT) else ""


CELLS = tuple(Cell(source, path) for source in SOURCES for path in PATHS)


def tested(run: str) -> list[Cell]:
    """Return the cells of a run. How awscrt signs does not depend on the source: one of them walks all paths."""
    crt = run in (CRT, ASYNC_CRT)
    possible = (cell for cell in CELLS if not impossible(cell, run))
    return [c for c in possible if c.needs_crt == crt or (crt and c.source.name == "environment")]


def test_id(cell: Cell, *, asynchronous: bool) -> str:
    """Return the id of the test behind a cell."""
    runs = (ASYNC, ASYNC_CRT) if asynchronous else (SYNC, CRT)
    return f"{TESTS[runs[cell.needs_crt]]}[{cell.id}]"


# the paths on which a source could matter: another key signs, or no event announces the signature
_TELLING = frozenset({"S3 Express", "presigned SigV4", "CopySnapshot's second signature"})


def parameters(run: str) -> list[Any]:
    """Return the cells of a run as parameters of a test: each source and path in every run, all at full size."""
    return [pytest.param(cell, id=cell.id, marks=_marks(cell)) for cell in tested(run)]


def _marks(cell: Cell) -> list[pytest.MarkDecorator]:
    if cell.path.name in ("SigV4 header", "bearer header") or cell.source.name == "environment":
        return []
    return [pytest.mark.slow if cell.path.name in _TELLING else pytest.mark.verify]
