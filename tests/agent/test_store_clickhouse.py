"""What is ClickHouse's own: rows that other agents write meanwhile, jobs of one holder, the text of the schema.

The contract of all stores is in test_store; `make verify` runs it on this engine, `make test` what is here.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from credwatch import semconv
from credwatch.semconv import Usage
from credwatch_agent.cli import main
from credwatch_agent.records import Batch, Health, KeySighting, UsagePoint
from credwatch_agent.store import Retained, Store, StoreError
from credwatch_agent.store.clickhouse import ClickHouseStore, place
from credwatch_agent.store.clickhouse_schema import FINGERPRINT, SCHEMA, statements, upgrade
from credwatch_agent.store.location import open_store
from credwatch_agent.store.reduce import Row
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.databases import clickhouse
from tests.agent.test_store import DAY, ClickHouse, comparable, in_all, span

SERVER = "clickhouse://agent:hunter2@127.0.0.1:1/telemetry"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    made = ClickHouse(tmp_path_factory.mktemp("clickhouse") / "data")
    yield made
    made.admin.close()


@pytest.fixture
def store(engine: ClickHouse) -> Iterator[ClickHouseStore]:
    with closing(engine.fresh()) as opened:
        assert isinstance(opened, ClickHouseStore)
        yield opened


def written(engine: ClickHouse, *rows: Row) -> None:
    """Write rows as another agent would."""
    engine.admin.insert("point", rows, column_names=Row._fields)


def one(process: str, calls: int = 3, at: int = 1) -> Batch:
    return Batch({"service.name": "orders"}, (UsagePoint(process, Usage("sso"), calls, at, at + 1),))


def some_batches(rng: Random) -> list[Batch]:
    def one_of(*values: str) -> str:
        return rng.choice(values)

    made = []
    for _ in range(8):
        process, start, value, last = (
            one_of("p", "q", "r\0'\\"),
            rng.randint(0, 2),
            rng.randint(0, 9),
            rng.randint(2, 5),
        )
        usage = UsagePoint(process, Usage("sso", operation=one_of("A", "B")), value, start, last, rng.random() < 0.5)
        key = KeySighting(process, one_of("a", "b"), "sso", "sso", "temporary", False, "arn", "1", value, start, last)
        ended = Health(process, semconv.RECORDER_CLOSED, value, start, last)
        resource = {"service.name": one_of("orders", "\ud7ff"), "host.id": process}
        made.append(Batch(resource, (usage,), (key,), (ended,), claimed=rng.random() < 0.5))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_it_gives_what_the_embedded_store_gives(store: ClickHouseStore, tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    sent = some_batches(rng)
    with closing(SqliteStore.open(tmp_path / "db")) as other:
        for batch in sent:
            other.put([batch])
        store.put(rng.sample(sent, k=len(sent)) + sent[:3])
        for since in (0, 4):
            assert comparable(store.telemetry(since)) == comparable(other.telemetry(since))
        assert store.summary() == other.summary()
        assert store.retain(5, 0) == other.retain(5, 0)
        assert store.put(sent) == other.put(sent)
        assert in_all(store.telemetry()) == in_all(other.telemetry())
        assert store.summary() == other.summary()
        assert store.retain(DAY, DAY) == other.retain(DAY, DAY)
        assert store.telemetry() == other.telemetry()


@pytest.mark.slow
def test_an_overflow_keeps_nothing_and_spans_come_back_once(store: ClickHouseStore) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        store.put([one("p"), one("q", calls=2**63)])
    assert store.telemetry().processes == {}
    store.put_spans([span(3), span(1), span(2, trace=2)])
    store.put_spans([span(1), span(3)])
    assert store.spans() == (span(1), span(2, trace=2), span(3))
    assert store.spans(f"{2:032x}") == store.spans(limit=1) == (span(2, trace=2),)


@pytest.mark.slow
def test_a_put_of_many_processes_is_one_request(store: ClickHouseStore) -> None:
    many = [f"{n:0>64}" for n in range(20_000)]  # a list of ids longer than the engine's usual query
    store.put([Batch({}, tuple(UsagePoint(process, Usage("sso"), 1, 1, 2) for process in many))])
    assert store.summary().processes == len(many)


@pytest.mark.slow
def test_what_is_put_while_it_is_folded_is_refused_and_hidden_and_swept(
    engine: ClickHouse, store: ClickHouseStore
) -> None:
    store.put([one("p"), one("q", at=DAY)])
    written(engine, Row("q", "sealed", "", 0, 1, 0, 1))
    assert store.put([one("q", calls=9, at=DAY)]) == 1
    assert store.retain(DAY, 0).folded == 1
    # a put that had asked before the seal, and writes after the fold
    written(engine, Row("p", "usage", '{"x":"y"}', 1, 9, 2, 1), Row("p", "process", "{}", 1, 0, 2, 1))
    assert in_all(store.telemetry()) == {repr(Usage("sso")): 6}
    assert store.summary().processes == 2
    store.retain(0, 0)
    assert engine.admin.query("SELECT count() FROM point WHERE process_id = 'p' AND kind != 'sealed'").result_rows == [
        (0,)
    ]


@pytest.mark.slow
def test_periodic_jobs_are_done_by_one_holder_at_a_time(engine: ClickHouse, store: ClickHouseStore) -> None:
    for number in range(4):
        store.put([one(f"p{number}")])
    ((now_ns,),) = engine.admin.query("SELECT toUnixTimestamp64Nano(now64(9))").result_rows
    written(engine, Row("", "lease", "one that died", 0, 0, now_ns - 1, 1))
    written(engine, Row("", "lease", "another agent", 0, 0, now_ns + 600 * 10**9, 1))
    assert store.retain(DAY, 0) == Retained(0, 0)
    written(engine, Row("", "lease", "another agent", 0, 1, 0, 1))

    others = [engine.again() for _ in range(3)]
    done: list[Retained] = []

    def run(agent: Store) -> None:
        done.append(agent.retain(DAY, 0))

    jobs = [threading.Thread(target=run, args=(other,)) for other in others]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    for other in others:
        other.close()
    store.retain(DAY, 0)  # where all stood in each other's way
    assert [row.calls for row in store.telemetry().usage] == [12]
    assert sum(found.folded for found in done) in {0, 4}


@pytest.mark.slow
def test_what_was_exported_comes_back_from_it(
    engine: ClickHouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.fresh().close()
    with closing(SqliteStore.open(tmp_path / "a.db")) as source:
        source.put([one("p"), one("q")])
        source.retain(DAY, 0)
        source.put([one("r")])
        source.put_spans([span(1)])
        was, spans = source.telemetry(), source.spans()
    assert main(["export", "--db", str(tmp_path / "a.db")]) == 0
    exported = capsys.readouterr().out
    (tmp_path / "all.jsonl").write_text(exported, encoding="utf-8")
    for _ in range(2):
        assert main(["import", "--db", engine.location, str(tmp_path / "all.jsonl")]) == 0
    assert main(["export", "--db", engine.location]) == 0
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(exported.splitlines())
    with closing(ClickHouseStore.open(engine.location, read_only=True)) as store:
        assert (comparable(store.telemetry()), store.spans()) == (comparable(was), spans)
        with pytest.raises(StoreError, match="was opened to be read, and cannot be written"):
            store.put([one("p")])


@pytest.mark.slow
def test_over_http_what_was_put_survives_a_server_that_is_killed(tmp_path: Path) -> None:
    with clickhouse(tmp_path / "data") as port:
        store = open_store(f"clickhouse://127.0.0.1:{port}/telemetry")
        store.put([one("p"), one("q\0'\\", at=DAY)])
        assert store.retain(DAY, 0) == (1, 0)
        was = store.telemetry()
        assert in_all(was) == {repr(Usage("sso")): 6}
    with pytest.raises(StoreError, match="cannot be used: "):
        store.put([one("r")])
    with clickhouse(tmp_path / "data", port):
        assert store.put([one("p"), one("r", at=DAY)]) == 1
        assert in_all(store.telemetry()) == {repr(Usage("sso")): 9}
        store.check()
        store.close()


@pytest.mark.slow
def test_a_database_of_schema_1_keeps_its_counts(engine: ClickHouse, store: ClickHouseStore) -> None:
    batch = one("p")
    store.put([dataclasses.replace(batch, resource={semconv.PROCESS_FINGERPRINT: "f"})])
    engine.admin.command("DROP TABLE kept")
    engine.admin.command("ALTER TABLE point DROP INDEX fingerprint")
    engine.admin.command("DELETE FROM point WHERE kind = 'schema'")
    written(engine, Row("", "schema", "", 0, 1, 0, 1))
    with pytest.raises(StoreError, match=f"has schema 1, this agent reads {SCHEMA}; start"):
        ClickHouseStore.open(engine.location, read_only=True)
    with closing(engine.again()) as migrated:
        assert [(found.process.process_id, found.calls) for found in migrated.seen(fingerprint="f")] == [("p", 3)]
        migrated.put([one("p", calls=9)])
        assert in_all(migrated.telemetry()) == {repr(Usage("sso")): 9}
        assert migrated.amend("findings", lambda text: text + "a") == "a"
    assert engine.admin.query("SELECT text FROM point WHERE kind = 'store'").result_rows == [("an id",)]


@pytest.mark.slow
def test_a_fingerprint_is_looked_up_in_an_index(engine: ClickHouse, store: ClickHouseStore) -> None:
    many = 40_000
    engine.admin.command(
        "INSERT INTO point (kind, process_id, text, last_ns, exact) SELECT 'process', toString(generateUUIDv4()),"
        f""" concat('{{"{semconv.PROCESS_FINGERPRINT}":"', toString(number), '"}}'), 2, 1 FROM numbers({many})"""
    )
    assert len(store.seen(fingerprint="7")) == 1
    query = f"SELECT process_id FROM point WHERE kind = 'process' AND {FINGERPRINT} = '7'"
    plan = "\n".join(row[0] for row in engine.admin.query(f"EXPLAIN indexes = 1 {query}").result_rows)
    _, skipped = plan.split("Name: fingerprint")
    read, of = map(int, re.findall(r"Granules: (\d+)/(\d+)", skipped)[0])
    assert of == -(-many // 8_192), plan
    assert 1 <= read < of, plan  # a bloom filter may take a granule too many


@pytest.mark.slow
def test_a_history_is_amended_by_one_agent_at_a_time(engine: ClickHouse, store: ClickHouseStore) -> None:
    with closing(engine.again()) as other:

        def change(text: str) -> str:
            with pytest.raises(StoreError, match="is at the jobs of another agent: try again"):
                other.amend("findings", str.upper)
            return text + "a"

        for _ in range(3):
            store.amend("findings", change)
        assert other.kept("findings") == "aaa"
        assert other.amend("findings", str.upper) == "AAA"
    assert engine.admin.query("SELECT count() FROM kept").result_rows == [(1,)]


@pytest.mark.slow
def test_a_newer_schema_is_left_as_it_is(engine: ClickHouse, store: ClickHouseStore) -> None:
    written(engine, Row("", "schema", "", 0, SCHEMA + 1, 0, 1))
    with pytest.raises(StoreError, match=f"has schema {SCHEMA + 1}, this agent knows {SCHEMA}; it was left as it is"):
        engine.again()
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["", "fleet"])
def test_every_statement_of_the_schema_is_one_that_the_engine_reads(engine: ClickHouse, cluster: str) -> None:
    read = [
        engine.admin.query("SELECT formatQuery(%(text)s)", parameters={"text": statement}).result_rows[0][0]
        for statement in (*statements("telemetry", cluster), *upgrade("telemetry", cluster))
    ]
    engines = [line for text in read for line in text.splitlines() if line.startswith("ENGINE")]
    plain = ["ENGINE = AggregatingMergeTree"] * 3
    sharded = [
        "ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/telemetry/point_local', '{replica}')",
        "ENGINE = Distributed('fleet', 'telemetry', 'point_local', cityHash64(process_id))",
        "ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/telemetry/span_local', '{replica}')",
        "ENGINE = Distributed('fleet', 'telemetry', 'span_local', cityHash64(trace_id))",
        "ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/telemetry/kept_local', '{replica}')",
        "ENGINE = Distributed('fleet', 'telemetry', 'kept_local', cityHash64(name))",
    ]
    assert engines == (sharded if cluster else plain)
    assert all(f"ON CLUSTER {cluster}" in text for text in read if cluster)


@pytest.mark.parametrize(
    "location",
    [
        "clickhouse://agent:hunter2@host:port/x",
        "clickhouse://agent:hunter2@host/x?cluster=a'b",
        "clickhouse://agent:hunter2@host/x-y",
        "clickhouse://agent:hunter2@host/x?secure=maybe",
        "clickhouse://agent:hunter2@host/x?tls=1",
    ],
)
def test_a_location_that_cannot_be_read_is_one_sentence_without_the_password(location: str) -> None:
    with pytest.raises(StoreError, match="the database's URL cannot be read: write clickhouse://") as error:
        place(location)
    assert "hunter2" not in str(error.value)


def test_a_location_tells_where_and_as_whom() -> None:
    found = place("clickhouse://agent:p%40ss@db.example/telemetry?cluster=fleet&secure=true")
    assert (found.database, found.cluster, found.name) == ("telemetry", "fleet", "telemetry on db.example")
    client = ("host", "port", "username", "password", "secure")
    assert [found.client[name] for name in client] == ["db.example", 8443, "agent", "p@ss", True]
    assert place("clickhouse://db.example").client["port"] == 8123


def test_a_server_that_is_not_there_is_one_sentence_without_the_password(capsys: pytest.CaptureFixture[str]) -> None:
    seen_by_a_user = logging.StreamHandler()  # as `logging` prints warnings where nothing is configured
    logging.getLogger().addHandler(seen_by_a_user)
    try:
        assert main(["export", "--db", SERVER]) == 3
    finally:
        logging.getLogger().removeHandler(seen_by_a_user)
    captured = capsys.readouterr()
    assert "the database `telemetry on 127.0.0.1` cannot be used" in captured.err
    assert "hunter2" not in captured.err + captured.out
    assert captured.err.count("\n") == 1
