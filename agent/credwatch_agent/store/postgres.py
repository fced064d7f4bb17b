"""The store of a team: a schema `credwatch` in PostgreSQL, written by any number of agents.

The same rows as the embedded store's. Texts are found by their SHA-256, since an index entry holds no
long text; every statement touches rows in the order of their keys, so that writers do not deadlock.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from credwatch.semconv import PROCESS_FINGERPRINT, RECORDER_CLOSED
from credwatch_agent.records import Batch, Seen, Span, Telemetry
from credwatch_agent.store import MAX_SEEN, MAX_SPANS, Retained, StoreError, Summary, texts
from credwatch_agent.store.reduce import TOTAL, Kept, Row, batches, fold, points_of, seen, telemetry, totals

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # "C": the order of code points, as everywhere else
        """CREATE TABLE process (
            id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, process_id TEXT COLLATE "C" NOT NULL UNIQUE,
            resource TEXT COLLATE "C" NOT NULL, first_ns BIGINT NOT NULL, last_ns BIGINT NOT NULL)""",
        """CREATE TABLE attributes (
            id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind TEXT NOT NULL, digest BYTEA NOT NULL,
            text TEXT NOT NULL, UNIQUE (kind, digest))""",
        """CREATE TABLE point (
            process BIGINT NOT NULL REFERENCES process, attributes BIGINT NOT NULL REFERENCES attributes,
            start_ns BIGINT NOT NULL, value BIGINT NOT NULL, last_ns BIGINT NOT NULL, exact BOOLEAN NOT NULL,
            PRIMARY KEY (process, attributes, start_ns))""",
        """CREATE TABLE span (
            seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, trace_id TEXT NOT NULL, span_id TEXT NOT NULL,
            text TEXT NOT NULL, UNIQUE (trace_id, span_id))""",
    ),
    (
        "ALTER TABLE process ADD COLUMN claimed BOOLEAN NOT NULL DEFAULT false",
        # the total that this process was folded into: the row is a tombstone
        "ALTER TABLE process ADD COLUMN folded BIGINT REFERENCES process",
        "CREATE INDEX process_folded ON process (folded) WHERE folded IS NOT NULL",
        "CREATE INDEX point_attributes ON point (attributes)",  # deleting attributes asks who refers to them
        "CREATE TABLE store (id TEXT NOT NULL)",
        "INSERT INTO store VALUES (gen_random_uuid()::text)",
    ),
    ("CREATE TABLE kept (name TEXT PRIMARY KEY, text TEXT NOT NULL)",),
    (
        # no cast to JSON: PostgreSQL's holds no zero character; hashed: an entry of other indexes holds no long text
        r"""CREATE INDEX process_fingerprint ON process USING hash (
            (substring(resource FROM '"credwatch\.process\.fingerprint":"((?:[^"\\]|\\.)*)"')))""",
    ),
)
"""Step n brings a database from schema n to n+1, in one transaction; steps of a release never change."""

SCHEMA = len(MIGRATIONS)

_LOCK = 0x63726477  # of migrations: "crdw"
_RETENTION = _LOCK + 1  # shared by who writes points, held alone by who folds and deletes
_KEPT_LOCK = _LOCK + 2  # of who amends a kept text
_ALONE: str = "SELECT pg_advisory_xact_lock(%s)"
_AT_ONCE = 500  # processes folded in one transaction: ingest waits for no more than that

_UPSERT_PROCESSES = """INSERT INTO process AS p (process_id, resource, first_ns, last_ns, claimed)
    SELECT *, %s::boolean FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[]) AS new(a, b, c, d) ORDER BY a
    ON CONFLICT (process_id) DO UPDATE SET
        resource = CASE WHEN (excluded.last_ns, excluded.resource) > (p.last_ns, p.resource)
            THEN excluded.resource ELSE p.resource END,
        first_ns = least(p.first_ns, excluded.first_ns), last_ns = greatest(p.last_ns, excluded.last_ns),
        claimed = p.claimed OR excluded.claimed
    WHERE p.folded IS NULL"""

_BURY = """INSERT INTO process (process_id, resource, first_ns, last_ns, folded)
    SELECT unnest(%s::text[]), '{}', 0, 0, (SELECT id FROM process WHERE process_id = %s)
    ON CONFLICT (process_id) DO UPDATE SET resource = excluded.resource, folded = excluded.folded"""

_INTERN = """INSERT INTO attributes (kind, digest, text)
    SELECT * FROM unnest(%s::text[], %s::bytea[], %s::text[]) AS new(a, b, c) ORDER BY a, b
    ON CONFLICT (kind, digest) DO NOTHING"""

_UPSERT_POINTS = """INSERT INTO point AS p (process, attributes, start_ns, value, last_ns, exact)
    SELECT process.id, attributes.id, new.s, max(new.v), max(new.l), bool_and(new.e)
    FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::bigint[], %s::bigint[], %s::bigint[], %s::boolean[])
        AS new(p, k, d, s, v, l, e)
    JOIN process ON process.process_id = new.p AND process.folded IS NULL
    JOIN attributes ON attributes.kind = new.k AND attributes.digest = new.d
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (process, attributes, start_ns) DO UPDATE SET
        value = greatest(p.value, excluded.value), last_ns = greatest(p.last_ns, excluded.last_ns),
        exact = p.exact AND excluded.exact
    WHERE excluded.value > p.value OR excluded.last_ns > p.last_ns OR excluded.exact < p.exact"""

_KEPT = "SELECT process_id, resource, first_ns, last_ns, claimed::int FROM process WHERE folded IS NULL"

_PROCESSES = f"{_KEPT} AND last_ns >= %s ORDER BY id"

_OLD = f"{_KEPT} AND last_ns < %s AND NOT starts_with(process_id, %s) ORDER BY process_id LIMIT %s"

_ALL_ROWS = """SELECT process_id, kind, text, start_ns, value, point.last_ns, exact::int FROM point
    JOIN process ON process.id = point.process JOIN attributes ON attributes.id = point.attributes"""

_ROWS = f"{_ALL_ROWS} WHERE process.last_ns >= %s ORDER BY process.id, attributes.id, start_ns"

_SEEN = """SELECT process_id, resource, first_ns, last_ns, claimed::int, folded IS NOT NULL FROM process
    WHERE {} ORDER BY last_ns DESC LIMIT %s"""

_OF_ID = _SEEN.format("process_id = %s")

# as in the index, which finds some rows, of which the text decides: what it escapes is escaped here too
OF_FINGERPRINT = _SEEN.format(
    r"""substring(resource FROM '"credwatch\.process\.fingerprint":"((?:[^"\\]|\\.)*)"') = %s
    AND strpos(resource, %s) > 0"""
)
"""What finds the processes of a fingerprint; for the test that it uses the index."""

_TOMBSTONES = """SELECT process.process_id, total.process_id FROM process JOIN process AS total
    ON total.id = process.folded ORDER BY process.id"""

_HEALTH = """SELECT text, sum(value)::numeric FROM attributes JOIN point ON point.attributes = attributes.id
    WHERE kind = 'health' GROUP BY text"""

_FORGET = (
    "DELETE FROM point WHERE process IN (SELECT id FROM process WHERE folded IS NULL AND last_ns < %s)",
    "DELETE FROM process WHERE folded IN (SELECT id FROM process WHERE folded IS NULL AND last_ns < %s)",
    "DELETE FROM process WHERE folded IS NULL AND last_ns < %s",
)


class PostgresStore:
    """A `Store` in one database. Made by `open`."""

    def __init__(self, conninfo: str, read_only: bool) -> None:
        self._conninfo = conninfo
        self._read_only = read_only
        parts = conninfo_to_dict(conninfo)
        # never the connection string: it may hold a password
        self._name = f"{parts.get('dbname', '')} on {parts.get('host', 'localhost')}"
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._closed = False

    @classmethod
    def open(cls, conninfo: str, *, read_only: bool = False) -> PostgresStore:
        """Connect to `postgresql://…`; tables are made or migrated unless `read_only`. Raises `StoreError`."""
        try:
            store = cls(conninfo, read_only)
        except psycopg.Error:
            raise StoreError("the database's URL cannot be read: write postgresql://USER@HOST:PORT/NAME") from None
        with store._transaction():
            pass
        return store

    def put(self, batches: Iterable[Batch]) -> int:
        with self._writing("SELECT pg_advisory_xact_lock_shared(%s)") as connection:
            return sum(self._put(connection, batch) for batch in batches)

    def _put(self, connection: psycopg.Connection[Any], batch: Batch) -> int:
        """Keep one batch; return how many of its points are of folded processes."""
        points = points_of(batch)
        if not points:
            return 0
        spans: dict[str, tuple[int, int]] = {}
        interned: dict[tuple[str, str], bytes] = {}
        for process_id, kind, text, start_ns, _, last_ns, _ in points:
            first, last = spans.get(process_id, (start_ns, last_ns))
            spans[process_id] = min(first, start_ns), max(last, last_ns)
            if (kind, text) not in interned:
                interned[kind, text] = hashlib.sha256(text.encode()).digest()
        resource = texts.from_mapping(batch.resource)
        connection.execute(
            _UPSERT_PROCESSES,
            (
                batch.claimed,
                list(spans),
                [resource] * len(spans),
                [s[0] for s in spans.values()],
                [s[1] for s in spans.values()],
            ),
        )
        connection.execute(_INTERN, ([k for k, _ in interned], list(interned.values()), [t for _, t in interned]))
        rows = [
            (p.process_id, p.kind, interned[p.kind, p.text], p.start_ns, p.value, p.last_ns, bool(p.exact))
            for p in points
        ]
        connection.execute(_UPSERT_POINTS, [list(column) for column in zip(*rows, strict=True)])
        if batch.folded:  # into the one process of this batch
            folded = list(batch.folded)
            connection.execute(_BURY, (folded, points[0].process_id))
            connection.execute(
                "DELETE FROM point USING process WHERE process.id = point.process AND process_id = ANY(%s)", (folded,)
            )
        buried = connection.execute(
            "SELECT process_id FROM process WHERE process_id = ANY(%s) AND folded IS NOT NULL", (list(spans),)
        )
        late = {process_id for (process_id,) in buried}
        return sum(point.process_id in late for point in points) if late else 0

    def put_spans(self, spans: Iterable[Span]) -> None:
        rows = [(span.trace_id, span.span_id, texts.from_span(span)) for span in spans]
        with self._transaction() as connection:
            connection.cursor().executemany(
                "INSERT INTO span (trace_id, span_id, text) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", rows
            )
            connection.execute(
                "DELETE FROM span WHERE seq <= (SELECT seq FROM span ORDER BY seq DESC OFFSET %s LIMIT 1)", (MAX_SPANS,)
            )

    def telemetry(self, since_ns: int = 0) -> Telemetry:
        processes, rows, _ = self._all(since_ns)
        return telemetry(processes, rows, since_ns)

    def batches(self) -> Iterator[Batch]:
        yield from batches(*self._all(0))

    def _all(self, since_ns: int) -> tuple[list[Kept], list[Row], list[tuple[str, str]]]:
        with self._transaction() as connection:
            processes = connection.execute(_PROCESSES, (since_ns,)).fetchall()
            rows = connection.execute(_ROWS, (since_ns,)).fetchall()
            tombstones = connection.execute(_TOMBSTONES).fetchall()
        return [Kept(*row) for row in processes], [Row(*row) for row in rows], tombstones

    def seen(self, process_id: str = "", fingerprint: str = "") -> tuple[Seen, ...]:
        query, values = _OF_ID, [process_id]
        if not process_id:
            mark = texts.member(PROCESS_FINGERPRINT, fingerprint)
            query, values = OF_FINGERPRINT, [mark.partition(":")[2][1:-1], mark]
        with self._transaction() as connection:
            found = connection.execute(query, (*values, MAX_SEEN)).fetchall()
            rows = _rows_of(connection, [row[0] for row in found])
        return seen([(Kept(*kept), folded) for *kept, folded in found], rows)

    def retain(self, fold_before_ns: int, forget_before_ns: int) -> Retained:
        folded = 0
        while found := self._fold(fold_before_ns):
            folded += found
        return Retained(folded, self._forget_before(forget_before_ns))

    @contextmanager
    def _writing(self, lock: str, what: int = _RETENTION) -> Iterator[psycopg.Connection[Any]]:
        with self._transaction() as connection:
            # each statement must see what was committed while this waited for a lock
            connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            connection.execute(lock, (what,))
            yield connection

    def _fold(self, before_ns: int) -> int:
        with self._writing(_ALONE) as connection:
            processes = [Kept(*row) for row in connection.execute(_OLD, (before_ns, TOTAL, _AT_ONCE))]
            if not processes:
                return 0
            (store,) = connection.execute("SELECT id FROM store").fetchone() or ("",)
            rows = _rows_of(connection, [p.process_id for p in processes])
            closed = (row.process_id for row in rows if row.kind == "health" and row.text == RECORDER_CLOSED)
            planned = totals(store, processes, closed)
            for total in fold(planned, [*rows, *_rows_of(connection, list(planned))]):
                self._put(connection, total)
            return len(processes)

    def _forget_before(self, before_ns: int) -> int:
        with self._writing(_ALONE) as connection:
            *_, forgotten = (connection.execute(statement, (before_ns,)).rowcount for statement in _FORGET)
            connection.execute(
                "DELETE FROM attributes WHERE NOT EXISTS (SELECT FROM point WHERE point.attributes = attributes.id)"
            )
            return forgotten

    def summary(self) -> Summary:
        with self._transaction() as connection:
            (processes,) = connection.execute("SELECT count(*) FROM process WHERE folded IS NULL").fetchone() or (0,)
            health = {name: int(value) for name, value in connection.execute(_HEALTH)}
        return Summary(processes, health)

    def spans(self, trace_id: str = "", limit: int = MAX_SPANS) -> tuple[Span, ...]:
        with self._transaction() as connection:
            found = connection.execute(
                "SELECT text FROM span WHERE %s IN ('', trace_id) ORDER BY seq DESC LIMIT %s", (trace_id, limit)
            ).fetchall()
        return tuple(sorted((texts.to_span(text) for (text,) in found), key=lambda span: (span.start_ns, span.span_id)))

    def kept(self, name: str) -> str:
        with self._transaction() as connection:
            return _kept(connection, name)

    def kept_names(self) -> tuple[str, ...]:
        with self._transaction() as connection:
            return tuple(sorted(name for (name,) in connection.execute("SELECT name FROM kept")))

    def amend(self, name: str, change: Callable[[str], str]) -> str:
        with self._writing(_ALONE, _KEPT_LOCK) as connection:
            text = change(_kept(connection, name))
            connection.execute(
                "INSERT INTO kept VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET text = excluded.text", (name, text)
            )
            return text

    def check(self) -> None:
        with self._transaction() as connection:
            (recovering,) = connection.execute("SELECT pg_is_in_recovery()").fetchone() or (True,)
        if recovering:
            raise StoreError(f"the database `{self._name}` is a standby and cannot be written; name the primary")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[Any]]:
        with self._lock:
            try:
                connection = self._connected()
                with connection.transaction():
                    yield connection
            except psycopg.errors.ReadOnlySqlTransaction:
                raise StoreError(f"the database `{self._name}` was opened to be read, and cannot be written") from None
            except psycopg.Error as error:
                # one line, and only the server's: what psycopg adds may name the connection string
                reason = error.diag.message_primary or type(error).__name__
                raise StoreError(f"the database `{self._name}` cannot be used: {reason}; check that it runs") from None

    def _connected(self) -> psycopg.Connection[Any]:
        if self._closed:
            raise StoreError(f"the database `{self._name}` was closed")
        if self._connection is None or self._connection.closed:
            connection = psycopg.connect(
                self._conninfo,
                autocommit=True,
                connect_timeout=5,
                options="-c search_path=credwatch -c default_transaction_isolation=repeatable\\ read"
                + (" -c default_transaction_read_only=on" if self._read_only else ""),
            )
            try:
                self._adopt(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _adopt(self, connection: psycopg.Connection[Any]) -> None:
        with connection.transaction():
            if not self._read_only:
                connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                connection.execute("CREATE SCHEMA IF NOT EXISTS credwatch")
                connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
            (known,) = connection.execute("SELECT to_regclass('credwatch.schema_version')").fetchone() or (None,)
            found = connection.execute("SELECT version FROM schema_version").fetchone() if known else None
            version = found[0] if found else 0
            if version > SCHEMA:
                raise StoreError(
                    f"the database `{self._name}` has schema {version}, this agent knows {SCHEMA}; it was left as it "
                    "is: run the agent that wrote it, or give another database"
                )
            if version < SCHEMA and self._read_only:
                raise StoreError(
                    f"the database `{self._name}` has schema {version}, this agent reads {SCHEMA}; "
                    "start `credwatch-agent serve` on it once to make or migrate it"
                )
            for statement in (statement for step in MIGRATIONS[version:] for statement in step):
                connection.execute(statement)
            if version < SCHEMA:
                connection.execute("DELETE FROM schema_version")
                connection.execute("INSERT INTO schema_version VALUES (%s)", (SCHEMA,))


def _rows_of(connection: psycopg.Connection[Any], process_ids: list[str]) -> list[Row]:
    found = connection.execute(f"{_ALL_ROWS} WHERE process.process_id = ANY(%s)", (process_ids,))
    return [Row(*row) for row in found]


def _kept(connection: psycopg.Connection[Any], name: str) -> str:
    found: tuple[str] = connection.execute("SELECT text FROM kept WHERE name = %s", (name,)).fetchone() or ("",)
    return found[0]
