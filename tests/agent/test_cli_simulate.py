"""`simulate`: each good line is answered as the engine decides, each bad one gets a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from credwatch_agent.cli import main
from credwatch_agent.iam.simulate import BadRecord, answer

ALLOW = {"Version": "2012-10-17", "Statement": {"Sid": "S", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
DENY = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "s3:Put*", "Resource": "*"}}
NOBODY_HERE = {"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}
NOBODY = {"Statement": {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}}
GET: dict[str, Any] = {
    "request": {"action": "s3:GetObject", "resource": "arn:aws:s3:::b/k"},
    "identityPolicies": [ALLOW],
}


def when(key: str) -> dict[str, Any]:
    statement = {**ALLOW["Statement"], "Condition": {"StringEquals": {key: "a"}}}  # type: ignore[dict-item]
    return {**ALLOW, "Statement": statement}


@pytest.mark.parametrize(
    ("change", "decision"),
    [
        ({}, "Allowed"),
        ({"identityPolicies": []}, "ImplicitlyDenied"),
        ({"identityPolicies": json.dumps(ALLOW)}, "Allowed"),
        ({"boundary": DENY}, "ImplicitlyDenied"),
        ({"sessionPolicy": ALLOW}, "Allowed"),
        ({"scps": [[ALLOW], [DENY]]}, "ImplicitlyDenied"),
        ({"rcps": [[NOBODY]]}, "ExplicitlyDenied"),
        ({"resourcePolicy": NOBODY}, "ExplicitlyDenied"),
        ({"identityPolicies": [when("aws:x")]}, "ImplicitlyDenied"),
        ({"identityPolicies": [when("aws:x")], "context": {"AWS:X": "a"}}, "Allowed"),
        ({"identityPolicies": [when("aws:x")], "unknownKeys": ["aws:X"]}, "Unknown"),
        ({"identityPolicies": [when("aws:x")], "unknownKeys": "*"}, "Unknown"),
    ],
)  # fmt: skip
def test_each_layer_of_a_record_counts(change: dict[str, Any], decision: str) -> None:
    assert answer({**GET, **change})["decision"] == decision


def test_an_answer_names_the_statements_and_what_is_unknown() -> None:
    statement = {"layer": "identity", "policy": "identityPolicies[0]", "statement": 0, "sid": "S"}
    assert answer({"id": 7, **GET}) == {"id": 7, "decision": "Allowed", "statements": [statement], "unknown": []}
    unknown = answer({**GET, "identityPolicies": [when("aws:x")], "unknownKeys": ["aws:x"]})
    assert unknown["unknown"] == ["aws:x"]


def test_a_bad_policy_hides_neither_the_others_nor_what_is_wrong_with_them() -> None:
    said: list[str] = []
    bad = {"Statement": {"Effect": "allow", "Action": "s3:*", "Resource": "*"}}
    denied = answer({**GET, "identityPolicies": [bad, ALLOW], "boundary": "{", "scps": [[NOBODY_HERE]]}, said.append)
    assert denied["decision"] == "ExplicitlyDenied"
    assert [each.partition(":")[0] for each in said] == [
        "policy identityPolicies[0], Statement.Effect", "policy boundary",
    ]  # fmt: skip
    unknown = answer({**GET, "identityPolicies": [bad, ALLOW]}, said.append)
    assert (unknown["decision"], unknown["unknown"]) == ("Unknown", ["policy: identityPolicies[0]"])


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ([], "a record must be an object"),
        ({}, "`request` must be an object"),
        ({**GET, "identityPolices": []}, "`identityPolices` is no field"),
        ({**GET, "request": {"action": "s3:*"}}, "`request.action` must be one action"),
        ({**GET, "request": {"action": "s3:GetObject", "resource": 1}}, "`request.resource` must be a string"),
        ({**GET, "context": {"a": None}}, "`context.a` must be a string"),
        ({**GET, "context": {"a": "1", "A": "2"}}, "`context.A` is the same key as `a`"),
        ({**GET, "unknownKeys": "a"}, "`unknownKeys` must be a list"),
        ({**GET, "scps": [ALLOW]}, "`scps` must be a list of levels"),
        ({**GET, "identityPolicies": [3]}, "`identityPolicies[0]` must be a policy document"),
        ({**GET, "rcps": [[{}]]}, "policy rcps[0][0], Statement: missing"),
        ({**GET, "boundary": "{"}, "policy boundary: not valid JSON at line 1"),
    ],
)
def test_a_bad_record_is_refused_with_its_field(record: Any, sentence: str) -> None:
    with pytest.raises(BadRecord) as caught:
        answer(record)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_line_hides_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.dumps({"id": "a", **GET}), '{"id": 1, "id": 2}', "", "{", json.dumps({"id": "b", **GET})]
    path = tmp_path / "requests.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + "\n".join(lines).encode() + b"\n\xff\n")
    assert main(["simulate", str(path)]) == 2
    printed = capsys.readouterr()
    assert [json.loads(line)["id"] for line in printed.out.splitlines()] == ["a", "b"]
    told = printed.err.splitlines()
    assert [line.split(": ")[1] for line in told] == ["line 2", "line 4", "line 6"]


def test_a_file_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "nowhere.jsonl"]) == 2
    assert capsys.readouterr().err == "credwatch-agent: cannot read nowhere.jsonl: no such file or directory\n"


@pytest.mark.slow
def test_answers_stream_while_the_input_is_open() -> None:
    command = [sys.executable, "-m", "credwatch_agent", "simulate"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(2):
            process.stdin.write(json.dumps({"id": number, **GET}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait() == 0
