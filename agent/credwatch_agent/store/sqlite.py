"""The embedded store: one SQLite file, written by one agent, read by any process of its host.

`attributes` interns what repeats (a usage, a key, the name of a health metric) as canonical text,
so that a row of `point` is six integers. The rows are the truth rule itself: their primary key is
(process, attributes, start) and an upsert keeps the maximum.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path

from credwatch.semconv import PROCESS_FINGERPRINT, RECORDER_CLOSED, Usage
from credwatch_agent.records import Batch, Seen, Span, Telemetry
from credwatch_agent.store import MAX_SEEN, MAX_SPANS, Retained, StoreError, Summary, texts
from credwatch_agent.store.reduce import TOTAL, Kept, Row, batches, fold, seen, telemetry, totals

APPLICATION_ID = 0x63726477  # "crdw": SQLite's mark of whose file it is

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE process (
            id INTEGER PRIMARY KEY, process_id TEXT NOT NULL UNIQUE,
            resource TEXT NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL)""",
        """CREATE TABLE attributes (
            id INTEGER PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (kind, text))""",
        """CREATE TABLE point (
            process INTEGER NOT NULL REFERENCES process, attributes INTEGER NOT NULL REFERENCES attributes,
            start_ns INTEGER NOT NULL, value INTEGER NOT NULL, last_ns INTEGER NOT NULL, exact INTEGER NOT NULL,
            PRIMARY KEY (process, attributes, start_ns)) WITHOUT ROWID""",
        """CREATE TABLE span (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, trace_id TEXT NOT NULL, span_id TEXT NOT NULL,
            start_ns INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE (trace_id, span_id))""",
    ),
    (
        "ALTER TABLE process ADD COLUMN claimed INTEGER NOT NULL DEFAULT 0",
        # the total that this process was folded into: the row is a tombstone
        "ALTER TABLE process ADD COLUMN folded INTEGER REFERENCES process",
        "CREATE INDEX process_folded ON process (folded) WHERE folded IS NOT NULL",
        "CREATE TABLE store (id TEXT NOT NULL)",
        "INSERT INTO store VALUES (lower(hex(randomblob(16))))",
    ),
    ("CREATE TABLE kept (name TEXT PRIMARY KEY, text TEXT NOT NULL)",),
    (
        """CREATE INDEX process_fingerprint ON process (json_extract(resource, '$."credwatch.process.fingerprint"'))
            WHERE json_extract(resource, '$."credwatch.process.fingerprint"') IS NOT NULL""",
    ),
)
"""Step n brings a file from schema n to n+1, in one transaction; steps of a release never change."""

SCHEMA = len(MIGRATIONS)

_UPSERT_PROCESS = """INSERT INTO process (process_id, resource, first_ns, last_ns, claimed) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (process_id) DO UPDATE SET
        -- the latest description wins, of two at one time the greater text: no order of arrival matters
        resource = CASE WHEN (excluded.last_ns, excluded.resource) > (last_ns, resource)
            THEN excluded.resource ELSE resource END,
        first_ns = min(first_ns, excluded.first_ns), last_ns = max(last_ns, excluded.last_ns),
        claimed = max(claimed, excluded.claimed)
    WHERE folded IS NULL"""

_BURY = """INSERT INTO process (process_id, resource, first_ns, last_ns, folded) VALUES (?, '{}', 0, 0, ?)
    ON CONFLICT (process_id) DO UPDATE SET resource = excluded.resource, folded = excluded.folded"""

_UPSERT_POINT = """INSERT INTO point (process, attributes, start_ns, value, last_ns, exact) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (process, attributes, start_ns) DO UPDATE SET
        value = max(value, excluded.value), last_ns = max(last_ns, excluded.last_ns),
        exact = min(exact, excluded.exact)
    WHERE excluded.value > value OR excluded.last_ns > last_ns OR excluded.exact < exact"""

_ALL_ROWS = """SELECT process_id, kind, text, start_ns, value, point.last_ns, exact FROM point
    JOIN process ON process.id = point.process JOIN attributes ON attributes.id = point.attributes"""

_ROWS = f"{_ALL_ROWS} WHERE process.last_ns >= ? ORDER BY process.id, attributes.id"

_PROCESSES = "SELECT process_id, resource, first_ns, last_ns, claimed FROM process WHERE folded IS NULL"

_SEEN = """SELECT process_id, resource, first_ns, last_ns, claimed, folded IS NOT NULL FROM process
    WHERE {} ORDER BY last_ns DESC LIMIT ?"""

