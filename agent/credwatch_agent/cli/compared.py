"""What `report` and `baseline` share: the evidence and the snapshot, compared, with the life of the findings."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from credwatch.operations.coverage import unobservable
from credwatch_agent.cli import toml
from credwatch_agent.cli.failure import UsageError
from credwatch_agent.evidence import Settings
from credwatch_agent.findings import RULES, life
from credwatch_agent.findings.exemptions import BadExemption, Exemption, parse
from credwatch_agent.iam.catalogue import known
from credwatch_agent.rehearsal.calls import BadRecord, Record, loads
from credwatch_agent.report import Report, build, lived
from credwatch_agent.snapshot import Snapshot, load
from credwatch_agent.store import Keeper, Store, StoreError
from credwatch_agent.store.location import open_store


@dataclass(frozen=True)
class Asked:
    """What a report is asked to compare. `exemptions` are those of a file."""

    db: str
    snapshot: Path
    settings: Settings
    exemptions: tuple[Exemption, ...] = ()


def compared(asked: Asked, *, remember: bool = False, adopt: bool = False) -> tuple[Report, Snapshot]:
    """Return the report; with `remember` it goes into the store's history, with `adopt` as the baseline.

    Raises `StoreError`, `SnapshotError`, `UsageError`.
    """
    attached = load(asked.snapshot)
    with closing(open_store(asked.db, read_only=not remember)) as store:
        report = build(store.telemetry(), attached, time.time_ns(), asked.settings, emits)
        if not remember:
            text = store.kept(life.NAME) if isinstance(store, Keeper) else ""
            return lived(report, attached, history_of(text, asked.db), asked.exemptions)[0], attached
        return _remembered(keeper(store, asked.db), report, attached, asked, adopt), attached


def _remembered(store: Keeper, report: Report, attached: Snapshot, asked: Asked, adopt: bool) -> Report:
    made: list[Report] = []

    def change(text: str) -> str:
        history = history_of(text, asked.db)
        if adopt:
            history = life.adopt(life.advance(history, report.findings, report.now_ns, complete=False), report.findings)
        told, after = lived(report, attached, history, asked.exemptions)
        made.append(told)
        return life.dumps(after)

    store.amend(life.NAME, change)
    return made[-1]


def keeper(store: Store, location: str) -> Keeper:
    """Return a store as one that keeps a history; raises `UsageError` where it is none."""
    if not isinstance(store, Keeper):
        raise UsageError(f"`{location}` keeps no history of findings: use SQLite or PostgreSQL")
    return store


def history_of(text: str, location: str) -> life.History:
    """Return the history that a store keeps as this text; raises `StoreError`."""
    try:
        return life.loads(text)
    except life.BadHistory as error:
        raise StoreError(f"the history of findings in `{location}` is no use: {error}") from None


def read_exemptions(path: Path | None) -> tuple[Exemption, ...]:
    """Return the exemptions of a TOML file; raises `UsageError`."""
    if path is None:
        return ()
    try:
        return parse(toml.read(path, "docs/exemptions.md"), (rule.id for rule in RULES))
    except BadExemption as error:
        raise UsageError(f"`{path}`: {error}; see docs/exemptions.md") from None


def tested_by(paths: Iterable[Path]) -> frozenset[tuple[str, str]]:
    """Return what records of tests name, as `Settings.tested`; raises `UsageError`."""
    found: set[tuple[str, str]] = set()
    for path in paths:
        record = _record(path)
        if not record.role:
            raise UsageError(f"`{path}` names no role: record it with `pytest --credwatch-role ROLE`")
        found |= {(record.role, action) for action in record.actions}
    return frozenset(found)


def _record(path: Path) -> Record:
    try:
        return loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (BadRecord, UnicodeDecodeError) as error:
        raise UsageError(f"`{path}` {error}") from None


def emits(action: str) -> bool | None:
    """Tell whether some SDK operation is authorised as an action, as far as the operation map knows the action."""
    return not unobservable(action) if known(action) else None
