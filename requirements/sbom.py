"""Writes a bill of materials (CycloneDX 1.6) for each distribution: what it runs on, in the versions that are tested.

    python requirements/sbom.py DIRECTORY

Everything comes from `pyproject.toml`, the lock and what the locked packages declare of their licences: the same commit
gives the same bytes.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements" / "dev.txt"
PROJECTS = (ROOT / "pyproject.toml", ROOT / "agent" / "pyproject.toml")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Locked(NamedTuple):
    """One version in the lock: for which Pythons (a marker, "" for all), and which packages need it."""

    name: str
    version: str
    marker: str
    needed_by: frozenset[str]


def locked(text: str) -> Iterator[Locked]:
    """Yield what a lock of `uv pip compile` holds."""
    for block in re.split(r"\n(?=\S)", text):
        head = re.match(r"([\w.-]+)==(\S+)(?: ; ([^\\\n]*))?", block)
        if head:
            needed_by = re.findall(r"^    #(?: via)? +([A-Za-z0-9][\w.-]*)", block, flags=re.MULTILINE)
            yield Locked(normal(head[1]), head[2], (head[3] or "").strip(), frozenset(normal(n) for n in needed_by))


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(direct: frozenset[str], lock: tuple[Locked, ...]) -> list[Locked]:
    """Return what is needed by the packages named, directly or not, sorted."""
    needed, size = set(direct), -1
    while size != len(needed):
        size = len(needed)
        needed |= {row.name for row in lock if row.needed_by & needed}
    return sorted(row for row in lock if row.name in needed)


def bill(project: Mapping[str, Any], lock: tuple[Locked, ...], moment: datetime) -> dict[str, Any]:
    """Return the document for the `[project]` table of one distribution."""
    direct = frozenset(normal(match[0]) for line in project["dependencies"] if (match := _NAME.match(line)))
    ours = {normal(read(path)["name"]): read(path) for path in PROJECTS}
    for name in direct & ours.keys():
        direct |= {normal(match[0]) for line in ours[name]["dependencies"] if (match := _NAME.match(line))}
    rows = closure(direct - ours.keys(), lock)
    components = [_component(row.name, row.version, row.marker) for row in rows]
    components += [_component(name, ours[name]["version"]) for name in sorted(direct & ours.keys())]
    root = _component(project["name"], project["version"])
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([root, components], sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"timestamp": moment.isoformat().replace("+00:00", "Z"), "component": root},
        "components": components,
        "dependencies": [
            {"ref": root["bom-ref"], "dependsOn": sorted(c["bom-ref"] for c in components if c["name"] in direct)},
            *(
                {
                    "ref": _ref(row.name, row.version),
                    "dependsOn": sorted({_ref(o.name, o.version) for o in rows if row.name in o.needed_by}),
                }
                for row in rows
            ),
        ],
    }


def read(path: Path) -> Mapping[str, Any]:
    """Return the `[project]` table of a `pyproject.toml`."""
    table: Mapping[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    return table


def _ref(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def _component(name: str, version: str, marker: str = "") -> dict[str, Any]:
    ref = _ref(name, version)
    component: dict[str, Any] = {"type": "library", "bom-ref": ref, "name": name, "version": version, "purl": ref}
    licence = _licence(name)
    if licence:
        component["licenses"] = [licence]
    if marker:
        component["properties"] = [{"name": "python:marker", "value": marker}]
    return component


def _licence(name: str) -> dict[str, Any]:
    """Return what an installed package declares: an SPDX expression, else a name, else nothing."""
    try:
        declared = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return {}
    if "License-Expression" in declared:
        return {"expression": declared["License-Expression"]}
    named = str(declared.json.get("license", ""))  # no `get` before Python 3.12
    return {"license": {"name": named}} if 0 < len(named) < 60 else {}


def main(arguments: list[str]) -> int:
    """Write `NAME-VERSION.cdx.json` for both distributions."""
    if len(arguments) != 1:
        print("usage: sbom.py DIRECTORY", file=sys.stderr)
        return 2
    moment = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), timezone.utc)
    lock = tuple(locked(LOCK.read_text(encoding="utf-8")))
    for path in PROJECTS:
        project = read(path)
        target = Path(arguments[0]) / f"{project['name'].replace('-', '_')}-{project['version']}.cdx.json"
        target.write_text(json.dumps(bill(project, lock, moment), indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
