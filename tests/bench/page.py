"""`python -m tests.bench.page [--roles N]`: what a view costs an agent, beside the query behind it.

A world of N roles with 10 statements and 20 distinct usages each, in a real store. Printed for each view:
the bare query (the rows of evidence fetched by sqlite3 alone, which is what a page that kept no
comparison would begin with), the question alone (a pure function over the kept comparison), and the
server's whole time as HTML and as JSON, medians of interleaved rounds; and how much the page weighs.
The gate: a view takes at most twice the time of the bare query, and weighs at most 300 KB.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx

from credwatch_agent import web
from credwatch_agent.web import looks
from credwatch_agent.web.asking import asked
from credwatch_agent.web.state import Moment
from credwatch_agent.web.views import VIEWS, View
from tests.agent import pages
from tests.agent import worlds as w
from tests.bench.compare import fetch, name

RATIO = 2.0
WEIGHT_KB = 300.0


class Row(NamedTuple):
    """Milliseconds of one view, medians, and the kilobytes of all that a browser loads for it."""

    path: str
    query: float
    question: float
    html: float
    json: float
    weight: float

    @property
    def passed(self) -> bool:
        return self.html <= RATIO * self.query and self.json <= RATIO * self.query and self.weight <= WEIGHT_KB


def query_of(view: View, now: Moment) -> dict[str, str]:
    """What a view is asked: a role or workload in the middle, the worst finding."""
    middle = name(len(now.views) // 2)
    needed = {
        "/role": {"arn": w.role_arn(middle)},
        "/workload": {"name": f"{middle}/app"},
        "/finding": {"fingerprint": now.findings[0].fingerprint},
    }
    return needed.get(view.path, {})


def measure(roles: int, rounds: int) -> tuple[float, list[Row]]:
    """Return the seconds of the first comparison, and a row for each view."""
    with tempfile.TemporaryDirectory() as folder, pages.source_of(pages.huge(roles), Path(folder)) as source:
        begun = time.perf_counter()
        now = source()
        first = time.perf_counter() - begun
        page = web.create_page(source, web.Door(None))
        return first, asyncio.run(_rows(page, now, Path(folder) / "telemetry.db", rounds))


async def _rows(page: Callable[..., Awaitable[None]], now: Moment, db: Path, rounds: int) -> list[Row]:
    static = sum((looks.HERE / "static" / each).stat().st_size for each in looks.STATIC)
    took: dict[tuple[str, str], list[float]] = {}
    weights: dict[str, float] = {}
    transport = httpx.ASGITransport(page)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:

        async def get(path: str, query: dict[str, str]) -> int:
            answer = await client.get(path, params=query)
            answer.raise_for_status()
            return len(answer.content)

        for _ in range(rounds):
            for view in VIEWS:
                query = query_of(view, now)
                for kind, work in (("query", partial(fetch, db)), ("question", partial(ask, view, now, query))):
                    begun = time.perf_counter()
                    work()
                    took.setdefault((view.path, kind), []).append(time.perf_counter() - begun)
                for kind, path in (("html", view.path), ("json", view.api)):
                    begun = time.perf_counter()
                    size = await get(path, query)
                    took.setdefault((view.path, kind), []).append(time.perf_counter() - begun)
                    if kind == "html":
                        weights[view.path] = (size + static) / 1_000
    medians = {key: 1_000 * statistics.median(values) for key, values in took.items()}
    kinds = ("query", "question", "html", "json")
    return [
        Row(view.path, **{kind: medians[view.path, kind] for kind in kinds}, weight=weights[view.path])
        for view in VIEWS
    ]


def ask(view: View, now: Moment, query: dict[str, str]) -> object:
    return view.ask(now, asked(view.parameters, query), lambda _span: "")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.page", description=__doc__)
    parser.add_argument("--roles", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    first, rows = measure(given.roles, given.rounds)
    print(f"{given.roles:,} roles, {given.roles * 20:,} rows of evidence; first comparison {first:.1f} s")
    print(f"{'view':12}{'query ms':>10}{'question':>10}{'HTML':>8}{'JSON':>8}{'of query':>10}{'weight KB':>11}")
    for row in rows:
        ratio = max(row.html, row.json) / row.query
        word = "pass" if row.passed else "FAIL"
        print(
            f"{row.path:12}{row.query:10.1f}{row.question:10.1f}{row.html:8.1f}{row.json:8.1f}{ratio:9.2f}x"
            f"{row.weight:11.0f}  {word}"
        )
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
