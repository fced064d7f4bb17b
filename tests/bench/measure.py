"""Runs children and collects numbers: microseconds in interleaved rounds, instructions, import time, memory.

Every configuration has a process of its own, so that wrappers never stack. Decides nothing about pass or fail.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

AGAIN = "bare:again"
"""The same process as `bare`, a second time: what differs between the two is noise."""

ROWS = (
    "bare",
    AGAIN,
    "ledger",
    "own:sampled",
    "own:unsampled",
    "contrib:sampled",
    "contrib:unsampled",
    "enrich:sampled",
)


COEXIST = "@coexist"
OTHERS = (
    "csm",
    f"bare{COEXIST}",
    f"own:sampled{COEXIST}",
    f"contrib:sampled{COEXIST}",
    f"adot:sampled{COEXIST}",
    f"ddtrace{COEXIST}",
)
"""Rows of other tools, beside no gate. `.venv-coexist` has another botocore: its rows are measured
against the bare call there."""


def others() -> tuple[str, ...]:
    """Return the rows of other tools that can be measured here."""
    return OTHERS if (ROOT / ".venv-coexist" / "bin" / "python").exists() else OTHERS[:1]


def base_of(row: str) -> str:
    """Return the row that a row adds to."""
    return f"bare{COEXIST}" if row.endswith(COEXIST) else "bare"


def valgrind() -> bool:
    """Return whether instructions can be counted on this machine."""
    return shutil.which("valgrind") is not None and shutil.which("callgrind_control") is not None


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(ROOT),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "ASIAQWERTYUIOPASDFGH",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_SESSION_TOKEN": "not-a-token",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _command(row: str, call: str) -> list[str]:
    python = str(ROOT / ".venv-coexist" / "bin" / "python") if row.endswith(COEXIST) else sys.executable
    return [python, "-m", "tests.bench.child", "bare" if row == AGAIN else row.removesuffix(COEXIST), call]


# --- microseconds


@contextmanager
def _children(rows: Sequence[str], call: str) -> Iterator[dict[str, subprocess.Popen[str]]]:
    with ExitStack() as stack:
        children = {}
        for row in rows:
            child = subprocess.Popen(
                _command(row, call), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()
            )
            children[row] = stack.enter_context(child)  # leaving it closes the pipes, which ends the child
        yield children


def _ask(child: subprocess.Popen[str], calls: int) -> float:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{calls}\n")
    child.stdin.flush()
    answer = child.stdout.readline()
    if not answer:
        sys.exit("a child of the benchmark ended early; its message is above")
    return float(answer) / 1_000


def microseconds(call: str, rounds: int, calls: int, rows: Sequence[str] = ROWS) -> dict[str, list[float]]:
    """Return the microseconds per call of each row, a value for each round; rows take turns within a round."""
    took: dict[str, list[float]] = {row: [] for row in rows}
    with _children(rows, call) as children:
        for child in children.values():
            _ask(child, calls)  # the first is warm-up
        for number in range(rounds):
            # every row comes first, and last, equally often
            turn = number % len(rows)
            for row in (*rows[turn:], *rows[:turn]):
                took[row].append(_ask(children[row], calls))
    return took


def added(took: dict[str, list[float]], row: str) -> float:
    """Return the median over rounds of what `row` took more than its bare call in the same round."""
    return statistics.median(one - other for one, other in zip(took[row], took[base_of(row)], strict=True))


# --- instructions


def instructions(row: str, call: str, calls: int) -> float:
    """Return the instructions of one call: those of twice as many calls less those of as many, by callgrind.

    Only the thread that calls is counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind"
        command = [
            "valgrind",
            "--tool=callgrind",
            "--instr-atstart=no",
            "--separate-threads=yes",
            "--dump-before=getppid",
            f"--callgrind-out-file={out}",
            *_command(row, call),
            "--counted",
        ]
        sizes = f"{calls}\n{2 * calls}\n"
        ended = subprocess.run(command, input=sizes, capture_output=True, text=True, env=_environment(), check=False)
        if ended.returncode:
            sys.exit(f"callgrind on {row} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
        # dumps: before the first batch, after it, before the second, after it
        once, twice = (_summary(out.with_name(f"callgrind.{number}-01")) for number in (2, 4))
    return (twice - once) / calls


def _summary(path: Path) -> int:
    found = re.search(r"^(?:summary|totals): (\d+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        sys.exit(f"callgrind left no total in {path.name}")
    return int(found[1])


# --- import and memory

_IMPORT = """
import gc, time
import botocore.session, botocore.signers, botocore.utils, opentelemetry.trace, opentelemetry.context
gc.collect()  # what botocore's own import left to be looked through is not ours
start = time.perf_counter()
import credwatch
credwatch.instrument()
print((time.perf_counter() - start) * 1000)
"""

_FIRST = """
import time
import botocore.session
from credwatch.operations import resolve
start = time.perf_counter()
resolve({service!r}, {operation!r}, {{}})
resolve({service!r}, "NoSuchOperation", {{}})  # what an operation without a row needs beside it
print((time.perf_counter() - start) * 1000)
"""
TABLES = ROOT / "credwatch" / "operations" / "data"

_MEMORY = """
import tracemalloc
from credwatch.callsite import CallSite
from credwatch.ledger import Ledger
from credwatch.operations import resolve
from credwatch.outcome import Outcome
from credwatch.provenance import Registry, Surroundings
from credwatch.recorder import UsageKey

NOW = 1_700_000_000_000_000_000

def fill(ledger, usages, origin, outcome):
    for number in range(usages):
        operation = ("GetItem", "PutItem", "Query", "Scan", "UpdateItem")[number % 5]
        params = {"TableName": f"table-{number}"}
        found = resolve("dynamodb", operation, params, region="eu-west-1", account="{account}")
        # names come from caches, as they do in a process
        ledger.add(UsageKey.of(origin, "dynamodb", operation, found, "eu-west-1", outcome, site), None, NOW + number)
    ledger.drain()

site = CallSite("orders.main", "/srv/orders.py", 1)
origin = Registry(Surroundings()).keyless(anonymous=True)
fill(Ledger(100_000), 100, origin, Outcome("allowed"))  # what is loaded at the first use
ledger = Ledger(100_000)
tracemalloc.start()
fill(ledger, 10_000, origin, Outcome("allowed"))
assert len(ledger) == 10_000
print(tracemalloc.get_traced_memory()[0] / 1e6)
"""


def _fresh(script: str) -> float:
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)
    if ended.returncode:
        sys.exit(f"a child of the benchmark failed:\n{ended.stderr[-2000:]}")
    return float(ended.stdout)


def import_milliseconds(times: int) -> float:
    """Return what `import credwatch` and `instrument()` take beyond botocore and the OTel API; median."""
    return statistics.median(_fresh(_IMPORT) for _ in range(times))


def first_answers_milliseconds(services: int, times: int) -> dict[str, float]:
    """Return what the first answers of a process take, by service: of the largest tables, the median for each."""
    largest = sorted(TABLES.glob("*.json"), key=lambda path: path.stat().st_size)[-services:]
    took = {}
    for path in largest:
        operation = next(iter(json.loads(path.read_bytes())["sections"][0]["operations"]))
        script = _FIRST.format(service=path.stem, operation=operation)
        took[path.stem] = statistics.median(_fresh(script) for _ in range(times))
    return took


def ledger_megabytes() -> float:
    """Return the memory of a ledger with 10,000 usages, as tracemalloc sees it."""
    return _fresh(_MEMORY)
