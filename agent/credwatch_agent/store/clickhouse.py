"""The store of a fleet: ClickHouse, one server or a cluster, written by any number of agents.

There are no transactions, so nothing here needs one: an insert is one block, maxima merge in any order,
and what was folded is told by a row that arrives in the block of its total. `clickhouse_schema` tells
the kinds of rows. Periodic jobs are done by the one agent that holds the lease.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from credwatch.semconv import PROCESS_FINGERPRINT, RECORDER_CLOSED
from credwatch_agent.records import Batch, Seen, Span, Telemetry
from credwatch_agent.store import MAX_SEEN, MAX_SPANS, Retained, StoreError, Summary, texts
from credwatch_agent.store.clickhouse_schema import FINGERPRINT, SCHEMA, local, on, statements, upgrade
from credwatch_agent.store.reduce import TOTAL, Kept, Row, batches, fold, points_of, seen, telemetry, totals

# with the types, which each insert would ask for
_COLUMNS = {
    "point": dict(zip(Row._fields, ("String", "String", "String", "Int64", "Int64", "Int64", "UInt8"), strict=True)),
    "span": {"trace_id": "String", "span_id": "String", "arrived_ns": "Int64", "text": "String"},
    "kept": {"name": "String", "version": "Int64", "text": "String"},
}
_POINTS = ("usage", "key", "health")
_OWN = (*_POINTS, "process")

_AT_ONCE = 500  # processes folded or forgotten at a time
_SWEPT = 5_000  # processes whose rows are deleted at a time: a deletion rewrites parts
_LEASE_NS = 600 * 10**9
_TRIES = 3
_DAY_NS = 86_400 * 10**9
_SLACK = 4  # spans are trimmed by the periodic jobs, and between them at so many times what is kept

_SETTINGS = {
    "insert_deduplicate": 0,  # what was deleted may come again
    "async_insert": 0,  # an answer of 200 is a promise
    "max_query_size": 2**28,  # ids of a request's processes
}
_OF_A_CLUSTER = {"distributed_foreground_insert": 1, "insert_quorum": "auto"}

# grouped by kind and process, which is the order of the key
_ROWS = "SELECT process_id, kind, text, start_ns, max(value), max(last_ns), min(exact) FROM point"
_GROUPED = "GROUP BY kind, process_id, text, start_ns ORDER BY process_id, kind, text"

# of the folded processes, those that still have rows of their own: few, whatever was folded in a year
_HIDDEN = """SELECT text FROM point WHERE kind = 'folded'
    AND text GLOBAL IN (SELECT process_id FROM point WHERE kind = 'process')"""

_SINCE = f"""WHERE kind IN ('usage', 'key', 'health', 'process') AND (startsWith(process_id, %(total)s)
        OR process_id GLOBAL IN (SELECT process_id FROM point WHERE kind = 'process'
            GROUP BY process_id HAVING max(last_ns) >= %(since)s))
    OR kind = 'folded' AND text GLOBAL IN ({_HIDDEN})"""

_EVERYTHING = "WHERE kind IN ('usage', 'key', 'health', 'process', 'folded')"

_OLD = f"""SELECT process_id FROM point WHERE kind = 'process' AND process_id GLOBAL NOT IN ({_HIDDEN})
    AND NOT startsWith(process_id, %(but)s) GROUP BY process_id HAVING max(last_ns) < %(before)s
    ORDER BY process_id LIMIT %(limit)s"""

_NOBODY = "\n"  # no process begins so

_HEALTH = f"""SELECT text, toString(sum(toInt256(greatest_value))) FROM (
        SELECT text, max(value) AS greatest_value FROM point
        WHERE kind = 'health' AND process_id GLOBAL NOT IN ({_HIDDEN}) GROUP BY process_id, text, start_ns)
    GROUP BY text"""

_SEEN = f"""SELECT process_id FROM point WHERE kind = 'process' AND {{}}
    AND process_id GLOBAL NOT IN ({_HIDDEN}) GROUP BY process_id ORDER BY max(last_ns) DESC LIMIT %(limit)s"""

_OF_FINGERPRINT = f"{FINGERPRINT} = %(value)s AND position(text, %(mark)s) > 0"

_KEPT = "SELECT text, version FROM kept WHERE name = %(name)s ORDER BY version DESC LIMIT 1"

_SPANS = """SELECT min(text) FROM span WHERE %(trace)s IN ('', trace_id) GROUP BY trace_id, span_id
    ORDER BY min(arrived_ns) DESC LIMIT %(limit)s"""

_LAST_KEPT = """SELECT min(arrived_ns) AS first_ns FROM span GROUP BY trace_id, span_id
    ORDER BY first_ns DESC LIMIT 1 OFFSET %(kept)s"""

_LEASES = """SELECT text FROM point WHERE kind = 'lease' GROUP BY text
    HAVING max(value) = 0 AND max(last_ns) > %(now)s"""


class Place(NamedTuple):
    """Where the tables are; `cluster` is "" for one server, `client` what the client is made from."""

    database: str
    cluster: str
    name: str
    client: dict[str, Any]


def place(location: str) -> Place:
    """Read `clickhouse://USER:PASSWORD@HOST:PORT/DATABASE?cluster=NAME&secure=true`, or `chdb:///DIRECTORY`.

    The latter runs the engine in this process, for tests and trials. Raises `StoreError`.
    """
    try:
        parts = urlsplit(location)
        port = parts.port
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _unreadable() from None
    if parts.scheme == "chdb":
        return Place("credwatch", "", parts.path, {"interface": "chdb", "path": parts.path})
    database, cluster = parts.path.strip("/") or "credwatch", options.pop("cluster", "")
    secure = options.pop("secure", "false")
    names = [name for name in (database, cluster) if name]
    if options or secure not in {"true", "false"} or not all(re.fullmatch(r"[A-Za-z_]\w*", n, re.ASCII) for n in names):
        raise _unreadable()
    host = parts.hostname or "localhost"
    client = {
        "host": host,
        "port": port or (8443 if secure == "true" else 8123),
        "username": unquote(parts.username or "default"),
        "password": unquote(parts.password or "") or os.environ.get("CLICKHOUSE_PASSWORD", ""),
        "secure": secure == "true",
        "connect_timeout": 5,
        "send_receive_timeout": 60,
        "autogenerate_session_id": False,
    }
    return Place(database, cluster, f"{database} on {host}", client)


def _unreadable() -> StoreError:
    # never the location itself: it may hold a password
    return StoreError(
        "the database's URL cannot be read: write clickhouse://USER@HOST:PORT/DATABASE, "
        "with `?cluster=NAME` for a cluster and `secure=true` for TLS"
    )


class ClickHouseStore:
    """A `Store` in one database. Made by `open`."""

    def __init__(self, place: Place, client: Client, read_only: bool) -> None:
        self._place = place
        self._client = client
        self._read_only = read_only
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, location: str, *, read_only: bool = False) -> ClickHouseStore:
        """Connect (see `place`); tables are made unless `read_only`. Raises `StoreError`."""
        found = place(location)
        for name in ("urllib3.connectionpool", "clickhouse_connect"):  # what fails is told once, by us
            logging.getLogger(name).setLevel(logging.ERROR)
        with _sentences(found.name):
            settings = {**_SETTINGS, **(_OF_A_CLUSTER if found.cluster else {})}
            store = cls(found, clickhouse_connect.get_client(**found.client, settings=settings), read_only)
            try:
                store._adopt()
            except BaseException:
                store._client.close()
                raise
        return store

    def put(self, batches: Iterable[Batch]) -> int:
        rows: list[Row] = []
        contained: list[tuple[str, str]] = []
        for batch in batches:
            if points := points_of(batch):
                rows += [*points, *_described(batch, points)]
                contained += [(points[0].process_id, member) for member in batch.folded]
        with self._writing():
            if contained:
                self._insert(_sealed(member for _, member in contained))
            process_ids = {row.process_id for row in rows}
            late = self._sealed(process_ids)
            self._insert([*(row for row in rows if row.process_id not in late), *_folded(contained)])
            # sealed meanwhile: whoever folds may have read before this insert, so it is not promised
            late |= self._sealed(process_ids - late)
        return sum(row.process_id in late and row.kind in _POINTS for row in rows) if late else 0

    def put_spans(self, spans: Iterable[Span]) -> None:
        with self._writing():
            arrived_ns = self._now_ns()
            rows = [(s.trace_id, s.span_id, arrived_ns + n, texts.from_span(s)) for n, s in enumerate(spans)]
            self._into("span", rows)
            if self._ask("SELECT count() FROM span")[0][0] > _SLACK * MAX_SPANS:
                self._trim()

    def telemetry(self, since_ns: int = 0) -> Telemetry:
        with self._reading():
            found = self._ask(f"{_ROWS} {_SINCE} {_GROUPED}", since=since_ns, total=TOTAL)
        held = _Held(found)
        return telemetry([p for p in held.processes if p.last_ns >= since_ns], held.points, since_ns)

    def batches(self) -> Iterator[Batch]:
        with self._reading():
            held = _Held(self._ask(f"{_ROWS} {_EVERYTHING} {_GROUPED}"))
        yield from batches(held.processes, held.points, held.tombstones)

    def seen(self, process_id: str = "", fingerprint: str = "") -> tuple[Seen, ...]:
        mark = texts.member(PROCESS_FINGERPRINT, fingerprint)
        where, value = "process_id = %(value)s", process_id
        if not process_id:
            where, value = _OF_FINGERPRINT, mark.partition(":")[2][1:-1]
        with self._reading():
            ids = [found for (found,) in self._ask(_SEEN.format(where), value=value, mark=mark, limit=MAX_SEEN)]
            folded = self._ask("SELECT process_id FROM point WHERE kind = 'folded' AND text = %(id)s", id=process_id)
            if folded:  # nothing but that is known
                return seen([(Kept(process_id, texts.from_mapping({}), 0, 0, 0), True)], ())
            held = _Held(self._rows_of(ids)) if ids else _Held(())
        return seen([(kept, False) for kept in held.processes], held.points)

    def summary(self) -> Summary:
        with self._reading():
            ((processes,),) = self._ask(
                "SELECT uniqExact(process_id) FROM point WHERE kind = 'process'"
                f" AND process_id GLOBAL NOT IN ({_HIDDEN})"
            )
            return Summary(processes, {name: int(value) for name, value in self._ask(_HEALTH)})

    def spans(self, trace_id: str = "", limit: int = MAX_SPANS) -> tuple[Span, ...]:
        with self._reading():
            found = self._ask(_SPANS, trace=trace_id, limit=min(limit, MAX_SPANS))
        return tuple(sorted((texts.to_span(text) for (text,) in found), key=lambda span: (span.start_ns, span.span_id)))

    def kept(self, name: str) -> str:
        with self._reading():
            return self._kept(name)[0]

    def kept_names(self) -> tuple[str, ...]:
        with self._reading():
            return tuple(name for (name,) in self._ask("SELECT DISTINCT name FROM kept ORDER BY name"))

    def amend(self, name: str, change: Callable[[str], str]) -> str:
        """See `Store.amend`; done by who holds the lease, so that nobody else's change is between."""
        lease = self._lease()
        if lease is None:
            raise StoreError(
                f"the database `{self._place.name}` is at the jobs of another agent: try again in a minute"
            )
        try:
            with self._writing():
                self._sync("kept")  # or another replica's change would be lost
                text, version = self._kept(name)
                text = change(text)
                self._renew(lease)
                self._into("kept", [(name, version + 1, text)])
                self._delete("kept", "name = %(name)s AND version <= %(version)s", name=name, version=version)
                return text
        finally:
            with self._writing():
                self._claim(lease, given_back=True)

    def _kept(self, name: str) -> tuple[str, int]:
        found = self._ask(_KEPT, name=name)
        return found[0] if found else ("", 0)

    def check(self) -> None:
        with self._writing():
            self._insert([Row("", "schema", "", 0, SCHEMA, 0, 1)])  # which is there: merged away

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._client.close()

    # --- periodic jobs --------------------------------------------------------------------------------

    def retain(self, fold_before_ns: int, forget_before_ns: int) -> Retained:
        """See `Store.retain`; does nothing where another agent is at it."""
        lease = self._lease()
        if lease is None:
            return Retained(0, 0)
        folded = forgotten = 0
        try:
            while found := self._fold(lease, fold_before_ns):
                folded += found
            with self._writing():
                self._sweep()
            while found := self._forget(lease, forget_before_ns):
                forgotten += found
            with self._writing():
                self._tidy()
        finally:
            with self._writing():
                self._claim(lease, given_back=True)
        return Retained(folded, forgotten)

    def _lease(self) -> str | None:
        """Claim the lease; held by who sees no claim but its own.

        Claims are written before they are read, so two agents never both see themselves alone; both may see
        each other, and none has it.
        """
        for _ in range(_TRIES):
            lease = uuid.uuid4().hex
            with self._writing():
                self._claim(lease)
                self._sync("point")
                if self._ask(_LEASES, now=self._now_ns()) == [(lease,)]:
                    return lease
                self._claim(lease, given_back=True)
        return None

    def _renew(self, lease: str) -> None:
        if (lease,) not in self._ask(_LEASES, now=self._now_ns()):
            raise StoreError(
                f"the database `{self._place.name}` answered too slowly: its jobs are left to the next agent"
            )
        self._claim(lease)

    def _claim(self, lease: str, *, given_back: bool = False) -> None:
        self._insert([Row("", "lease", lease, 0, int(given_back), self._now_ns() + _LEASE_NS, 1)])

    def _fold(self, lease: str, before_ns: int) -> int:
        with self._writing():
            self._renew(lease)
            process_ids = self._old(before_ns, but=TOTAL)
            if not process_ids:
                return 0
            # from here on their points are refused; what was taken before is read below
            self._insert(_sealed(process_ids))
            self._sync("point")
            members = _Held(self._rows_of(process_ids))
            closed = (row.process_id for row in members.points if row.kind == "health" and row.text == RECORDER_CLOSED)
            planned = totals(self._id(), members.processes, closed)
            so_far = _Held(self._rows_of(list(planned)))
            for total in fold(planned, [*members.points, *so_far.points]):
                points = points_of(total)
                contained = [(points[0].process_id, member) for member in total.folded]
                self._insert([*points, *_described(total, points), *_folded(contained)])
            return len(process_ids)

    def _sweep(self) -> None:
        """Delete the rows of folded processes, also of one that a put brought while it was folded."""
        while left := [process_id for (process_id,) in self._ask(f"{_HIDDEN} LIMIT %(limit)s", limit=_SWEPT)]:
            self._delete("point", "kind IN %(kinds)s AND process_id IN %(ids)s", kinds=_OWN, ids=left)

    def _forget(self, lease: str, before_ns: int) -> int:
        with self._writing():
            self._renew(lease)
            old = self._old(before_ns, but=_NOBODY)
            if old:
                members = self._ask("SELECT text FROM point WHERE kind = 'folded' AND process_id IN %(ids)s", ids=old)
                if members:
                    sealed = [member for (member,) in members]
                    self._delete("point", "kind = 'sealed' AND process_id IN %(ids)s", ids=sealed)
                # not what a process that came back has sent since
                self._delete(
                    "point",
                    "kind IN %(kinds)s AND process_id IN %(ids)s AND last_ns < %(before)s",
                    kinds=(*_OWN, "folded"),
                    ids=old,
                    before=before_ns,
                )
            return len(old)

    def _old(self, before_ns: int, but: str) -> list[str]:
        found = self._ask(_OLD, before=before_ns, but=but, limit=_AT_ONCE)
        return [process_id for (process_id,) in found]

    def _tidy(self) -> None:
        self._trim()
        old_ns = self._now_ns() - _DAY_NS
        ((leases,),) = self._ask("SELECT count() FROM point WHERE kind = 'lease' AND last_ns < %(old)s", old=old_ns)
        if leases:
            self._delete("point", "kind = 'lease' AND last_ns < %(old)s", old=old_ns)

    def _trim(self) -> None:
        if found := self._ask(_LAST_KEPT, kept=MAX_SPANS):
            self._delete("span", "arrived_ns <= %(last)s", last=found[0][0])

    # --- the engine -----------------------------------------------------------------------------------

    def _ask(self, query: str, **values: object) -> Sequence[Any]:
        found: Sequence[Any] = self._client.query(query, parameters=values).result_rows
        return found

    def _now_ns(self) -> int:
        ((now_ns,),) = self._ask("SELECT toUnixTimestamp64Nano(now64(9))")  # one clock for all agents
        return int(now_ns)

    def _id(self) -> str:
        ((found,),) = self._ask("SELECT min(text) FROM point WHERE kind = 'store'")
        return str(found)

    def _sealed(self, process_ids: Iterable[str]) -> set[str]:
        ids = list(process_ids)
        if not ids:
            return set()
        found = self._ask("SELECT process_id FROM point WHERE kind = 'sealed' AND process_id IN %(ids)s", ids=ids)
        return {process_id for (process_id,) in found}

    def _rows_of(self, process_ids: list[str]) -> Sequence[Any]:
        where = "WHERE kind IN %(kinds)s AND process_id IN %(ids)s"
        return self._ask(f"{_ROWS} {where} {_GROUPED}", kinds=_OWN, ids=process_ids)

    def _insert(self, rows: Iterable[Row]) -> None:
        self._into("point", rows)

    def _into(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        names, types = list(_COLUMNS[table]), list(_COLUMNS[table].values())
        if data := list(zip(*rows, strict=True)):
            self._client.insert(
                f"{self._place.database}.{table}",
                data,
                column_names=names,
                column_type_names=types,
                column_oriented=True,
            )

    def _delete(self, table: str, condition: str, **values: object) -> None:
        cluster = self._place.cluster
        self._client.command(f"DELETE FROM {local(table, cluster)}{on(cluster)} WHERE {condition}", parameters=values)

    def _sync(self, table: str) -> None:
        """Wait until every replica has what any of them took of a table."""
        if cluster := self._place.cluster:
            self._client.command(f"SYSTEM SYNC REPLICA{on(cluster)} {self._place.database}.{local(table, cluster)}")

    def _adopt(self) -> None:
        database, name = self._place.database, self._place.name
        known = self._ask("SELECT 1 FROM system.tables WHERE database = %(db)s AND name = 'point'", db=database)
        version = 0
        if known:
            ((version,),) = self._ask(f"SELECT max(value) FROM {database}.point WHERE kind = 'schema'")
        if version > SCHEMA:
            raise StoreError(
                f"the database `{name}` has schema {version}, this agent knows {SCHEMA}; it was left as it is: "
                "run the agent that wrote it, or give another database"
            )
        if version < SCHEMA and self._read_only:
            raise StoreError(
                f"the database `{name}` has schema {version}, this agent reads {SCHEMA}; "
                "start `credwatch-agent serve` on it once to make or migrate it"
            )
        if version < SCHEMA:
            made = statements(database, self._place.cluster) + (
                upgrade(database, self._place.cluster) if version else []
            )
            for statement in made:
                self._client.command(statement, use_database=False)
        self._client.database = database
        if version < SCHEMA:
            ours = [] if version else [Row("", "store", uuid.uuid4().hex, 0, 0, 0, 1)]
            self._insert([*ours, Row("", "schema", "", 0, SCHEMA, 0, 1)])

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, _sentences(self._place.name):
            if self._closed:
                raise StoreError(f"the database `{self._place.name}` was closed")
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._read_only:
            raise StoreError(f"the database `{self._place.name}` was opened to be read, and cannot be written")
        with self._reading():
            yield


class _Held:
    """Rows as stores reduce them: without those of processes that a total contains."""

    def __init__(self, found: Iterable[tuple[Any, ...]]) -> None:
        rows = [Row(*row) for row in found]
        self.tombstones = [(row.text, row.process_id) for row in rows if row.kind == "folded"]
        hidden = {member for member, _ in self.tombstones}
        self.points = [row for row in rows if row.kind in _POINTS and row.process_id not in hidden]
        described: defaultdict[str, list[Row]] = defaultdict(list)
        for row in rows:
            if row.kind == "process" and row.process_id not in hidden:
                described[row.process_id].append(row)
        self.processes = [_kept(process_id, own) for process_id, own in described.items()]


def _kept(process_id: str, own: list[Row]) -> Kept:
    """Return a process from its descriptions: the latest wins, of two at one time the greater text."""
    last_ns, resource = max((row.last_ns, row.text) for row in own)
    return Kept(process_id, resource, min(row.start_ns for row in own), last_ns, max(row.value for row in own))


def _described(batch: Batch, points: Iterable[Row]) -> Iterator[Row]:
    resource = texts.from_mapping(batch.resource)
    seen: dict[str, tuple[int, int]] = {}
    for point in points:
        first_ns, last_ns = seen.get(point.process_id, (point.start_ns, point.last_ns))
        seen[point.process_id] = min(first_ns, point.start_ns), max(last_ns, point.last_ns)
    for process_id, (first_ns, last_ns) in seen.items():
        yield Row(process_id, "process", resource, first_ns, int(batch.claimed), last_ns, 1)


def _sealed(process_ids: Iterable[str]) -> Iterator[Row]:
    return (Row(process_id, "sealed", "", 0, 1, 0, 1) for process_id in process_ids)


def _folded(contained: Iterable[tuple[str, str]]) -> Iterator[Row]:
    return (Row(total, "folded", member, 0, 1, 0, 1) for total, member in contained)


@contextmanager
def _sentences(name: str) -> Iterator[None]:
    try:
        yield
    except ClickHouseError as error:
        # one line, and never the URL
        reason = str(error).split("\n", 1)[0]
        raise StoreError(f"the database `{name}` cannot be used: {reason}; check that it runs") from None
