"""What IAM accepts and what it refuses, and that a refusal is one sentence with name and path."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from credwatch_agent.iam.document import PolicyError, parse, parse_encoded, unreadable
from credwatch_agent.iam.evaluate import Decision, Reason, Request, evaluate

ALLOW = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}


def document(**changes: Any) -> dict[str, Any]:
    statement = {key: value for key, value in {**ALLOW, **changes}.items() if value is not ...}
    return {"Version": "2012-10-17", "Statement": [statement]}


REFUSED: list[tuple[Any, str]] = [
    ("{", "policy p: not valid JSON at line 1, column 2: Expecting property name enclosed in double quotes"),
    (b"\xff\xfe", "policy p: not UTF-8 at byte 0; save it as UTF-8"),
    ("[]", "policy p: a policy is a JSON object, not a list"),
    ("[" * 100_000, "policy p: nested too deeply to be a policy"),
    ('{"Version": "2012-10-17", "Version": "2012-10-17"}', "the key `Version` occurs twice in one object"),
    ({"Version": "2012-10-17"}, "policy p, Statement: missing; a policy needs it"),
    ({"Version": "2020", "Statement": []}, "policy p, Version: `2020` is no version of the language"),
    ({"Statement": "x"}, "policy p, Statement: must be an object or a list of objects, not a string"),
    ({"Statement": [], "Extra": 1}, "policy p, Extra: unknown element; known are Id, Statement, Version"),
    ({"Statement": [ALLOW, 1]}, "policy p, Statement[1]: must be an object, not a number"),
    (document(Effect="allow"), "policy p, Statement[0].Effect: `allow`; write `Allow` or `Deny` (case-sensitive)"),
    (document(Effect=...), "policy p, Statement[0].Effect: missing; write `Allow` or `Deny` (case-sensitive)"),
    (document(NotAction="s3:*"), "policy p, Statement[0]: has both `Action` and `NotAction`; keep one"),
    (document(Action=...), "policy p, Statement[0]: has neither `Action` nor `NotAction`; add one"),
    (document(Resource=...), "policy p, Statement[0]: has neither `Resource` nor `NotResource`; add one"),
    (document(Action=[]), "policy p, Statement[0].Action: is empty; name at least one"),
    (document(Action=["s3:*", 7]), "policy p, Statement[0].Action: must hold strings, not a number"),
    (document(Action="GetObject"), "policy p, Statement[0].Action: `GetObject` names no service"),
    (document(Sid=3), "policy p, Statement[0].Sid: must be a string, not a number"),
    (document(Principal="x"), 'policy p, Statement[0].Principal: must be `"*"` or an object such as `{"AWS": "..."}`'),
    (document(Principal={"Aws": "*"}), "policy p, Statement[0].Principal.Aws: unknown element"),
    (document(Condition=[]), "policy p, Statement[0].Condition: must be an object, not a list"),
    (document(Condition={"Bool": 1}), "Statement[0].Condition.Bool: must be an object of keys and values"),
    (document(Condition={"Bool": {"aws:x": None}}), "Condition.Bool.aws:x: must hold strings, numbers or booleans"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "sentence"), REFUSED, ids=[str(at) for at in range(len(REFUSED))])
def test_what_iam_refuses_is_one_sentence_with_name_and_path(source: Any, sentence: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse("p", source)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_iam_accepts_but_people_do_not_expect_is_accepted() -> None:
    odd = {
        "Statement": {
            "Effect": "Allow",
            "Action": ["S3:GETOBJECT", "s3:getobject", "s3:GetObject"],
            "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": True}, "NumericEquals": {"aws:n": 1}},
        }
    }
    policy = parse("odd", b"\xef\xbb\xbf" + json.dumps(odd).encode())
    assert policy.version == "2008-10-17"
    assert not policy.problems
    request = Request("s3:GetObject", "arn:aws:s3:::b/k", context={"aws:securetransport": True, "AWS:N": 1.0})
    assert evaluate(request, identity=[policy]).decision is Decision.ALLOWED


def test_a_document_as_the_api_returns_it_is_decoded() -> None:
    source = document(Resource="arn:aws:s3:::b/${aws:username}/+ %")
    assert parse_encoded("p", quote(json.dumps(source))) == parse("p", source)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"StringSounds": {"aws:x": "a"}}, "`StringSounds` is no condition operator that this engine knows"),
        ({"ForSome:StringEquals": {"aws:x": "a"}}, "`ForSome:StringEquals` is no condition operator"),
        ({"NullIfExists": {"aws:x": "true"}}, "`NullIfExists`: `Null` takes neither `IfExists` nor a set qualifier"),
        ({"NumericEquals": {"aws:x": "many"}}, "`many` is not a number"),
        ({"NumericEquals": {"aws:x": "NaN"}}, "`NaN` is not a number"),
        ({"DateEquals": {"aws:x": "yesterday"}}, "`yesterday` is neither an ISO 8601 date nor epoch seconds"),
        ({"DateEquals": {"aws:x": "2020-13-01"}}, "month"),
        ({"Bool": {"aws:x": "${aws:y}"}}, "`${aws:y}` is neither `true` nor `false`"),
        ({"IpAddress": {"aws:x": "300.1.1.1"}}, "300.1.1.1"),
        ({"IpAddress": {"aws:x": "::1"}}, "`::1` is an IPv6 address without a prefix length"),
        ({"BinaryEquals": {"aws:x": "%"}}, "`%` is not base64"),
        ({"ArnLike": {"aws:x": "role/x"}}, "`role/x` is not an ARN of six components"),
    ],
)
@pytest.mark.parametrize("context", [{}, {"aws:x": "1"}], ids=["absent", "present"])
def test_what_cannot_be_evaluated_is_reported_and_never_allows(
    condition: dict[str, Any], message: str, context: dict[str, str]
) -> None:
    policy = parse("p", document(Condition=condition))
    assert [(each.index, message in each.message) for each in policy.problems] == [(0, True)]
    result = evaluate(Request("s3:GetObject", context=context), identity=[policy])
    assert (result.decision, result.reasons) == (Decision.UNKNOWN, (Reason.MAYBE_ALLOWED, Reason.UNSUPPORTED))
    assert [ref.index for ref in result.statements] == [0]
    assert evaluate(Request("s3:PutObject"), identity=[policy]).decision is Decision.IMPLICITLY_DENIED


def test_one_bad_policy_never_hides_the_others() -> None:
    bad = unreadable("bad", "not valid JSON")
    deny = parse("deny", document(Effect="Deny"))
    allow = parse("allow", document())
    request = Request("s3:GetObject")
    assert evaluate(request, identity=[bad, deny]).decision is Decision.EXPLICITLY_DENIED
    result = evaluate(request, identity=[bad, allow])
    assert (result.decision, result.reasons) == (Decision.UNKNOWN, (Reason.UNREADABLE_POLICY,))
    assert result.unknown == ("policy: bad",)


def test_a_huge_policy_is_parsed() -> None:
    policy = parse("huge", document(Action=[f"s3:Get{at}" for at in range(20_000)]))
    assert evaluate(Request("s3:get19999"), identity=[policy]).decision is Decision.ALLOWED
