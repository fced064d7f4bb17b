"""A recommended policy keeps its word under enforcement: all works with it, one action less breaks exactly one call.

moto checks S3 by action, bucket and key, and every other service by action against `*` alone. So what is
recommended for S3 is applied as it is, for SQS with `*` in place of the queue, and DynamoDB is left as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from examples.demo import agent, play
from examples.demo.launch import Finished
from examples.demo.plan import plan
from examples.demo.play import Files
from examples.demo.world import World, running
from tests.e2e.worlds import ROUNDS

pytestmark = pytest.mark.slow

ROLE = "orders-task-role"
Documents = dict[str, Any]


class Shop:
    """A world with `orders` alone, the agent's files about it, and what the agent recommends."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.files = self.play(directory)[1]
        self.code, self.recommended = self.recommend()
        # what is seen for the first time in the last fifth of the window narrows nothing: until that is quiet
        while self.recommended["claim"]["statements_missed"]:
            self.code, self.recommended = self.recommend()
        self.documents: Documents = {each["name"]: each["document"] for each in self.recommended["policies"]}

    def recommend(self) -> tuple[int, Any]:
        code, text = play.command(self.files, ["recommend", ROLE, "--format", "json"])
        return code, json.loads(text)

    def play(self, directory: Path) -> tuple[Finished, Files]:
        """Run `orders`, then have the agent read the account."""
        directory.mkdir()
        files = Files(directory)
        with agent.serving(files.db) as serving:
            finished = play.services(self.world, serving.url, ROUNDS)["orders"]
        play.snapshot(self.world, files)
        return finished, files

    def apply(self, documents: Documents) -> None:
        """Write policies to the role as its owner does: a managed one as a new version, an inline one in place.

        The invoices go, too: the application writes none that it finds.
        """
        arns = {each["name"]: each["arn"] for each in self.recommended["policies"]}
        with self.world.owned() as clients:
            iam, s3 = clients["iam"], clients["s3"]
            for bucket in self.world.plan.buckets:
                for kept in s3.list_objects_v2(Bucket=bucket.name).get("Contents", []):
                    s3.delete_object(Bucket=bucket.name, Key=kept["Key"])
            for name, document in documents.items():
                text = json.dumps(document)
                if not arns[name]:
                    iam.put_role_policy(RoleName=ROLE, PolicyName=name, PolicyDocument=text)
                    continue
                versions = iam.list_policy_versions(PolicyArn=arns[name])["Versions"]
                for version in versions:  # IAM keeps five
                    if not version["IsDefaultVersion"]:
                        iam.delete_policy_version(PolicyArn=arns[name], VersionId=version["VersionId"])
                iam.create_policy_version(PolicyArn=arns[name], PolicyDocument=text, SetAsDefault=True)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with running(plan(services=["orders"])) as world:
        yield Shop(world, tmp_path_factory.mktemp("orders") / "before")


def enforceable(documents: Documents) -> Documents:
    """Return what moto can hold a caller to."""
    applied = deepcopy(documents)
    for document in applied.values():
        for statement in document["Statement"]:
            if not any(action.startswith("s3:") for action in actions(statement)):
                statement["Resource"] = "*"
    return applied


def actions(statement: Any) -> list[str]:
    named = statement["Action"]
    return [named] if isinstance(named, str) else list(named)


def without(documents: Documents, action: str) -> Documents:
    """Return the documents less one action, which must have been there."""
    lesser = deepcopy(documents)
    dropped = 0
    for document in lesser.values():
        for statement in document["Statement"]:
            kept = [each for each in actions(statement) if each != action]
            dropped += len(actions(statement)) - len(kept)
            statement["Action"] = kept
        document["Statement"] = [statement for statement in document["Statement"] if statement["Action"]]
    assert dropped == 1
    return lesser


def granted(documents: Documents) -> set[str]:
    return {each for d in documents.values() for statement in d["Statement"] for each in actions(statement)}


def test_the_recommendation_is_smaller_and_claims_what_it_proved(shop: Shop) -> None:
    claim = shop.recommended["claim"]
    assert (shop.code, claim["proved"], claim["calls_not_proved"]) == (1, True, 0)
    assert claim["calls"] > 0
    named = granted(shop.documents)
    assert {each for each in named if each.startswith("sqs:")} == {
        f"sqs:{name}" for name in ("GetQueueUrl", "SendMessage", "ReceiveMessage", "DeleteMessage")
    }
    assert {"s3:GetObject", "s3:PutObject", "s3:ListBucket"} <= named
    assert not {each for each in named if "*" in each}
    assert "sns:Publish" not in named


def test_the_application_works_with_the_recommended_policy(shop: Shop, tmp_path: Path) -> None:
    shop.apply(enforceable(shop.documents))
    finished, files = shop.play(tmp_path / "after")
    assert (finished.returncode, finished.errors) == (0, "")
    assert not any("AccessDenied" in outcomes for rows in finished.tally.values() for outcomes in rows.values())
    _, report = play.report(files)
    assert [found["id"] for found in report["findings"] if found["id"] == "denied-call"] == []


@pytest.mark.parametrize(
    ("action", "call"),
    [
        ("s3:PutObject", ("s3", "PutObject")),
        ("s3:ListBucket", ("s3", "ListObjectsV2")),
        ("sqs:SendMessage", ("sqs", "SendMessage")),
        ("sqs:DeleteMessage", ("sqs", "DeleteMessage")),
    ],
)
def test_one_used_action_less_breaks_its_call_and_the_agent_names_the_missing_statement(
    shop: Shop, action: str, call: tuple[str, str], tmp_path: Path
) -> None:
    shop.apply(enforceable(without(shop.documents, action)))
    finished, files = shop.play(tmp_path / "lesser")
    denied = {
        (name, each)
        for name, rows in finished.tally.items()
        for each, outcomes in rows.items()
        if set(outcomes) - {"ok", "404"}
    }
    assert denied == {call}
    _, report = play.report(files)
    (found,) = [each for each in report["findings"] if each["id"] == "denied-call"]
    assert (found["subject"], found["detail"]) == ("orders/orders", action)
    assert f"no statement of `{ROLE}` grants `{action}`" in found["evidence"]
    (statement,) = json.loads(found["fixes"][0]["text"])["Statement"]
    assert actions(statement) == [action]
