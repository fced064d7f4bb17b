"""How tests are dealt to workers: those that share something which takes seconds to start go to one of them."""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling


class Together(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives a worker all tests of one demo world, of one module in e2e and of the bench: what they share starts once.

    Those of ClickHouse too, whose engine takes 400 MB and is one a process.
    """

    def _split_scope(self, nodeid: str) -> str:
        world = re.search(r"\[(world=[a-z]+(-\d+)?)", nodeid)  # what follows may be another parameter
        if world:
            return world[1]
        if "clickhouse" in nodeid:
            return "clickhouse"
        return nodeid.partition("::")[0] if nodeid.startswith(("tests/e2e/", "tests/bench/")) else nodeid
