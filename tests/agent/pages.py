"""Data sets for tests of the page: real stores and snapshot files, and the page over them as a client sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from starlette.types import ASGIApp

from credwatch.semconv import RECORDER_CLOSED
from credwatch_agent import snapshot as s
from credwatch_agent import web
from credwatch_agent.access import Tokens
from credwatch_agent.evidence import Settings
from credwatch_agent.records import Batch, Health, Process, Span, UsagePoint, UsageRow
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent import worlds as w

TRACE_URL = "https://traces.example/trace/{trace_id}"
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Scene(NamedTuple):
    """A data set: what is granted, and what was reported. `snapshot` None: the agent has no snapshot."""

    snapshot: s.Snapshot | None
    batches: Sequence[Batch] = ()
    spans: Sequence[Span] = ()


def batch(process: Process, *rows: UsageRow) -> Batch:
    """What one process reports that ended in order."""
    points = tuple(UsagePoint(process.process_id, row.usage, row.calls, row.first_ns, row.last_ns) for row in rows)
    total = sum(row.calls for row in rows)
    closed = Health(process.process_id, RECORDER_CLOSED, total, process.first_ns, process.last_ns)
    return Batch(process.resource, points, health=(closed,))


def shop() -> Scene:
    """A task with a role of its own that is too wide, one that signs as its host, and a role that nobody used."""
    orders, host, idle = w.role_arn("orders"), w.role_arn("host"), w.role_arn("idle")
    first, second = w.ecs("orders", orders), w.ecs("thumbs", "")
    snapshot = w.snapshot(
        w.role("orders", w.allow("Data", "s3:*", "arn:aws:s3:::data/*"), w.allow("Queue", "sqs:SendMessage")),
        w.role("host", w.allow("Photos", ["s3:GetObject", "ecs:Poll"]), trusts=w.HOST_TRUST),
        w.role("idle", w.allow("Keys", ["iam:PutRolePolicy", "iam:PassRole"])),
        **{**first, **{key: (*first[key], *second[key]) for key in ("task_definitions", "tasks")}},
    )
    site = {"code_file": "/app/orders/storage.py", "code_line": 42, "code_function": "save"}
    span = Span(
        TRACE,
        "b7ad6b7169203331",
        "",
        "S3.PutObject",
        w.NOW - 10**9,
        w.NOW,
        {"credwatch.service": "s3", "credwatch.operation": "PutObject"},
        {"service.name": "orders"},
    )
    chained = w.chain(("ecs-task-role", orders))
    return Scene(
        snapshot,
        (
            batch(
                w.task_process("p-orders", "orders"),
                w.call("p-orders", "ecs-task-role", orders, "s3:PutObject", resource="arn:aws:s3:::data/*", **site),
                w.call("p-orders", "ecs-task-role", orders, "s3:GetObject", resource="arn:aws:s3:::data/*"),
                w.call("p-orders", "ecs-task-role", orders, "sns:Publish", outcome="denied"),
                w.call("p-orders", "assumed-role", idle, "iam:ListRoles", chain=chained, calls=3),
            ),
            batch(
                w.task_process("p-thumbs", "thumbs", "absent"),
                w.call("p-thumbs", "ec2-instance-profile", "host", "s3:GetObject", resource="arn:aws:s3:::photos/*",
                       principal_arn=host),
            ),
        ),
        (span,),
    )  # fmt: skip


def wildcard() -> Scene:
    """A role that may do everything, and was not seen to do anything."""
    return Scene(w.snapshot(w.role("everything", w.allow("All", "*"))))


def huge(roles: int) -> Scene:
    """So many roles, each with its workload."""
    from tests.bench import compare

    return Scene(compare.snapshot(roles), tuple(compare.batches(roles, roles * 20)))


EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>\u202eevil\x00\x1b[31m{{7*7}}'`javascript:alert(1)"


def hostile(name: str = EVIL) -> Scene:
    """A world in which everything that somebody else named is hostile."""
    arn = w.role_arn(name)
    place = w.ecs(name, arn, container=name)
    role = s.Role(
        arn,
        name,
        trust=w.trust(w.TASK_TRUST, name),
        policies=(w.policy(name, w.allow("Sid", [f"s3:{name}", "s3:*"], f"arn:aws:s3:::{name}")),
                  s.Policy(name + "2", "{")),
        boundary=f"arn:{name}",
        tags=((name, name), ("credwatch:window", name)),
    )  # fmt: skip
    process = w.task_process("p", name, container__name=name, service__name=name, credwatch__entry_point=name)
    more = {"code_file": f"/app/{name}", "code_line": 1, "code_function": name, "region": name}
    return Scene(
        w.snapshot(role, missing=(s.Missing("tasks", f"`{name}` was denied"),), **place),
        (
            batch(
                process,
                w.call("p", "ecs-task-role", arn, "s3:GetObject", resource=f"arn:aws:s3:::{name}/*", **more),
                w.call("p", "ecs-task-role", arn, f"s3:{name}", outcome="denied", operation=name, service=name),
                w.call("p", "assumed-role", f"arn:aws:iam::{w.ACCOUNT}:role/x{name}", "sqs:SendMessage",
                       chain=w.chain(("ecs-task-role", arn))),
            ),
        ),
    )  # fmt: skip


EMPTY = Scene(None)


@contextmanager
def source_of(scene: Scene, folder: Path, patience_s: float = 600) -> Iterator[web.Source]:
    """The moments of a data set: written to a real store and a real file."""
    path = folder / "snapshot.json"
    if scene.snapshot:
        s.save(scene.snapshot, path)
    with closing(SqliteStore.open(folder / "telemetry.db")) as store:
        store.put(scene.batches)
        store.put_spans(scene.spans)
        given = web.Given(path if scene.snapshot else None, Settings(), lambda _action: True)
        yield web.Source(store, given, lambda: w.NOW, patience_s)


class Client:
    """Asks an application without a network, and keeps its cookies; follows no redirect."""

    def __init__(self, application: ASGIApp, base_url: str = "http://127.0.0.1") -> None:
        self._application = application
        self._base_url = base_url
        self.cookies = httpx.Cookies()

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._application)
            async with httpx.AsyncClient(transport=transport, base_url=self._base_url, cookies=self.cookies) as client:
                answer = await client.request(method, path, **more)
                self.cookies = client.cookies
                return answer

        return asyncio.run(send())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)


@contextmanager
def client_of(scene: Scene, folder: Path, tokens: Callable[[], Tokens] | None = None) -> Iterator[Client]:
    """A client of the page over a data set."""
    with source_of(scene, folder) as source:
        page = web.create_page(source, web.Door(tokens), TRACE_URL)
        yield Client(page)
