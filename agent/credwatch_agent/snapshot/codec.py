"""The snapshot's file: versioned JSON that loses nothing, written whole or not at all."""

from __future__ import annotations

import json
import tempfile
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from credwatch_agent.snapshot.model import Snapshot

VERSION = 1
_VERSION_KEY = "credwatch_snapshot"


class SnapshotError(ValueError):
    """A snapshot cannot be read or written; the text says what, where and what to do."""


def dumps(snapshot: Snapshot) -> str:
    """Return the snapshot as JSON text."""
    return json.dumps({_VERSION_KEY: VERSION, **asdict(snapshot)}, indent=1, ensure_ascii=False) + "\n"


def loads(text: str, where: str = "the snapshot") -> Snapshot:
    """Return the snapshot of JSON text; `where` names it in errors. Raises `SnapshotError`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"{where} is not JSON ({error}): take it again with `credwatch-agent snapshot`") from None
    version = value.pop(_VERSION_KEY, None) if isinstance(value, dict) else None
    if version is None:
        raise SnapshotError(f"{where} is no credwatch snapshot: take one with `credwatch-agent snapshot`")
    if version != VERSION:
        raise SnapshotError(f"{where} has snapshot version {version}, this agent reads {VERSION}: take it again")
    try:
        snapshot: Snapshot = _decode(Snapshot, value, "snapshot")
    except TypeError as error:
        raise SnapshotError(f"{where} is damaged: {error}; take it again with `credwatch-agent snapshot`") from None
    return snapshot


def save(snapshot: Snapshot, path: Path) -> None:
    """Write the snapshot to `path`; a reader sees the old file or the new one, never a part."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=path.name, suffix=".tmp", delete=False
        ) as file:
            temporary = Path(file.name)
            try:
                file.write(dumps(snapshot))
                file.close()
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise SnapshotError(f"cannot write {path}: {error.strerror or error}") from None


def load(path: Path) -> Snapshot:
    """Read a snapshot file. Raises `SnapshotError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SnapshotError(f"{path} is no credwatch snapshot: it is not UTF-8 text") from None
    except OSError as error:
        raise SnapshotError(
            f"cannot read {path}: {error.strerror or error}; take one with `credwatch-agent snapshot --out {path}`"
        ) from None
    return loads(text, str(path))


def _decode(kind: Any, value: Any, where: str) -> Any:
    """Build `kind` (text, number, tuple or record) from parsed JSON; TypeError names what differs."""
    if is_dataclass(kind):
        return _record(kind, value, where)
    if get_origin(kind) is tuple:
        return _tuple(get_args(kind), value, where)
    if type(value) is not kind:
        raise TypeError(f"`{where}` is {type(value).__name__}, expected {kind.__name__}")
    return value


def _record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"`{where}` is no object")
    hints = get_type_hints(kind)
    unknown = set(value) - set(hints)
    required = {f.name for f in fields(kind) if f.default is MISSING}
    if unknown or required - set(value):
        raise TypeError(f"`{where}` lacks {sorted(required - set(value))} or has the unknown {sorted(unknown)}")
    return kind(**{name: _decode(hints[name], part, f"{where}.{name}") for name, part in value.items()})


def _tuple(parts: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, list):
        raise TypeError(f"`{where}` is no list")
    if parts[-1] is not Ellipsis:
        if len(value) != len(parts):
            raise TypeError(f"`{where}` has {len(value)} items, expected {len(parts)}")
        return tuple(_decode(part, item, where) for part, item in zip(parts, value, strict=True))
    return tuple(_decode(parts[0], item, f"{where}[{i}]") for i, item in enumerate(value))
