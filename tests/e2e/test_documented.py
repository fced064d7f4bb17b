"""What the documentation shows is run: in one directory, beside the demo's world, as a reader would type it.

Every code block of every page is either carried out here or has a row in `NOT_RUN` that says why not, and a row
that no longer fits fails. What a page shows below a command must be among what the command prints: the same lines in
the same order, where numbers and key fingerprints may differ and `…` stands for anything.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from botocore import xform_name
from botocore.session import Session
from cryptography import x509

from credwatch_agent.cli.compared import read_exemptions
from credwatch_agent.iam.document import parse
from examples.demo import play
from tests.agent.databases import postgres
from tests.agent.test_tls import issue
from tests.conftest import COLLECTOR
from tests.documented import PAGES, ROOT, SHELLS, Block, Step, blocks, steps
from tests.e2e import warm
from tests.e2e.collector import free_port
from tests.e2e.worlds import Played

pytestmark = pytest.mark.slow

BLOCKS = [block for page in PAGES for block in blocks(page)]

PACKAGED = "installs from an index; tests/test_packaging.py and tests/test_release.py install the wheels"
ACCOUNT = "needs an AWS account"
PICTURE = "a picture"
SYNOPSIS = "a synopsis; tests/test_docs_commands.py holds it against the parser"
QUERY = (
    "a query of a backend that is not here, and no parser that may be used is to be had; its names are held against \
the contract by tests/agent/test_dashboards.py"
)
BACKEND = "needs the Jaeger that `make jaeger` builds; tests/e2e/test_trace_backend.py asks it"

NOT_RUN: Mapping[tuple[str, str], str] = {
    ("CONTRIBUTING.md", "make "): "this run is one of them",
    ("README.md", "make "): "this run is one of them; tests/e2e/test_demo.py holds the demo",
    ("README.md", "your service (EC2"): PICTURE,
    ("README.md", "pip install "): PACKAGED,
    ("docs/backends.md", "make collector jaeger"): BACKEND,
    ("docs/backends.md", ".jaeger/jaeger"): BACKEND,
    ("docs/backends.md", "COLLECTOR_STORAGE="): BACKEND,
    ("docs/backends.md", "curl "): BACKEND,
    ("docs/concepts.ja.md", "+---"): PICTURE,
    ("docs/concepts.md", "┌───"): PICTURE,
    ("docs/concepts.md", "ecs-tasks.amazonaws.com"): PICTURE,
    ("docs/concepts.md", "granted ─┬─"): PICTURE,
    ("docs/cli.md", "pip install "): PACKAGED,
    ("docs/cli.md", "credwatch run --endpoint"): "a module of the reader's own",
    ("docs/collector.md", '"$(python -c'): "tests/e2e/test_rotel.py starts it, where it has a wheel",
    ("docs/doctor.md", "credwatch doctor --pid 4711"): "needs a service that lives; see tests/e2e/test_doctor_seen.py",
    ("docs/exports.md", "while read"): f"{ACCOUNT}; tests/agent/test_exports.py asks botocore's model",
    ("docs/findings.md", 'boto3.client("s3")'): "a line of the reader's own code",
    ("docs/findings.md", "[profile target]"): "a file of the reader's; tests/recorder/matrix signs with such profiles",
    ("docs/queries.md", "credwatch.credential.source=ec2"): BACKEND,
    ("docs/queries.md", "{ resource.service.name"): f"{QUERY} (TraceQL's is AGPL)",
    ("docs/queries.md", "annotation["): QUERY,
    ("docs/queries.md", "service:orders"): QUERY,
    ("docs/queries.md", "filter attributes"): QUERY,
    ("docs/quickstart.md", "pip install "): PACKAGED,
    ("docs/quickstart.md", "high     admin-or-wildcard"): "a finding about a service that is not the demo's",
    ("docs/recommend.md", "credwatch-agent recommend ROLE"): SYNOPSIS,
    ("docs/recommend.md", "credwatch-agent watch ROLE"): SYNOPSIS,
    ("docs/run.md", "credwatch run -- celery"): "tests/recorder/coexist runs Celery, in an environment that has it",
    ("docs/scale.md", "flowchart"): PICTURE,
    ("docs/security.md", "application ─▶"): PICTURE,
    ("docs/whoami.md", "credwatch whoami --json --pid"): "tests/recorder/test_whoami_cli.py asks by id",
    ("examples/aws-check/README.md", ""): f"{ACCOUNT}; tests/recorder/test_aws_check.py runs the script without one",
    ("examples/demo/README.md", "one EC2 instance"): PICTURE,
    ("examples/demo/README.md", "from examples.demo"): "starts a world; tests/e2e/test_world.py makes these calls",
}  # fmt: skip
"""(page, how a command or block begins) -> why it is not run here."""

AS: Mapping[tuple[str, str], str] = {
    ("docs/whoami.md", "This process uses the task's role"): "orders",
    ("docs/whoami.md", "WRONG LAYER: this ECS task signs as its host"): "thumbnailer",
    ("docs/whoami.md", ""): "orders",
    ("docs/cli.md", ""): "orders",
    ("README.md", ""): "orders",
    ("docs/quickstart.md", "WRONG LAYER: this ECS task signs as its host"): "thumbnailer",
}
"""(page, the first line that is shown) -> the service of the demo in whose place a reader of `whoami` sits."""

KNOWN = frozenset({0, 1})
"""Exit codes of our own commands that are answers: nothing is wrong, something is."""
CODES: Mapping[tuple[str, str], frozenset[int]] = {
    # such a file holds no tasks and no instances
    ("docs/cli.md", "credwatch-agent snapshot --out account.json --authorization-details"): frozenset({3}),
    ("docs/cli.md", "credwatch-agent watch"): frozenset({0, 3}),
    ("docs/cli.md", "credwatch-agent policy-check"): frozenset({0, 1, 3}),
    ("docs/cli.md", "credwatch-agent explain"): frozenset({0, 1, 3}),
    ("docs/cli.md", "credwatch doctor"): frozenset({0, 1, 3}),
    ("docs/cli.md", "credwatch whoami"): frozenset({0, 1, 3}),
    # whether anybody called anything since the earlier snapshot, which was just made, hangs on the reader's speed
    ("README.md", "credwatch-agent watch"): frozenset({0, 3}),
    ("docs/quickstart.md", "credwatch-agent watch"): frozenset({0, 3}),
}

BACKGROUND = re.compile(r"credwatch-agent serve|otelcol|gunicorn")
READY = re.compile(r"listening on|Everything is ready|Listening at")


def row_of(table: Mapping[tuple[str, str], Any], page: str, line: str) -> tuple[str, str] | None:
    """Return the row of a page whose beginning this line has, the longest of them."""
    fits = [key for key in table if key[0] == page and line.startswith(key[1])]
    return max(fits, key=lambda key: len(key[1])) if fits else None


# --- the place ------------------------------------------------------------------------------------

SERVICE = """
import boto3
print(boto3.client("sts").get_caller_identity()["Arn"])
"""
SHOP = """
import boto3
from botocore.stub import ANY, Stubber

