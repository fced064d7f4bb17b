"""The SQLite file: what can be wrong with it has a sentence, and what it held is never overwritten."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from credwatch import semconv
from credwatch.semconv import Usage
from credwatch_agent.records import Batch, UsagePoint
from credwatch_agent.store import StoreError, sqlite, texts
from credwatch_agent.store.sqlite import APPLICATION_ID, SCHEMA, SqliteStore


def batch(value: int = 1, process: str = "p", usage: Usage | None = None) -> Batch:
    return Batch({}, (UsagePoint(process, usage or Usage("sso"), value, 1, 2),))


def calls(store: SqliteStore) -> int:
    return sum(row.calls for row in store.telemetry().usage)


def not_a_database(path: Path) -> None:
    path.write_bytes(b"not a database, but somebody's only copy\n" * 100)


def of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE holiday_photos (id)")
    connection.close()


def newer(path: Path) -> None:
    SqliteStore.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.close()


def damaged(path: Path) -> None:
    store = SqliteStore.open(path)
    store.put([batch(usage=Usage("sso", operation=f"Op{n}")) for n in range(200)])
    store.close()
    content = bytearray(path.read_bytes())
    content[1000:] = b"\x55" * (len(content) - 1000)
    path.write_bytes(content)


@pytest.mark.parametrize("read_only", [False, True], ids=["write", "read"])
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (not_a_database, "is no SQLite database; it was left as it is"),
        (of_another_program, "is not one of credwatch-agent; it was left as it is"),
        (newer, f"has schema {SCHEMA + 1}, this agent knows {SCHEMA}; it was left as it is"),
        (damaged, "is damaged; it was left as it is"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], sentence: str, read_only: bool
) -> None:
    path = tmp_path / "telemetry.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        SqliteStore.open(path, read_only=read_only)
    assert f"the database `{path}` {sentence}" in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing/telemetry.db", "cannot be opened: no such file or directory; give a path that you may write"),
        (".", "is no file; give the path of a file"),
        ("x" * 300, "cannot be opened: file name too long"),
    ],
)
def test_a_path_that_cannot_be_written_is_named(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(StoreError) as caught:
        SqliteStore.open(tmp_path / name)
    assert sentence in str(caught.value)


def test_a_reader_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no database `.*`; `credwatch-agent serve --db .*` makes one"):
        SqliteStore.open(tmp_path / "db", read_only=True)
    assert not (tmp_path / "db").exists()


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "db").close()
    assert stat.S_IMODE((tmp_path / "db").stat().st_mode) == 0o600


def test_a_reader_sees_what_is_committed_while_the_agent_writes(tmp_path: Path) -> None:
    writer = SqliteStore.open(tmp_path / "db")
    writer.put([batch(3)])
    reader = SqliteStore.open(tmp_path / "db", read_only=True)
    assert calls(reader) == 3
    writer.put([batch(5)])
    assert calls(reader) == 5
    with pytest.raises(StoreError, match="cannot be written"):
        reader.put([batch(6)])
    reader.close()
    writer.close()
    # closed by all: still readable, by a process that may not write
    reader = SqliteStore.open(tmp_path / "db", read_only=True)
    assert calls(reader) == 5
    reader.close()


def test_a_writer_that_waits_in_vain_for_the_lock_says_so_and_recovers(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "db", wait_s=0)
    other = sqlite3.connect(tmp_path / "db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="is being written by another process"):
        store.put([batch()])
    with pytest.raises(StoreError, match="is being written by another process"):
        store.check()
    other.close()
    store.check()
    store.put([batch(2)])
    assert calls(store) == 2
    store.close()


def test_a_full_disk_keeps_what_was_accepted_and_takes_more_once_there_is_room(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "db")
    store.put([batch(7)])
    # SQLite's own limit gives the error of a full disk, without one
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    large = [batch(usage=Usage("sso", operation=f"{n:0>2000}")) for n in range(200)]
    with pytest.raises(StoreError, match="the disk is full; free space on it"):
        store.put(large)
    assert calls(store) == 7
    store._connection.execute("PRAGMA max_page_count = 100000")
    store.put(large)
    assert calls(store) == 207
    store.close()


def test_an_older_file_is_migrated_and_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore.open(tmp_path / "db")
    store.put([batch(4)])
    store.close()
    step = ("ALTER TABLE process ADD COLUMN note INTEGER NOT NULL DEFAULT 0",)
    monkeypatch.setattr(sqlite, "MIGRATIONS", (*sqlite.MIGRATIONS, step))
    monkeypatch.setattr(sqlite, "SCHEMA", SCHEMA + 1)
    with pytest.raises(StoreError, match=f"has schema {SCHEMA}, this agent reads {SCHEMA + 1}; start"):
        SqliteStore.open(tmp_path / "db", read_only=True)
    store = SqliteStore.open(tmp_path / "db")
    assert calls(store) == 4
    assert store._connection.execute("SELECT claimed FROM process").fetchall() == [(0,)]
    store.close()


@pytest.mark.parametrize("schema", range(1, SCHEMA))
def test_a_file_of_each_older_schema_keeps_its_counts(tmp_path: Path, schema: int) -> None:
    connection = sqlite3.connect(tmp_path / "db")
    for statement in (statement for step in sqlite.MIGRATIONS[:schema] for statement in step):
        connection.execute(statement)
    resource = texts.from_mapping({semconv.PROCESS_FINGERPRINT: "f"})
    connection.execute(
        "INSERT INTO process (id, process_id, resource, first_ns, last_ns) VALUES (1, 'p', ?, 1, 2)", (resource,)
    )
    connection.execute("INSERT INTO attributes VALUES (1, 'usage', ?)", (texts.from_usage(Usage("sso")),))
    connection.execute("INSERT INTO point VALUES (1, 1, 1, 7, 2, 1)")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {schema}")
    connection.commit()
    connection.close()
    store = SqliteStore.open(tmp_path / "db")
    assert [found.process.process_id for found in store.seen(fingerprint="f")] == ["p"]
    store.put([batch(9)])
    assert (calls(store), store.telemetry().processes["p"].claimed) == (9, False)
    assert store.retain(9, 0).folded == 1
    assert calls(store) == 9
    store.close()


def test_a_fingerprint_is_looked_up_in_an_index(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "db")
    ran: list[str] = []
    store._connection.set_trace_callback(ran.append)
    assert store.seen(fingerprint="f") == ()
    store._connection.set_trace_callback(None)
    [query] = [each for each in ran if "ORDER BY last_ns" in each]
    plan = [row[3] for row in store._connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert plan[0] == "SEARCH process USING INDEX process_fingerprint (<expr>=?)"
    assert not [step for step in plan if step.startswith("SCAN")]
    store.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SqliteStore.open(tmp_path / "db").close()
    before = (tmp_path / "db").read_bytes()
    monkeypatch.setattr(sqlite, "MIGRATIONS", (*sqlite.MIGRATIONS, ("DROP TABLE span", "DROP TABLE span")))
    monkeypatch.setattr(sqlite, "SCHEMA", SCHEMA + 1)
    with pytest.raises(StoreError):
        SqliteStore.open(tmp_path / "db")
    assert (tmp_path / "db").read_bytes() == before


def test_a_file_says_whose_it_is(tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "db").close()
    connection = sqlite3.connect(tmp_path / "db")
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_threads_and_a_second_agent_write_one_file(tmp_path: Path) -> None:
    stores = [SqliteStore.open(tmp_path / "db", wait_s=30) for _ in range(2)]

    def write(number: int) -> None:
        for value in range(1, 11):
            stores[number % 2].put([batch(value, process=f"p{number}")])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls(stores[0]) == calls(stores[1]) == 40
    for store in stores:
        store.close()
        store.close()


def test_a_row_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "db")
    store.put([batch()])
    store._connection.execute("UPDATE attributes SET text = '{}'")
    with pytest.raises(StoreError, match="holds a row that this agent cannot read"):
        store.telemetry()
    store.close()
