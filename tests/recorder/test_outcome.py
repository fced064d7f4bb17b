"""What an answer says about authorisation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credwatch.outcome import ABSENT, ALLOWED, Outcome, classify
from credwatch.semconv import OUTCOMES

USER = "User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: "


@pytest.mark.parametrize(
    ("service", "operation", "status", "code", "outcome"),
    [
        ("s3", "ListBuckets", 200, "", "allowed"),
        ("ec2", "RunInstances", 412, "DryRunOperation", "allowed"),
        ("s3", "GetObject", 404, "NoSuchKey", "allowed"),
        ("s3", "HeadObject", 404, "404", "allowed"),
        ("s3", "GetObjectAttributes", 404, "NoSuchKey", "allowed"),
        ("s3", "GetObject", 404, "NoSuchBucket", "answered"),
        ("s3", "HeadBucket", 404, "404", "answered"),
        ("s3", "GetObject", 304, "304", "allowed"),
        ("s3", "GetObject", 403, "AccessDenied", "denied-or-missing"),
        ("s3", "HeadObject", 403, "403", "denied-or-missing"),
        ("s3", "HeadBucket", 403, "403", "denied"),
        ("s3", "PutObject", 403, "AccessDenied", "denied"),
        ("ec2", "RunInstances", 403, "UnauthorizedOperation", "denied"),
        ("dynamodb", "GetItem", 400, "AccessDeniedException", "denied"),
        ("sts", "GetCallerIdentity", 403, "InvalidClientTokenId", "auth-failed"),
        ("sts", "GetCallerIdentity", 403, "ExpiredToken", "auth-failed"),
        ("s3", "GetObject", 403, "SignatureDoesNotMatch", "auth-failed"),
        ("dynamodb", "GetItem", 400, "ResourceNotFoundException", "answered"),
        ("dynamodb", "GetItem", 400, "ThrottlingException", "failed"),
        ("s3", "GetObject", 503, "SlowDown", "failed"),
        ("s3", "GetObject", 500, "", "failed"),
        ("lambda", "Invoke", 429, "Anything", "failed"),
        ("any", "Thing", 301, "PermanentRedirect", "answered"),
    ],
)
def test_status_and_code_give_the_outcome(service: str, operation: str, status: int, code: str, outcome: str) -> None:
    assert classify(service, operation, status, code, "").name == outcome


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            USER + "sqs:SendMessage on resource: arn:aws:sqs:eu-west-1:123456789012:q because no identity-based policy "
            "allows the sqs:SendMessage action",
            Outcome("denied", "identity-based", "sqs:SendMessage", "arn:aws:sqs:eu-west-1:123456789012:q"),
        ),
        (
            USER + 's3:PutObject on resource: "arn:aws:s3:::b/k" with an explicit deny in a service control policy',
            Outcome("denied", "service control", "s3:PutObject", "arn:aws:s3:::b/k"),
        ),
        (
            USER + "s3:PutObject on resource: arn:aws:s3:::b/k with an explicit deny in an identity-based policy",
            Outcome("denied", "identity-based", "s3:PutObject", "arn:aws:s3:::b/k"),
        ),
        (
            USER + "iam:PassRole on resource: arn:aws:iam::123456789012:role/x because no permissions boundary allows "
            "the iam:PassRole action",
            Outcome("denied", "permissions boundary", "iam:PassRole", "arn:aws:iam::123456789012:role/x"),
        ),
        (
            USER + "s3:ListBucket because no VPC endpoint policy allows it",
            Outcome("denied", "VPC endpoint", "s3:ListBucket"),
        ),
        (USER + "s3:ListBucket because no secret policy allows it", Outcome("denied", "", "s3:ListBucket")),
        (USER + "ec2:DescribeTags", Outcome("denied", "", "ec2:DescribeTags", "")),
        ("Access Denied", Outcome("denied")),
        ("", Outcome("denied")),
    ],
)
def test_a_denial_says_what_was_checked(message: str, expected: Outcome) -> None:
    assert classify("sqs", "SendMessage", 403, "AccessDenied", message) == expected


@given(st.text(), st.text(), st.integers(0, 999), st.text(), st.text())
def test_every_answer_has_an_outcome(service: str, operation: str, status: int, code: str, message: str) -> None:
    assert classify(service, operation, status, code, message).name in OUTCOMES


def test_only_a_read_of_an_object_can_be_missing() -> None:
    assert classify("s3", "GetObject", 404, "NoSuchKey", "") is ABSENT
    assert classify("s3", "GetObject", 404, "NoSuchBucket", "").name == "answered"
    assert classify("s3", "DeleteObject", 404, "NoSuchKey", "").name == "answered"
    assert classify("s3", "GetObject", 304, "304", "") is ALLOWED


def test_an_action_in_capitals_is_the_same_action() -> None:
    named = classify("sns", "Publish", 403, "AuthorizationError", f"{USER}SNS:Publish on resource: arn:aws:sns:eu:1:t")
    assert (named.name, named.action, named.resource) == ("denied", "sns:Publish", "arn:aws:sns:eu:1:t")
