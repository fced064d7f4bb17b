"""What the commands about policies share: reading documents, and a role with its evidence."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from credwatch_agent.cli.compared import emits, tested_by
from credwatch_agent.cli.failure import UsageError
from credwatch_agent.cli.progress import working
from credwatch_agent.cli.second import read_second
from credwatch_agent.cli.stored import read_telemetry
from credwatch_agent.compare import RoleView, compare
from credwatch_agent.evidence import Settings, Signed, begins, join
from credwatch_agent.iam.document import Policy, PolicyError, parse
from credwatch_agent.snapshot import Index, Role, Snapshot, load


def read_policies(path: Path) -> list[Policy]:
    """Read a file with one policy document, or with a list of them: all policies of a role."""
    try:
        source = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from None
    documents = {str(path): source}
    if source.lstrip().startswith("["):
        try:
            documents = {f"{path}[{at}]": json.dumps(each) for at, each in enumerate(json.loads(source))}
        except ValueError as error:
            raise UsageError(f"{path} is not JSON: {error}") from None
    found = [_parsed(name, document) for name, document in documents.items()]
    wrong = [str(each) for each in found if isinstance(each, PolicyError)]
    if wrong:
        raise UsageError("; ".join(wrong))
    return [each for each in found if isinstance(each, Policy)]


def _parsed(name: str, document: str) -> Policy | PolicyError:
    try:
        return parse(name, document)
    except PolicyError as error:
        return error


def find_role(snapshot: Snapshot, wanted: str) -> Role:
    """Return the role with this ARN or name. Raises UsageError."""
    found = [role for role in snapshot.roles if wanted in {role.arn, role.name}]
    if len(found) != 1:
        why = "is in more than one account: give its ARN" if found else "is not in the snapshot"
        raise UsageError(f"role `{wanted}` {why}")
    return found[0]


@dataclass(frozen=True)
class Evidence:
    """A role, compared with what it was used for up to `now_ns`. `problems`: second sources that cannot be read."""

    view: RoleView
    signed: Sequence[Signed]
    now_ns: int
    settings: Settings
    problems: tuple[str, ...] = ()


def read_evidence(
    role: str,
    db: str,
    snapshot: Path,
    window: float,
    trails: Sequence[str] | None = None,
    documents: Sequence[str] | None = None,
    records: Iterable[Path] = (),
    *,
    quiet: bool = False,
) -> Evidence:
    """Compare one role of the snapshot with telemetry and second sources; `records` are what tests call.

    Raises UsageError, StoreError, SnapshotError.
    """
    taken = load(snapshot)
    found = find_role(taken, role)
    telemetry = read_telemetry(db, quiet=quiet)
    now_ns = time.time_ns()
    settings = Settings(window_days=window, tested=tested_by(records))
    index = Index(taken)
    joined = join(telemetry, index, now_ns - settings.window_ns, begins(index, now_ns, settings))
    second = read_second(trails, documents, index, now_ns, settings, quiet=quiet)
    with working(f"comparing `{found.name}`", quiet=quiet):
        (view,) = compare(index, joined, now_ns, settings, emits, second, roles=[found])
    return Evidence(view, joined.by_role(found.arn), now_ns, settings, second.problems)
