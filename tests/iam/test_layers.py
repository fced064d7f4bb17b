"""Layers, principals and what is not known: rules that no single sentence of the guide holds."""

from __future__ import annotations

from typing import Any

import pytest

from credwatch_agent.iam.document import Policy, parse
from credwatch_agent.iam.evaluate import (
    EVERY_OTHER,
    MISSING,
    Decision,
    Reason,
    Request,
    StatementRef,
    allowing,
    evaluate,
)

ROLE = "arn:aws:iam::111122223333:role/path/app"
SESSION = "arn:aws:sts::111122223333:assumed-role/app/i-1"
BUCKET = "arn:aws:s3:::b/k"


def policy(name: str = "p", **changes: Any) -> Policy:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", **changes}
    return parse(name, {"Version": "2012-10-17", "Statement": statement})


ALL = policy("all")
NONE = policy("none", Action="ec2:*")


def to(principal: Any, **changes: Any) -> Policy:
    return policy("resource", Principal=principal, **changes)


TO_ACCOUNT = to({"AWS": "111122223333"})


@pytest.mark.parametrize(
    ("layers", "decision", "reason"),
    [
        ({"identity": [ALL]}, Decision.ALLOWED, Reason.IDENTITY_ALLOWS),
        ({"identity": []}, Decision.IMPLICITLY_DENIED, Reason.NO_IDENTITY_ALLOW),
        ({"identity": MISSING}, Decision.UNKNOWN, Reason.MISSING_LAYER),
        ({"identity": [ALL], "boundary": MISSING}, Decision.UNKNOWN, Reason.MISSING_LAYER),
        ({"identity": [NONE], "boundary": MISSING}, Decision.IMPLICITLY_DENIED, Reason.NO_IDENTITY_ALLOW),
        ({"identity": [ALL], "scps": [[ALL], [NONE]]}, Decision.IMPLICITLY_DENIED, Reason.NO_SCP_ALLOW),
        ({"identity": [ALL], "scps": [[NONE, ALL], [ALL]]}, Decision.ALLOWED, Reason.IDENTITY_ALLOWS),
        ({"identity": [ALL], "scps": [MISSING, [NONE]]}, Decision.IMPLICITLY_DENIED, Reason.NO_SCP_ALLOW),
        ({"identity": [], "rcps": [[ALL]]}, Decision.IMPLICITLY_DENIED, Reason.NO_IDENTITY_ALLOW),
        ({"identity": [ALL], "rcps": [[to("*", Effect="Deny")]]}, Decision.EXPLICITLY_DENIED, Reason.EXPLICIT_DENY),
        ({"identity": [ALL], "resource_policy": MISSING}, Decision.UNKNOWN, Reason.MISSING_LAYER),
        ({"identity": [], "resource_policy": to({"AWS": ROLE})}, Decision.ALLOWED, Reason.RESOURCE_ALLOWS),
        ({"identity": [], "resource_policy": TO_ACCOUNT}, Decision.IMPLICITLY_DENIED, Reason.NO_IDENTITY_ALLOW),
        ({"identity": [], "resource_policy": to("*")}, Decision.ALLOWED, Reason.RESOURCE_ALLOWS),
        ({"identity": [], "boundary": NONE, "resource_policy": to("*")}, Decision.UNKNOWN, Reason.ANYONE_PAST_CEILING),
    ],
)  # fmt: skip
def test_layers_combine(layers: dict[str, Any], decision: Decision, reason: Reason) -> None:
    result = evaluate(Request("s3:GetObject", BUCKET, SESSION), **layers)
    assert (result.decision, reason in result.reasons) == (decision, True), result


@pytest.mark.parametrize(
    ("requester", "principal", "decision"),
    [
        ("ecs-tasks.amazonaws.com", {"Service": "ecs-tasks.amazonaws.com"}, Decision.ALLOWED),
        ("ec2.amazonaws.com", {"Service": "ecs-tasks.amazonaws.com"}, Decision.IMPLICITLY_DENIED),
        ("ec2.amazonaws.com", {"AWS": "*"}, Decision.ALLOWED),
        ("accounts.google.com", {"Federated": "accounts.google.com"}, Decision.ALLOWED),
        (SESSION, {"AWS": ROLE}, Decision.ALLOWED),
        (SESSION, {"AWS": SESSION}, Decision.ALLOWED),
        (ROLE, {"AWS": SESSION}, Decision.UNKNOWN),
        ("", {"AWS": ROLE}, Decision.UNKNOWN),
        (SESSION, {"AWS": "arn:aws:iam::111122223333:root"}, Decision.IMPLICITLY_DENIED),
        ("arn:aws:iam::111122223333:root", {"Service": "x.amazonaws.com"}, Decision.IMPLICITLY_DENIED),
    ],
)
def test_trust_names_who_may_assume(requester: str, principal: Any, decision: Decision) -> None:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    trust = parse("trust", {"Version": "2012-10-17", "Statement": statement})
    request = Request("sts:AssumeRole", "arn:aws:iam::111122223333:role/target", requester)
    assert evaluate(request, identity=[], resource_policy=trust).decision is decision


