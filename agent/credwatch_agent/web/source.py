"""Where moments come from: reads store and snapshot, compares, and keeps the result until something changed.

The edge of this room towards disk and clock. No reader waits for a comparison but those of the first
one, and they not for long: while the next is made, the last one is shown.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from credwatch_agent.evidence import Emits, Settings
from credwatch_agent.findings import life
from credwatch_agent.findings.exemptions import Exemption
from credwatch_agent.records import Telemetry
from credwatch_agent.snapshot import Missing, Snapshot, SnapshotError, load
from credwatch_agent.snapshot.model import LAYERS
from credwatch_agent.store import Store, StoreError
from credwatch_agent.web.state import Moment, Past, moment

_log = logging.getLogger(__name__)

_LOOK_NS = 2 * 10**9
_RENEW_NS = 60 * 10**9
_SHARE = 20
"""A comparison that took so long is made again after that many times as long: it costs 5 % of a core at most."""

NO_SNAPSHOT = "This agent was given no snapshot, so it cannot know what is granted: start it with `--snapshot FILE`."


@dataclass(frozen=True, slots=True)
class Given:
    """What the page is told. `frozen`: the moment is that of the last report, not now, as for a copied database.

    `exemptions` reads those of a file, at each comparison; raises `StoreError` where it cannot.
    """

    snapshot: Path | None
    settings: Settings
    emits: Emits
    frozen: bool = False
    exemptions: Callable[[], Sequence[Exemption]] = tuple


class NotYet(Exception):
    """The first comparison is still being made; the text says so."""


class Source:
    """Gives the current moment of a store and a snapshot; from any thread. `store` stays the caller's to close.

    `patience_s`: how long a reader waits for the first comparison.
    """

    def __init__(self, store: Store, given: Given, now_ns: Callable[[], int], patience_s: float = 5.0) -> None:
        self._store = store
        self._given = given
        self._now_ns = now_ns
        self._patience_s = patience_s
        self._changed = threading.Condition()
        self._made: Moment | None = None
        self._failed: Exception | None = None
        self._seen: object = None
        self._due_ns = 0
        self._renew_ns = 0
        self._busy = False

    def __call__(self) -> Moment:
        """Return the moment to show; where there has been none yet, raises `StoreError`, `SnapshotError`, `NotYet`."""
        with self._changed:
            if not self._busy and self._now_ns() >= self._due_ns:
                self._busy = True
                threading.Thread(target=self._look, name="credwatch-page", daemon=True).start()
            if self._made is None:
                self._changed.wait_for(lambda: not self._busy, self._patience_s)
            if self._made is not None:
                return self._made
            if self._busy or self._failed is None:
                raise NotYet("the first comparison of what is granted and used is being made: look again in a moment")
            raise self._failed

    def _look(self) -> None:
        """Make the next moment, if there is something new to show."""
        failed: Exception | None = None
        try:
            if self._mark() != self._seen or (not self._given.frozen and self._now_ns() >= self._renew_ns):
                self._make()
            else:
                self._due_ns = self._now_ns() + _LOOK_NS
        except (StoreError, SnapshotError) as error:
            failed = error
            _log.warning("the page cannot be renewed", extra={"fields": {"reason": str(error)}})
            # where nothing can be shown yet, the next reader asks again
            self._due_ns = self._now_ns() + _LOOK_NS if self._made else 0
        except Exception as error:
            failed = error
            raise
        finally:
            with self._changed:
                self._failed, self._busy = failed, False
                self._changed.notify_all()

    def _make(self) -> None:
        begun = self._now_ns()
        # looked at first: what changes meanwhile is seen the next time
        seen = self._mark()
        snapshot, note = self._snapshot()
        telemetry = self._store.telemetry()
        now_ns = _last(telemetry) or begun if self._given.frozen else begun
        past = Past(self._history(snapshot), self._given.exemptions())
        made = moment(
            telemetry, snapshot, now_ns, self._given.settings, self._given.emits, self._store.spans(), note, past
        )
        ended = self._now_ns()
        self._made, self._seen = made, seen
        self._due_ns = ended + max(_LOOK_NS, _SHARE * (ended - begun))
        self._renew_ns = ended + _RENEW_NS

    def _mark(self) -> object:
        """Return what differs once there is something new to show."""
        path = self._given.snapshot
        try:
            found = path.stat() if path else None
        except OSError:
            found = None
        return self._store.summary(), (found.st_mtime_ns, found.st_size, found.st_ino) if found else None

    def _history(self, snapshot: Snapshot) -> life.History:
        """Return what `report --remember` keeps of this account."""
        try:
            return life.loads(self._store.kept(life.name(snapshot.account_id, snapshot.region)))
        except life.BadHistory as error:
            raise StoreError(f"the history of findings is no use: {error}") from None

    def _snapshot(self) -> tuple[Snapshot, str]:
        path = self._given.snapshot
        if path is None:
            return _nothing(NO_SNAPSHOT)
        if not path.exists():
            return _nothing(f"There is no snapshot at {path} yet: `credwatch-agent snapshot --out {path}` takes one.")
        return load(path), ""


def _nothing(note: str) -> tuple[Snapshot, str]:
    missing = tuple(Missing(layer, f"there is no snapshot: {layer} are unknown") for layer in LAYERS)
    return Snapshot(0, "none", missing=missing), note


def _last(telemetry: Telemetry) -> int:
    """Return when something was reported last."""
    return max((process.last_ns for process in telemetry.processes.values()), default=0)
