"""The directions of the rooms: who may import whom, and what no room may touch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RECORDER = ROOT / "credwatch"
AGENT = ROOT / "agent" / "credwatch_agent"

# room -> the rooms of its own package that it may import; a room not listed here fails the test
RECORDER_ROOMS: dict[str, set[str]] = {
    "__init__": {"instrumentor", "identity", "settings"},
    "bootstrap": {"instrumentor"},
    "plugin": {"instrumentor"},
    "semconv": set(),
    "settings": set(),
    "fingerprint": set(),
    "guard": set(),
    "callsite": set(),
    "outcome": set(),
    "probe": set(),
    "ledger": set(),
    "bulk": set(),
    "signature": set(),
    "workload": set(),
    "operations": {"semconv"},
    "provenance": {"semconv", "signature"},
    "holder": {"provenance"},
    "recorder": {
        "semconv", "signature", "provenance", "holder", "operations", "ledger", "callsite", "guard", "outcome",
    },
    "telemetry": {"semconv", "recorder", "bulk"},
    "advice": {"provenance", "recorder"},
    "counter": {"semconv", "reporting"},
    "reporting": {"semconv", "provenance", "recorder", "telemetry"},
    "headers": set(),
    "standard": {"headers"},
    "answers": set(),
    "channel": {"answers"},
    "over_http": {"answers", "headers", "settings", "standard"},
    "over_grpc": {"channel", "headers", "settings", "standard"},
    "exporting": {"over_http", "over_grpc", "headers", "semconv", "settings", "standard", "telemetry"},
    "worker": {
        "semconv", "guard", "ledger", "provenance", "recorder", "reporting", "telemetry", "workload", "advice",
        "counter",
    },
    "instrumentation": {
        "semconv", "settings", "fingerprint", "guard", "ledger", "operations", "probe", "provenance", "holder",
        "recorder", "signature", "telemetry", "exporting", "worker", "workload", "advice", "counter",
    },
    "instrumentor": {"settings", "exporting", "instrumentation"},
    "identity": {"semconv", "settings", "signature", "provenance", "workload", "instrumentor"},
    "run": {"settings"},
    "completion": set(),
    "doctor": {
        "identity", "run", "settings", "fingerprint", "headers", "standard", "instrumentation", "instrumentor",
    },
    "cli": {"identity", "run", "doctor", "completion"},
    "__main__": {"cli"},
}  # fmt: skip

AGENT_ROOMS: dict[str, set[str]] = {
    "__init__": set(),
    "__main__": {"cli"},
    "records": set(),
    "access": {"records"},
    "otlp": {"records"},
    "store": {"records"},
    "receiver": {"records", "otlp", "store", "access"},
    "snapshot": {"records"},
    "second": {"records", "iam"},
    "iam": set(),
    "evidence": {"records", "snapshot", "iam"},
    "compare": {"records", "snapshot", "iam", "evidence"},
    "findings": {"records", "snapshot", "iam", "evidence", "compare"},
    "recommend": {"records", "snapshot", "iam", "evidence", "compare"},
    "reach": {"records", "snapshot", "iam", "evidence", "compare", "findings"},
    "report": {"records", "snapshot", "iam", "evidence", "compare", "findings", "reach"},
    "exports": {"report", "records", "snapshot", "iam", "evidence", "compare", "findings", "recommend", "reach"},
    "rehearsal": {"iam", "compare", "findings"},
    "web": {
        "access", "report", "records", "snapshot", "iam", "evidence", "compare", "findings", "recommend", "exports",
        "store", "reach",
    },
    "cli": {
        "records", "otlp", "store", "receiver", "snapshot", "iam", "evidence", "compare", "findings",
        "recommend", "exports", "web", "report", "access", "second", "reach", "rehearsal",
    },
}  # fmt: skip

# What the agent may import from credwatch.
SHARED = {"semconv", "operations"}

# third-party or stdlib modules that a pure room must not import
EDGES = {"socket", "requests", "http", "urllib3", "sqlite3", "os", "time", "boto3", "botocore", "uvicorn", "grpc"}
PURE = {
    RECORDER: {
        "advice",
        "holder",
        "semconv",
        "signature",
        "operations",
        "ledger",
        "outcome",
        "provenance",
        "recorder",
        "reporting",
        "standard",
        "workload",
    },
    AGENT: {"records", "access", "otlp", "iam", "evidence", "compare", "findings", "recommend", "reach"},
}


def rooms(package: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(package.rglob("*.py")):
        first = path.relative_to(package).parts[0].removesuffix(".py")
        found.setdefault(first, []).append(path)
    return found


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, those of the type checker alone left out."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import; this project writes absolute ones"
            assert node.module is not None
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def own(names: set[str], package: str) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith(package + ".")}


@pytest.mark.parametrize(
    ("package", "name", "table"),
    [(RECORDER, "credwatch", RECORDER_ROOMS), (AGENT, "credwatch_agent", AGENT_ROOMS)],
    ids=["recorder", "agent"],
)
def test_imports_follow_the_directions(package: Path, name: str, table: dict[str, set[str]]) -> None:
    every = set(table)
    for room, files in rooms(package).items():
        assert room in table, f"{name}.{room} is not in the table of rooms"
        used = set().union(*(own(imports(path), name) for path in files)) & every
        assert used <= table[room] | {room}, f"{name}.{room} may not import {used - table[room] - {room}}"


def test_agent_imports_only_the_shared_contract_of_the_recorder() -> None:
    for path in AGENT.rglob("*.py"):
        used = {name.split(".")[1] for name in imports(path) if name.startswith("credwatch.")}
        assert used & set(RECORDER_ROOMS) <= SHARED, f"{path.name}: {used}"


def test_recorder_knows_nothing_of_the_agent() -> None:
    for path in RECORDER.rglob("*.py"):
        assert not any(name.startswith("credwatch_agent") for name in imports(path)), path.name


@pytest.mark.parametrize(("package", "pure"), PURE.items(), ids=["recorder", "agent"])
def test_pure_rooms_touch_no_edge(package: Path, pure: set[str]) -> None:
    found = rooms(package)
    for room in pure & set(found):
        for path in found[room]:
            touched = {name.split(".")[0] for name in imports(path)} & EDGES
            assert not touched, f"{path.relative_to(ROOT)} touches {touched}"


def test_packages_use_no_assert() -> None:
    for path in [*RECORDER.rglob("*.py"), *AGENT.rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree)), path.name
