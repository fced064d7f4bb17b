"""What `report` and `baseline` share: the evidence and the snapshot, compared, with the life of the findings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from credwatch.operations.coverage import unobservable
from credwatch_agent.cli import toml
from credwatch_agent.cli.failure import UsageError
from credwatch_agent.cli.progress import working
from credwatch_agent.cli.second import read_second
from credwatch_agent.cli.settings import without_password
from credwatch_agent.evidence import Settings
from credwatch_agent.findings import RULES, life
from credwatch_agent.findings.exemptions import BadExemption, Exemption, parse
from credwatch_agent.findings.words import count
from credwatch_agent.iam.catalogue import known
from credwatch_agent.rehearsal.calls import BadRecord, Record, loads
from credwatch_agent.report import Report, build, lived
from credwatch_agent.snapshot import Index, Snapshot, load
from credwatch_agent.store import StoreError
from credwatch_agent.store.location import open_store


@dataclass(frozen=True)
class Asked:
    """What a report is asked to compare.

    `exemptions` are those of a file, `earlier` is a snapshot from before, `trails` and `documents` are second sources;
    `quiet` shows no progress.
    """

    db: str
    snapshot: Path
    settings: Settings
    exemptions: tuple[Exemption, ...] = ()
    earlier: Path | None = None
    trails: Sequence[str] = ()
    documents: Sequence[str] = ()
    quiet: bool = False


def compared(asked: Asked, *, remember: bool = False, adopt: bool = False) -> tuple[Report, Snapshot]:
    """Return the report; with `remember` it goes into the store's history, with `adopt` as the baseline.

    Raises `StoreError`, `SnapshotError`, `UsageError`.
    """
    attached = load(asked.snapshot)
    _refuse_strangers(asked.settings, attached)
    name = life.name(attached.account_id, attached.region)
    before = load(asked.earlier) if asked.earlier else None
    now_ns = time.time_ns()
    second = read_second(asked.trails, asked.documents, Index(attached), now_ns, asked.settings, quiet=asked.quiet)
    what = f"comparing {count(len(attached.roles), 'role')}"
    with working(what, quiet=asked.quiet), closing(open_store(asked.db, read_only=True)) as store:
        report = build(store.telemetry(), attached, now_ns, asked.settings, emits, earlier=before, second=second)
        kept = store.kept(name)
    if not remember:
        return lived(report, attached, _history(kept, asked.db), asked.exemptions)[0], attached
    made: list[Report] = []

    def change(history: life.History) -> life.History:
        if adopt:
            history = life.adopt(life.advance(history, report.findings, report.now_ns, complete=False), report.findings)
        told, after = lived(report, attached, history, asked.exemptions)
        made.append(told)
        return after

    amend(asked.db, name, change)
    return made[-1], attached


def amend(location: str, name: str, change: Callable[[life.History], life.History]) -> None:
    """Change a history in a store that exists; raises `StoreError`."""
    open_store(location, read_only=True).close()  # a misspelt name makes no new store
    with closing(open_store(location)) as store:
        store.amend(name, lambda text: life.dumps(change(_history(text, location))))


def _history(text: str, location: str) -> life.History:
    try:
        return life.loads(text)
    except life.BadHistory as error:
        raise StoreError(f"the history of findings in `{without_password(location)}` is no use: {error}") from None


def _refuse_strangers(settings: Settings, attached: Snapshot) -> None:
    known = {name for role in attached.roles for name in (role.arn, role.name)}
    for role, _ in sorted(settings.tested):
        if role not in known:
            raise UsageError(f"a record is of role `{role}`, which is not in the snapshot: see `--credwatch-role`")


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
