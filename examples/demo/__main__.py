"""`make demo`: credwatch and its agent at work on a local AWS. No Docker, no AWS account.

python -m examples.demo [--rounds N] [--keep DIRECTORY]
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from credwatch_agent.store.sqlite import SqliteStore
from examples.demo import agent, counting, launch, trace
from examples.demo.launch import Finished
from examples.demo.plan import plan
from examples.demo.world import World, running

console = Console(highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; return 0 if it showed what it claims, 1 if the counts of the same calls differ."""
    arguments = _parse(argv)
    directory = Path(arguments.keep or tempfile.mkdtemp(prefix="credwatch-demo-"))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        return _demo(directory, arguments.rounds)
    finally:
        if not arguments.keep:
            shutil.rmtree(directory)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="credwatch on a local AWS")
    parser.add_argument("--rounds", type=int, default=3, help="how much work each application does (default: 3)")
    parser.add_argument("--keep", metavar="DIRECTORY", help="keep the database and the snapshot there")
    return parser.parse_args(argv)


def _demo(directory: Path, rounds: int) -> int:
    db, snapshot = directory / "credwatch.db", directory / "snapshot.json"
    _say("1", "a local AWS starts: IAM, STS, S3, SQS, DynamoDB, ECS and EC2, policies enforced")
    with running(plan()) as world:
        with agent.serving(db) as serving:
            _say("2", f"credwatch-agent takes OTLP at {serving.url}")
            finished = _run_services(world, serving, rounds)
        equal = _compare(world, db, finished)
        _say("5", "the agent reads roles, policies, tasks and hosts, and compares:")
        agent.command(["snapshot", "--out", str(snapshot)], extra=world.auditor_environment())
        console.print()
        agent.command(["report", "--db", str(db), "--snapshot", str(snapshot), "--window", _window(db)])
        console.print()
        _say("6", "a span of the application, as any trace backend shows it:")
        _show_trace(db)
        _say("7", "and what `credwatch whoami` says inside the wrong task:")
        _show_whoami(world)
    return 0 if equal else 1


def _say(number: str, text: str) -> None:
    console.print(f"[bold]{number}[/]  {text}", soft_wrap=True)


def _run_services(world: World, serving: agent.Agent, rounds: int) -> dict[str, Finished]:
    names = [service.name for service in world.plan.services]
    _say("3", f"plain boto3 services run with CREDWATCH_ENABLED=1 in their environment: {', '.join(names)}")
    # these jobs are short and this machine is small: a second at the end may not be enough
    environment = {"CREDWATCH_ENABLED": "1", "CREDWATCH_ENDPOINT": serving.url, "CREDWATCH_EXIT_TIMEOUT": "30"}
    finished = launch.run_all(world, lambda name: {**environment, "OTEL_SERVICE_NAME": name}, rounds=rounds)
    for name, one in finished.items():
        if one.returncode != 0:
            raise SystemExit(f"service `{name}` failed: {one.errors}")
    return finished


def _compare(world: World, db: Path, finished: Mapping[str, Finished]) -> bool:
    with contextlib.closing(SqliteStore.open(db, read_only=True)) as store:
        telemetry = store.telemetry()
    ours = counting.by_credwatch(telemetry, counting.owners(world.moto.principals()))
    theirs = counting.by_applications(world.plan, finished)
    moto = counting.by_moto(world.counts(), counting.signers(world.plan))
    equal = ours == theirs == moto
    verdict = "[green]equal, call by call[/]" if equal else "[red]different[/]"
    _say(
        "4",
        f"calls counted by credwatch {ours.total()}, by the services themselves {theirs.total()}, "
        f"by the AWS server's recording {moto.total()}: {verdict}",
    )
    return equal


def _window(db: Path) -> str:
    """Return, in days, a window that holds all that the services reported: seconds here, 90 days in production."""
    with contextlib.closing(SqliteStore.open(db, read_only=True)) as store:
        begun = min(process.first_ns for process in store.telemetry().processes.values())
    seconds = (time.time_ns() - begun) / 10**9 + 30  # the report is made a little later than now
    return f"{seconds / 86_400:.6f}"


def _show_trace(db: Path) -> None:
    with contextlib.closing(SqliteStore.open(db, read_only=True)) as store:
        spans = store.spans()
    chosen = next(span for span in spans if span.name == "S3.PutObject")
    console.print(trace.tree([span for span in spans if span.trace_id == chosen.trace_id]), markup=False)
    console.print()


def _show_whoami(world: World) -> None:
    name = next(s.name for s in world.plan.services if s.compute == "task" and s.credentials == "instance-profile")
    command = [str(Path(sys.executable).with_name("credwatch")), "whoami"]
    extra = {"COLUMNS": str(console.width)}
    said = launch.start_command(world, name, command, extra=extra).wait()
    console.print(said.output + said.errors, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