# found by the index; SQLite ends what it extracts at the first zero, so the text decides
_OF_FINGERPRINT = f"""json_extract(resource, '$."{PROCESS_FINGERPRINT}"') = ? AND instr(resource, ?)"""

_TOMBSTONES = """SELECT process.process_id, total.process_id FROM process JOIN process AS total
    ON total.id = process.folded ORDER BY process.id"""

# each process's rows of one name are found by the primary key: few names, no scan of all points
_HEALTH = """SELECT text, total(value) FROM attributes CROSS JOIN process
    JOIN point ON point.process = process.id AND point.attributes = attributes.id
    WHERE kind = 'health' GROUP BY text"""

_FORGET = (
    "DELETE FROM point WHERE process IN (SELECT id FROM process WHERE folded IS NULL AND last_ns < ?)",
    "DELETE FROM process WHERE folded IN (SELECT id FROM process WHERE folded IS NULL AND last_ns < ?)",
    "DELETE FROM process WHERE folded IS NULL AND last_ns < ?",
)

_AT_ONCE = 500  # processes folded in one transaction: ingest waits for no more than that

_MAX_INTERNED = 10_000

_ADVICE: tuple[tuple[str, str], ...] = (
    ("not a database", "is no SQLite database; it was left as it is: give another path, or move it away"),
    ("malformed", "is damaged; it was left as it is: restore a copy, or move it away and start with a new one"),
    ("disk is full", "cannot grow: the disk is full; free space on it"),
    ("locked", "is being written by another process; stop the other agent, or give each its own file"),
    ("readonly", "cannot be written; check its owner, its mode and those of its directory"),
    ("unable to open", "cannot be opened; check that its directory exists and may be written"),
    ("disk I/O", "cannot be read or written: the disk reports an error"),
)


_Point = tuple[int, int, int, int, int]
"""Interned attributes, start, value, last, exact: integers, since sqlite3 takes far longer to bind a bool."""


_START, _LAST = itemgetter(1), itemgetter(3)


