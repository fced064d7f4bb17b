"""whoami in worlds of its own: the source it names, what it finds wrong, what it prints and never prints."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.credentials
import botocore.session
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credwatch import semconv
from credwatch.identity.ask import inspect
from credwatch.identity.edges import chain_order, fetch
from credwatch.identity.expect import matches
from credwatch.identity.model import Identity, Unreachable
from credwatch.identity.render import render
from credwatch.signature import pseudonym
from tests.recorder.whoami_world import (
    ACCOUNT,
    EXPIRES,
    LONG_LIVED,
    NOW,
    TEMPORARY,
    Endpoints,
    answer,
    as_nobody,
    aws_files,
    serve,
    world,
)

GOLDEN = Path(__file__).parent / "golden"
KEYS = {"AWS_ACCESS_KEY_ID": LONG_LIVED, "AWS_SECRET_ACCESS_KEY": "env-secret-SENTINEL"}
SESSION = {**KEYS, "AWS_ACCESS_KEY_ID": TEMPORARY, "AWS_SESSION_TOKEN": "env-token-SENTINEL"}
LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME": "resize", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"}
PAIR = f"aws_access_key_id = {LONG_LIVED}\naws_secret_access_key = file-secret-SENTINEL\n"
ROLE = f"role_arn = arn:aws:iam::{ACCOUNT}:role/team/deploy\n"


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    with serve(Endpoints()) as served:
        yield served


def who(home: Path, environ: Mapping[str, str], profile: str | None = None, **more: Any) -> Identity:
    return inspect(world(home, environ, **more), profile).identity


def ids(identity: Identity) -> list[str]:
    return [problem.id for problem in identity.problems]


# --- the source ---------------------------------------------------------------------------------


def test_a_task_role_needs_metadata_of_a_task(endpoints: Endpoints, tmp_path: Path) -> None:
    identity = who(tmp_path, {**endpoints.container_environ, **endpoints.task_environ})
    assert identity.source == "ecs-task-role"
    assert identity.provider == "container-role"
    assert identity.principal_arn == f"arn:aws:iam::{ACCOUNT}:role/orders"
    assert (identity.account_id, identity.credential_type, identity.expires) == (ACCOUNT, "temporary", EXPIRES)
    assert identity.pseudonym == pseudonym(TEMPORARY)
    assert identity.task is not None
    assert identity.task.family == "thumbnailer"
    assert not identity.problems


@pytest.mark.parametrize(
    ("environ", "source"),
    [
        ({}, "container-other"),
        ({"CODEBUILD_BUILD_ID": "b:1"}, "container-other"),
        ({"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "eks-pod-identity-token"}, "eks-pod-identity"),
    ],
)
def test_a_container_endpoint_is_named_by_what_proves_it(
    environ: dict[str, str], source: str, endpoints: Endpoints, tmp_path: Path
) -> None:
    (tmp_path / "eks-pod-identity-token").write_text("bearer-SENTINEL", encoding="utf-8")
    task = endpoints.task_environ if "CODEBUILD_BUILD_ID" in environ else {}
    assert who(tmp_path, {**endpoints.container_environ, **task, **environ}).source == source


@pytest.mark.parametrize(("proved", "source"), [(True, "ec2-instance-profile"), (False, "imds-other")])
def test_an_instance_profile_needs_an_instance_identity(proved: bool, source: str, tmp_path: Path) -> None:
    with serve(Endpoints(proved=proved)) as endpoints:
        identity = who(tmp_path, endpoints.instance_environ)
    assert identity.source == source
    assert (identity.principal_name, identity.principal_arn) == ("ecsInstanceRole", "")
    assert identity.account_id == (ACCOUNT if proved else "")


@pytest.mark.parametrize(
    ("environ", "source"),
    [({**SESSION, **LAMBDA}, "lambda-execution-role"), ({**KEYS, **LAMBDA}, "environment"), (SESSION, "environment")],
)
def test_keys_in_a_function_are_its_role_if_they_can_be(environ: dict[str, str], source: str, tmp_path: Path) -> None:
    assert who(tmp_path, environ).source == source


def test_a_long_lived_key_is_no_role_whatever_endpoint_gives_it(tmp_path: Path) -> None:
    with serve(Endpoints(instance=answer(LONG_LIVED))) as endpoints:
        identity = who(tmp_path, endpoints.instance_environ)
    assert (identity.source, identity.provider) == ("unknown", "iam-role")
    assert ids(identity) == ["long-lived-key-from-role"]


def test_a_chain_of_roles_lists_its_hops_nearest_first(tmp_path: Path) -> None:
    middle = f"[profile mid]\nsource_profile = base\nrole_arn = arn:aws:iam::{ACCOUNT}:role/mid\n"
    aws_files(tmp_path, config=f"[profile a]\nsource_profile = mid\n{ROLE}{middle}", credentials=f"[base]\n{PAIR}")
    identity = who(tmp_path, {"AWS_PROFILE": "a"})
    assert identity.source == "assumed-role"
    assert identity.principal_arn == f"arn:aws:iam::{ACCOUNT}:role/team/deploy"
    assert identity.chain == (
        semconv.Hop("assumed-role", f"arn:aws:iam::{ACCOUNT}:role/mid"),
        semconv.Hop("shared-credentials-file", ""),
    )
    assert identity.root.source == "shared-credentials-file"


def test_a_command_is_named_but_neither_run_nor_quoted(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    aws_files(tmp_path, config=f"[default]\ncredential_process = /usr/bin/touch {trace} --key SENTINEL\n")
    identity = who(tmp_path, {})
    assert identity.source == "process"
    assert "would run `touch` (not run)" in {step.found for step in identity.steps}
    assert not trace.exists()


def test_the_region_is_the_one_that_boto3_takes(tmp_path: Path) -> None:
    aws_files(tmp_path, config="[profile a]\nregion = eu-north-1\n")
    environ = {**KEYS, "AWS_PROFILE": "a", "AWS_REGION": "us-east-2"}
    assert who(tmp_path, environ).region == "eu-north-1"
    assert "region-ignored" in ids(who(tmp_path, environ))
    assert who(tmp_path, {**environ, "AWS_DEFAULT_REGION": "us-east-2"}).region == "us-east-2"


def test_a_session_is_asked_for_what_it_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import credwatch

    aws_files(tmp_path, credentials=f"[dev]\n{PAIR}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    session = botocore.session.Session(profile="dev")
    session.set_config_variable("region", "eu-west-3")
    identity = credwatch.whoami(session)
    assert (identity.source, identity.region, identity.profile) == ("shared-credentials-file", "eu-west-3", "dev")
    session.set_credentials(TEMPORARY, "code-secret-SENTINEL", "t")
    identity = credwatch.whoami(session)
    assert (identity.source, identity.pseudonym) == ("explicit", pseudonym(TEMPORARY))
    assert credwatch.whoami().provider == ""


def test_the_order_of_the_chain_is_that_of_the_installed_botocore() -> None:
    session = botocore.session.Session()
    resolver = botocore.credentials.create_credential_resolver(session)
    assert chain_order() == tuple(provider.METHOD for provider in resolver.providers)


# --- what is wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ancestors", "cause"),
    [
        ((), "undetermined"),
        ((("PID 1", {}),), "no-task-role"),
        ((("PID 1", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"}),), "environment-stripped"),
    ],
)
def test_a_task_that_signs_as_its_host_is_told_why(
    ancestors: tuple[tuple[str, dict[str, str]], ...], cause: str, endpoints: Endpoints, tmp_path: Path
) -> None:
    identity = who(tmp_path, {**endpoints.instance_environ, **endpoints.task_environ}, ancestors=ancestors)
    (problem,) = identity.problems
    assert (problem.id, problem.cause) == ("task-using-instance-profile", cause)


def test_a_stripped_task_is_recognised_by_what_is_above_it(endpoints: Endpoints, tmp_path: Path) -> None:
    above = {**endpoints.container_environ, **endpoints.task_environ}
    identity = who(tmp_path, endpoints.instance_environ, ancestors=(("PID 1", above),))
    assert [(problem.id, problem.cause) for problem in identity.problems] == [
        ("task-using-instance-profile", "environment-stripped")
    ]


def test_a_profile_that_sends_a_task_to_the_instance_is_the_cause(endpoints: Endpoints, tmp_path: Path) -> None:
    aws_files(tmp_path, config=f"[default]\ncredential_source = Ec2InstanceMetadata\n{ROLE}")
    identity = who(tmp_path, {**endpoints.instance_environ, **endpoints.task_environ})
    assert identity.source == "assumed-role"
    assert identity.problems[0].cause == "explicit-imds-profile"


@pytest.mark.parametrize("codebuild", [{}, {"CODEBUILD_BUILD_ID": "b:1"}])
def test_an_instance_outside_a_task_is_in_order(
    codebuild: dict[str, str], endpoints: Endpoints, tmp_path: Path
) -> None:
    task = endpoints.task_environ if codebuild else {}
    assert not who(tmp_path, {**endpoints.instance_environ, **task, **codebuild}).problems


def test_a_pod_that_signs_as_its_node(endpoints: Endpoints, tmp_path: Path) -> None:
    environ = {**endpoints.instance_environ, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert ids(who(tmp_path, environ)) == ["node-role-used-by-pod"]


@pytest.mark.parametrize("role", ["container", "web identity", "instance"])
@pytest.mark.parametrize("key", ["environment", "file"])
def test_a_static_key_that_hides_a_role(role: str, key: str, endpoints: Endpoints, tmp_path: Path) -> None:
    environ = {
        "container": {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"},
        "web identity": {"AWS_WEB_IDENTITY_TOKEN_FILE": "~/t", "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/w"},
        "instance": endpoints.instance_environ,
    }[role]
    if key == "file":
        aws_files(tmp_path, credentials=f"[default]\n{PAIR}")
    identity = who(tmp_path, {**environ, **(KEYS if key == "environment" else {})})
    if (role, key) == ("web identity", "file"):
        assert identity.source == "web-identity"  # here the role wins
    else:
        assert ids(identity) == ["static-key-shadowing-role"]


def test_no_endpoint_is_asked_behind_a_key_that_is_not_static(endpoints: Endpoints, tmp_path: Path) -> None:
    who(tmp_path, {**SESSION, **endpoints.instance_environ, **endpoints.container_environ})
    assert not endpoints.asked


@pytest.mark.parametrize(
    ("environ", "id_"),
    [
        ({"AWS_ACCESS_KEY_ID": LONG_LIVED}, "partial-credentials"),
        ({"AWS_PROFILE": "gone"}, "profile-not-found"),
        ({}, "no-credentials"),
        ({**KEYS, "AWS_ACCESS_KEY_ID": TEMPORARY}, "token-missing"),
        ({**SESSION, "AWS_CREDENTIAL_EXPIRATION": "2026-03-01T11:00:00Z"}, "expired"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/"}, "endpoint-failed"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.7/"}, "config-invalid"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere", "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/w"},
         "token-file-unreadable"),
    ],
)  # fmt: skip
def test_what_is_broken_has_a_name_and_a_fix(environ: dict[str, str], id_: str, tmp_path: Path) -> None:
    identity = who(tmp_path, environ)
    assert ids(identity) == [id_]
    assert identity.problems[0].fix


def test_a_token_file_that_may_not_be_decoded_is_unreadable(endpoints: Endpoints, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    environ = {**endpoints.container_environ, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "~/token"}
    assert ids(who(tmp_path, environ)) == ["token-file-unreadable"]
    assert not endpoints.asked


def test_another_users_process_cannot_make_us_send_a_file(endpoints: Endpoints, tmp_path: Path) -> None:
    environ = {**endpoints.container_environ, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/etc/passwd"}
    identity = who(tmp_path, environ, foreign=True)
    assert [step.state for step in identity.steps if step.method == "container-role"] == ["unsure"]
    assert not endpoints.asked


def test_a_proxy_between_us_and_the_instance_is_not_guessed_through(endpoints: Endpoints, tmp_path: Path) -> None:
    environ = {**endpoints.instance_environ, "HTTP_PROXY": "http://proxy:3128"}
    assert [step.state for step in who(tmp_path, environ).steps if step.method == "iam-role"] == ["unsure"]
    assert not endpoints.asked
    assert who(tmp_path, {**environ, "NO_PROXY": "127.0.0.1"}).source == "ec2-instance-profile"


def test_of_identity_center_and_a_login_what_the_profile_tells_is_named(tmp_path: Path) -> None:
    user = f"arn:aws:iam::{ACCOUNT}:user/me"
    aws_files(
        tmp_path,
        config=f"[profile center]\nsso_role_name = Read\nsso_account_id = {ACCOUNT}\nsso_region = eu-west-1\n"
        f"sso_start_url = https://example.awsapps.com/start\n[profile login]\nlogin_session = {user}\n",
    )
    found = who(tmp_path, {}, "center", has_crt=True)
    assert (found.source, found.principal, found.account_id) == ("sso", "AWSReservedSSO_Read_*", ACCOUNT)
    found = who(tmp_path, {}, "login", has_crt=True)
    assert (found.source, found.principal, found.account_id) == ("login", user, ACCOUNT)


def test_a_token_that_does_not_come_hints_at_the_hop_limit(tmp_path: Path) -> None:
    def silent(method: str, url: str, *_: object) -> Any:
        raise Unreachable("no answer in time")

    identity = inspect(
        world(tmp_path, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}, has_crt=True)
    ).identity
    assert "hop limit" not in identity.problems[0].fix
    here = world(tmp_path, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"})
    identity = inspect(type(here)(**{**vars(here), "fetch": silent})).identity
    assert "hop limit" in identity.problems[0].fix


def test_version_one_of_the_instance_metadata_is_reported(tmp_path: Path) -> None:
    with serve(Endpoints(put_status=403, require_token=False)) as endpoints:
        assert ids(who(tmp_path, endpoints.instance_environ)) == ["imdsv1-credentials"]


def test_a_task_metadata_address_outside_this_host_is_not_asked(tmp_path: Path) -> None:
    asked: list[str] = []

    def record(method: str, url: str, *_: object) -> Any:
        asked.append(url)
        raise Unreachable("connection refused")

    here = world(tmp_path, {**KEYS, "ECS_CONTAINER_METADATA_URI_V4": "http://192.0.2.1/v4"})
    inspect(type(here)(**{**vars(here), "fetch": record}))
    assert asked == []


# --- expect -------------------------------------------------------------------------------------

ARN = f"arn:aws:iam::{ACCOUNT}:role/team/orders"
RESERVED = "AWSReservedSSO_Read_*"


@pytest.mark.parametrize(
    ("identity", "expected", "matched"),
    [
        (Identity("ecs-task-role", principal_arn=ARN), "orders", True),
        (Identity("ecs-task-role", principal_arn=ARN), "ord*", True),
        (Identity("ecs-task-role", principal_arn=ARN), ARN, True),
        (Identity("ecs-task-role", principal_arn=ARN), "arn:aws:iam::*:role/team/*", True),
        (Identity("ecs-task-role", principal_arn=ARN), f"arn:aws:iam::{ACCOUNT}:role/orders", False),
        (Identity("ecs-task-role", principal_arn=ARN), "Orders", False),
        (Identity("ec2-instance-profile", principal_name="host", account_id=ACCOUNT), "host", True),
        (Identity("ec2-instance-profile", principal_name="host", account_id=ACCOUNT),
         f"arn:aws:iam::{ACCOUNT}:role/p/host", True),
        (Identity("ec2-instance-profile", principal_name="host", account_id=ACCOUNT),
         "arn:aws:iam::210987654321:role/host", False),
        (Identity("imds-other", principal_name="host"), f"arn:aws:iam::{ACCOUNT}:role/host", None),
        (Identity("imds-other", principal_name="host"), f"arn:aws:iam::{ACCOUNT}:role/other", False),
        (Identity("environment", provider="env", credential_type="long-lived"), "orders", False),
        (Identity("environment", provider="env", credential_type="temporary"), "orders", None),
        (Identity("sso", provider="sso"), "*", None),
        (Identity("sso", principal_name=RESERVED, account_id=ACCOUNT), "AWSReservedSSO_Read_*", True),
        (Identity("sso", principal_name=RESERVED, account_id=ACCOUNT), "AWSReservedSSO_Read_0123456789abcdef", None),
        (Identity("sso", principal_name=RESERVED, account_id=ACCOUNT), "Read", False),
        (Identity("sso", principal_name=RESERVED, account_id=ACCOUNT),
         f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Read_*", True),
        (Identity("sso", principal_name=RESERVED, account_id=ACCOUNT),
         f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Read_01", None),
        (Identity("sso", principal_name=RESERVED, account_id=ACCOUNT),
         "arn:aws:iam::210987654321:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Read_*", False),
        (Identity("unknown"), "orders", False),
        (Identity("environment", principal_arn=f"arn:aws:iam::{ACCOUNT}:user/orders"), "orders", False),
    ],
)  # fmt: skip
def test_expect_says_yes_no_or_cannot_know(identity: Identity, expected: str, matched: bool | None) -> None:
    assert matches(identity, expected) is matched


# --- what is printed ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["normal", "wrong_layer"])
def test_the_text_at_80_columns_is_the_golden_one(name: str, endpoints: Endpoints, tmp_path: Path) -> None:
    source = endpoints.container_environ if name == "normal" else endpoints.instance_environ
    identity = who(tmp_path, {**source, **endpoints.task_environ, "AWS_DEFAULT_REGION": "eu-west-1"})
    text = render(identity, now=NOW, width=80)
    assert text == (GOLDEN / f"whoami_{name}.txt").read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 80


def test_colours_are_added_to_the_same_words(endpoints: Endpoints, tmp_path: Path) -> None:
    identity = who(tmp_path, {**endpoints.instance_environ, **endpoints.task_environ})
    coloured = render(identity, now=NOW, colour=True)
    assert coloured.startswith("\x1b[1;31mWRONG LAYER")
    plain = coloured
    for code in ("\x1b[1;31m", "\x1b[1;32m", "\x1b[1m", "\x1b[2m", "\x1b[0m"):
        plain = plain.replace(code, "")
    assert plain == render(identity, now=NOW)


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    identity = who(tmp_path, {"AWS_PROFILE": "a\x1b[2J\nb", "AWS_REGION": "\x07"})
    text = render(identity, now=NOW)
    assert not any(c != "\n" and not c.isprintable() for c in text)


SECRET_VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_CREDENTIAL_EXPIRATION", "AWS_ACCOUNT_ID",
    "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "HTTP_PROXY",
)  # fmt: skip
"""Variables whose value may be or hold a secret; the rest of AWS's name profiles, files, regions."""


