"""What the commands about policies share: reading documents, and a role with its evidence."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from credwatch_agent.cli.compared import emits, tested_by
from credwatch_agent.cli.failure import UsageError
from credwatch_agent.compare import RoleView, compare
from credwatch_agent.evidence import Settings, Signed, begins, join
from credwatch_agent.iam.document import Policy, PolicyError, parse
from credwatch_agent.snapshot import Index, Role, Snapshot, load
from credwatch_agent.store.sqlite import SqliteStore


def read_policies(path: Path) -> list[Policy]:
    """Read a file with one policy document, or with a list of them: all policies of a role."""
    try:
        source = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from None
    try:
        if not source.lstrip().startswith("["):
            return [parse(str(path), source)]
        return [parse(f"{path}[{at}]", json.dumps(each)) for at, each in enumerate(json.loads(source))]
    except (PolicyError, ValueError) as error:
        raise UsageError(str(error)) from None


def find_role(snapshot: Snapshot, wanted: str) -> Role:
    """Return the role with this ARN or name. Raises UsageError."""
    found = [role for role in snapshot.roles if wanted in {role.arn, role.name}]
    if len(found) != 1:
        why = "is in more than one account: give its ARN" if found else "is not in the snapshot"
        raise UsageError(f"role `{wanted}` {why}")
    return found[0]


@dataclass(frozen=True)
class Evidence:
    """A role, compared with what it was used for up to `now_ns`."""

    view: RoleView
    signed: Sequence[Signed]
    now_ns: int
    settings: Settings


def read_evidence(role: str, db: Path, snapshot: Path, window: float, records: Iterable[Path] = ()) -> Evidence:
    """Compare one role of the snapshot with the telemetry; `records` are what tests call.

    Raises UsageError, StoreError, SnapshotError.
    """
    taken = load(snapshot)
    found = find_role(taken, role)
    with closing(SqliteStore.open(db, read_only=True)) as store:
        telemetry = store.telemetry()
    now_ns = time.time_ns()
    settings = Settings(window_days=window, tested=tested_by(records))
    index = Index(taken)
    joined = join(telemetry, index, now_ns - settings.window_ns, begins(index, now_ns, settings))
    views = compare(index, joined, now_ns, settings, emits)
    view = next(each for each in views if each.role.arn == found.arn)
    return Evidence(view, joined.by_role(found.arn), now_ns, settings)
