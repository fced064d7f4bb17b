"""After a change of policies: denials that the earlier policies would not have had, their statements, the way back."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from credwatch.semconv import Usage
from credwatch_agent import snapshot as s
from credwatch_agent.cli import main
from credwatch_agent.compare import Use
from credwatch_agent.recommend import Attached
from credwatch_agent.recommend.watch import regressions, rollback
from credwatch_agent.records import Batch, UsagePoint
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.terminal import unwrapped
from tests.agent.worlds import allow, policy, role, role_arn, snapshot, task_process

INSIDE = "arn:aws:s3:::b/*"
READ, WRITE = allow("Read", "s3:GetObject", INSIDE), allow("Write", "s3:PutObject", INSIDE)
IF_SECURE = allow("Write", "s3:PutObject", INSIDE, Condition={"Bool": {"aws:SecureTransport": "true"}})
DENY = {**WRITE, "Effect": "Deny", "Sid": "No"}


def attach(*statements: dict[str, Any]) -> list[Attached]:
    return [Attached.read("p", policy("p", *statements).document)]


def use(action: str, resource: str = INSIDE) -> Use:
    return Use(action, resource, "denied", 3, 0, 1, ("app",))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([READ, WRITE], [READ], [("Write", True)]),
        ([READ, IF_SECURE], [READ], [("Write", False)]),
        ([WRITE, {**IF_SECURE, "Sid": "Also"}], [READ], [("Write", True), ("Also", False)]),
        ([READ], [READ], []),
        ([READ, WRITE], [READ, WRITE], []),
        ([READ, IF_SECURE], [READ, IF_SECURE], []),
        ([READ, WRITE], [READ, IF_SECURE], [("Write", True)]),
        ([READ, WRITE], [allow("All", "s3:*")], []),
        ([READ, WRITE, DENY], [READ], []),
    ],
    ids=[
        "a statement removed",
        "one with a condition removed",
        "two removed",
        "never granted",
        "granted still",
        "in doubt before and now",
        "a condition added",
        "granted by another statement",
        "denied before too",
    ],
)
def test_a_refused_call_is_laid_at_the_statements_that_are_missing(
    before: list[dict[str, Any]], after: list[dict[str, Any]], expected: list[tuple[str, bool]]
) -> None:
    found = list(regressions(attach(*before), attach(*after), [use("s3:PutObject")]))
    assert [(removed.sid, removed.sure) for each in found for removed in each.removed] == expected


ANY_ROLE = "arn:aws:iam::123456789012:role/*"
TO_ECS, TO_LAMBDA, TO_BOTH = (
    allow("Pass", "iam:PassRole", ANY_ROLE, Condition={"StringEquals": {"iam:PassedToService": services}})
    for services in (["ecs.x"], ["lambda.x"], ["ecs.x", "lambda.x"])
)


@pytest.mark.parametrize(
    ("before", "after", "broken"),
    [
        (TO_BOTH, TO_ECS, [("lambda.x",)]),
        (allow("Pass", "iam:PassRole", ANY_ROLE), TO_LAMBDA, [("ecs.x",)]),
        (TO_BOTH, READ, [("ecs.x",), ("lambda.x",)]),
        (TO_ECS, READ, [("ecs.x",), ("lambda.x",)]),
    ],
    ids=["a service removed", "a condition added", "all removed", "the documentation may be wrong"],
)
def test_a_role_passed_to_a_service_that_is_allowed_still_is_not_broken(
    before: dict[str, Any], after: dict[str, Any], broken: list[tuple[str, ...]]
) -> None:
    refused = [replace(use("iam:PassRole", ANY_ROLE), passed_to=(to,)) for to in ("ecs.x", "lambda.x")]
    assert [each.use.passed_to for each in regressions(attach(before), attach(after), refused)] == broken


def test_a_new_deny_is_named_and_taken_away() -> None:
    found = list(regressions(attach(READ, WRITE), attach(READ, WRITE, DENY), [use("s3:PutObject")]))
    assert [(each.removed, [place.sid for place in each.denies]) for each in found] == [((), ["No"])]
    old, new = role("app", READ, WRITE), role("app", READ, WRITE)
    named = replace(new, policies=(*new.policies, policy("guard", DENY)))
    attached = [[Attached.read(p.name, p.document) for p in each.policies] for each in (old, named)]
    (way,) = rollback(old, named, regressions(attached[0], attached[1], [use("s3:PutObject")]))
    assert way.commands == ("aws iam delete-role-policy --role-name app --policy-name guard",)


MANAGED = policy("m", READ, WRITE, arn="arn:aws:iam::123456789012:policy/m", version="v1", attachments=1)


@pytest.mark.parametrize(
    ("before", "after", "commands", "document"),
    [
        (
            policy("p", READ, WRITE),
            policy("p", READ),
            ["aws iam put-role-policy --role-name app --policy-name p --policy-document file://p.json"],
            True,
        ),
        (
            MANAGED,
            replace(MANAGED, document=policy("m", READ).document, version="v2"),
            [f"aws iam set-default-policy-version --policy-arn {MANAGED.arn} --version-id v1"],
            False,
        ),
        (
            MANAGED,
            policy("fork", READ),
            [f"aws iam attach-role-policy --role-name app --policy-arn {MANAGED.arn}"],
            False,
        ),
        (MANAGED, replace(MANAGED, document=policy("m", READ).document), [], True),
    ],
    ids=["inline", "a new version", "detached", "the version is not known"],
)
def test_the_way_back_follows_from_what_changed(
    before: s.Policy, after: s.Policy, commands: list[str], document: bool
) -> None:
    old, new = role("app", policies=(before,)), role("app", policies=(after,))
    attached = [[Attached.read(p.name, p.document, p.arn) for p in each.policies] for each in (old, new)]
    (way,) = rollback(old, new, regressions(attached[0], attached[1], [use("s3:PutObject")]))
    assert (list(way.commands), way.document) == (commands, before.document if document else "")


# --- the command ----------------------------------------------------------------------------------


def run(
    directory: Path,
    *usages: Usage,
    before: tuple[dict[str, Any], ...] = (READ, WRITE),
    after: tuple[dict[str, Any], ...] = (READ,),
    since: str = "",
    more: Sequence[str] = (),
) -> int:
    now = time.time_ns()
    for name, statements, taken in (("before", before, now - 10**12), ("after", after, now)):
        s.save(replace(snapshot(role("app", *statements)), taken_ns=taken), directory / f"{name}.json")
    store = SqliteStore.open(directory / "usage.db")
    points = tuple(UsagePoint("p", usage, 3, now - 10**11, now) for usage in usages)
    store.put([Batch(task_process("p", "app").resource, usage=points)])
    store.close()
    files = [f"{directory}/{name}" for name in ("usage.db", "before.json", "after.json")]
    options = [word for pair in zip(("--db", "--before", "--snapshot"), files, strict=True) for word in pair]
    return main(["watch", "app", *options, *(("--since", since) if since else ()), *more])


def usage(action: str, outcome: str, layer: str = "") -> Usage:
    return Usage(
        "ecs-task-role",
        principal_arn=role_arn("app"),
        service="s3",
        operation=action.partition(":")[2],
        authorizations=((action, (INSIDE,)),),
        mapping="table",
        outcome=outcome,
        denied_layer=layer,
    )


def test_watch_shows_the_denial_the_missing_statement_and_the_rollback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, usage("s3:GetObject", "allowed"), usage("s3:PutObject", "denied")) == 1
    printed = capsys.readouterr().out
    assert "app: 6 calls reported since" in printed
    assert "s3:PutObject on arn:aws:s3:::b/*\n  denied 3 times to app/app\n  allowed it before: p, Write\n" in printed
    assert f"missing: p, Write\n{json.dumps(WRITE, indent=2)}\n" in printed
    assert "rollback of p\n" in printed
    assert "aws iam put-role-policy --role-name app --policy-name p" in printed


def test_every_member_of_the_json_is_documented(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roles = (("iam:PassRole", (role_arn("job"),)),)
    passed = usage("iam:PassRole", "denied")._replace(authorizations=roles, facets=(("iam:PassedToService", "ecs.x"),))
    assert run(tmp_path, passed, before=(TO_BOTH,), after=(READ, WRITE), more=["--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    (broken,) = told["broken"]
    assert broken["passed_to"] == ["ecs.x"]
    page = (Path(__file__).parents[2] / "docs" / "recommend.md").read_text(encoding="utf-8")
    section = page.partition("## After the merge")[2].partition("\n## ")[0]
    assert {name for name in {*told, *broken, *told["rollback"][0], "note"} if f"`{name}`" not in section} == set()


@pytest.mark.parametrize(
    ("usages", "code", "expected"),
    [
        ([usage("s3:GetObject", "allowed")], 0, "the change broke no call"),
        ([usage("s3:DeleteObject", "denied")], 0, "1 other kind of refused call is not its doing"),
        ([usage("s3:PutObject", "denied", "service control")], 0, "the change broke no call"),
        ([], 3, "no process reported a call since"),
    ],
    ids=["nothing refused", "refused before too", "refused by an organization policy", "nothing reported"],
)
def test_watch_blames_the_change_for_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], usages: list[Usage], code: int, expected: str
) -> None:
    assert run(tmp_path, *usages) == code
    assert expected in unwrapped(capsys.readouterr().out)


def test_watch_says_when_nothing_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, usage("s3:GetObject", "allowed"), after=(READ, WRITE)) == 0
    assert "its policies are the same in both snapshots" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("since", "sentence"), [("soon", "is no ISO 8601 time"), ("2999-01-01T00:00:00Z", "is in the future")]
)
def test_a_time_that_cannot_be_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], since: str, sentence: str
) -> None:
    assert run(tmp_path, since=since) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1
