"""Figures of the policy engine: `python -m tests.bench.policy [--roles N]`; exit 1 where a gate fails.

- warm evaluations a second beside moto's evaluator, interleaved in one process;
- a whole account (500 roles, 3 policies and 20 distinct calls each, from a fixed seed) beside `cloudsplaining scan`
  on the same file: a process each, seconds of processor time and peak memory;
- ten times as many roles: ten times the time.

cloudsplaining (MIT) is put into an environment of its own, which is thrown away: it is no part of this project.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from credwatch_agent.compare import compare
from credwatch_agent.evidence import Settings as Window
from credwatch_agent.evidence import join
from credwatch_agent.iam.contain import Proved, contain
from credwatch_agent.iam.document import Policy, parse, parse_text
from credwatch_agent.iam.evaluate import Request, evaluate
from credwatch_agent.recommend import Settings, recommend
from credwatch_agent.recommend.view import attached_to
from credwatch_agent.snapshot import Index, Role, read_files
from tests.bench.__main__ import Gate
from tests.bench.account import CALLS, DAY_NS, POLICIES, REGION, account, calls, details, telemetry

CLOUDSPLAINING = "cloudsplaining==0.9.1"
ROLES = 500
TIMES = 10
"""How many times more roles the larger account has."""

ROUNDS = 5
WARM_ROLES = 10
"""Few, since moto compiles the patterns of long policies anew for each call: seconds a round."""

REPEATED = 20
"""Our rounds, which would be too short to be measured."""

EVALUATIONS = 50_000
SPEEDUP = 20
MEMORY_SHARE = 0.25
LINEAR_SLACK = 1.25
"""The larger account may take this much more than `TIMES` times as long."""

COMPARED = ("load", "evaluate", "compare", "contain")
"""The steps that are laid beside the scan; `recommend` has no counterpart there and is reported by itself."""


def timed(work: Callable[[], object]) -> float:
    """Return seconds of processor time: other work on the machine must not decide a gate."""
    start = time.process_time()
    work()
    return time.process_time() - start


# --- a whole account, in processes of their own -----------------------------------------------------


def smaller(directory: Path) -> dict[str, float]:
    """Recommend for each role of the account that `write_account` put into a directory; write the documents there."""
    roles = _roles(read_files([_details(directory)], 0).roles)
    settings = Settings(0, 90 * DAY_NS)
    made: list[list[tuple[str, Any]]] = []

    def recommended() -> None:
        for role, asked in zip(roles, _read_calls(directory), strict=True):
            found = recommend("role", attached_to(role), calls(asked), settings)
            made.append([(each.name, each.document) for each in found.policies if each.document["Statement"]])

    took = {"recommend": timed(recommended)}
    _smaller(directory).write_text(json.dumps(made), encoding="utf-8")
    return took


def whole_account(directory: Path) -> dict[str, float]:
    """Return the seconds of each step over the account, and over what `smaller` made of it."""
    made = _read_calls(directory)
    told = telemetry(made)
    context = {"aws:RequestedRegion": REGION}
    indexes: list[Index] = []
    parsed: list[list[Policy]] = []
    proved: list[bool] = []

    def load() -> None:
        taken = read_files([_details(directory)], 0)
        indexes.append(Index(taken))
        parsed.extend([parse_text(each.name, each.document) for each in role.policies] for role in _roles(taken.roles))

    def decide() -> None:
        for policies, asked in zip(parsed, made, strict=True):
            for action, resource in asked:
                evaluate(Request(action, resource, context=context), identity=policies)

    def compared() -> None:
        (index,) = indexes
        compare(index, join(told, index, 0), 90 * DAY_NS, Window(), lambda _action: True)

    def proofs() -> None:
        written = json.loads(_smaller(directory).read_text(encoding="utf-8"))
        for documents, old in zip(written, parsed, strict=True):
            new = [parse(name, document) for name, document in documents]
            proved.append(isinstance(contain(new, old), Proved))

    steps = {"load": load, "evaluate": decide, "compare": compared, "contain": proofs}
    took = {name: timed(work) for name, work in steps.items()}
    if not all(proved):
        raise SystemExit(f"{proved.count(False)} of {len(made)} recommendations are not proved")
    return took


def _roles(roles: Sequence[Role]) -> list[Role]:
    """Return the roles in the order of the account's calls."""
    by_name = {role.name: role for role in roles}
    return [by_name[f"app-{number}"] for number in range(len(roles))]


