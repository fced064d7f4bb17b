"""Recommendations: smaller, contained, breaking nothing that was seen, the same when made again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credwatch_agent.iam.contain import Proved
from credwatch_agent.iam.document import parse
from credwatch_agent.recommend import Attached, Call, Recommendation, Settings, lost, recommend
from credwatch_agent.recommend.model import requests
from credwatch_agent.recommend.size import INLINE_LIMIT, MANAGED_LIMIT, size, split
from tests.iam.strategies import PATTERNS, documents

ROLE = "arn:aws:iam::123456789012:role/app"
END = 90 * 86_400 * 10**9
EARLY, LATE = END // 10, END - END // 10
S3 = "arn:aws:s3:::"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"


def call(action: str, *arns: str, detail: str = "container", first: int = EARLY, last: int = LATE, n: int = 1) -> Call:
    return Call(action, arns, detail, n, first, last)


def attach(*statements: dict[str, Any], arn: str = "", attachments: int = 0, name: str = "app-s3") -> Attached:
    filled = [{"Effect": "Allow", **each} for each in statements]
    return Attached.read(name, json.dumps({"Version": "2012-10-17", "Statement": filled}), arn, attachments)


def made(attached: Attached | list[Attached], *calls: Call, role: str = ROLE, **settings_: Any) -> Recommendation:
    many = attached if isinstance(attached, list) else [attached]
    return recommend(role, many, calls, Settings(0, END, **settings_))


def statements(found: Recommendation) -> list[dict[str, Any]]:
    return [dict(each) for policy in found.policies for each in policy.document["Statement"]]


GET, PUT, LIST = call("s3:GetObject", S3 + "b/*"), call("s3:PutObject", S3 + "b/*"), call("s3:ListBucket", S3 + "b")


@pytest.mark.parametrize(
    ("statement", "calls", "expected"),
    [
        ({"Action": "s3:*", "Resource": "*"}, [GET], [{"Action": "s3:GetObject", "Resource": S3 + "b/*"}]),
        (
            {"Sid": "S", "Action": "s3:*", "Resource": "*"},
            [GET, PUT, LIST],
            [
                {"Sid": "S", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": S3 + "b/*"},
                {"Sid": "S2", "Action": "s3:ListBucket", "Resource": S3 + "b"},
            ],
        ),
        (
            {"Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}},
            [GET],
            [
                {
                    "Action": "s3:GetObject",
                    "Resource": S3 + "b/*",
                    "Condition": {"Bool": {"aws:SecureTransport": "true"}},
                }
            ],
        ),
        (
            {"Action": "s3:GetObject", "Resource": [S3 + "b/in/*", S3 + "c/*"]},
            [GET],
            [{"Action": "s3:GetObject", "Resource": S3 + "b/in/*"}],
        ),
        (
            {"Action": "s3:Get*", "Resource": S3 + "${aws:PrincipalTag/team}/*"},
            [GET],
            [{"Action": "s3:GetObject", "Resource": S3 + "${aws:PrincipalTag/team}/*"}],
        ),
        ({"NotAction": "iam:*", "Resource": "*"}, [GET], [{"Action": "s3:GetObject", "Resource": S3 + "b/*"}]),
        (
            {"Action": "s3:*", "NotResource": S3 + "secret*"},
            [GET],
            [{"Action": "s3:GetObject", "NotResource": S3 + "secret*"}],
        ),
        (
            {"Action": "sqs:*", "Resource": "*"},
            [call("sqs:ListQueues", "*", detail="service"), call("sqs:SendMessage", QUEUE)],
            [
                {"Action": "sqs:ListQueues", "Resource": "*"},
                {"Action": "sqs:SendMessage", "Resource": QUEUE},
            ],
        ),
    ],
    ids=[
        "one action", "groups", "conditions", "a finer entry stays", "a variable stays", "NotAction", "NotResource",
        "without resources",
    ],
)  # fmt: skip
def test_a_statement_is_narrowed_to_what_was_seen(
    statement: dict[str, Any], calls: list[Call], expected: list[dict[str, Any]]
) -> None:
    found = made(attach(statement), *calls)
    assert statements(found) == [{"Effect": "Allow", **each} for each in expected]
    assert found.claim.holds


def test_an_entry_that_no_value_of_its_variable_makes_match_is_not_needed() -> None:
    home = {"Action": "s3:Get*", "Resource": S3 + "home-${aws:PrincipalTag/team}/*"}
    assert statements(made(attach(home, {"Action": "s3:Get*", "Resource": S3 + "b/*"}), GET)) == [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": S3 + "b/*"}
    ]


@pytest.mark.parametrize(
    "seen",
    [
        call("s3:GetObject", S3 + "*/*", detail="service"),
        call("s3:GetObject", detail="none"),
        call("sqs:SendMessage", "arn:aws:sqs:eu-west-1:*:orders"),
        call("s3:GetObject", S3 + "ap-1234-s3alias/*"),
        call("s3:GetObject", S3 + "mfzwi23gnjvgw.mrap/*"),
    ],
    ids=["service", "none", "account", "alias", "multi-region alias"],
)
def test_vague_evidence_narrows_no_resource(seen: Call) -> None:
    found = made(attach({"Action": ["s3:*", "sqs:*"], "Resource": "arn:aws:*"}), seen)
    assert [each["Resource"] for each in statements(found)] == ["arn:aws:*"]
    assert found.claim.holds


def test_objects_are_narrowed_to_their_bucket_unless_more_is_asked_for() -> None:
    seen = call("s3:GetObject", S3 + "b/in/x.txt", detail="full")
    policy = attach({"Action": "s3:*", "Resource": "*"})
    assert statements(made(policy, seen))[0]["Resource"] == S3 + "b/*"
    assert statements(made(policy, seen, detail="full"))[0]["Resource"] == S3 + "b/in/x.txt"


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Deny", "Action": "s3:*", "Resource": "*"},
        {"Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:ViaAWSService": "true"}}},
        {"Action": "s3:*", "Resource": "*", "Condition": {"ForAnyValue:StringEquals": {"AWS:CalledVia": "athena"}}},
        {"Action": "s3:*", "Resource": "*", "Condition": {"Odd": {"aws:x": "1"}}},
    ],
    ids=["Deny", "ViaAWSService", "CalledVia", "unknown operator"],
)
def test_some_statements_are_never_touched(statement: dict[str, Any]) -> None:
    found = made(attach(statement, {"Action": "sqs:*", "Resource": "*"}))
    assert statements(found) == [{"Effect": "Allow", **statement}]


def test_an_unused_statement_goes_and_an_unused_policy_with_it() -> None:
    found = made(
        [attach({"Action": "s3:*", "Resource": "*"}), attach({"Action": "sqs:*", "Resource": "*"}, name="q")], GET
    )
    assert [each.change for each in found.policies] == ["edit", "remove"]
    assert "removed: no call needed it" in {note.text for note in found.notes}


def test_what_could_not_be_seen_stays_and_says_why() -> None:
    def keep(action: str) -> str:
        return "nobody sees it" if action == "s3:PutObject" else ""

    found = made(attach({"Action": ["s3:*Object", "s3:Imaginary"], "Resource": "*"}), GET, keep=keep)
    assert statements(found) == [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": S3 + "b/*"},
        {"Effect": "Allow", "Action": ["s3:Imaginary", "s3:PutObject"], "Resource": "*"},
    ]
    assert {note.text for note in found.notes} == {
        "kept: `s3:PutObject`: nobody sees it",
        "kept: `s3:Imaginary`: not in the list of actions, so nobody can say that it is unused",
    }


def test_what_a_service_may_use_too_keeps_its_resources_and_says_why() -> None:
    """A key that S3 decrypts with for the caller is named by no call: narrowed to the others, S3's reads would fail."""
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    granted = attach({"Action": ["kms:Decrypt", "s3:GetObject"], "Resource": "*"})
    why = "`s3:GetObject` was called, and its service may use `kms:Decrypt` for the caller"
    found = made(granted, GET, call("kms:Decrypt", key), beside={"kms:Decrypt": why, "s3:GetObject": ""}.__getitem__)
    assert [(each["Action"], each["Resource"]) for each in statements(found)] == [
        ("kms:Decrypt", "*"),
        ("s3:GetObject", S3 + "b/*"),
    ]
    assert [note.text for note in found.notes] == [f"`kms:Decrypt`: resources as granted: {why}"]
    alone = made(granted, GET, call("kms:Decrypt", key))
    assert [(each["Action"], each["Resource"]) for each in statements(alone)] == [
        ("kms:Decrypt", key),
        ("s3:GetObject", S3 + "b/*"),
    ]