def s3():
    client = boto3.client("s3", "eu-west-1", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x")
    stubber = Stubber(client)
    stubber.activate()
    return client, stubber

def test_save():
    client, stubber = s3()
    stubber.add_response("put_object", {}, {"Bucket": "orders", "Key": "new", "Body": ANY})
    client.put_object(Bucket="orders", Key="new", Body=b"")

def test_load():
    client, stubber = s3()
    stubber.add_response("head_object", {}, {"Bucket": "orders", "Key": "new"})
    client.head_object(Bucket="orders", Key="new")
"""
WEB = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b""]
"""


@dataclass
class Place:
    """A directory as the documentation takes for granted, and a shell in it."""

    directory: Path
    played: Played
    environment: dict[str, str]
    moved: dict[str, str]
    """What is written in the documentation -> what it is here: ports, hosts and names that are a reader's own."""
    exported: list[str] = field(default_factory=list)
    background: list[subprocess.Popen[str]] = field(default_factory=list)

    def here(self, command: str) -> str:
        command = re.sub(r"(recommend|explain|watch|--role) orders\b(?!-)", r"\1 orders-task-role", command)
        # all at once: a port that was put in may look like another
        command = re.sub("|".join(map(re.escape, self.moved)), lambda found: self.moved[found[0]], command)
        return re.sub(r"(^|\s)#\s.*$", "", command)

    def environment_of(self, page: str, step: Step) -> dict[str, str]:
        key = row_of(AS, page, step.shown[0] if step.shown else "") if "whoami" in step.command else None
        if key is None and "service.py" not in step.command:
            return self.environment
        service = self.played.world.plan.service(AS[key] if key else "orders")
        own = {name: text for name, text in self.environment.items() if not name.startswith("AWS_")}
        return {**own, **self.played.world.environment(service)}

    def run(self, page: str, step: Step) -> str:
        """Carry a command out as a shell does that keeps what was exported; return all that it printed."""
        command, environment = self.here(step.command), self.environment_of(page, step)
        if BACKGROUND.search(command):
            return self.start(command, environment, max(1, sum("listening on" in line for line in step.shown)))
        if command.startswith("export "):
            self.exported.append(command)
        done = subprocess.run(
            ["bash", "-c", "\n".join([*self.exported, command])], cwd=self.directory, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        ours = re.match(r"(\w+=\S+ )*(credwatch|pytest)", command)
        key = row_of(CODES, page, step.command)
        codes = CODES[key] if key else KNOWN if ours else frozenset({0})
        assert done.returncode in codes, f"{page}: {step.command}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout

    def start(self, command: str, environment: Mapping[str, str], lines: int) -> str:
        """Start what runs until it is stopped, and wait until it says that it is ready, so many times."""
        if command.startswith("credwatch-agent serve"):
            self.stop()  # a page shows one after another, all on the same ports
        process = subprocess.Popen(
            ["bash", "-c", "\n".join([*self.exported, f"exec env {command}"])], cwd=self.directory, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.background.append(process)
        assert process.stdout is not None
        said: list[str] = []
        while sum(bool(READY.search(line)) for line in said) < lines:
            line = process.stdout.readline()
            assert line, f"{command}: ended: {''.join(said)}"
            said.append(line)
        return "".join(said)

    def enter(self) -> None:
        """Give a page what telemetry and policies there are, and nothing that another page did to them."""
        self.exported.clear()
        shutil.copy(self.played.files.db, self.directory / "telemetry.db")
        for name in ("account.json", "before.json"):
            shutil.copy(self.played.files.snapshot, self.directory / name)

    def stop(self) -> None:
        """Stop what was started in the background."""
        for process in self.background:
            process.terminate()
        for process in self.background:
            with process:
                pass
        self.background.clear()


@pytest.fixture(scope="module")
def place(played: Played, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("documented")
    binaries, directory = home / "bin", home / "project"
    for each in (binaries, directory / "iam", directory / "tests"):
        each.mkdir(parents=True)
    for name in ("examples", "otel-collector.yaml"):
        (directory / name).symlink_to(ROOT / name)
    (binaries / "otelcol-contrib").symlink_to(COLLECTOR)
    _write(directory)
    play.snapshot(played.world, played.files)
    http, grpc, behind = (str(free_port()) for _ in range(3))
    environment = {
        "PATH": f"{binaries}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "COLUMNS": "80",
        "CREDWATCH_SERVE_PORT": http,
        "CREDWATCH_SERVE_GRPC_PORT": grpc,
        "COLLECTOR_HTTP_LISTEN": f"127.0.0.1:{http}",
        "COLLECTOR_GRPC_LISTEN": f"127.0.0.1:{grpc}",
        "CREDWATCH_AGENT_ENDPOINT": f"http://127.0.0.1:{behind}",
        **played.world.auditor_environment(),
    }
    with (
        postgres(tmp_path_factory.mktemp("postgres")) as database,
        warm.agent(binaries, {**environment, "PYTHONPATH": str(ROOT)}),
    ):
        moved = {
            "4318": http, "4317": grpc, "4319": behind, "0.0.0.0": "127.0.0.1",
            "postgresql://agent@db.example/telemetry": f"'{database}'",
            "app:app": f"--bind 127.0.0.1:{free_port()} app:app",
            "s3://my-trail/": "trail/", "4711": str(os.getpid()), "/var/tmp/otelcol": str(home / "storage"),
        }  # fmt: skip
        made = Place(directory, played, environment, moved)
        try:
            yield made
        finally:
            made.stop()


def _write(directory: Path) -> None:
    """Write what a reader has already: a service, its tests, a policy, certificates, what AWS recorded."""
    objects = {"Sid": "Objects", "Effect": "Allow", "Action": ["s3:GetObject", "s3:DeleteObject"]}
    policy = {"Version": "2012-10-17", "Statement": [{**objects, "Resource": "arn:aws:s3:::orders/*"}]}
    accessed = {"JobStatus": "COMPLETED", "JobType": "ACTION_LEVEL", "ServicesLastAccessed": []}
    trail = directory / "trail" / "AWSLogs" / "123456789012" / "CloudTrail" / "eu-west-1"
    trail.mkdir(parents=True)
    for path, text in {
        "service.py": SERVICE,
        "app.py": WEB,
        "tests/test_shop.py": SHOP,
        "iam/orders.json": json.dumps(policy, indent=2),
        "accessed.json": json.dumps(accessed),
        "details.json": json.dumps({"RoleDetailList": [], "Policies": [], "UserDetailList": []}),
        "old.json": json.dumps(policy),
        "new.json": json.dumps(policy),
        "requests.jsonl": json.dumps({"request": {"action": "s3:GetObject"}, "identityPolicies": [policy]}),
        "calls.jsonl": json.dumps({"service": "s3", "operation": "ListBuckets"}),
        "agent.toml": 'db = "telemetry.db"',
        str(trail / "1.json"): json.dumps({"Records": []}),
        "pytest.ini": "[pytest]\naddopts = -q -p no:cacheprovider\n",
    }.items():
        (directory / path).write_text(text, encoding="utf-8")
    authority = issue(directory, "clients")
    issue(directory, "agent", authority, x509.DNSName("localhost"))


# --- what is shown --------------------------------------------------------------------------------


def plain(line: str) -> str:
    """Leave out what differs from run to run: fingerprints, numbers, the blanks between columns."""
    line = re.sub(r"\b[0-9a-f]{16,64}\b", "#", line.rstrip())
    return re.sub(r"\s+", " ", re.sub(r"\d[\d,.]*", "0", line)).strip()


def assert_shown(shown: tuple[str, ...], printed: str, where: str) -> None:
    lines = iter([plain(line) for line in printed.splitlines()])
    for line in shown:
        wanted = plain(re.sub(r"\s{2,}#\s.*$", "", line))
        if wanted in {"…", "..."}:
            continue
        pattern = re.escape(wanted).replace("…", ".*")
        assert any(re.fullmatch(pattern, each) for each in lines), (
            f"{where}: `{line}` is not (or not there) in\n{printed}"
        )


# --- every block ----------------------------------------------------------------------------------


def carry_out(place: Place, block: Block) -> None:
    for step in steps(block):
        if row_of(NOT_RUN, block.page, step.command):
            continue
        if step.command.startswith("aws "):
            known_to_botocore(step.command)
            continue
        assert_shown(step.shown, place.run(block.page, step), f"{block.page}: {step.command}")
        if "--authorization-details" in step.command:
            place.enter()  # what follows is shown of an account that was read in full


def known_to_botocore(command: str) -> None:
    """A command of AWS's CLI names an operation and parameters that botocore's model has."""
    _, service, operation, *words = command.split()
    model = Session().get_service_model(service)
    (found,) = (name for name in model.operation_names if xform_name(name, "-") == operation)
    members = {xform_name(name, "-") for name in model.operation_model(found).input_shape.members} if words else set()
    assert {word[2:] for word in words if word.startswith("--")} <= members


def run_python(block: Block) -> None:
    """Run the block; its last expression holds each word of the comments that follow it."""
    body = ast.parse(block.text).body
    names: dict[str, Any] = {}
    exec(compile(ast.Module(body[:-1], []), block.page, "exec"), names)
    (last,) = body[-1:]
    assert isinstance(last, ast.Expr)
    result = repr(eval(compile(ast.Expression(last.value), block.page, "eval"), names))
    for word in re.findall(r"[^\s=]+", "\n".join(re.findall(r"^# (.*)", block.text, flags=re.MULTILINE))):
        assert word in result, word


def read_policy(block: Block) -> None:
    """A document is a policy, a statement, or a part of one or of a task definition, which are JSON."""
    found = json.loads(f"{{{block.text}}}" if block.text.startswith('"') else block.text)
    for each in found if isinstance(found, list) else [found]:
        if "Effect" in each or "Statement" in each:
            document = each if "Statement" in each else {"Version": "2012-10-17", "Statement": [each]}
            assert not parse("shown", document).problems


def read_toml(block: Block, directory: Path) -> None:
    """A file of tokens or of exemptions is one that the agent takes."""
    if "[[exemption]]" in block.text:
        (directory / "exemptions.toml").write_text(block.text, encoding="utf-8")
        assert read_exemptions(directory / "exemptions.toml")
        return
    tokens = directory / "shown.toml"
    tokens.write_text(block.text, encoding="utf-8")
    tokens.chmod(0o600)
    checked = subprocess.run(
        [sys.executable, "-m", "credwatch_agent", "config", "check"], capture_output=True, text=True, check=False,
        env={"CREDWATCH_SERVE_DB": "x.db", "CREDWATCH_SERVE_TOKENS": str(tokens), "PATH": ""},
    )  # fmt: skip
    assert "tokens are valid: 1" in checked.stdout, checked.stderr


def read_yaml(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.text), dict)


def read_promql(block: Block) -> None:
    for line in block.text.splitlines():
        promql_parser.parse(line)


READ: Mapping[str, Callable[[Block], None]] = {"json": read_policy, "yaml": read_yaml, "promql": read_promql}


def simulated(place: Place, asked: Block, answer: Block) -> None:
    (place.directory / "request.jsonl").write_text(asked.text.replace("\n", " ") + "\n", encoding="utf-8")
    said = place.run(asked.page, Step("credwatch-agent simulate request.jsonl"))
    assert json.loads(said) == json.loads(answer.text)


def _marks(page: str) -> list[pytest.MarkDecorator]:
    if page == "docs/cli.md":  # some fifty commands, in `make test` held to the parsers alone
        return [pytest.mark.verify]
    return [pytest.mark.collector] if page == "docs/collector.md" else []


RUN_PAGES = sorted({block.page for block in BLOCKS})


@pytest.mark.parametrize("page", [pytest.param(page, marks=_marks(page)) for page in RUN_PAGES])
@pytest.mark.parametrize("played", ["default"], ids="world={}".format, indirect=True)
def test_what_a_page_shows_is_so(page: str, place: Place) -> None:
    mine = [block for block in BLOCKS if block.page == page]
    place.enter()
    try:
        for number, block in enumerate(mine):
            if row_of(NOT_RUN, page, block.begins) and block.language not in SHELLS:
                continue
            if block.language in SHELLS:
                carry_out(place, block)
            elif block.language == "python":
                run_python(block)
            elif '"request"' in block.text:
                simulated(place, block, mine[number + 1])
            elif block.language == "toml":
                read_toml(block, place.directory)
            elif block.language in READ:
                READ[block.language](block)
            else:
                pytest.fail(f"{page}: nothing runs this block, and no row says why: {block.begins}")
    finally:
        place.stop()


def test_no_reason_is_stale() -> None:
    begun = {(block.page, block.begins) for block in BLOCKS if block.language not in SHELLS}
    begun |= {(block.page, step.command) for block in BLOCKS if block.language in SHELLS for step in steps(block)}
    used = {row_of(NOT_RUN, page, line) for page, line in begun}
    assert set(NOT_RUN) - used == set()
    shown = {
        (block.page, (step.shown or ("",))[0]) for block in BLOCKS if block.language in SHELLS for step in steps(block)
    }
    assert {key for key in AS if not any(row_of({key: 0}, *one) for one in shown)} == set()
    assert {key for key in CODES if not any(row_of({key: 0}, *one) for one in begun)} == set()
