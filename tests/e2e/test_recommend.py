"""Recommendations on the demo's data, by the command line: smaller, contained, and no observed call is lost.

The parts for S3 and SQS are put into force too: moto checks the resources of these services.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from credwatch_agent.cli import main
from credwatch_agent.cli.policies import read_evidence
from credwatch_agent.iam.contain import Proved, contain
from credwatch_agent.iam.document import Policy, parse
from credwatch_agent.iam.evaluate import Decision, Request, evaluate
from credwatch_agent.recommend import lost
from credwatch_agent.recommend.view import attached, calls
from credwatch_agent.store.sqlite import SqliteStore
from examples.demo import agent, launch
from examples.demo.plan import plan
from examples.demo.seed import Clients
from examples.demo.world import World, running

pytestmark = pytest.mark.slow

SERVICES = ("orders", "reporting", "web")
ROLES = tuple(f"{name}-task-role" for name in SERVICES)
DAY_S = 86_400


class Ran(NamedTuple):
    """What the demo left: the files, and in days a window that holds all of it."""

    db: Path
    snapshot: Path
    window: float

    @property
    def options(self) -> list[str]:
        return ["--db", str(self.db), "--snapshot", str(self.snapshot), "--window", f"{self.window:.7f}"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    directory = tmp_path_factory.mktemp("recommend")
    db, snapshot = directory / "credwatch.db", directory / "snapshot.json"
    with running(plan(services=SERVICES)) as world:
        with agent.serving(db) as serving:
            on = {"CREDWATCH_ENABLED": "1", "CREDWATCH_ENDPOINT": serving.url, "CREDWATCH_EXIT_TIMEOUT": "60"}
            launch.run_all(world, lambda name: {**on, "OTEL_SERVICE_NAME": name}, rounds=2)
        agent.command(["snapshot", "--out", str(snapshot)], extra=world.auditor_environment())
    with closing(SqliteStore.open(db, read_only=True)) as store:
        begun = min(process.first_ns for process in store.telemetry().processes.values())
    return Ran(db, snapshot, (time.time_ns() / 10**9 - begun / 10**9 + 60) / DAY_S)


def recommended(ran: Ran, role: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["recommend", role, *ran.options, "--format", "json"]) in {0, 1}
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def documents(found: dict[str, Any]) -> list[Policy]:
    return [parse(each["name"], each["document"]) for each in found["policies"] if each["change"] != "remove"]


@pytest.mark.parametrize("role", ROLES)
def test_what_is_recommended_grants_nothing_new_and_breaks_no_observed_call(
    ran: Ran, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = recommended(ran, role, capsys)
    evidence = read_evidence(role, str(ran.db), ran.snapshot, ran.window)
    old, new = [each.policy for each in attached(evidence.view)], documents(found)
    seen = list(calls(evidence.signed))
    assert seen
    assert found["claim"]["proved"]
    assert contain(new, old) == Proved()
    assert lost(old, new, seen) == ()
    for call in seen:
        for arn in call.resources or ("*",):
            # by the evaluator too, on one resource of those that the pattern stands for
            request = Request(call.action, arn.replace("*", "x"), principal=evidence.view.role.arn)
            if evaluate(request, identity=old).decision is Decision.ALLOWED:
                assert evaluate(request, identity=new).decision is Decision.ALLOWED, request


def test_wide_statements_become_what_was_used(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    found = recommended(ran, "orders-task-role", capsys)
    text = json.dumps([each["document"] for each in found["policies"]])
    assert {each["change"] for each in found["policies"]} == {"edit"}
    assert not [wide for wide in ('"s3:*"', '"sqs:*"', '"dynamodb:*"', '"sns:Publish"') if wide in text]


def test_recommending_what_was_recommended_changes_nothing(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    found = recommended(ran, "orders-task-role", capsys)
    taken = json.loads(ran.snapshot.read_text(encoding="utf-8"))
    (role,) = [each for each in taken["roles"] if each["name"] == "orders-task-role"]
    by_name = {each["original"]: json.dumps(each["document"]) for each in found["policies"]}
    for policy in role["policies"]:
        policy["document"] = by_name[policy["name"]]
    applied = ran.snapshot.with_name("applied.json")
    applied.write_text(json.dumps(taken), encoding="utf-8")
    again = recommended(ran._replace(snapshot=applied), "orders-task-role", capsys)
    assert {each["change"] for each in again["policies"]} == {"same"}


# --- in force ---------------------------------------------------------------------------------------

ORDERS = "orders-task-role"


def put(world: World, policies: list[dict[str, Any]]) -> None:
    """Put policies of the orders role into force, as a deployment does."""
    with closing(Clients(world.moto.url, world.plan.region)) as clients, world.moto.unguarded():
        for each in policies:
            document = json.dumps(each["document"])
            if each["arn"]:
                clients["iam"].create_policy_version(PolicyArn=each["arn"], PolicyDocument=document, SetAsDefault=True)
            else:
                clients["iam"].put_role_policy(RoleName=ORDERS, PolicyName=each["name"], PolicyDocument=document)


def part(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """Return a recommended policy with the statements of DynamoDB as they were: moto knows no resource of its calls."""

    def of(document: dict[str, Any], *, dynamodb: bool) -> list[dict[str, Any]]:
        return [each for each in document["Statement"] if ("dynamodb:" in json.dumps(each["Action"])) is dynamodb]

    statements = of(new["document"], dynamodb=False) + of(old, dynamodb=True)
    if "sqs:GetQueueUrl" in json.dumps(statements):
        # moto finds a queue by its URL only, so it checks this one call on `*`
        statements.append({"Effect": "Allow", "Action": "sqs:GetQueueUrl", "Resource": "*"})
    return {**new, "document": {**new["document"], "Statement": statements}}


def without(policy: dict[str, Any], action: str) -> dict[str, Any]:
    statements = [
        {**each, "Action": [name for name in each["Action"] if name != action]} if action in each["Action"] else each
        for each in policy["document"]["Statement"]
    ]
    return {**policy, "document": {**policy["document"], "Statement": statements}}


def test_in_force_the_application_works_and_one_action_fewer_breaks_it_and_watch_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db, before, after = (tmp_path / name for name in ("credwatch.db", "before.json", "after.json"))
    with running(plan(services=("orders",))) as world, agent.serving(db) as serving:
        on = {"CREDWATCH_ENABLED": "1", "CREDWATCH_ENDPOINT": serving.url, "CREDWATCH_EXIT_TIMEOUT": "60"}

        def run() -> launch.Finished:
            return launch.run(world, "orders", rounds=2, extra={**on, "OTEL_SERVICE_NAME": "orders"})

        begun = time.time_ns()
        assert run().returncode == 0
        agent.command(["snapshot", "--out", str(before)], extra=world.auditor_environment())
        found = recommended(Ran(db, before, ((time.time_ns() - begun) / 10**9 + 30) / DAY_S), ORDERS, capsys)
        (role,) = [each for each in json.loads(before.read_text(encoding="utf-8"))["roles"] if each["name"] == ORDERS]
        old = {each["name"]: json.loads(each["document"]) for each in role["policies"]}
        smaller = [part(each, old[each["name"]]) for each in found["policies"]]
        put(world, smaller)
        works = run()
        assert works.errors == ""
        put(world, [without(each, "sqs:SendMessage") for each in smaller])
        broken = run()
        assert "SendMessage" in broken.errors
        agent.command(["snapshot", "--out", str(after)], extra=world.auditor_environment())
    code = main(["watch", ORDERS, "--db", str(db), "--before", str(before), "--snapshot", str(after)])
    told = capsys.readouterr().out
    assert code == 1, told
    on_one_line = " ".join(told.replace("\\\n", "").split())
    assert "the change broke 1 kind of calls" in on_one_line
    assert "sqs:SendMessage on arn:aws:sqs:eu-west-1:123456789012:order-events" in told
    assert "allowed it before: orders-events, Events\n" in told
    assert "aws iam put-role-policy --role-name orders-task-role --policy-name orders-events" in on_one_line