def test_trust_and_key_policies_that_were_not_read_are_missing() -> None:
    for action, resource in [
        ("sts:AssumeRole", "arn:aws:iam::111122223333:role/x"),
        ("kms:Decrypt", "arn:aws:kms:eu-west-1:111122223333:key/x"),
    ]:
        result = evaluate(Request(action, resource, SESSION), identity=[ALL])
        assert (result.decision, result.unknown) == (Decision.UNKNOWN, ("layer: resource",))


@pytest.mark.parametrize(
    ("excluded", "decision"),
    [
        (["arn:aws:iam::999999999999:root"], Decision.EXPLICITLY_DENIED),
        ([ROLE, SESSION, "arn:aws:iam::111122223333:root"], Decision.ALLOWED),
        ([ROLE], Decision.UNKNOWN),
    ],
)
def test_not_principal_spares_only_who_is_listed_in_full(excluded: list[str], decision: Decision) -> None:
    statement = {"Effect": "Deny", "NotPrincipal": {"AWS": excluded}, "Action": "s3:*", "Resource": "*"}
    bucket = parse("bucket", {"Version": "2012-10-17", "Statement": statement})
    assert (
        evaluate(Request("s3:GetObject", BUCKET, SESSION), identity=[ALL], resource_policy=bucket).decision is decision
    )


def test_the_root_user_needs_no_policy_but_obeys_scps() -> None:
    request = Request("s3:GetObject", BUCKET, "arn:aws:iam::111122223333:root")
    assert evaluate(request, identity=[]).reasons == (Reason.ROOT_USER,)
    assert evaluate(request, identity=[], scps=[[NONE]]).decision is Decision.IMPLICITLY_DENIED


def test_unknown_names_the_keys_it_hangs_on() -> None:
    limited = policy(Condition={"StringEquals": {"aws:SourceVpc": "vpc-1"}, "Bool": {"aws:SecureTransport": "true"}})
    request = Request("s3:GetObject", context={"aws:SecureTransport": True}, unknown_keys=frozenset({"AWS:sourcevpc"}))
    result = evaluate(request, identity=[limited])
    assert (result.decision, result.unknown) == (Decision.UNKNOWN, ("aws:SourceVpc",))
    assert result.reasons == (Reason.MAYBE_ALLOWED, Reason.MISSING_KEY)


def test_an_unknown_variable_makes_the_resource_unknown() -> None:
    home = policy(Resource="arn:aws:s3:::b/${aws:username}/*")
    request = Request("s3:GetObject", "arn:aws:s3:::b/x/k", unknown_keys=EVERY_OTHER)
    assert evaluate(request, identity=[home]).unknown == ("aws:username",)


@pytest.mark.parametrize("partial", [False, True])
def test_what_no_value_of_a_variable_can_match_is_not_unknown(partial: bool) -> None:
    home = policy(Resource="arn:aws:s3:::b/${aws:username}/*")
    request = Request("s3:GetObject", "arn:aws:s3:::c/*", unknown_keys=EVERY_OTHER, partial=partial)
    assert evaluate(request, identity=[home]) == (Decision.IMPLICITLY_DENIED, (), (Reason.NO_IDENTITY_ALLOW,), ())


def test_allowing_tells_sure_from_possible() -> None:
    wide, narrow, other = policy("wide"), policy("narrow", Resource="arn:aws:s3:::b/in/*"), policy("o", Action="sqs:*")
    found = allowing([wide, narrow, other], "s3:GetObject", "arn:aws:s3:::b/*")
    assert found == (
        (StatementRef("wide", 0, "", "identity"), True),
        (StatementRef("narrow", 0, "", "identity"), None),
    )
    assert allowing([narrow], "s3:GetObject", "arn:aws:s3:::b/in/*")[0][1] is True
    assert allowing([narrow], "s3:GetObject", "arn:aws:s3:::c/*") == ()
