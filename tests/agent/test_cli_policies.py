"""The commands about policies, on a real store and a real snapshot file: what they print and how they exit."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from credwatch.semconv import Usage
from credwatch_agent import snapshot as s
from credwatch_agent.cli import main
from credwatch_agent.exports import cloudformation, policy_diff, terraform
from credwatch_agent.recommend import Attached, Call, Settings, recommend
from credwatch_agent.records import Batch, UsagePoint
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.terminal import unwrapped
from tests.agent.worlds import TASK_TRUST, ecs, task_process, trust

DAY = 86_400 * 10**9
ROLE = "arn:aws:iam::123456789012:role/orders"
WIDE = {"Sid": "S", "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "*"}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{**WIDE, **each} for each in statements]})


def written(directory: Path, trust_: str, window_days: float = 100) -> list[str]:
    """A role that may read and write everywhere, and 7 reads of one bucket; as command-line options."""
    now = time.time_ns()
    boundary = document({"Action": "s3:*"})
    role = s.Role(
        ROLE,
        "orders",
        trust=trust_,
        policies=(s.Policy("storage", document({})),),
        boundary="b",
        boundary_document=boundary,
    )
    taken = s.Snapshot(now, "live", account_id="123456789012", roles=(role,), **ecs("orders", ROLE))
    s.save(taken, directory / "snapshot.json")
    usage = Usage(
        "ecs-task-role",
        principal_arn=ROLE,
        service="s3",
        operation="GetObject",
        authorizations=(("s3:GetObject", ("arn:aws:s3:::b/*",)),),
        mapping="table",
        detail="container",
    )
    store = SqliteStore.open(directory / "usage.db")
    point = UsagePoint("p", usage, 7, now - int(window_days * DAY), now)
    store.put([Batch(task_process("p", "orders").resource, usage=(point,))])
    store.close()
    return ["--db", str(directory / "usage.db"), "--snapshot", str(directory / "snapshot.json")]


@pytest.fixture
def world(tmp_path: Path) -> list[str]:
    """All evidence that `unused` needs."""
    return written(tmp_path, trust(TASK_TRUST))


def file(path: Path, *statements: dict[str, Any]) -> str:
    path.write_text(document(*statements), encoding="utf-8")
    return str(path)


def test_recommend_narrows_to_what_was_seen(world: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", "orders", *world]) == 1
    printed = capsys.readouterr()
    added = [line for line in printed.out.splitlines() if line.startswith("+ ")]
    assert added == ['+      "Action": "s3:GetObject",', '+      "Resource": "arn:aws:s3:::b/*"']
    claim = "grants nothing new (proved); breaks no observed call (7 calls, 90 days); learned on"
    assert f"storage: edit it in place {claim}" in " ".join(printed.err.split())


@pytest.mark.parametrize(
    ("trusts", "days", "why"),
    [
        ("lambda.amazonaws.com", 100, "the trust policy lets in `lambda.amazonaws.com`, from which no process reports"),
        (TASK_TRUST, 10, "`orders/app` has been reporting for 10 days of 90 days"),
    ],
    ids=["somebody else may be silent", "the window is not full"],
)
def test_recommend_takes_nothing_away_on_insufficient_evidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trusts: str, days: float, why: str
) -> None:
    assert main(["recommend", "orders", *written(tmp_path, trust(trusts), days)]) == 0
    printed = capsys.readouterr()
    told = " ".join(printed.err.split())
    assert printed.out == ""
    assert f"what was not seen stays, resources as granted: insufficient: {why}" in told
    assert f"(7 calls, {min(days, 90):g} days)" in told


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("json", '"proved": true'),
        ("terraform", '"aws_iam_policy_document" "storage"'),
        ("cloudformation", "AWS::IAM::"),
    ],
)
def test_recommend_writes_each_format(
    world: list[str], capsys: pytest.CaptureFixture[str], form: str, expected: str
) -> None:
    assert main(["recommend", ROLE, *world, "--format", form]) == 1
    assert expected in unwrapped(capsys.readouterr().out)


def test_an_unknown_role_is_one_sentence(world: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", "nobody", *world]) == 2
    assert capsys.readouterr().err == "credwatch-agent: role `nobody` is not in the snapshot\n"


@pytest.mark.parametrize(
    ("action", "code", "expected"),
    [
        ("s3:GetObject", 0, "identity: policy storage, statement 0 (S)"),
        ("s3:DeleteObject", 1, "no statement of an identity policy allows it"),
        ("sqs:SendMessage", 1, "the permissions boundary does not allow it"),
    ],
)
def test_explain_names_the_statement_or_the_reason(
    world: list[str], capsys: pytest.CaptureFixture[str], action: str, code: int, expected: str
) -> None:
    assert main(["explain", "orders", action, "arn:aws:s3:::b/k", *world[2:]]) == code
    assert expected in unwrapped(capsys.readouterr().out)


def test_explain_says_which_layers_it_read(
    world: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "orders", "s3:GetObject", "arn:aws:s3:::b/k", *world[2:]]) == 0
    told = unwrapped(capsys.readouterr().out)
    assert "read: 1 identity policy, boundary b not read:" in told
    assert "not read: session policies, resource control policies, service control policies (--scp), the res" in told
    root, unit = file(tmp_path / "root.json", {"Action": "*"}), file(tmp_path / "unit.json", {"Action": "sqs:*"})
    options = ["--scp", root, "--scp", unit, "--resource-policy", root]
    assert main(["explain", "orders", "s3:GetObject", "arn:aws:s3:::b/k", *world[2:], *options]) == 1
    told = unwrapped(capsys.readouterr().out)
    assert "a level of service control policies does not allow it" in told
    assert "boundary b, 2 levels of service control policies, the resource's policy not read: session pol" in told


def test_explain_hangs_on_a_boundary_that_could_not_be_read(
    world: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = s.load(tmp_path / "snapshot.json")
    unread = replace(taken, roles=(replace(taken.roles[0], boundary_document=""),))
    s.save(unread, tmp_path / "snapshot.json")
    assert main(["explain", "orders", "s3:GetObject", "arn:aws:s3:::b/k", *world[2:]]) == 3
    told = unwrapped(capsys.readouterr().out)
    assert "hangs on: layer: boundary" in told
    assert "not read: the boundary b, of which the snapshot has no document, session policies" in told


def test_diff_tells_what_only_one_of_them_grants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = file(tmp_path / "a.json", {"Action": "s3:Get*"}), file(tmp_path / "b.json", {"Action": "s3:*"})
    assert main(["diff", a, a]) == 0
    assert unwrapped(capsys.readouterr().out) == unwrapped(f"{a} grants nothing that {a} does not (proved) " * 2)
    assert main(["diff", a, b]) == 1
    told = unwrapped(capsys.readouterr().out)
    assert re.search(rf"{b} grants s3:\w+ on \S+, {a} does not {a} grants nothing that", told)
    odd = {"Condition": {"Odd": {"aws:x": "1"}}}
    assert main(["diff", a, file(tmp_path / "odd.json", {"Action": "s3:Get*", **odd})]) == 3


@pytest.mark.parametrize(
    ("change", "code", "expected"),
    [
        ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}, 0, "breaks no observed call (7 calls)"),
        ({"Action": "s3:PutObject"}, 1, "loses s3:GetObject on arn:aws:s3:::b/* (7 calls)"),
        ({"Resource": "arn:aws:s3:::b/in/*"}, 1, "loses s3:GetObject on arn:aws:s3:::b/* (7 calls)"),
        ({"Action": "s3:*"}, 1, "does not"),
    ],
    ids=["smaller", "an action too few", "a resource too narrow", "wider"],
)
def test_policy_check_passes_only_what_grants_nothing_new_and_breaks_nothing(
    world: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    code: int,
    expected: str,
) -> None:
    a, b = file(tmp_path / "a.json", {}), file(tmp_path / "b.json", change)
    assert main(["policy-check", a, b, "--role", "orders", *world]) == code
    assert expected in unwrapped(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "not valid JSON at line 1"),
        ("[1]", "a policy is a JSON object"),
        ('{"Statement": 1}', "Statement"),
        ('[{}, {"Statement": 1}]', "bad.json[0], Statement: missing; a policy needs it; policy "),
        ("[{]", "bad.json is not JSON"),
    ],
)
def test_a_file_that_is_no_policy_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, sentence: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content, encoding="utf-8")
    assert main(["diff", str(path), str(path)]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1


# --- renderers ------------------------------------------------------------------------------------

RICH = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Home",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": "arn:aws:s3:::b/${aws:username}/*",
            "Condition": {"Bool": {"aws:SecureTransport": True}, "StringLike": {"aws:x": ["a%{", 'q"']}},
        },
        {"Effect": "Deny", "NotAction": "s3:*", "NotResource": "arn:aws:s3:::c"},
    ],
}


def rich(arn: str = "") -> tuple[Attached, Any]:
    attached = Attached.read("my policy", json.dumps(RICH), arn)
    seen = Call("s3:GetObject", ("arn:aws:s3:::b/ann/*",), "prefix", 1, 0, 0)
    return attached, recommend(ROLE, [attached], [seen], Settings(0, DAY))


def test_terraform_writes_every_element_and_no_interpolation() -> None:
    _, found = rich()
    assert terraform.render(found) == (
        """# grants nothing new (proved)
