"""`python -m tests.bench [--quick] [--call s3|dynamodb]`: the tables and the gates; exit 1 where a gate fails.

Gates are ratios and instructions, because microseconds are the machine's. See `docs/benchmarks.md`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping
from typing import NamedTuple

from tests.bench import compare, measure
from tests.bench.measure import AGAIN, COEXIST, ROWS, added, base_of

LEDGER_INSTRUCTIONS = 45_000
RESOLVE_INSTRUCTIONS = 15_000
LEDGER_SHARE = 0.03
ENRICH_SHARE = 0.25
IMPORT_MS = 10.0
SERVICE_MS = 5.0
GROWTH = 2.5
"""What twice the evidence may cost: 2 is linear, the rest is noise."""
MEMORY_MB = 5.0


class Gate(NamedTuple):
    """One limit: `measured` may not be above `limit` (both in `unit`)."""

    name: str
    measured: float
    limit: float
    unit: str

    @property
    def passed(self) -> bool:
        return self.measured <= self.limit

    def __str__(self) -> str:
        word = "pass" if self.passed else "FAIL"
        ratio = f"{self.measured / self.limit:.2f} of the limit" if self.limit > 0 else "no limit: contrib adds nothing"
        return f"{word}  {self.name}: {self.measured:,.3g} <= {self.limit:,.3g} {self.unit} ({ratio})"


def time_table(took: Mapping[str, list[float]]) -> list[str]:
    lines = [f"{'microseconds a call':24}{'median':>10}{'added':>10}{'of bare':>10}"]
    for row in took:
        more, bare = added(dict(took), row), statistics.median(took[base_of(row)])
        name = "bare again (noise)" if row == AGAIN else row
        lines.append(f"{name:24}{statistics.median(took[row]):10.1f}{more:+10.1f}{more / bare:+10.1%}")
    return lines


def count_table(counts: Mapping[str, float]) -> list[str]:
    lines = [f"{'instructions a call':24}{'all':>10}{'added':>10}{'of bare':>10}"]
    for row, count in counts.items():
        bare = counts[base_of(row)]
        lines.append(f"{row:24}{count:10,.0f}{count - bare:+10,.0f}{count / bare - 1:+10.1%}")
    return lines


def ledger_gates(counts: Mapping[str, float]) -> list[Gate]:
    more = counts["ledger"] - counts["bare"]
    return [
        Gate("ledger, instructions", more / 1_000, LEDGER_INSTRUCTIONS / 1_000, "k"),
        Gate("ledger, share of the stubbed call", 100 * more / counts["bare"], 100 * LEDGER_SHARE, "%"),
    ]


def span_gates(counts: Mapping[str, float]) -> list[Gate]:
    """Own and enriched spans beside contrib's, in instructions."""
    more = {row: (count - counts["bare"]) / 1_000 for row, count in counts.items()}
    enrich = more["enrich:sampled"] - more["contrib:sampled"]
    return [
        Gate("own span sampled, beside contrib's", more["own:sampled"], more["contrib:sampled"], "k"),
        Gate("own span unsampled, beside half of contrib's", more["own:unsampled"], more["contrib:unsampled"] / 2, "k"),
        Gate("enriching, beside a quarter of contrib's", enrich, ENRICH_SHARE * more["contrib:sampled"], "k"),
    ]


def _counts(rows: tuple[str, ...], call: str, calls: int) -> dict[str, float]:
    return {row: measure.instructions(row, call, calls) for row in rows}


def _run(call: str, quick: bool) -> list[Gate]:
    others = () if quick else measure.others()
    rows = ROWS + others
    took = measure.microseconds(call, rounds=2 if quick else len(rows), calls=20 if quick else 150, rows=rows)
    if not quick and not any(row.endswith(COEXIST) for row in others):
        print("\nNOT MEASURED: ADOT and ddtrace: run `make .venv-coexist/.ready`")
    print(f"\n{call}, {len(took['bare'])} interleaved rounds", *time_table(took), sep="\n")
    if not measure.valgrind():
        print("\nNOT MEASURED: instructions, and the gates on them: install valgrind")
        gates = []
    else:
        counted = ("bare", "ledger") if quick else tuple(row for row in rows if row != AGAIN)
        counts = _counts(counted, call, 50 if quick else 100)
        print("\n" + "\n".join(count_table(counts)))
        gates = ledger_gates(counts) if quick else ledger_gates(counts) + span_gates(counts)
        if not quick:
            resolve = measure.instructions("bare", "resolve", 500) / 1_000
            gates.append(Gate("operations.resolve, instructions", resolve, RESOLVE_INSTRUCTIONS / 1_000, "k"))
    if not quick:
        gates.append(Gate("import and instrument()", measure.import_milliseconds(9), IMPORT_MS, "ms"))
        first = measure.first_answers_milliseconds(5, 9)
        slowest = max(first, key=lambda name: first[name])
        gates.append(Gate(f"first answers of a service ({slowest})", first[slowest], SERVICE_MS, "ms"))
        gates.append(Gate("ledger of 10,000 usages", measure.ledger_megabytes(), MEMORY_MB, "MB"))
    return gates


def _evidence() -> list[Gate]:
    """What the agent's report costs for 1,000 roles with 100,000 evidence rows."""
    lines, growth = compare.table(1_000, 100_000)
    print("\nthe agent, seconds of processor time", *lines, sep="\n")
    return [Gate("twice the evidence", growth, GROWTH, "times the cost")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, and of the instructions the ledger's alone")
    parser.add_argument("--call", choices=("s3", "dynamodb"), default="s3", help="GetObject or GetItem")
    options = parser.parse_args()
    gates = _run(options.call, options.quick)
    if not options.quick:
        gates += _evidence()
    print("", *gates, sep="\n")
    return 0 if all(gate.passed for gate in gates) else 1


if __name__ == "__main__":
    sys.exit(main())
