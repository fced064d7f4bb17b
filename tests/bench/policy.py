"""Figures of the policy engine: `python -m tests.bench.policy [roles]`.

An account from a fixed seed (3 policies a role, 20 distinct calls a role): load, evaluate, contain and recommend, with
the peak of memory; and warm evaluations a second beside moto's evaluator, interleaved in the same run.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from moto.iam.access_control import IAMPolicy

from credwatch_agent.iam.contain import Proved, contain
from credwatch_agent.iam.document import Policy, parse
from credwatch_agent.iam.evaluate import Request, evaluate
from credwatch_agent.recommend import Attached, Call, Settings, recommend

ROLES = 500
CALLS = 20
ROUNDS = 7
DAY_NS = 86_400 * 10**9

_SERVICES: dict[str, tuple[list[str], str]] = {
    "s3": (["GetObject", "PutObject", "DeleteObject", "ListBucket", "GetObjectTagging"], "arn:aws:s3:::{}/*"),
    "sqs": (["SendMessage", "ReceiveMessage", "DeleteMessage"], "arn:aws:sqs:eu-west-1:123456789012:{}"),
    "dynamodb": (["GetItem", "PutItem", "Query", "Scan"], "arn:aws:dynamodb:eu-west-1:123456789012:table/{}"),
    "sns": (["Publish", "Subscribe"], "arn:aws:sns:eu-west-1:123456789012:{}"),
    "lambda": (["InvokeFunction", "GetFunction"], "arn:aws:lambda:eu-west-1:123456789012:function:{}"),
    "secretsmanager": (["GetSecretValue"], "arn:aws:secretsmanager:eu-west-1:123456789012:secret:{}"),
}


def account(roles: int, seed: int = 7) -> Iterator[tuple[list[str], list[Call]]]:
    """Return for each role its three documents and the calls that were seen of it."""
    chance = random.Random(seed)
    for _ in range(roles):
        documents = [_document(chance) for _ in range(3)]
        yield [json.dumps(each) for each in documents], [_call(chance, documents) for _ in range(CALLS)]


def _document(chance: random.Random) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [_statement(chance) for _ in range(chance.randint(2, 5))]}


def _statement(chance: random.Random) -> dict[str, Any]:
    service = chance.choice(list(_SERVICES))
    names, arn = _SERVICES[service]
    actions = chance.choice(
        ([f"{service}:{name}" for name in chance.sample(names, chance.randint(1, len(names)))], [f"{service}:*"])
    )
    resources = chance.choice(
        (["*"], [arn.format(f"team-{chance.randint(0, 99)}-*") for _ in range(chance.randint(1, 4))])
    )
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resources}
    if chance.random() < 0.2:
        statement["Condition"] = {"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}}
    if chance.random() < 0.05:
        statement["Effect"] = "Deny"
    return statement


def _call(chance: random.Random, documents: list[dict[str, Any]]) -> Call:
    statement = chance.choice(chance.choice(documents)["Statement"])
    service = statement["Action"][0].partition(":")[0]
    names, arn = _SERVICES[service]
    container = arn.format(f"team-{chance.randint(0, 99)}-{chance.choice(('in', 'out', 'log'))}")
    return Call(f"{service}:{chance.choice(names)}", (container,), "container", 10, 0, 90 * DAY_NS)


def timed(work: Callable[[], object]) -> float:
    """Return seconds of wall-clock time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def whole_account(roles: int) -> None:
    """Print seconds of each step over a whole account."""
    made = list(account(roles))
    parsed: list[list[Policy]] = []
    context = {"aws:RequestedRegion": "eu-west-1"}

    def load() -> None:
        parsed.extend([parse(f"p{at}", each) for at, each in enumerate(documents)] for documents, _ in made)

    def decide() -> None:
        for policies, (_, calls) in zip(parsed, made, strict=True):
            for each in calls:
                evaluate(Request(each.action, each.resources[0], context=context), identity=policies)

    def recommended() -> None:
        settings = Settings(0, 90 * DAY_NS)
        for documents, calls in made:
            attached = [Attached.read(f"p{at}", each) for at, each in enumerate(documents)]
            found = recommend("role", attached, calls, settings)
            smaller.append([parse(each.name, each.document) for each in found.policies if each.document["Statement"]])
            claims.append(found.claim.holds)

    def proofs() -> None:
        answers.extend(isinstance(contain(new, old), Proved) for new, old in zip(smaller, parsed, strict=True))

    smaller: list[list[Policy]] = []
    claims: list[bool] = []
    answers: list[bool] = []
    print(f"{roles} roles, {3 * roles} policies, {CALLS * roles} distinct calls")
    for name, work in (("load", load), ("evaluate", decide), ("recommend", recommended), ("contain", proofs)):
        print(f"  {name:<10} {timed(work):8.2f} s")
    print(f"  proved     {sum(answers):5} of {len(answers)} containments, {sum(claims)} of {len(claims)} whole claims")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def beside_moto() -> None:
    """Print warm evaluations a second, ours and moto's, interleaved; medians of ROUNDS."""
    made = list(account(100))
    ours = [[parse(f"p{at}", each) for at, each in enumerate(documents)] for documents, _ in made]
    theirs = [[IAMPolicy({"policy_document": each}) for each in documents] for documents, _ in made]
    requests = [[Request(each.action, each.resources[0]) for each in calls] for _, calls in made]

    def evaluate_ours() -> None:
        for policies, mine in zip(ours, requests, strict=True):
            for each in mine:
                evaluate(each, identity=policies)

    def evaluate_theirs() -> None:
        for policies, mine in zip(theirs, requests, strict=True):
            for each in mine:
                for policy in policies:
                    policy.is_action_permitted(each.action, each.resource)

    rounds = [(timed(evaluate_ours), timed(evaluate_theirs)) for _ in range(ROUNDS + 1)][1:]
    count = 100 * CALLS
    mine, moto = (count / statistics.median(each) for each in zip(*rounds, strict=True))
    print(f"warm evaluations a second, 3 policies each, median of {ROUNDS} interleaved rounds of {count}")
    print(f"  credwatch {mine:10,.0f}\n  moto      {moto:10,.0f}\n  ratio     {mine / moto:10.1f}")


if __name__ == "__main__":
    beside_moto()
    whole_account(int(sys.argv[1]) if len(sys.argv) > 1 else ROLES)
