"""The demo worlds that several modules look at: each is played once, by one worker, for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.worlds import WORLDS, Played, played_out

# the plain world and the mended one are in `make test`, all in `make verify`
_NAMED = [pytest.param(name, marks=pytest.mark.verify if name.startswith("seed-") else ()) for name in WORLDS]


# `world=` makes one worker run all of its tests (tests/scheduling.py), so that no world is played twice
@pytest.fixture(scope="session", params=_NAMED, ids="world={}".format)
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with played_out(*WORLDS[request.param], tmp_path_factory.mktemp(request.param)) as played:
        yield played
