"""`make demo`: credwatch and its agent at work on a local AWS. No Docker, no AWS account.

python -m examples.demo [--rounds N] [--keep DIRECTORY] [--page]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from examples.demo import agent, counting, launch, play, trace
from examples.demo.faults import Finding, expected
from examples.demo.launch import Finished
from examples.demo.plan import plan
from examples.demo.play import Files
from examples.demo.verdict import verdict
from examples.demo.world import World, running

console = Console(highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; return 0 if it showed what it claims, 1 if counts or findings are not what they must be."""
    arguments = _parse(argv)
    directory = Path(arguments.keep or tempfile.mkdtemp(prefix="credwatch-demo-"))
    directory.mkdir(parents=True, exist_ok=True)
    files = Files(directory)
    for left in (files.db, files.snapshot):  # of an earlier run that was kept
        for file in directory.glob(f"{left.name}*"):
            file.unlink()
    begun = time.monotonic()
    # as Ctrl-C does: what was started here is ended here
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        shown = _demo(files, arguments)
    finally:
        if not arguments.keep:
            shutil.rmtree(directory)
    _say("", f"[dim]{time.monotonic() - begun:.0f} seconds. {_kept(arguments.keep, files)}[/]")
    return 0 if shown else 1


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="credwatch on a local AWS")
    parser.add_argument("--rounds", type=int, default=3, help="how much work each application does (default: 3)")
    parser.add_argument("--keep", metavar="DIRECTORY", help="keep the database and the snapshot there")
    parser.add_argument("--page", action="store_true", help="leave the agent's page running, to look at")
    return parser.parse_args(argv)


def _demo(files: Files, arguments: argparse.Namespace) -> bool:
    _say("1", "a local AWS starts: IAM, STS, S3, SQS, DynamoDB, ECS and EC2; policies are enforced")
    with running(plan()) as world:
        live = ["--snapshot", str(files.snapshot), "--window", "1"]
        with agent.serving(files.db, 0, *live) as serving:
            _say("2", f"credwatch-agent takes OTLP at {serving.url}")
            if arguments.page:
                _say("", f"its page is there too: {serving.url}/calls shows calls as they come")
            finished = _run_services(world, serving, arguments.rounds)
        equal = _compare(world, files, finished)
        _say("5", "the agent reads roles, policies, tasks and hosts:")
        _say("", play.snapshot(world, files))
        _say("6", "credwatch-agent report:\n")
        agent.command(["report", *files.compared()])
        exact = _judge(files, expected())
        _say(
            "8", f"credwatch-agent recommend {plan().services[0].task_role}: a smaller policy, and what it guarantees:"
        )
        _show_recommendation(files, plan().services[0].task_role)
        lost = next(s.name for s in world.plan.services if s.compute == "task" and s.credentials == "instance-profile")
        _say("9", f"a call of `{lost}` as any trace backend shows it; the first lines say what signed it:")
        _show_trace(files, lost)
        _say("10", f"`credwatch whoami`, run where `{lost}` runs; it needs no agent:\n")
        _show_whoami(world, lost)
    if arguments.page:
        _show_page(files, urlsplit(serving.url).port or 0)
    return equal and exact


def _say(number: str, text: str) -> None:
    step = Table.grid(padding=(0, 1))
    step.add_column(width=2, no_wrap=True)
    step.add_row(f"[bold]{number}[/]", text)
    console.print(step)


def _run_services(world: World, serving: agent.Agent, rounds: int) -> dict[str, Finished]:
    names = [service.name for service in world.plan.services]
    _say("3", "services run: plain boto3, with CREDWATCH_ENABLED=1 in their environment")
    _say("", ", ".join(names))
    finished = play.services(world, serving.url, rounds)
    for name, one in finished.items():
        if one.returncode != 0:
            raise SystemExit(f"service `{name}` failed: {one.errors}")
    return finished


def _compare(world: World, files: Files, finished: Mapping[str, Finished]) -> bool:
    ours = counting.by_credwatch(files.telemetry(), counting.owners(world.moto.principals()))
    theirs = counting.by_applications(world.plan, finished)
    moto = counting.by_moto(world.counts(), counting.signers(world.plan))
    equal = ours == theirs == moto
    verdict = "[green]equal, call by call[/]" if equal else "[red]different[/]"
    _say(
        "4",
        f"calls counted by credwatch {ours.total()}, by the services themselves {theirs.total()}, by the AWS server "
        f"{moto.total()}: {verdict}",
    )
    return equal


def _judge(files: Files, must: tuple[Finding, ...]) -> bool:
    _, report = play.report(files)
    found = verdict(must, report)
    if found.exact:
        _say("7", f"[green]these {len(must)} findings are exactly what was planted[/] (examples/demo/expected.json)\n")
    for title, findings in (("missed", found.missed), ("not planted", found.more)):
        for finding in findings:
            _say("7", f"[red]{title}: {finding.id} {finding.subject} {finding.cause}[/]")
    return found.exact


def _show_recommendation(files: Files, role: str) -> None:
    _, text = play.command(files, ["recommend", role, "--format", "json"])
    found = json.loads(text)
    _, report = play.report(files)
    statements = [each for row in report["roles"] if row["name"] == role for each in row["statements"]]
    seen = {use["action"] for each in statements for use in each["used"]}
    for policy in found["policies"]:
        kinds: dict[str, list[str]] = {"used": [], "kept": []}
        for statement in policy["document"]["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            for action in actions:
                kinds["used" if action in seen else "kept"].append(action)
        rest = f", and {len(kinds['kept'])} that stay because no recorder can see their use" if kinds["kept"] else ""
        _say("", f"{policy['name']}: {', '.join(kinds['used'])}{rest}")
    _say("", f"{found['claim']['text']}\n")


def _show_trace(files: Files, service: str) -> None:
    spans = files.spans()
    chosen = next(span for span in spans if span.resource.get("service.name") == service)
    console.print(trace.tree([span for span in spans if span.trace_id == chosen.trace_id]), markup=False)
    console.print()


def _show_whoami(world: World, service: str) -> None:
    command = [str(Path(sys.executable).with_name("credwatch")), "whoami"]
    extra = {"COLUMNS": str(console.width)}
    said = launch.start_command(world, service, command, extra=extra).wait()
    console.print(said.output + said.errors, markup=False, soft_wrap=True)


def _show_page(files: Files, port: int) -> None:
    """Serve the page until Ctrl-C, under the address that it had."""
    with agent.serving(files.db, port, *files.shown()) as serving:
        _say("11", f"[bold]look at it: {serving.url}/[/]")
        _say("", "as of the last report, however late you look; Ctrl-C ends it")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def _kept(keep: str | None, files: Files) -> str:
    if not keep:
        return (
            "Nothing is left behind; `make demo KEEP=1` leaves the page running, to look at; `KEEP=DIR` keeps the"
            " agent's files, to ask it more."
        )
    asked = f"--db {files.db} --snapshot {files.snapshot} --window 1"
    return f"Kept; each role with its statements: .venv/bin/credwatch-agent report --statements {asked}"


if __name__ == "__main__":
    sys.exit(main())
