"""Where a key came from: the rules of sources, first sighting wins, chains, rotation and late answers."""

from __future__ import annotations

import pytest

from credwatch.provenance import MAX_HOPS, Answer, Question, Registry, Surroundings
from credwatch.semconv import Hop
from credwatch.signature import UNSIGNED, Signature

ROLE = "arn:aws:iam::123456789012:role/app"
PROFILE = "arn:aws:iam::123456789012:instance-profile/host"
URL = "http://169.254.170.2/v2/x"
IMDS = "http://169.254.169.254"
ECS = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x", "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/x"}


def registry(environ: dict[str, str] | None = None) -> Registry:
    return Registry(Surroundings.of(environ or {}))


def by(key: str, kind: str = "header") -> Signature:
    return Signature(kind, key, "eu-west-1", "s3")


def source(made: Registry, key: str, method: str = "", *, nested: bool = False, current: str = "") -> str:
    seen = made.sighted(by(key), method, current, lambda: nested)
    assert seen is not None
    return seen.origin.identity.source


@pytest.mark.parametrize(
    ("environ", "method", "key", "expected"),
    [
        ({}, "env", "AKIAX", "environment"),
        ({}, "shared-credentials-file", "AKIAX", "shared-credentials-file"),
        ({}, "config-file", "AKIAX", "config-file"),
        ({}, "custom-process", "ASIAX", "process"),
        ({}, "sso", "ASIAX", "sso"),
        ({}, "login", "ASIAX", "login"),
        ({}, "assume-role", "ASIAX", "assumed-role"),
        ({}, "assume-role-with-web-identity", "ASIAX", "web-identity"),
        ({}, "explicit", "AKIAX", "explicit"),
        ({}, "", "AKIAX", "unknown"),
        ({}, "a-new-word", "ASIAX", "unknown"),
        ({}, "iam-role", "ASIAX", "unknown"),
        ({}, "iam-role", "AKIAX", "unknown"),
        ({}, "container-role", "AKIAX", "unknown"),
        ({}, "assume-role", "AKIAX", "unknown"),
        ({}, "container-role", "ASIAX", "container-other"),
        (ECS, "container-role", "ASIAX", "unknown"),
        ({**ECS, "CODEBUILD_BUILD_ID": "x"}, "container-role", "ASIAX", "container-other"),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"},
            "container-role",
            "ASIAX",
            "eks-pod-identity",
        ),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[fd00:ec2::23]/v1/credentials"},
            "container-role",
            "ASIAX",
            "eks-pod-identity",
        ),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f"}, "env", "ASIAX", "lambda-execution-role"),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f"}, "env", "AKIAX", "environment"),
    ],
)
def test_the_method_is_a_source_only_where_the_place_confirms_it(
    environ: dict[str, str], method: str, key: str, expected: str
) -> None:
    assert source(registry(environ), key, method) == expected


def test_unsigned_and_bearer() -> None:
    made = registry()
    assert made.sighted(UNSIGNED, "explicit", "") is None
    bearer = made.sighted(Signature("bearer"), "sso", "")
    assert bearer is not None
    assert (bearer.origin.identity.source, bearer.pseudonym) == ("bearer-token", "")
    assert made.keyless(anonymous=True).identity.source == "anonymous"


def test_a_word_about_another_key_is_not_believed() -> None:
    assert source(registry(), "ASIAX", "env", current="AKIAOTHER") == "unknown"


def test_the_first_fact_about_a_key_wins() -> None:
    made = registry(ECS)
    made.container("ASIAX", URL, ROLE)
    made.imds("ASIAX", IMDS, "host")
    made.issued("ASIAX", "federation", "", "", None)
    seen = made.sighted(by("ASIAX"), "container-role", "ASIAX")
    assert seen is not None
    assert (seen.origin.identity.provider, seen.origin.identity.principal_arn) == ("container-role", ROLE)


@pytest.mark.parametrize("endpoint", ["imds", "container"])
def test_a_long_lived_key_behind_a_role_source_is_unknown(endpoint: str) -> None:
    made = registry(ECS)
    if endpoint == "imds":
        made.imds("AKIAX", IMDS, "host")
    else:
        made.container("AKIAX", URL, ROLE)
    for question in made.questions():
        made.answer(question, Answer(True, "123456789012", PROFILE))
    assert source(made, "AKIAX", "iam-role") == "unknown"


@pytest.mark.parametrize("method", ["explicit", "env", "shared-credentials-file", "config-file"])
def test_a_roles_key_passed_as_a_literal_is_still_the_roles(method: str) -> None:
    made = registry(ECS)
    made.container("ASIAX", URL, ROLE)
    made.answer(Question("container", URL), Answer(True))
    own = made.sighted(by("ASIAX"), "container-role", "ASIAX")
    passed = made.sighted(by("ASIAX"), method, "ASIAX")
    nested = made.sighted(by("ASIAX"), method, "ASIAX", lambda: True)
    assert own is not None
    assert passed is not None
    assert nested is not None
    assert passed.origin.identity.source == "ecs-task-role"
    # botocore's own STS client holds the source's keys as `explicit`: that is no laundering
    expected_nested = method != "explicit"
    assert [s.origin.identity.laundered for s in (own, passed, nested)] == [False, True, expected_nested]


