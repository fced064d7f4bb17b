"""`python -m tests.bench.compare [--roles N] [--rows N]`: what evidence costs, beside reading it from SQLite.

A world of roles with 10 statements each, evidence rows spread evenly over them, written through the
store. Printed: the floor (the same rows fetched by sqlite3 alone), the store's own reading, the join,
the comparison and the findings, at a half and at the whole of the size, so that the growth shows; the
same with a CloudTrail that saw as much again; then one role with 1,000 uses and 50 statements.
`make bench` prints it too.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from credwatch.semconv import Usage
from credwatch_agent import snapshot as s
from credwatch_agent.compare import RoleView, compare
from credwatch_agent.evidence import Joined, Settings, State, join
from credwatch_agent.findings import World, find
from credwatch_agent.records import NO_SECOND, Batch, Second, Telemetry, TrailUse, UsagePoint
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent import worlds as w

ACTIONS = ("s3:GetObject", "s3:PutObject", "sqs:SendMessage", "dynamodb:GetItem", "dynamodb:Query")
SERVICES = ("s3", "sqs", "dynamodb")
T = TypeVar("T")


class Cost(NamedTuple):
    """Seconds of processor time of each step over one size, and what came out."""

    roles: int
    rows: int
    floor: float
    read: float
    joined: float
    compared: float
    found: float
    used: int
    unused: int
    findings: int

    @property
    def ours(self) -> float:
        return self.joined + self.compared + self.found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roles", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=100_000)
    given = parser.parse_args()
    lines, _ = table(given.roles, given.rows)
    print(*lines, sep="\n")


def table(roles: int, rows: int) -> tuple[list[str], float]:
    """Return the lines of the table, and how many times as much twice the evidence costs."""
    measure(10, 100)  # imports and the catalogue of actions
    half, whole, more = measure(roles // 2, rows // 2), measure(roles, rows), measure(roles, rows, trail=True)
    return list(_lines(half, whole, more)), whole.ours / half.ours


def _lines(half: Cost, whole: Cost, more: Cost) -> Iterator[str]:
    heads = ("floor", "read", "join", "compare", "find")
    yield f"{'roles':>7}{'rows':>9}{''.join(f'{head:>9}' for head in heads)}{'µs a row':>10}{'of floor':>10}"
    yield _line(half)
    yield _line(whole)
    yield (
        f"twice the evidence costs {whole.ours / half.ours:.2f} times as much (linear: 2);"
        f" {whole.used:,} used, {whole.unused:,} unused, {whole.findings:,} findings"
    )
    yield f"{_line(more)}  with as many kinds of CloudTrail events"
    for uses in (500, 1_000):
        yield f"one role, {uses:,} uses x 50 statements: {one_role(uses):.3f} s"


def _line(cost: Cost) -> str:
    steps = (cost.floor, cost.read, cost.joined, cost.compared, cost.found)
    seconds = "".join(f"{step:>8.2f}s" for step in steps)
    return (
        f"{cost.roles:>7,}{cost.rows:>9,}{seconds}{cost.ours / cost.rows * 1e6:>10.1f}{cost.ours / cost.floor:>9.1f}x"
    )


def measure(roles: int, rows: int, *, trail: bool = False) -> Cost:
    """Return what each step costs for so many roles and evidence rows."""
    index = s.Index(snapshot(roles))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        with closing(SqliteStore.open(path)) as store:
            store.put(batches(roles, rows))
        floor, count = timed(lambda: fetch(path))
        with closing(SqliteStore.open(path, read_only=True)) as store:
            read, telemetry = timed(store.telemetry)
    assert count == len(telemetry.usage) == rows
    joining, joined = timed(lambda: join(telemetry, index, w.NOW - 90 * w.DAY))
    second = Second(tuple(events(roles, rows))) if trail else NO_SECOND
    comparing, views = timed(lambda: compared(index, joined, second))
    finding, findings = timed(lambda: find(World(index, telemetry, joined, views, w.NOW)))
    states = [grant.verdict.state for view in views for one in view.statements for grant in one.grants]
    counted = states.count(State.USED), states.count(State.UNUSED)
    return Cost(roles, rows, floor, read, joining, comparing, finding, *counted, len(findings))


def compared(index: s.Index, joined: Joined, second: Second = NO_SECOND) -> tuple[RoleView, ...]:
    return compare(index, joined, w.NOW, Settings(), lambda _action: True, second)


def timed(function: Callable[[], T]) -> tuple[float, T]:
    begin = time.process_time()
    result = function()
    return time.process_time() - begin, result


def fetch(path: Path) -> int:
    """Read every row of evidence with the standard library alone: the floor of any comparison."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(
            "SELECT process_id, text, start_ns, value, point.last_ns, exact FROM point"
            " JOIN process ON process.id = point.process JOIN attributes ON attributes.id = point.attributes"
        ).fetchall()
    return len(found)


