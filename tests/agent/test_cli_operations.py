"""`actions` and `operations` answer what the map knows, as text and as JSON, and say clearly what they cannot read."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from credwatch_agent.cli import main
from credwatch_agent.cli.actions import answer_lines
from tests.agent.terminal import unwrapped


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_actions_say_what_a_call_is_checked_for_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = run(capsys, "actions", "s3:PutObject", "--param", "Bucket=photos", "--param", "ACL=public-read")
    assert code == 0
    assert "s3:PutObjectAcl  on  arn:aws:s3:::photos/*" in printed
    assert "because  acl=yes" in printed


def test_actions_as_json_read_parameters_that_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = run(
        capsys, "actions", "ec2:StartInstances", "--param", 'InstanceIds=["i-1"]', "--region", "eu-west-1",
        "--account", "111122223333", "--json",
    )  # fmt: skip
    assert code == 0
    answer = json.loads(printed)
    assert answer["authorizations"] == {"ec2:StartInstances": ["arn:aws:ec2:eu-west-1:111122223333:instance/i-1"]}
    assert answer["mapping"] == "table"


def test_an_unknown_call_has_its_reason_and_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = run(capsys, "actions", "timestream-query:Query")
    assert code == 3
    assert "the query decides" in printed


def test_a_name_of_digits_is_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = run(capsys, "actions", "dynamodb:GetItem", "--param", "TableName=2024", "--json")
    assert code == 0
    assert json.loads(printed)["authorizations"] == {"dynamodb:GetItem": ["arn:aws:dynamodb:*:*:table/2024"]}


def test_an_operation_that_botocore_does_not_have_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    assert "has no operation `GetObjct` in `s3`" in run(capsys, "actions", "s3:GetObjct")[1]
    assert "has no operation" not in run(capsys, "actions", "xray:GetGroup")[1]


def test_lines_are_answered_line_by_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        json.dumps({"service": "sqs", "operation": "SendMessage", "params": {"QueueUrl": "q"}, "region": "eu-west-1"}),
        json.dumps({"service": "sts", "operation": "GetCallerIdentity"}),
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    code, printed, _ = run(capsys, "actions", "--jsonl")
    answers = [json.loads(line) for line in printed.splitlines()]
    assert code == 0
    assert [list(answer["authorizations"]) for answer in answers] == [["sqs:SendMessage"], ["sts:GetCallerIdentity"]]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("nope", "line 1 is not JSON"),
        ("[" * 100_000, "line 1 is not JSON"),
        ("[]", "line 1 is no JSON object"),
        ('{"service": "s3"}', "line 1 has no text `operation`"),
        ('{"service": "s3", "operation": "GetObject", "params": []}', "line 1 has `params` that are no JSON object"),
        ('{"service": "s3", "operation": "GetObject", "region": 7}', "line 1 has a `region` that is no text"),
        ('{"service": "s3", "operation": "GetObject", "account": "1"}', "line 1 has a `account` that is no account"),
        ('{"service": "s3", "operation": "GetObject", "detail": "x"}', "line 1 has a `detail` that is none of full"),
    ],
)
def test_a_line_that_cannot_be_read_is_answered_with_its_error(
    line: str, sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(line))
    code, printed, _ = run(capsys, "actions", "--jsonl")
    assert code == 2
    assert json.loads(printed)["error"].startswith(sentence)


def test_a_line_is_answered_before_the_next_is_read() -> None:
    read: list[str] = []

    def lines() -> Iterator[str]:
        for name in ("GetCallerIdentity", "GetSessionToken"):
            read.append(name)
            yield json.dumps({"service": "sts", "operation": name})

    assert next(iter(answer_lines(lines())))["operation"] == "GetCallerIdentity"
    assert read == ["GetCallerIdentity"]


def test_a_byte_order_mark_and_a_file_of_windows_are_read() -> None:
    (answer,) = answer_lines(['\ufeff{"service": "sts", "operation": "GetCallerIdentity"}\r\n'])
    assert list(answer["authorizations"]) == ["sts:GetCallerIdentity"]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("s3:putobject", "write `s3:PutObject`"),
        ("s3:put_object", "write `s3:PutObject`"),
        ("S3:PutObject", "write `s3:PutObject`"),
        ("minio:PutObject", "boto3 has no client `minio`"),
    ],
)
def test_a_call_of_another_spelling_is_told_the_right_one(
    call: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, _ = run(capsys, "actions", call)
    assert (code, sentence in printed) == (3, True)


@pytest.mark.parametrize(
    ("region", "given", "arn"),
    [
        ("cn-north-1", (), "arn:aws-cn:s3:::photos/*"),
        ("eusc-de-east-1", (), "arn:aws-eusc:s3:::photos/*"),
        ("cn-north-1", ("--partition", "aws"), "arn:aws:s3:::photos/*"),
        ("local", (), "arn:aws:s3:::photos/*"),
    ],
)
def test_the_partition_is_the_regions(
    region: str, given: tuple[str, ...], arn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, printed, _ = run(capsys, "actions", "s3:GetObject", "--param", "Bucket=photos", "--region", region, *given)
    assert f"s3:GetObject  on  {arn}" in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ("actions", "s3"),
        ("actions", "s3:PutObject", "--param", "ACL"),
        ("actions", "s3:PutObject", "--detail", "everything"),
        ("actions", "s3:PutObject", "--partition", "mars"),
        ("actions", "s3:PutObject", "--account", "12"),
    ],
)
def test_a_call_that_is_written_wrong_is_usage(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, *arguments)[0] == 2


def test_operations_name_the_calls_behind_an_action(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = run(capsys, "operations", "glue:gettable", "--json")
    answer = json.loads(printed)
    assert code == 0
    assert answer["action"] == "glue:GetTable"
    assert {"service": "glue", "operation": "GetUnfilteredTableMetadata", "mapping": "table"} in answer["operations"]
    assert answer["unobservable"] is False


def test_an_action_that_no_operation_shows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = run(capsys, "operations", "rds-db:connect")
    assert code == 0
    assert "no evidence can say that it is unused" in unwrapped(printed)


@pytest.mark.parametrize(
    ("action", "operation"),
    [("iam:UpdateDelegationRequest", "UpdateDelegationRequest"), ("iotthingsgraph:SearchThings", "SearchThings")],
)
def test_an_action_that_the_catalogue_does_not_list_has_its_calls(
    action: str, operation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, _ = run(capsys, "operations", action)
    assert code == 0
    assert f":{operation}  (" in printed


def test_an_action_that_does_not_exist_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, wrong = run(capsys, "operations", "s3:Nothing")
    assert code == 2
    assert "is no IAM action" in wrong