class SqliteStore:
    """A `Store` in one file. Made by `open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._lock = threading.Lock()
        self._interned: dict[tuple[str, str], int] = {}
        self._usages: dict[int, tuple[Usage, int]] = {}
        self._version = 0

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False, wait_s: float = 5.0) -> SqliteStore:
        """Open a file, made or migrated where it may be written; `wait_s` is how long to wait for a lock.

        Raises `StoreError`: no such path, not writable, not a database or another program's, damaged,
        or written by a newer agent. A file that is not ours is never changed.
        """
        _prepare(path, read_only)
        with _sentences(path):
            mode = "ro" if read_only else "rw"
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=wait_s,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                _adopt(path, connection, read_only)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def put(self, batches: Iterable[Batch]) -> int:
        with self._transaction("IMMEDIATE") as connection:
            return sum(self._put(connection, batch) for batch in batches)

    def put_spans(self, spans: Iterable[Span]) -> None:
        rows = [(span.trace_id, span.span_id, span.start_ns, texts.from_span(span)) for span in spans]
        with self._transaction("IMMEDIATE") as connection:
            connection.executemany(
                "INSERT INTO span (trace_id, span_id, start_ns, text) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (trace_id, span_id) DO NOTHING",
                rows,
            )
            connection.execute("DELETE FROM span WHERE seq <= (SELECT max(seq) FROM span) - ?", (MAX_SPANS,))

    def telemetry(self, since_ns: int = 0) -> Telemetry:
        processes, rows, _ = self._all(since_ns)
        with self._readable():
            return telemetry(processes, rows, since_ns)

    def batches(self) -> Iterator[Batch]:
        with self._readable():
            yield from batches(*self._all(0))

    def _all(self, since_ns: int) -> tuple[list[Kept], list[Row], list[tuple[str, str]]]:
        with self._transaction("DEFERRED") as connection:
            processes = connection.execute(f"{_PROCESSES} AND last_ns >= ? ORDER BY id", (since_ns,))
            return (
                [Kept(*row) for row in processes],
                [Row(*row) for row in connection.execute(_ROWS, (since_ns,))],
                connection.execute(_TOMBSTONES).fetchall(),
            )

    def seen(self, process_id: str = "", fingerprint: str = "") -> tuple[Seen, ...]:
        where, values = "process_id = ?", [process_id]
        if not process_id:
            where, values = (
                _OF_FINGERPRINT,
                [fingerprint.partition("\0")[0], texts.member(PROCESS_FINGERPRINT, fingerprint)],
            )
        with self._transaction("DEFERRED") as connection:
            found = connection.execute(_SEEN.format(where), (*values, MAX_SEEN)).fetchall()
            rows = self._rows_of(connection, [row[0] for row in found])
        return seen([(Kept(*kept), bool(folded)) for *kept, folded in found], rows)

    def retain(self, fold_before_ns: int, forget_before_ns: int) -> Retained:
        folded = 0
        while found := self._fold(fold_before_ns):
            folded += found
        return Retained(folded, self._forget_before(forget_before_ns))

    def _fold(self, before_ns: int) -> int:
        with self._transaction("IMMEDIATE") as connection:
            found = connection.execute(
                f"{_PROCESSES} AND last_ns < ? AND process_id NOT GLOB ? ORDER BY id LIMIT ?",
                (before_ns, f"{TOTAL}*", _AT_ONCE),
            )
            processes = [Kept(*row) for row in found]
            if not processes:
                return 0
            (store,) = connection.execute("SELECT id FROM store").fetchone()
            rows = self._rows_of(connection, [p.process_id for p in processes])
            closed = (row.process_id for row in rows if row.kind == "health" and row.text == RECORDER_CLOSED)
            planned = totals(store, processes, closed)
            for total in fold(planned, [*rows, *self._rows_of(connection, list(planned))]):
                self._put(connection, total)
            return len(processes)

    def _rows_of(self, connection: sqlite3.Connection, process_ids: list[str]) -> list[Row]:
        marks = ",".join("?" * len(process_ids))
        found = connection.execute(f"{_ALL_ROWS} WHERE process.process_id IN ({marks})", process_ids)
        return [Row(*row) for row in found]

    def _forget_before(self, before_ns: int) -> int:
        with self._transaction("IMMEDIATE") as connection:
            *_, forgotten = (connection.execute(statement, (before_ns,)).rowcount for statement in _FORGET)
            connection.execute("DELETE FROM attributes WHERE id NOT IN (SELECT attributes FROM point)")
            self._forget()
            return forgotten

    def summary(self) -> Summary:
        with self._transaction("DEFERRED") as connection:
            (processes,) = connection.execute("SELECT count(*) FROM process WHERE folded IS NULL").fetchone()
            health = {name: int(value) for name, value in connection.execute(_HEALTH)}
        return Summary(processes, health)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise StoreError(f"the database `{self._path}` holds a row that this agent cannot read: {error}") from error

    def spans(self, trace_id: str = "", limit: int = MAX_SPANS) -> tuple[Span, ...]:
        where, values = ("WHERE trace_id = ?", (trace_id,)) if trace_id else ("", ())
        with self._transaction("DEFERRED") as connection:
            found = connection.execute(
                f"SELECT text FROM span {where} ORDER BY seq DESC LIMIT ?",  # noqa: S608 - one of two literals
                (*values, limit),
            ).fetchall()
        return tuple(sorted((texts.to_span(text) for (text,) in found), key=lambda span: (span.start_ns, span.span_id)))

    def kept(self, name: str) -> str:
        with self._transaction("DEFERRED") as connection:
            return _kept(connection, name)

    def kept_names(self) -> tuple[str, ...]:
        with self._transaction("DEFERRED") as connection:
            return tuple(sorted(name for (name,) in connection.execute("SELECT name FROM kept")))

    def amend(self, name: str, change: Callable[[str], str]) -> str:
        with self._transaction("IMMEDIATE") as connection:
            text = change(_kept(connection, name))
            connection.execute(
                "INSERT INTO kept VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET text = excluded.text", (name, text)
            )
            return text

    def check(self) -> None:
        # takes the write lock and gives it back: what a write needs, without writing
        with self._transaction("IMMEDIATE"):
            pass

    def close(self) -> None:
        with self._lock, _sentences(self._path):
            self._connection.close()

    def _put(self, connection: sqlite3.Connection, batch: Batch) -> int:
        """Keep one batch; return how many of its points are of folded processes."""
        resource = texts.from_mapping(batch.resource)
        rows: list[tuple[int, int, int, int, int, int]] = []
        late, process = 0, 0
        for process_id, points in self._by_process(connection, batch).items():
            first_ns, last_ns = min(map(_START, points)), max(map(_LAST, points))
            connection.execute(_UPSERT_PROCESS, (process_id, resource, first_ns, last_ns, batch.claimed))
            process, folded = connection.execute(
                "SELECT id, folded FROM process WHERE process_id = ?", (process_id,)
            ).fetchone()
            if folded is None:
                rows += [(process, *point) for point in points]
            else:
                late += len(points)
        connection.executemany(_UPSERT_POINT, rows)
        for process_id in batch.folded:  # into the one process of this batch
            connection.execute(_BURY, (process_id, process))
            connection.execute(
                "DELETE FROM point WHERE process = (SELECT id FROM process WHERE process_id = ?)", (process_id,)
            )
        return late

    def _by_process(self, connection: sqlite3.Connection, batch: Batch) -> Mapping[str, Sequence[_Point]]:
        found: dict[str, list[_Point]] = defaultdict(list)
        usages, last_id = self._usages, None
        points: list[_Point] = []
        for process_id, usage, value, start_ns, time_ns, exact in batch.usage:
            # decoding gives one object for what repeats
            known = usages.get(id(usage))
            if known is None or known[0] is not usage:
                known = usage, self._intern(connection, "usage", texts.from_usage(usage))
                if len(usages) >= _MAX_INTERNED:
                    usages.clear()
                usages[id(usage)] = known
            if process_id != last_id:
                last_id, points = process_id, found[process_id]
            points.append((known[1], start_ns, value, time_ns, 1 if exact else 0))
        for key in batch.keys:
            attributes = self._intern(connection, "key", texts.from_key(key))
            found[key.process_id].append((attributes, key.first_ns, key.value, key.last_ns, 1))
        for health in batch.health:
            attributes = self._intern(connection, "health", health.metric)
            found[health.process_id].append((attributes, health.start_ns, health.value, health.time_ns, 1))
        return found

    def _intern(self, connection: sqlite3.Connection, kind: str, text: str) -> int:
        known = self._interned.get((kind, text))
        if known is not None:
            return known
        connection.execute("INSERT INTO attributes (kind, text) VALUES (?, ?) ON CONFLICT DO NOTHING", (kind, text))
        found: int
        (found,) = connection.execute("SELECT id FROM attributes WHERE kind = ? AND text = ?", (kind, text)).fetchone()
        if len(self._interned) >= _MAX_INTERNED:
            self._interned.clear()
        self._interned[kind, text] = found
        return found

    def _forget(self) -> None:
        # ids interned in a transaction are gone with it, or with what was folded
        self._interned.clear()
        self._usages.clear()

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        with self._lock, _sentences(self._path):
            self._connection.execute(f"BEGIN {kind}")
            try:
                # another agent that wrote this file may have deleted what was interned
                (version,) = self._connection.execute("PRAGMA data_version").fetchone()
                if version != self._version:
                    self._version = version
                    self._forget()
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                self._forget()
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _kept(connection: sqlite3.Connection, name: str) -> str:
    found: tuple[str] = connection.execute("SELECT text FROM kept WHERE name = ?", (name,)).fetchone() or ("",)
    return found[0]


def _prepare(path: Path, read_only: bool) -> None:
    try:
        if read_only and not path.exists():
            raise StoreError(f"there is no database `{path}`; `credwatch-agent serve --db {path}` makes one")
        if not read_only:
            # telemetry names accounts and resources: only the owner reads it; WAL files inherit the mode
            path.touch(mode=0o600)
        if not path.is_file():
            raise StoreError(f"the database `{path}` is no file; give the path of a file")
        with path.open("rb" if read_only else "r+b"):
            pass
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise StoreError(f"the database `{path}` cannot be opened: {what}; give a path that you may write") from None


def _adopt(path: Path, connection: sqlite3.Connection, read_only: bool) -> None:
    application, version = _marks(connection)
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (tables or application or read_only):
        raise StoreError(
            f"the database `{path}` is not one of credwatch-agent; it was left as it is: give another path"
        )
    _refuse_newer(path, version)
    if read_only:
        if version < SCHEMA:
            raise StoreError(
                f"the database `{path}` has schema {version}, this agent reads {SCHEMA}; "
                "start `credwatch-agent serve` on it once to migrate it"
            )
        return
    connection.execute("PRAGMA journal_mode = WAL")
    # An answer of 200 is a promise. With NORMAL a commit survives `kill -9`, but not the power failure
    # or the crash of the host that follows within seconds; FULL costs one fsync a request.
    connection.execute("PRAGMA synchronous = FULL")
    _migrate(path, connection)


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # read again under the lock: another agent may have been faster
        _, version = _marks(connection)
        _refuse_newer(path, version)
        for statement in (statement for step in MIGRATIONS[version:] for statement in step):
            connection.execute(statement)
        if version < SCHEMA:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


def _refuse_newer(path: Path, version: int) -> None:
    if version > SCHEMA:
        raise StoreError(
            f"the database `{path}` has schema {version}, this agent knows {SCHEMA}; it was left as it is: "
            "run the agent that wrote it, or give another path"
        )


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        advice = next((advice for part, advice in _ADVICE if part in str(error)), f"cannot be used: {error}")
        raise StoreError(f"the database `{path}` {advice}") from error