def test_a_chain_is_nearest_first_and_its_root_is_settled_by_the_answer() -> None:
    made = registry()
    made.imds("ASIA0", IMDS, "host")
    first = made.sighted(by("ASIA0"), "iam-role", "ASIA0")
    assert first is not None
    made.issued("ASIA1", "assumed-role", ROLE, "", first.origin)
    second = made.sighted(by("ASIA1"), "assume-role", "ASIA1")
    assert second is not None
    made.issued("ASIA2", "assumed-role", ROLE + "2", "", second.origin)
    third = made.sighted(by("ASIA2"), "assume-role", "ASIA2")
    assert third is not None
    assert not third.origin.settled
    kept = third.origin
    made.answer(Question("imds", IMDS), Answer(True, "123456789012", PROFILE))
    chain = (Hop("assumed-role", ROLE), Hop("ec2-instance-profile", "host"))
    assert kept.settled
    assert kept.identity.chain == chain
    assert third.origin.identity == kept.identity
    assert kept.identity.account_id == "123456789012"


def test_a_role_that_renews_itself_does_not_grow_its_chain_for_ever() -> None:
    made = registry()
    root = made.sighted(by("AKIAX"), "env", "AKIAX")
    assert root is not None
    parent = root.origin
    for number in range(50):
        made.issued(f"ASIA{number}", "assumed-role", ROLE, "", parent)
        seen = made.sighted(by(f"ASIA{number}"), "assume-role", f"ASIA{number}")
        assert seen is not None
        parent = seen.origin
    assert len(parent.identity.chain) == MAX_HOPS
    assert parent.identity.chain[-1] == Hop("environment", "")
    assert len({id(origin) for origin in made._origins.values()}) <= MAX_HOPS + 2


@pytest.mark.parametrize("method", ["env", "shared-credentials-file", "config-file", "custom-process"])
def test_a_chain_begins_where_its_first_key_was_found_and_not_at_explicit(method: str) -> None:
    made = registry()
    made.held("AKIAX", method)
    made.held("AKIAX", "explicit")
    expected = source(registry(), "AKIAX", method)
    assert source(made, "AKIAX", "explicit", nested=True) == expected != "explicit"


def test_rotation_adds_no_origin() -> None:
    made = registry(ECS)
    made.answer(Question("container", URL), Answer(True))
    origins = set()
    for number in range(1_000):
        made.container(f"ASIA{number}", URL, ROLE)
        seen = made.sighted(by(f"ASIA{number}"), "container-role", f"ASIA{number}")
        assert seen is not None
        origins.add(id(seen.origin))
    assert len(origins) == len(made._origins) == 1


def test_tables_are_bounded() -> None:
    made = registry()
    for number in range(5_000):
        made.issued(f"ASIA{number}", "federation", f"{ROLE}{number}", "", None)
        made.sighted(by(f"ASIA{number}"), "explicit", "")
    assert max(len(made._facts), len(made._keys)) <= 4_096
    assert len(made._origins) <= 1_024


@pytest.mark.parametrize(("genuine", "expected"), [(True, "ec2-instance-profile"), (False, "imds-other")])
def test_an_answer_settles_what_was_counted_before_it(genuine: bool, expected: str) -> None:
    made = registry()
    made.imds("ASIAX", IMDS, "host")
    seen = made.sighted(by("ASIAX"), "iam-role", "ASIAX")
    assert seen is not None
    counted = seen.origin
    assert (made.questions(), counted.settled) == ([Question("imds", IMDS)], False)
    made.answer(Question("imds", IMDS), Answer(genuine, "123456789012" if genuine else "", PROFILE if genuine else ""))
    assert (counted.identity.source, counted.identity.principal_name, counted.settled) == (expected, "host", True)
    assert made.questions() == []
    made.imds("ASIAY", IMDS, "host")
    assert source(made, "ASIAY", "iam-role") == expected


def test_what_was_sent_as_unknown_stays_so() -> None:
    made = registry()
    made.imds("ASIAX", IMDS, "host")
    seen = made.sighted(by("ASIAX"), "iam-role", "ASIAX")
    assert seen is not None
    sent = seen.origin
    made.settle()
    made.answer(Question("imds", IMDS), Answer(True, "", PROFILE))
    assert sent.identity.source == "unknown"
    assert seen.origin.identity.source == "ec2-instance-profile"


def test_a_child_forgets_who_signed_and_keeps_where_keys_came_from() -> None:
    made = registry()
    made.issued("ASIAX", "assumed-role", ROLE, "", None)
    source(made, "ASIAX", "assume-role")
    made.forked()
    assert made.sightings() == []
    assert source(made, "ASIAX", "explicit") == "assumed-role"