def test_patterns_stay_where_all_they_match_stays() -> None:
    found = made(attach({"Action": "sqs:*", "Resource": "*"}, {"Action": "*", "Resource": QUEUE}), keep=_keep_sqs)
    assert [each["Action"] for each in statements(found)] == ["sqs:*", "sqs:*"]


def _keep_sqs(action: str) -> str:
    return "kept" if action.startswith("sqs:") else ""


def test_a_statement_that_misses_in_the_hold_out_stays() -> None:
    late = call("s3:PutObject", S3 + "b/*", first=LATE)
    found = made(attach({"Action": "s3:*", "Resource": "*"}, {"Action": "s3:Get*", "Resource": "*"}), GET, late)
    assert statements(found) == [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": S3 + "b/*"},
    ]
    assert found.claim.text == (
        "grants nothing new (proved); breaks no observed call (2 calls, 90 days); learned on the first 80 % of the "
        "window, on the last 20 % 1 statement that missed stays as it was."
    )


def test_the_claim_has_its_exact_words() -> None:
    found = made(attach({"Action": "s3:*", "Resource": "*"}), call("s3:GetObject", S3 + "b/*", n=1_204))
    assert found.claim.text == (
        "grants nothing new (proved); breaks no observed call (1,204 calls, 90 days); "
        "learned on the first 80 % of the window, no miss on the last 20 %."
    )


@pytest.mark.parametrize(
    ("arn", "attachments", "change", "name"),
    [
        ("", 0, "edit", "app-s3"),
        ("arn:aws:iam::123456789012:policy/app-s3", 1, "edit", "app-s3"),
        ("arn:aws:iam::123456789012:policy/app-s3", 2, "fork", "app-s3-app"),
        ("arn:aws:iam::aws:policy/app-s3", 900, "copy", "app-s3-app"),
    ],
)
def test_shared_policies_are_forked_and_managed_ones_copied(arn: str, attachments: int, change: str, name: str) -> None:
    (found,) = made(attach({"Action": "s3:*", "Resource": "*"}, arn=arn, attachments=attachments), GET).policies
    assert (found.change, found.name) == (change, name)


def test_service_linked_and_unreadable_ones_are_left_alone() -> None:
    wide = attach({"Action": "s3:*", "Resource": "*"})
    linked = made(wide, GET, role="arn:aws:iam::123456789012:role/aws-service-role/ecs.amazonaws.com/X")
    assert "service-linked" in linked.skipped
    assert [each.change for each in linked.policies] == ["same"]
    broken = made([Attached.read("bad", "{"), wide], GET)
    assert [each.change for each in broken.policies] == ["same", "edit"]
    assert "grants nothing new (not proved)" in broken.claim.text
    assert "could not be parsed" in broken.claim.why_not


def test_a_policy_past_the_limit_is_split_into_parts_that_say_the_same() -> None:
    arns = [f"{S3}a-bucket-with-a-rather-long-name-{number}/*" for number in range(300)]
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Sid": "S", "Effect": "Allow", "Action": "s3:GetObject", "Resource": arns}],
    }
    parts = split(document)
    assert len(parts) > 1
    assert all(size(part) <= MANAGED_LIMIT for part in parts)
    assert sorted(arn for part in parts for each in part["Statement"] for arn in each["Resource"]) == sorted(arns)
    sids = [each["Sid"] for part in parts for each in part["Statement"]]
    assert len(set(sids)) == len(sids)
    found = made(attach({"Action": "s3:*", "Resource": "*"}), *(call("s3:GetObject", arn) for arn in arns))
    assert any(f"at most {INLINE_LIMIT:,}" in note.text for note in found.notes)


def test_a_statement_of_many_actions_and_many_resources_is_cut_at_both() -> None:
    named = [f"s3:GetObject{number}" for number in range(400)]
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": named, "Resource": [f"{S3}b{number}/*" for number in range(400)]}],
    }
    parts = split(document)
    assert max(map(size, parts)) <= MANAGED_LIMIT
    assert len(parts) <= 16
    said = {(a, r) for part in parts for s in part["Statement"] for a in s["Action"] for r in s["Resource"]}
    assert len(said) == 400 * 400


# --- the service that roles are passed to -------------------------------------------------------------

JOB = "arn:aws:iam::123456789012:role/job"
ECS, EC2 = "ecs-tasks.amazonaws.com", "ec2.amazonaws.com"
PASS, ANY = {"Action": "iam:PassRole", "Resource": JOB}, {"Action": "iam:*", "Resource": "*"}


def passed(*services: str, first: int = EARLY, last: int = LATE) -> Call:
    return Call("iam:PassRole", (JOB,), "container", 1, first, last, passed_to=services)


def documented(attached: Attached | list[Attached], *calls: Call, **settings_: Any) -> Recommendation:
    return made(attached, *calls, documented=True, **settings_)


def only(*services: str) -> dict[str, Any]:
    return {"StringEquals": {"iam:PassedToService": services[0] if len(services) == 1 else list(services)}}


@pytest.mark.parametrize(
    ("statement", "calls", "expected"),
    [
        (ANY, [passed(ECS)], [{**PASS, "Condition": only(ECS)}]),
        (PASS, [passed(ECS)], [{**PASS, "Condition": only(ECS)}]),
        (PASS, [passed(ECS), passed(EC2)], [{**PASS, "Condition": only(EC2, ECS)}]),
        (PASS, [passed(ECS, EC2)], [{**PASS, "Condition": only(EC2, ECS)}]),
        (PASS, [passed(ECS), passed()], [PASS]),
        (PASS, [passed(ECS), passed(EC2, first=LATE)], [PASS]),
        (PASS, [passed(ECS), passed(first=LATE)], [PASS]),
        (
            {**PASS, "Condition": {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}},
            [passed(ECS)],
            [
                {
                    **PASS,
                    "Condition": {
                        "StringEquals": {"aws:RequestedRegion": "eu-west-1", "iam:PassedToService": ECS},
                    },
                }
            ],
        ),
        (
            {**PASS, "Condition": {"StringLike": {"iam:passedtoservice": "ec*"}}},
            [passed(ECS)],
            [{**PASS, "Condition": {"StringLike": {"iam:passedtoservice": "ec*"}}}],
        ),
        ({**PASS, "Condition": only(EC2)}, [passed(ECS)], [{**PASS, "Condition": only(EC2)}]),
        (
            {"Sid": "S", "Action": ["iam:PassRole", "iam:GetRole"], "Resource": JOB},
            [passed(ECS), call("iam:GetRole", JOB)],
            [
                {"Sid": "S", "Action": "iam:GetRole", "Resource": JOB},
                {"Sid": "S2", "Action": "iam:PassRole", "Resource": JOB, "Condition": only(ECS)},
            ],
        ),
    ],
    ids=[
        "of all of iam", "nothing else to narrow", "two services", "one of two, which is not known", "one not known",
        "another service in the hold-out", "an unknown one in the hold-out", "beside another condition",
        "a condition of its own", "a condition that contradicts what is documented", "other actions do without",
    ],
)  # fmt: skip
def test_roles_may_be_passed_to_the_services_alone_that_took_them(
    statement: dict[str, Any], calls: list[Call], expected: list[dict[str, Any]]
) -> None:
    found = documented(attach(statement), *calls)
    assert statements(found) == [{"Effect": "Allow", **each} for each in expected]
    assert found.claim.holds
    assert statements(documented(attach(*expected), *calls)) == statements(found)


def test_a_statement_that_another_service_needs_is_not_kept_for_this_call() -> None:
    found = documented(attach({**PASS, "Condition": only(EC2)}, {**PASS, "Condition": only(ECS)}), passed(ECS))
    assert statements(found) == [{"Effect": "Allow", **PASS, "Condition": only(ECS)}]


def test_what_was_not_seen_but_documented_decides_nothing_unless_it_is_asked_for() -> None:
    both = [{"Effect": "Allow", **PASS, "Condition": only(EC2)}, {"Effect": "Allow", **PASS, "Condition": only(ECS)}]
    assert statements(made(attach(*both), passed(ECS))) == both
    assert statements(made(attach(PASS), passed(ECS))) == [{"Effect": "Allow", **PASS}]


def test_where_evidence_does_not_suffice_passing_stays_as_granted() -> None:
    found = documented(attach(ANY), passed(ECS), keep_resources="insufficient", keep=lambda _action: "insufficient")
    assert statements(found) == [{"Effect": "Allow", **ANY}]


def test_the_reason_of_the_condition_is_told() -> None:
    (note,) = (note for note in documented(attach(PASS), passed(ECS)).notes if "passes roles" in note.text)
    assert note.text == f"passes roles to `{ECS}` alone: AWS documents so of every operation that was called"


def test_a_condition_on_another_service_loses_the_call() -> None:
    old = parse("p", {"Statement": {"Effect": "Allow", **PASS}})
    new = parse("p", {"Statement": {"Effect": "Allow", **PASS, "Condition": only(EC2)}})
    assert [each.call for each in lost([old], [new], [passed(EC2), passed(ECS), passed(EC2, ECS), passed()])] == [
        passed(ECS),
        passed(EC2, ECS),
        passed(),
    ]


def test_a_call_that_succeeded_is_not_lost_on_documentation_that_it_contradicts() -> None:
    old = parse("p", {"Statement": {"Effect": "Allow", **PASS, "Condition": only(EC2)}})
    assert [each.call.action for each in lost([old], [], [passed(ECS)])] == ["iam:PassRole"]


passing = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Allow", "Deny"]),
        "Action": st.sampled_from(["iam:PassRole", "iam:Pass*", ["iam:PassRole", "iam:GetRole"], "*"]),
        "Resource": st.sampled_from(["*", JOB, "arn:aws:iam::123456789012:role/*"]),
    },
    optional={
        "Condition": st.dictionaries(
            st.sampled_from(["StringEquals", "StringLike", "StringNotEquals", "StringEqualsIfExists"]),
            st.fixed_dictionaries({"iam:PassedToService": st.sampled_from([ECS, "ec2.*", [ECS, EC2], "*"])}),
            min_size=1,
            max_size=2,
        )
    },
)


@given(
    st.lists(passing, min_size=1, max_size=4),
    st.lists(
        st.builds(
            passed,
            first=st.sampled_from([EARLY, LATE]),
        )
        | st.sampled_from(
            [passed(ECS), passed(EC2), passed(EC2, ECS), passed(ECS, first=LATE), call("iam:GetRole", JOB)]
        ),
        max_size=4,
    ),
)
@settings(max_examples=60)
def test_a_condition_on_the_service_grants_nothing_new_and_breaks_nothing(
    many: list[dict[str, Any]], seen: list[Call]
) -> None:
    document = {"Version": "2012-10-17", "Statement": many}
    first = documented(Attached.read("p", json.dumps(document)), *seen)
    assert first.claim.grants_nothing_new == Proved(), first
    assert first.claim.broken == 0, first
    kept = [Attached.read(e.name, json.dumps(e.document)) for e in first.policies if e.change != "remove"]
    again = documented(kept, *seen)
    assert [each.document for each in again.policies] == [each.document for each in kept]


def test_a_lost_call_is_named() -> None:
    old = parse("p", {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}})
    new = parse("p", {"Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}})
    assert [each.call for each in lost([old], [new], [GET, PUT, LIST])] == [PUT, LIST]


calls = st.lists(
    st.builds(
        call,
        st.sampled_from(["s3:GetObject", "s3:PutObject", "s3:ListBucket", "sqs:SendMessage", "s3:getobject"]),
        st.sampled_from([*PATTERNS, S3 + "b/*", S3 + "b", S3 + "ap-s3alias/*", "arn:aws:sqs:eu-west-1:*:q"]),
        detail=st.sampled_from(["container", "full", "service"]),
        first=st.sampled_from([EARLY, LATE]),
    ),
    max_size=5,
)


@given(st.lists(documents, min_size=1, max_size=2), calls)
@settings(max_examples=60)
def test_it_grants_nothing_new_breaks_nothing_and_made_again_changes_nothing(
    many: list[dict[str, Any]], seen: list[Call]
) -> None:
    attached = [Attached.read(f"p{at}", json.dumps(each)) for at, each in enumerate(many)]
    first = made(attached, *seen)
    assert first.claim.grants_nothing_new == Proved(), first
    assert first.claim.broken == 0, first
    again = made([Attached.read(e.name, json.dumps(e.document)) for e in first.policies if e.change != "remove"], *seen)
    assert [each.document for each in again.policies] == [e.document for e in first.policies if e.change != "remove"]


def test_a_resource_of_the_hold_out_that_may_be_anything_keeps_the_statement_that_may_allow_it() -> None:
    document = {"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:*:*:*:*"}]}
    seen = [call("s3:GetObject", "arn:aws:s3:::b"), call("s3:GetObject", "a*b*k*1*x*", first=LATE)]
    found = made([Attached.read("p", json.dumps(document))], *seen)
    assert (found.claim.broken, found.claim.missed, found.policies[0].change) == (0, 1, "same")


def test_a_request_that_is_checked_for_two_actions_is_one_call() -> None:
    copies = [
        Call(action, ("arn:aws:s3:::b/*",), "container", 3, 1, 2, request=7)
        for action in ("s3:GetObject", "s3:PutObject")
    ]
    alone = Call("s3:ListBucket", ("arn:aws:s3:::b",), "container", 2, 1, 2)
    assert requests([*copies, alone]) == 5