# --- the world --------------------------------------------------------------------------------------


def name(role: int) -> str:
    return f"role{role}"


def snapshot(roles: int) -> s.Snapshot:
    made: list[s.Role] = []
    definitions: list[s.TaskDefinition] = []
    tasks: list[s.Task] = []
    for role in map(name, range(roles)):
        made.append(w.role(role, *(statement(i) for i in range(10))))
        part = w.ecs(role, w.role_arn(role))
        definitions += part["task_definitions"]
        tasks += part["tasks"]
    return w.snapshot(*made, task_definitions=tuple(definitions), tasks=tuple(tasks))


def statement(i: int) -> dict[str, Any]:
    return w.allow(
        f"S{i}", [*ACTIONS, "s3:DeleteObject"], *(f"arn:aws:{service}:::{i}-*" for service in SERVICES)
    )  # fmt: skip


def batches(roles: int, rows: int) -> Iterator[Batch]:
    for role in range(roles):
        process = w.task_process(name(role), name(role))
        points = tuple(point(role, i) for i in range(rows // roles))
        yield Batch(process.resource, points)


def point(role: int, i: int) -> UsagePoint:
    action = ACTIONS[i % len(ACTIONS)]
    service, _, operation = action.partition(":")
    usage = Usage(
        "ecs-task-role",
        credential_type="temporary",
        principal_arn=w.role_arn(name(role)),
        account_id=w.ACCOUNT,
        service=service,
        operation=operation,
        authorizations=((action, (f"arn:aws:{service}:::{i % 10}-{i}/*",)),),
        mapping="table",
        mapping_version="1",
        code_line=i,
    )
    return UsagePoint(name(role), usage, 10, w.BEGIN, w.NOW)


def events(roles: int, rows: int) -> Iterator[TrailUse]:
    """What CloudTrail would have seen of the same: the task's session, one kind of event a row."""
    for role in range(roles):
        for i in range(rows // roles):
            used = point(role, i).usage
            yield TrailUse(
                principal_arn=used.principal_arn,
                session=name(role),
                call=f"{used.service}:{used.operation}",
                authorizations=used.authorizations,
                detail="container",
                outcome="allowed",
                region="eu-west-1",
                hint="",
                invoked_by="",
                calls=10,
                first_ns=w.BEGIN,
                last_ns=w.NOW,
            )


def one_role(uses: int) -> float:
    """Return the seconds that one role with so many distinct uses and 50 statements takes."""
    statements = [w.allow(f"S{i}", [*ACTIONS, "s3:DeleteObject"], f"arn:aws:s3:::bucket-{i}-*") for i in range(50)]
    index = s.Index(w.snapshot(w.role(name(0), *statements), **w.ecs(name(0), w.role_arn(name(0)))))
    rows = tuple(w.call(name(0), "ecs-task-role", w.role_arn(name(0)), ACTIONS[i % 5],
                        resource=f"arn:aws:s3:::bucket-{i % 50}-{uses}-{i}/*") for i in range(uses))  # fmt: skip
    telemetry = Telemetry({name(0): w.task_process(name(0), name(0))}, rows, ())
    joined = join(telemetry, index, 0)
    return timed(lambda: compared(index, joined))[0]


if __name__ == "__main__":
    main()