# breaks no observed call (1 call, 1 day)
# learned on the first 80 % of the window, no miss on the last 20 %.

# my policy: edit it in place
data "aws_iam_policy_document" "my_policy" {
  version = "2012-10-17"

  statement {
    sid    = "Home"
    effect = "Allow"

    actions = ["s3:GetObject"]

    resources = ["arn:aws:s3:::b/&{aws:username}/*"]

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"

      values = ["true"]
    }

    condition {
      test     = "StringLike"
      variable = "aws:x"

      values = [
        "a%%{",
        "q\\"",
      ]
    }
  }

  statement {
    effect = "Deny"

    not_actions = ["s3:*"]

    not_resources = ["arn:aws:s3:::c"]
  }
}
"""
    )


def test_terraform_and_cloudformation_say_why_what_nobody_used_was_kept() -> None:
    why = "insufficient: no process of `orders/app` has been seen for long enough to say that it is unused"
    attached = Attached.read("storage", document({"Resource": ["arn:aws:s3:::b/*", "arn:aws:s3:::c/*"]}))
    settings = Settings(0, DAY, keep=lambda action: why if action == "s3:PutObject" else "")
    found = recommend(ROLE, [attached], [Call("s3:GetObject", ("arn:aws:s3:::b/*",), "container", 1, 0, 0)], settings)
    note = f"S: kept: `s3:PutObject`: {why}"
    comments = [line for line in terraform.render(found).splitlines() if line.startswith("#")]
    assert f"- {note}" in " ".join(line.lstrip("# ") for line in comments)
    assert max(map(len, comments)) <= 80
    (resource,) = json.loads(cloudformation.render(found))["Resources"].values()
    assert resource["Metadata"]["Notes"] == [note]


@pytest.mark.parametrize(
    ("arn", "kind"),
    [("", "AWS::IAM::RolePolicy"), ("arn:aws:iam::123456789012:policy/x", "AWS::IAM::ManagedPolicy")],
)
def test_cloudformation_has_the_document_whole(arn: str, kind: str) -> None:
    _, found = rich(arn)
    (resource,) = json.loads(cloudformation.render(found))["Resources"].values()
    assert resource["Type"] == kind
    assert resource["Metadata"] == {"Replaces": arn or "my policy", "Change": "edit it in place"}
    assert resource["Properties"]["PolicyDocument"] == found.policies[0].document


def test_a_diff_shows_only_what_changes() -> None:
    attached, found = rich()
    changed = [line for line in policy_diff.render([attached], found).splitlines() if line[0] in "+-"]
    assert len(changed) == 7
    assert '+      "Action": "s3:GetObject",' in changed
