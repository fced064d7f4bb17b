"""The law of every store: the truth rule, against a model that is a plain dictionary."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import clickhouse_connect
import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from credwatch import semconv
from credwatch.semconv import Usage
from credwatch_agent.records import (
    Batch,
    Health,
    KeySighting,
    Process,
    Seen,
    Span,
    SpanValue,
    Telemetry,
    UsagePoint,
    UsageRow,
)
from credwatch_agent.store import MAX_SEEN, MAX_SPANS, Store, StoreError, clickhouse_schema, postgres
from credwatch_agent.store import texts as store_texts
from credwatch_agent.store.clickhouse import ClickHouseStore
from credwatch_agent.store.postgres import PostgresStore
from credwatch_agent.store.reduce import TOTAL
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.databases import administered
from tests.recorder.test_semconv import usages

BIGGEST = 2**63 - 1

processes = st.sampled_from(["p", "q"])
starts = st.integers(0, 2)
lengths = st.integers(0, 3)
values = st.integers(0, 4) | st.just(BIGGEST)
some_usages = st.sampled_from([Usage("explicit"), Usage("explicit", operation="GetObject"), Usage("sso")])


@st.composite
def usage_points(draw: st.DrawFn) -> UsagePoint:
    start = draw(starts)
    return UsagePoint(
        draw(processes), draw(some_usages), draw(values), start, start + draw(lengths), draw(st.booleans())
    )


@st.composite
def sightings(draw: st.DrawFn) -> KeySighting:
    first, pseudonym = draw(starts), draw(st.sampled_from(["a", "b"]))
    last = first + draw(lengths)
    return KeySighting(
        draw(processes), pseudonym, "sso", "sso", "temporary", False, "arn", "1", draw(values), first, last
    )


@st.composite
def health(draw: st.DrawFn) -> Health:
    start, metric = draw(starts), draw(st.sampled_from([semconv.RECORDER_UP, semconv.RECORDER_CLOSED]))
    return Health(draw(processes), metric, draw(values), start, start + draw(lengths))


batches = st.builds(
    Batch,
    resource=st.dictionaries(st.sampled_from(["host.id", "service.name"]), st.sampled_from(["a", "b\ud7ff\0"])),
    usage=st.lists(usage_points(), max_size=4).map(tuple),
    keys=st.lists(sightings(), max_size=2).map(tuple),
    health=st.lists(health(), max_size=2).map(tuple),
)


Observed = tuple[str, object, int, int, int, bool, Batch]


def observations(sent: Iterable[Batch]) -> list[Observed]:
    """Every point as (process, what, start, time, value, exact, batch)."""
    seen: list[Observed] = []
    for batch in sent:
        seen += [(u.process_id, u.usage, u.start_ns, u.time_ns, u.value, u.exact, batch) for u in batch.usage]
        for key in batch.keys:
            identity = dataclasses.replace(key, value=0, first_ns=0, last_ns=0)
            seen.append((key.process_id, identity, key.first_ns, key.last_ns, key.value, True, batch))
        seen += [(h.process_id, h.metric, h.start_ns, h.time_ns, h.value, True, batch) for h in batch.health]
    return seen


def model(sent: Iterable[Batch], since_ns: int = 0) -> Telemetry:
    """The truth rule in the words of the design, with no regard to speed."""
    seen = observations(sent)

    def calls(process: str, what: object) -> int:
        best: dict[int, int] = {}
        for p, w, start, _, value, _, _ in seen:
            if (p, w) == (process, what):
                best[start] = max(best.get(start, 0), value)
        return sum(best.values())

    found: dict[str, Process] = {}
    rows: list[UsageRow] = []
    keys: list[KeySighting] = []
    for process in {entry[0] for entry in seen}:
        own = [entry for entry in seen if entry[0] == process]
        for what in {entry[1] for entry in own}:
            points = [entry for entry in own if entry[1] == what]
            first, last = min(e[2] for e in points), max(e[3] for e in points)
            if last >= since_ns and isinstance(what, Usage):
                rows.append(UsageRow(process, what, calls(process, what), first, last, all(e[5] for e in points)))
            if last >= since_ns and isinstance(what, KeySighting):
                keys.append(dataclasses.replace(what, value=calls(process, what), first_ns=first, last_ns=last))
        latest = max(e[3] for e in own)
        described = max((e[6].resource for e in own if e[3] == latest), key=texts)
        closed = calls(process, semconv.RECORDER_CLOSED)
        has_closed = any(e[1] == semconv.RECORDER_CLOSED for e in own)
        if latest >= since_ns:
            found[process] = Process(process, described, min(e[2] for e in own), latest, closed if has_closed else None)
    return Telemetry(found, tuple(rows), tuple(keys))


def texts(resource: object) -> str:
    return json.dumps(resource, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def comparable(telemetry: Telemetry) -> object:
    return dict(telemetry.processes), sorted(map(repr, telemetry.usage)), sorted(map(repr, telemetry.keys))


class Kind(Protocol):
    """Makes stores of one kind; `fresh` gives an empty one, `again` the same one opened anew."""

    def fresh(self) -> Store: ...

    def again(self) -> Store: ...

    def count(self, table: str) -> int: ...


class Sqlite:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number = 0

    def fresh(self) -> Store:
        self._number += 1
        return self.again()

    def again(self) -> Store:
        return SqliteStore.open(self._directory / f"{self._number}.db")

    def count(self, table: str) -> int:
        with closing(sqlite3.connect(self._directory / f"{self._number}.db")) as connection:
            found: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return found


class Postgres:
    """A real server; a fresh store is one whose tables were emptied."""

    def __init__(self, url: str, admin: psycopg.Connection[Any]) -> None:
        self.url = url
        self.admin = admin
        # a contract of answers, not of disks
        admin.execute("ALTER SYSTEM SET fsync = off")
        admin.execute("SELECT pg_reload_conf()")
        PostgresStore.open(url).close()

    def fresh(self) -> Store:
        self.admin.execute("TRUNCATE credwatch.point, credwatch.attributes, credwatch.process, credwatch.span")
        return self.again()

    def again(self) -> Store:
        return PostgresStore.open(self.url)

    def count(self, table: str) -> int:
        (found,) = self.admin.execute(f"SELECT count(*) FROM credwatch.{table}").fetchone() or (0,)
        return int(found)

    def disconnect_all(self) -> None:
        self.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
        )


class ClickHouse:
    """The real engine, in this process; a fresh store is one whose tables were emptied."""

    COUNTED: Mapping[str, str] = {
        "process": "point WHERE kind IN ('process', 'sealed', 'folded')",
        "point": "point WHERE kind IN ('usage', 'key', 'health')",
        "attributes": "(SELECT DISTINCT kind, text FROM credwatch.point WHERE kind IN ('usage', 'key', 'health'))",
    }

    def __init__(self, directory: Path) -> None:
        self.location = f"chdb://{directory}"
        self.again().close()
        self.admin: Client = clickhouse_connect.get_client(interface="chdb", path=str(directory), database="credwatch")
        # a contract of answers, not of disks
        for table in ("point", "span", "kept"):
            self.admin.command(f"ALTER TABLE {table} MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0")

    def fresh(self) -> Store:
        for table in ("span", "point", "kept"):
            self.admin.command(f"TRUNCATE TABLE {table}")
        rows = f"('schema', '', {clickhouse_schema.SCHEMA}), ('store', 'an id', 0)"
        self.admin.command(f"INSERT INTO point (kind, text, value) VALUES {rows}")
        return self.again()

    def again(self) -> Store:
        return ClickHouseStore.open(self.location)

    def count(self, table: str) -> int:
        found: int = self.admin.query(f"SELECT count() FROM {self.COUNTED[table]}").result_rows[0][0]
        return found


@pytest.fixture(
    scope="module",
    # deletions of ClickHouse take long: a part of the contract is in test_store_clickhouse
    params=[
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.slow),
        pytest.param("clickhouse", marks=pytest.mark.verify),
    ],
)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kind]:
    directory = tmp_path_factory.mktemp("stores")
    if request.param == "sqlite":
        yield Sqlite(directory)
        return
    if request.param == "clickhouse":
        engine = ClickHouse(directory / "data")
        yield engine
        engine.admin.close()
        return
    with administered(directory) as server:
        yield Postgres(*server)


@settings(max_examples=20)
@given(st.lists(batches, max_size=4), st.data(), st.integers(0, 4))
def test_replays_duplicates_and_reordering_change_nothing(
    kind: Kind, sent: list[Batch], data: st.DataObject, since_ns: int
) -> None:
    again = data.draw(st.lists(st.sampled_from(sent), max_size=4)) if sent else []
    shuffled = data.draw(st.permutations(sent + again))
    with closing(kind.fresh()) as store:
        for batch in shuffled:
            store.put([batch])
        assert comparable(store.telemetry(since_ns)) == comparable(model(sent, since_ns))
    with closing(kind.again()) as store:
        store.put(sent)
        assert comparable(store.telemetry(since_ns)) == comparable(model(sent, since_ns))


def everything(store: Store) -> object:
    """All points and descriptions, in no order."""
    held = list(store.batches())
    return sorted(repr((b.resource, p)) for b in held for p in (*b.usage, *b.keys, *b.health))


@settings(max_examples=10)
@given(st.lists(batches, max_size=4))
def test_what_a_store_gives_makes_another_equal(kind: Kind, sent: list[Batch]) -> None:
    with closing(kind.fresh()) as store:
        store.put(sent)
        with TemporaryDirectory() as directory:
            other = SqliteStore.open(Path(directory, "db"))
            other.put(store.batches())
            assert comparable(other.telemetry()) == comparable(store.telemetry()) == comparable(model(sent))
            assert everything(other) == everything(store)
            other.close()


DAY = 86_400 * 10**9


def in_all(telemetry: Telemetry) -> dict[str, int]:
    """Calls of each usage and key, whichever process made them."""
    found: Counter[str] = Counter()
    for row in telemetry.usage:
        found[repr(row.usage)] += row.calls
    for key in telemetry.keys:
        found[repr(dataclasses.replace(key, process_id="", value=0, first_ns=0, last_ns=0))] += key.value
    return found


small_batches = batches.map(
    lambda batch: dataclasses.replace(  # sums of the greatest values are capped
        batch,
        usage=tuple(p._replace(value=min(p.value, 9)) for p in batch.usage),
        keys=tuple(dataclasses.replace(k, value=min(k.value, 9)) for k in batch.keys),
    )
)


@settings(max_examples=20)
@given(st.lists(small_batches, max_size=4), st.lists(small_batches, max_size=2), st.data(), st.integers(0, 7))
def test_folded_processes_keep_their_totals_and_late_replays_change_nothing(
    kind: Kind, sent: list[Batch], more: list[Batch], data: st.DataObject, before_ns: int
) -> None:
    with closing(kind.fresh()) as store:
        store.put(sent)
        was = store.telemetry()
        folded = {p.process_id for p in was.processes.values() if p.last_ns < before_ns}
        assert store.retain(before_ns, 0).folded == len(folded)
        now = store.telemetry()
        assert in_all(now) == in_all(was)
        assert not folded & now.processes.keys()
        kept = was.processes.keys() - folded
        assert {p: now.processes[p] for p in kept} == {p: was.processes[p] for p in kept}

        again = data.draw(st.permutations(sent))
        late = sum(entry[0] in folded for entry in observations(again))
        assert store.put(again) == late
        assert comparable(store.telemetry()) == comparable(now)
        assert store.retain(0, 0) == (0, 0)
        # what is folded later goes into the same totals
        store.put(more)
        live = in_all(store.telemetry())
        store.retain(DAY, 0)
        assert in_all(store.telemetry()) == live
        assert len(store.telemetry().processes) == len({p for p in store.telemetry().processes if p.startswith(TOTAL)})


def test_totals_are_of_one_workload_and_day_and_exact_where_all_processes_ended(store: Store) -> None:
    for process, host, start, closed in [
        ("a", "h1", 5, 3),
        ("b", "h2", 6, 4),
        ("c", "h1", 7, None),
        ("d", "h1", DAY, 2),
    ]:
        health = (Health(process, semconv.RECORDER_CLOSED, closed, start, start + 1),) if closed else ()
        points = (UsagePoint(process, Usage("sso"), closed or 1, start, start + 1),)
        store.put([Batch({"service.name": "orders", "host.id": host}, points, health=health, claimed=process == "d")])
    store.retain(DAY + 9, 0)
    processes = store.telemetry().processes.values()
    found = sorted((p.first_ns, p.last_ns, p.closed or 0, p.claimed, dict(p.resource)) for p in processes)
    orders = {"service.name": "orders"}
    assert found == [(0, 7, 7, False, orders), (0, 8, 0, False, orders), (DAY, DAY + 1, 2, True, orders)]
    assert store.summary() == (3, {semconv.RECORDER_CLOSED: 9})


def test_totals_and_tombstones_move_to_another_store_and_again(store: Store, tmp_path: Path) -> None:
    def sent(process: str) -> Batch:
        return Batch({"service.name": "orders"}, (UsagePoint(process, Usage("sso"), 3, 1, 2),), claimed=True)

    other = SqliteStore.open(tmp_path / "other.db")
    other.put([sent("a")])  # it knows one of them by itself
    for process in ("a", "b"):
        store.put([sent(process)])
        store.retain(DAY, 0)
        for _ in range(2):
            other.put(store.batches())
    other.put([sent("a"), sent("b")])
    assert comparable(other.telemetry()) == comparable(store.telemetry())
    assert [(row.calls, row.exact) for row in other.telemetry().usage] == [(6, True)]
    other.close()


def test_what_is_forgotten_leaves_no_row_behind(kind: Kind, store: Store) -> None:
    def sent(process: str, operation: str, at: int) -> Batch:
        return Batch({}, (UsagePoint(process, Usage("sso", operation=operation), 3, at, at),))

    for round_ in range(3):
        at = round_ * DAY
        store.put([sent(f"p{round_}", f"Op{round_}", at), sent("always", "Same", at)])
        store.retain(at, at - DAY)
    assert kind.count("attributes") == 3
    assert store.retain(10 * DAY, 10 * DAY).forgotten == 3
    assert [kind.count(table) for table in ("process", "point", "attributes")] == [0, 0, 0]
    # a cached id of attributes that are gone is not used again
    store.put([sent("p", "Same", 1)])
    assert [row.calls for row in store.telemetry().usage] == [3]


def test_a_kept_text_is_amended_as_a_whole_or_not_at_all(kind: Kind, store: Store) -> None:
    assert store.kept("findings") == ""
    assert store.amend("findings", lambda text: text + "a") == "a"
    other = kind.again()
    assert other.amend("findings", lambda text: text + "ß\n") == "aß\n"

    def refused(_text: str) -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.amend("findings", refused)
    assert (store.kept("findings"), store.kept("other")) == ("aß\n", "")
    store.amend("b", str.upper)
    assert store.kept_names() == ("b", "findings")
    other.close()


def test_what_another_agent_deleted_is_interned_anew(kind: Kind, store: Store) -> None:
    store.put([Batch({}, (UsagePoint("p", Usage("sso"), 3, 1, 2),))])
    other = kind.again()
    other.retain(DAY, DAY)
    other.put([Batch({}, (UsagePoint("q", Usage("explicit"), 9, 1, 2),))])
    other.close()
    store.put([Batch({}, (UsagePoint("r", Usage("sso"), 4, 1, 2),))])
    assert sorted((row.usage.source, row.calls) for row in store.telemetry().usage) == [("explicit", 9), ("sso", 4)]


@pytest.fixture
def store(kind: Kind) -> Iterator[Store]:
    opened = kind.fresh()
    yield opened
    opened.close()


@settings(max_examples=20)
@given(st.lists(usages, max_size=5, unique=True))
def test_every_usage_comes_back_as_it_was(kind: Kind, kept: list[Usage]) -> None:
    with closing(kind.fresh()) as store:
        store.put([Batch({}, tuple(UsagePoint("p", usage, 1, 1, 2) for usage in kept))])
        assert {row.usage for row in store.telemetry().usage} == set(kept)


def test_a_put_that_fails_keeps_none_of_its_batches(store: Store) -> None:
    good = Batch({}, (UsagePoint("p", Usage("sso"), 1, 1, 2),))
    bad = Batch({}, (UsagePoint("q", Usage("explicit"), 2**63, 1, 2),))
    with pytest.raises((OverflowError, StoreError)):
        store.put([good, bad])
    assert store.telemetry().processes == {}
    # what was interned in the transaction that failed is interned anew
    store.put([good])
    assert [row.calls for row in store.telemetry().usage] == [1]


def test_a_process_is_found_by_its_id_and_by_its_fingerprint(store: Store) -> None:
    def sent(process: str, mark: str, at: int, calls: int, closed: int | None = None) -> Batch:
        health = (Health(process, semconv.RECORDER_CLOSED, closed, at, at + 2),) if closed else ()
        points = tuple(UsagePoint(process, usage, calls, at, at + 2) for usage in (Usage("sso"), Usage("explicit")))
        again = UsagePoint(process, Usage("sso"), 1, at + 1, at + 1)
        return Batch({semconv.PROCESS_FINGERPRINT: mark, "x": "\0"}, (*points, again), health=health)

    # longer than an entry of most indexes may be, and what must be escaped
    long = '\\"\0' + "m" * 9_000
    store.put([sent("long", long, 5, 1)])
    assert [found.process.process_id for found in store.seen(fingerprint=long)] == ["long"]
    # what only looks like the entry, within a value
    trap = Batch({"a": f'"{semconv.PROCESS_FINGERPRINT}":"m"'}, (UsagePoint("trap", Usage("sso"), 1, 1, 2),))
    store.put([sent("a", "m", 10, 3), sent("b", "m", 20, 4, closed=9), sent("c", "mm", 30, 5), trap])
    known = store.telemetry().processes
    assert store.seen(process_id="a") == (Seen(known["a"], 7),)
    assert store.seen(fingerprint="m") == (Seen(known["b"], 9), Seen(known["a"], 7))
    assert known["b"].closed == 9
    assert store.seen(process_id="m") == store.seen(fingerprint="a") == store.seen(fingerprint="%") == ()
    store.retain(DAY, 0)
    [found] = store.seen(process_id="a")
    assert (found.process.process_id, found.calls, found.folded) == ("a", 0, True)
    assert store.seen(fingerprint="m") == ()


def span(number: int, trace: int = 1) -> Span:
    attributes: dict[str, SpanValue] = {semconv.SOURCE: "sso", semconv.ACTIONS: ("s3:GetObject",), semconv.CODE_LINE: 3}
    return Span(f"{trace:032x}", f"{number:016x}", "", "S3.GetObject", number, number + 1, attributes, {"a": "b"})


def test_spans_come_back_once_by_trace_and_in_order(store: Store) -> None:
    store.put_spans([span(3), span(1), span(2, trace=2)])
    store.put_spans([span(1), span(3)])
    assert store.spans() == (span(1), span(2, trace=2), span(3))
    assert store.spans(f"{2:032x}") == (span(2, trace=2),)
    assert store.spans(f"{3:032x}") == ()
    assert store.spans(limit=1) == (span(2, trace=2),)


def test_only_the_latest_spans_are_kept(store: Store) -> None:
    store.put_spans(span(number) for number in range(1, MAX_SPANS + 1))
    store.put_spans([span(MAX_SPANS + 1), span(MAX_SPANS + 2)])
    kept = store.spans()
    assert (len(kept), kept[0], kept[-1]) == (MAX_SPANS, span(3), span(MAX_SPANS + 2))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
def test_a_database_of_each_older_schema_keeps_its_counts(kind: Postgres) -> None:
    resource, usage = texts({semconv.PROCESS_FINGERPRINT: "f"}), store_texts.from_usage(Usage("sso"))
    for schema in range(1, postgres.SCHEMA):
        kind.admin.execute("DROP SCHEMA credwatch CASCADE; CREATE SCHEMA credwatch; SET search_path = credwatch")
        kind.admin.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        kind.admin.execute("INSERT INTO schema_version VALUES (%s)", (schema,))
        for statement in (statement for step in postgres.MIGRATIONS[:schema] for statement in step):
            kind.admin.execute(statement)
        kind.admin.execute(
            "INSERT INTO process (process_id, resource, first_ns, last_ns) VALUES ('p', %s, 1, 2)", (resource,)
        )
        digest = hashlib.sha256(usage.encode()).digest()
        kind.admin.execute("INSERT INTO attributes (kind, digest, text) VALUES ('usage', %s, %s)", (digest, usage))
        kind.admin.execute("INSERT INTO point SELECT p.id, a.id, 1, 7, 2, true FROM process AS p, attributes AS a")
        with closing(kind.again()) as store:
            assert [(found.process.process_id, found.calls) for found in store.seen(fingerprint="f")] == [("p", 7)]
            store.put([Batch({}, (UsagePoint("p", Usage("sso"), 9, 1, 2),))])
            assert [row.calls for row in store.telemetry().usage] == [9]
            assert store.retain(9, 0).folded == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
def test_a_fingerprint_is_looked_up_in_an_index(kind: Postgres) -> None:
    with closing(kind.fresh()) as store:
        processes = [(f"p{n}", texts({semconv.PROCESS_FINGERPRINT: f"f{n}", "x": "y" * 200})) for n in range(5_000)]
        kind.admin.cursor().executemany(
            "INSERT INTO credwatch.process (process_id, resource, first_ns, last_ns) VALUES (%s, %s, 1, 2)", processes
        )
        kind.admin.execute("ANALYZE credwatch.process")
        assert [found.process.process_id for found in store.seen(fingerprint="f7")] == ["p7"]
    kind.admin.execute("SET search_path = credwatch")
    plan = kind.admin.execute(f"EXPLAIN {postgres.OF_FINGERPRINT}", ("f7", "f7", MAX_SEEN)).fetchall()
    assert [row for (row,) in plan if "Index Scan using process_fingerprint on process" in row], plan
    assert not [row for (row,) in plan if "Seq Scan" in row], plan


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
def test_a_connection_that_broke_is_said_and_made_anew(kind: Postgres) -> None:
    with closing(kind.fresh()) as store:
        kind.disconnect_all()
        with pytest.raises(StoreError, match="cannot be used: terminating connection"):
            store.check()
        store.put([Batch({}, (UsagePoint("p", Usage("sso"), 3, 1, 2),))])
        reader = PostgresStore.open(kind.url, read_only=True)
        with pytest.raises(StoreError, match="was opened to be read, and cannot be written"):
            reader.put([Batch({}, (UsagePoint("p", Usage("sso"), 4, 1, 2),))])
        assert [row.calls for row in reader.telemetry().usage] == [3]
        reader.close()
