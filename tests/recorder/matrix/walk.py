"""Walks one cell: prepares the source's world, signs along the path, and compares all that was recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from credwatch.semconv import Hop, Usage
from tests.recorder.matrix.cells import Cell
from tests.recorder.matrix.cloud import Cloud, Server, route_link_local
from tests.recorder.matrix.drivers import Driver
from tests.recorder.matrix.sources import Expected, World
from tests.recorder.support import Recording

Attach = Callable[..., Recording]


def make_world(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world without credentials, in which every endpoint is the server."""
    server.cloud = Cloud()
    world = World(server, home, monkeypatch)
    route_link_local(monkeypatch, server)
    for provider in ("botocore.credentials.SSOProvider", "botocore.tokens.SSOTokenProvider"):
        monkeypatch.setattr(f"{provider}._SSO_TOKEN_CACHE_DIR", str(home / "sso"))
    # botocore's two ways to wait before it tries again
    monkeypatch.setattr("botocore.retryhandler.delay_exponential", lambda *_, **__: 0)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    # one environment for botocore and for the recorder
    world.set(
        AWS_CONFIG_FILE=str(home / "config"),
        AWS_SHARED_CREDENTIALS_FILE=str(home / "credentials"),
        AWS_LOGIN_CACHE_DIRECTORY=str(home / "login"),
        AWS_DEFAULT_REGION="eu-west-1",
        AWS_ENDPOINT_URL=server.url,
    )
    return world


Recorded = dict[tuple[str, str], list[tuple[Expected, int]]]
"""(operation, outcome) -> whose credentials, and how many calls."""


def walk(cell: Cell, world: World, driver: Driver, attach: Attach) -> tuple[Recorded, Recorded]:
    """Walk a cell; return what was recorded of the path's calls and what should have been."""
    row = cell.source.prepare(world)
    driver.profile = world.profile
    recording = attach(environ=world.environ)

    async def steps() -> dict[tuple[str, str], int]:
        await cell.source.take(world, driver)
        return dict(await cell.path.walk(driver, world.server.cloud, world.options))

    calls = driver.run(steps())
    recorded: Recorded = {}
    for usage, number in recording.exported().items():
        if (usage.operation, usage.outcome) in calls:
            recorded.setdefault((usage.operation, usage.outcome), []).append((told(usage), number))
    return recorded, {name: [(_expected(row, cell, name[0]), number)] for name, number in calls.items()}


def told(usage: Usage) -> Expected:
    """Return what a usage says of its credentials."""
    return Expected(
        usage.source,
        usage.provider,
        usage.credential_type,
        usage.principal,
        usage.account_id,
        usage.chain,
        usage.laundered,
        usage.instance_profile_arn,
    )


def _expected(row: Expected, cell: Cell, operation: str) -> Expected:
    if not cell.path.session_key or operation == "CreateSession":
        return row
    chain = (Hop(row.source, row.principal), *row.chain)
    return Expected("s3-express-session", "s3-express-session", "temporary", chain=chain)