PROFILES = ("default", "broken", "command", "role", "half", "sso", "web", "odd", "plain")


def everything_said(home: Path, variables: Iterable[str], profile: str, more: Mapping[str, str]) -> str:
    """Return all that whoami could print of a world in which these variables hold a sentinel."""
    environ = {"AWS_PROFILE": profile}
    for name in sorted(variables):
        environ[name] = "SENTINEL"
        if name.endswith(("URI", "ENDPOINT", "PROXY")):
            environ[name] = "http://user:SENTINEL@127.0.0.1:1/SENTINEL"
        if name == "AWS_WEB_IDENTITY_TOKEN_FILE":
            environ[name] = "~/token"
        if name.endswith("RELATIVE_URI"):
            environ[name] = "@127.0.0.1:1/SENTINEL"  # without a real 169.254.170.2 nothing would answer
    report = inspect(world(home, {**environ, **more}))
    return f"{render(report.identity, now=NOW)} {json.dumps(report.identity.as_json())} {report!r}"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("garbled", ["", "config", "credentials"])
def test_no_secret_of_a_variable_or_file_is_printed(
    profile: str, garbled: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    _files_full_of_secrets(tmp_path, garbled)
    with caplog.at_level("DEBUG"):
        said = [everything_said(tmp_path, {name}, profile, {}) for name in SECRET_VARIABLES]
    out, err = capfd.readouterr()
    assert "SENTINEL" not in "".join(said) + out + err + caplog.text


@pytest.mark.parametrize("authorization", [None, "refused"])
@pytest.mark.parametrize("role", ["none", "not an ARN", "an ARN"])
@pytest.mark.parametrize("used", ["container", "instance"])
def test_no_secret_of_an_endpoint_is_printed(
    authorization: str | None, role: str, used: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arn = {"none": {}, "not an ARN": {"RoleArn": "SENTINEL"}, "an ARN": {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r"}}
    _files_full_of_secrets(tmp_path, "")
    container = answer(**arn[role], AccountId="SENTINEL")
    with (
        serve(Endpoints(container=container, authorization=authorization)) as endpoints,
        caplog.at_level("DEBUG"),
    ):
        more = {**(endpoints.container_environ if used == "container" else endpoints.instance_environ)}
        said = everything_said(tmp_path, {"AWS_CONTAINER_AUTHORIZATION_TOKEN"}, "plain", more)
        said += everything_said(tmp_path, (), "plain", {**more, **endpoints.task_environ})
    assert endpoints.asked
    assert "SENTINEL" not in said + caplog.text


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    variables=st.sets(st.sampled_from(SECRET_VARIABLES)),
    profile=st.sampled_from(PROFILES),
    with_endpoints=st.booleans(),
)
def test_no_mixture_of_secrets_is_printed(
    *, variables: set[str], profile: str, with_endpoints: bool, tmp_path: Path, endpoints: Endpoints
) -> None:
    _files_full_of_secrets(tmp_path, "")
    more = {**endpoints.container_environ, **endpoints.instance_environ} if with_endpoints else {}
    assert "SENTINEL" not in everything_said(tmp_path, variables, profile, more)


def _files_full_of_secrets(home: Path, garbled: str) -> None:
    pair = "aws_access_key_id = AKIASENTINEL\naws_secret_access_key = SENTINEL\naws_session_token = SENTINEL\n"
    config = (
        f"[default]\n{pair}[profile broken]\nsource_profile = gone\n{ROLE}external_id = SENTINEL\n"
        "[profile command]\ncredential_process = SENTINEL=x /bin/cmd --password SENTINEL\n"
        f"[profile role]\nsource_profile = default\nrole_arn = SENTINEL\nmfa_serial = SENTINEL\n"
        "[profile half]\naws_access_key_id = SENTINEL\n[profile sso]\nsso_account_id = SENTINEL\n"
        f"[profile web]\nweb_identity_token_file = ~/token\n{ROLE}"
        "[profile plain]\nregion = eu-west-1\n[profile odd]\ncredential_source = SENTINEL\nrole_arn = SENTINEL\n"
    )
    credentials = f"[default]\n{pair}"
    (home / "token").write_text("SENTINEL", encoding="utf-8")
    wrong = "\naws_secret_access_key SENTINEL\n"
    aws_files(
        home,
        config=config + (wrong if garbled == "config" else ""),
        credentials=credentials + (wrong if garbled == "credentials" else ""),
    )


def test_json_is_versioned_and_complete(endpoints: Endpoints, tmp_path: Path) -> None:
    identity = who(tmp_path, {**endpoints.instance_environ, **endpoints.task_environ})
    told = json.loads(json.dumps(identity.as_json()))
    assert told["version"] == 1
    assert told["source"] in semconv.SOURCES
    assert told["problems"][0]["id"] == "task-using-instance-profile"
    assert [step["method"] for step in told["steps"]] == list(chain_order())
    assert sum(step["state"] == "used" for step in told["steps"]) == 1


def test_an_unreadable_file_says_so() -> None:
    with tempfile.TemporaryDirectory() as directory, as_nobody(Path(directory)) as home:
        aws_files(home, credentials=f"[default]\n{PAIR}")
        (home / ".aws" / "credentials").chmod(0)
        assert any("permission denied" in step.found for step in who(home, {}).steps)


def test_a_broken_connection_is_a_phrase_not_a_traceback() -> None:
    with pytest.raises(Unreachable, match="connection refused"):
        fetch("GET", "http://127.0.0.1:1/", {}, 1)
    with pytest.raises(Unreachable, match="not valid"):
        fetch("GET", "http://127.0.0.1:port/", {}, 1)