class Ended(NamedTuple):
    """A process that ended well: what it printed, seconds of processor time, peak memory in MB."""

    printed: str
    seconds: float
    megabytes: float


def run(command: Sequence[str], directory: Path) -> Ended:
    """Run a command to its end. Raises RuntimeError with what it said where it fails."""
    with tempfile.TemporaryFile("w+") as file:
        process = subprocess.Popen(command, cwd=directory, stdout=file, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        file.seek(0)
        printed = file.read()
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed: {printed[-2_000:]}")
    return Ended(printed, used.ru_utime + used.ru_stime, used.ru_maxrss / 1_024)


def ours(step: str, directory: Path) -> tuple[Ended, Mapping[str, float]]:
    """Run `smaller` or `whole_account` in a process of its own."""
    ended = run([sys.executable, "-m", "tests.bench.policy", f"--{step}", str(directory)], Path(__file__).parents[2])
    took: dict[str, float] = json.loads(ended.printed)
    return ended, took


def cloudsplaining(path: Path, directory: Path) -> Ended | None:
    """Run the scan on the same file in an environment made for it; None where it cannot be installed."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        return None
    environment = directory / "venv"
    try:
        run([uv, "venv", "-q", "--python", sys.executable, str(environment)], directory)
        run([uv, "pip", "install", "-q", "--python", str(environment / "bin" / "python"), CLOUDSPLAINING], directory)
    except RuntimeError as error:
        print(f"NOT MEASURED: {error}", file=sys.stderr)
        return None
    scan = [str(environment / "bin" / "cloudsplaining"), "scan", "--input-file", str(path), "--skip-open-report"]
    return run([*scan, "--output", str(directory)], directory)


def write_account(directory: Path, roles: int) -> Path:
    """Write the account as the AWS CLI does, and the calls of its roles, into a directory of its own."""
    made = list(account(roles))
    into = directory / f"account-{roles}"
    into.mkdir()
    _details(into).write_text(json.dumps(details(made)), encoding="utf-8")
    _calls(into).write_text(json.dumps([role.calls for role in made]), encoding="utf-8")
    return into


def _read_calls(directory: Path) -> list[list[tuple[str, str]]]:
    return [[(action, resource) for action, resource in each] for each in json.loads(_calls(directory).read_text())]


def _details(directory: Path) -> Path:
    return directory / "details.json"


def _calls(directory: Path) -> Path:
    return directory / "calls.json"


def _smaller(directory: Path) -> Path:
    return directory / "smaller.json"


# --- warm, in this process --------------------------------------------------------------------------


def beside_moto() -> tuple[float, float]:
    """Return warm evaluations a second, ours and moto's: medians of ROUNDS interleaved rounds."""
    # here, so that moto is no part of the memory of the process that does a whole account
    from moto.iam.access_control import IAMPolicy

    made = list(account(WARM_ROLES))
    mine = [[parse(each.name, each.document) for each in role.policies] for role in made]
    theirs = [[IAMPolicy({"policy_document": json.dumps(each.document)}) for each in role.policies] for role in made]
    requests = [[Request(action, resource) for action, resource in role.calls] for role in made]

    def evaluate_ours() -> None:
        for _ in range(REPEATED):
            for policies, asked in zip(mine, requests, strict=True):
                for each in asked:
                    evaluate(each, identity=policies)

    def evaluate_theirs() -> None:
        for policies, asked in zip(theirs, requests, strict=True):
            for each in asked:
                for policy in policies:
                    policy.is_action_permitted(each.action, each.resource)

    evaluate_ours()
    rounds = [(timed(evaluate_ours), timed(evaluate_theirs)) for _ in range(ROUNDS)]
    one, two = (statistics.median(each) for each in zip(*rounds, strict=True))
    return REPEATED * WARM_ROLES * CALLS / one, WARM_ROLES * CALLS / two


# --- the tables -------------------------------------------------------------------------------------


class Measured(NamedTuple):
    """An account of one size: seconds of each step, and the two processes."""

    took: Mapping[str, float]
    steps: Ended
    recommend: Ended

    @property
    def total(self) -> float:
        """Seconds of what is laid beside the scan."""
        return sum(self.took[name] for name in COMPARED)


def measured(directory: Path) -> Measured:
    """Measure the account in a directory."""
    recommended, its = ours("smaller", directory)
    ended, took = ours("account", directory)
    return Measured({**took, **its}, ended, recommended)


def bench(roles: int, directory: Path) -> list[Gate]:
    """Print the tables and return the gates."""
    mine, moto = beside_moto()
    print(f"warm evaluations a second, {POLICIES} policies each, median of {ROUNDS} interleaved rounds")
    print(f"  credwatch {mine:10,.0f}\n  moto      {moto:10,.0f}\n  ratio     {mine / moto:10.1f}")
    path = write_account(directory, roles)
    small = measured(path)
    scan = cloudsplaining(_details(path), directory)
    large = measured(write_account(directory, TIMES * roles))
    print(f"\nprocessor seconds{'':7}{roles:>8,}{TIMES * roles:>10,} roles, {POLICIES} policies and {CALLS} calls each")
    for name in COMPARED:
        print(f"  {name:20}{small.took[name]:10.2f}{large.took[name]:10.2f}")
    print(f"  {'together':20}{small.total:10.2f}{large.total:10.2f}")
    print(f"  {'whole process':20}{small.steps.seconds:10.2f}{large.steps.seconds:10.2f}")
    print(f"  {'recommend, by itself':20}{small.took['recommend']:10.2f}{large.took['recommend']:10.2f}")
    print(f"peak memory, MB{'':7}{small.steps.megabytes:10.0f}{large.steps.megabytes:10.0f}")
    print(f"  {'recommend, by itself':20}{small.recommend.megabytes:10.0f}{large.recommend.megabytes:10.0f}")
    gates = [
        Gate("time of a warm evaluation", 1e6 / mine, 1e6 / EVALUATIONS, "microseconds"),
        Gate(f"{TIMES} times the roles", large.total, LINEAR_SLACK * TIMES * small.total, "s"),
    ]
    if scan is None:
        print("\nNOT MEASURED: cloudsplaining could not be installed")
        return gates
    print(f"\ncloudsplaining scan of the same {roles:,} roles: {scan.seconds:.1f} s, {scan.megabytes:.0f} MB")
    print(f"  {scan.seconds / small.total:.1f} times our time,", end=" ")
    print(f"{scan.megabytes / small.steps.megabytes:.1f} times our memory")
    return [
        *gates,
        Gate(f"a {SPEEDUP}th of the scan's time", small.total, scan.seconds / SPEEDUP, "s"),
        Gate("a quarter of the scan's memory", small.steps.megabytes, MEMORY_SHARE * scan.megabytes, "MB"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.policy", description=__doc__)
    parser.add_argument("--roles", type=int, default=ROLES)
    for option in _OPTIONS.values():  # the processes that `bench` starts
        parser.add_argument(f"--{option}", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for step, option in _OPTIONS.items():
        if getattr(arguments, option):
            print(json.dumps(step(getattr(arguments, option))))
            return 0
    with tempfile.TemporaryDirectory() as directory:
        gates = bench(arguments.roles, Path(directory))
    print("", *gates, sep="\n")
    return 0 if all(gate.passed for gate in gates) else 1


_OPTIONS = {smaller: "smaller", whole_account: "account"}

if __name__ == "__main__":
    sys.exit(main())
