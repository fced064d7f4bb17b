"""The rows of the matrix: every way to come by credentials, through botocore's own machinery.

Each row prepares a world (environment, files, endpoints) and says what must be recorded of
whoever signs with what botocore finds there.
"""

from __future__ import annotations

import configparser
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import AssumeRoleProvider

from credwatch.semconv import Hop
from examples.demo.credentials import Rotating
from tests.recorder.matrix import cloud
from tests.recorder.matrix.cloud import ACCOUNT, PROFILE, ROLE, SECOND, TASK_ROLE, Server, fields, key_id, later
from tests.recorder.matrix.drivers import Driver


class Expected(NamedTuple):
    """What a usage says of its credentials."""

    source: str
    provider: str
    credential_type: str = "temporary"
    principal: str = ""
    account_id: str = ""
    chain: tuple[Hop, ...] = ()
    laundered: bool = False
    instance_profile_arn: str = ""


@dataclass
class World:
    """What one process finds around it. `options` are those of the application's `create_client`."""

    server: Server
    home: Path
    monkeypatch: pytest.MonkeyPatch
    environ: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    profile: str | None = None

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)
            self.environ[name] = value

    def file(self, name: str, text: str) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def config(self, **sections: dict[str, str]) -> None:
        """Write the config file; a section is a profile, or `sso_session_NAME`."""
        parser = configparser.ConfigParser()
        for name, values in sections.items():
            title = f"sso-session {name[12:]}" if name.startswith("sso_session_") else f"profile {name}"
            parser["default" if name == "default" else title] = values
        with (self.home / "config").open("w") as file:
            parser.write(file)

    def credentials(self, key: str = "") -> None:
        self.file("credentials", f"[default]\naws_access_key_id = {key or key_id('AKIA')}\naws_secret_access_key = s\n")

    def metadata(self) -> str:
        """Put a task's metadata where ECS says it is, and return the path of its credentials."""
        ecs = self.server.cloud.ecs
        self.set(ECS_CONTAINER_METADATA_URI_V4=f"http://169.254.170.2{ecs.add_metadata(cloud.task())}")
        return ecs.add_credentials(TASK_ROLE, Rotating(cloud.issue, cloud.now))


Take = Callable[[World, Driver], Awaitable[None]]


async def found(_: World, __: Driver) -> None:
    """Take nothing: the application leaves it to botocore to find credentials."""


class Source(NamedTuple):
    """`prepare` makes the world and says what is expected; `take` is what the application does for its keys."""

    name: str
    prepare: Callable[[World], Expected]
    take: Take = found
    needs_crt: bool = False


def imds(world: World) -> Expected:
    world.monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    return Expected("ec2-instance-profile", "iam-role", "temporary", "host", ACCOUNT, instance_profile_arn=PROFILE)


def imds_v1(world: World) -> Expected:
    world.server.cloud.v1 = True
    return imds(world)


def kiam(world: World) -> Expected:
    world.server.cloud.look_alike = True
    imds(world)
    return Expected("imds-other", "iam-role", "temporary", "host")


def ecs_relative(world: World) -> Expected:
    world.set(AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=world.metadata())
    return Expected("ecs-task-role", "container-role", "temporary", TASK_ROLE, ACCOUNT)


def _full_uri(world: World, url: str) -> None:
    world.set(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=url,
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(world.file("token", cloud.TOKEN)),
    )


def ecs_full(world: World) -> Expected:
    world.metadata()
    _full_uri(world, f"{world.server.url}/full")
    return Expected("ecs-task-role", "container-role")


def pod_identity(world: World) -> Expected:
    _full_uri(world, "http://169.254.170.23/v1/credentials")
    return Expected("eks-pod-identity", "container-role", "temporary", "", ACCOUNT)


def codebuild(world: World) -> Expected:
    path = world.metadata()
    world.set(AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=path, CODEBUILD_BUILD_ID="project:1")
    return Expected("container-other", "container-role", "temporary", TASK_ROLE, ACCOUNT)


def cloudshell(world: World) -> Expected:
    _full_uri(world, f"{world.server.url}/full")
    return Expected("container-other", "container-role")


def snapstart(world: World) -> Expected:
    world.set(AWS_LAMBDA_FUNCTION_NAME="function", AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")
    return cloudshell(world)


def _keys(world: World, prefix: str) -> None:
    world.set(AWS_ACCESS_KEY_ID=key_id(prefix), AWS_SECRET_ACCESS_KEY="s")
    if prefix == "ASIA":
        world.set(AWS_SESSION_TOKEN="t")


def function(world: World) -> Expected:
    _keys(world, "ASIA")
    world.set(AWS_LAMBDA_FUNCTION_NAME="function")
    return Expected("lambda-execution-role", "env")


def environment(world: World) -> Expected:
    _keys(world, "AKIA")
    return Expected("environment", "env", "long-lived")


def environment_in_lambda(world: World) -> Expected:
    _keys(world, "AKIA")
    world.set(AWS_LAMBDA_FUNCTION_NAME="function")
    return Expected("environment", "env", "long-lived")


def literals(world: World) -> Expected:
    world.options.update(aws_access_key_id=key_id("AKIA"), aws_secret_access_key="s")
    return Expected("explicit", "explicit", "long-lived")


def shared_file(world: World) -> Expected:
    world.credentials()
    return Expected("shared-credentials-file", "shared-credentials-file", "long-lived")


def mfa_wrapper(world: World) -> Expected:
    world.file(
        "credentials",
        f"[default]\naws_access_key_id = {key_id()}\naws_secret_access_key = s\naws_session_token = t\n",
    )
    return Expected("shared-credentials-file", "shared-credentials-file")


def config_file(world: World) -> Expected:
    world.config(default={"aws_access_key_id": key_id("AKIA"), "aws_secret_access_key": "s"})
    return Expected("config-file", "config-file", "long-lived")


def process(world: World) -> Expected:
    document = {"Version": 1, **fields(cloud.STS_NAMES)}
    world.config(default={"credential_process": f"cat {world.file('process.json', json.dumps(document))}"})
    return Expected("process", "custom-process")


def web_identity(world: World) -> Expected:
    world.set(AWS_ROLE_ARN=ROLE, AWS_WEB_IDENTITY_TOKEN_FILE=str(world.file("jwt", "jwt-of-the-pod")))
    return Expected("web-identity", "assume-role-with-web-identity", "temporary", ROLE, ACCOUNT)


PERMISSION_SET = "AWSReservedSSO_ReadOnly_*"
_START = "https://example.awsapps.com/start"
_SSO = {"sso_account_id": ACCOUNT, "sso_role_name": "ReadOnly"}


def _sso_token(world: World, name: str, **values: str) -> None:
    token = {"startUrl": _START, "region": "eu-west-1", "accessToken": "token", **values}
    world.file(f"sso/{hashlib.sha1(name.encode()).hexdigest()}.json", json.dumps(token))


def sso(world: World) -> Expected:
    world.config(default={**_SSO, "sso_start_url": _START, "sso_region": "eu-west-1"})
    _sso_token(world, _START, expiresAt=later())
    return Expected("sso", "sso", "temporary", PERMISSION_SET, ACCOUNT)


def sso_session(world: World) -> Expected:
    session = {"sso_start_url": _START, "sso_region": "eu-west-1"}
    world.config(default={**_SSO, "sso_session": "work"}, sso_session_work=session)
    client = {"clientId": "c", "clientSecret": "s", "registrationExpiresAt": later(), "refreshToken": "r"}
    _sso_token(world, "work", expiresAt=later(0), **client)
    return Expected("sso", "sso", "temporary", PERMISSION_SET, ACCOUNT)


USER = f"arn:aws:iam::{ACCOUNT}:user/name"


def login(world: World) -> Expected:
    world.config(default={"login_session": USER})
    names = ("accessKeyId", "secretAccessKey", "sessionToken", "expiresAt")
    token = {
        "accessToken": {**fields(names), "accountId": ACCOUNT},
        "tokenType": "urn:aws:params:oauth:token-type:access_token_sigv4",
        "refreshToken": "r",
        "dpopKey": "unused before a refresh",
        "clientId": "c",
    }
    world.file(f"login/{hashlib.sha256(USER.encode()).hexdigest()}.json", json.dumps(token))
    return Expected("login", "login", "temporary", USER, ACCOUNT)


def source_profile(world: World) -> Expected:
    world.credentials()
    world.config(app={"role_arn": ROLE, "source_profile": "default"})
    world.profile = "app"
    chain = (Hop("shared-credentials-file", ""),)
    return Expected("assumed-role", "assume-role", "temporary", ROLE, ACCOUNT, chain)


def with_mfa(world: World) -> Expected:
    expected = source_profile(world)
    world.config(app={"role_arn": ROLE, "source_profile": "default", "mfa_serial": "arn:aws:iam::1:mfa/me"})
    # the prompt is the default value of an argument
    world.monkeypatch.setattr(AssumeRoleProvider.__init__, "__defaults__", (lambda _: "123456", None, None))
    return expected


def two_hops(world: World) -> Expected:
    world.credentials()
    first = {"role_arn": ROLE, "source_profile": "default"}
    world.config(first=first, second={"role_arn": SECOND, "source_profile": "first"})
    world.profile = "second"
    chain = (Hop("assumed-role", ROLE), Hop("shared-credentials-file", ""))
    return Expected("assumed-role", "assume-role", "temporary", SECOND, ACCOUNT, chain)


def _credential_source(world: World, word: str, hop: Hop) -> Expected:
    world.config(app={"role_arn": ROLE, "credential_source": word})
    world.profile = "app"
    return Expected("assumed-role", "assume-role", "temporary", ROLE, ACCOUNT, (hop,))


def from_environment(world: World) -> Expected:
    _keys(world, "AKIA")
    return _credential_source(world, "Environment", Hop("environment", ""))


def from_container(world: World) -> Expected:
    ecs_relative(world)
    return _credential_source(world, "EcsContainer", Hop("ecs-task-role", TASK_ROLE))


def from_instance(world: World) -> Expected:
    imds(world)
    return _credential_source(world, "Ec2InstanceMetadata", Hop("ec2-instance-profile", "host"))


def laundered(world: World) -> Expected:
    return ecs_relative(world)._replace(laundered=True)


async def keys_taken_out(world: World, driver: Driver) -> None:
    _literal(world, await driver.frozen())


def _literal(world: World, keys: Any) -> None:
    world.options.update(aws_access_key_id=keys[0], aws_secret_access_key=keys[1], aws_session_token=keys[2])


def _issued(service: str, operation: str, **params: object) -> Take:
    async def take(world: World, driver: Driver) -> None:
        async with driver.client(service) as client:
            answer = (await driver.done(getattr(client, operation)(**params)))["Credentials"]
        _literal(world, (answer["AccessKeyId"], answer.get("SecretAccessKey") or answer["SecretKey"], "t"))

    return take


_FROM_ENVIRONMENT = (Hop("environment", ""),)


def assumed_in_code(world: World) -> Expected:
    _keys(world, "AKIA")
    return Expected("assumed-role", "assume-role", "temporary", ROLE, ACCOUNT, _FROM_ENVIRONMENT, laundered=True)


def session_token(world: World) -> Expected:
    _keys(world, "AKIA")
    return Expected("federation", "federation", chain=_FROM_ENVIRONMENT)


def federation_token(world: World) -> Expected:
    _keys(world, "AKIA")
    user = f"arn:aws:sts::{ACCOUNT}:federated-user/name"
    return Expected("federation", "federation", "temporary", user, ACCOUNT, _FROM_ENVIRONMENT)


def cognito(world: World) -> Expected:
    _keys(world, "AKIA")  # the request for the keys is unsigned all the same
    return Expected("federation", "federation")


def anonymous(world: World) -> Expected:
    world.options["config"] = Config(signature_version=UNSIGNED)
    return Expected("anonymous", "", "")


def bearer(world: World) -> Expected:
    world.set(AWS_BEARER_TOKEN_BEDROCK="bearer-sentinel")
    _keys(world, "AKIA")  # held, and not used
    return Expected("bearer-token", "", "")  # botocore has no word for a token of the environment


_MFA = {"SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/me", "TokenCode": "123456"}
_ASSUME_ROLE = _issued("sts", "assume_role", RoleArn=ROLE, RoleSessionName="name")
_SESSION_TOKEN = _issued("sts", "get_session_token", **_MFA)
_FEDERATION_TOKEN = _issued("sts", "get_federation_token", Name="name")
_COGNITO = _issued("cognito-identity", "get_credentials_for_identity", IdentityId="eu-west-1:i")

SOURCES: tuple[Source, ...] = (
    Source("IMDSv2", imds),
    Source("IMDSv1", imds_v1),
    Source("IMDS look-alike (kiam)", kiam),
    Source("ECS, relative URI", ecs_relative),
    Source("ECS, full URI and token file", ecs_full),
    Source("EKS Pod Identity", pod_identity),
    Source("CodeBuild", codebuild),
    Source("CloudShell", cloudshell),
    Source("Lambda SnapStart", snapstart),
    Source("Lambda's environment", function),
    Source("long-lived key in Lambda's environment", environment_in_lambda),
    Source("web identity", web_identity),
    Source("SSO cache", sso),
    Source("SSO session, renewed by OIDC", sso_session),
    Source("login", login, needs_crt=True),
    Source("credential_process", process),
    Source("environment", environment),
    Source("shared credentials file", shared_file),
    Source("MFA wrapper's temporary keys in the file", mfa_wrapper),
    Source("config file", config_file),
    Source("literals", literals),
    Source("role's keys as literals", laundered, keys_taken_out),
    Source("source_profile", source_profile),
    Source("source_profile with MFA", with_mfa),
    Source("source_profile of a source_profile", two_hops),
    Source("credential_source Environment", from_environment),
    Source("credential_source EcsContainer", from_container),
    Source("credential_source Ec2InstanceMetadata", from_instance),
    Source("AssumeRole in code", assumed_in_code, _ASSUME_ROLE),
    Source(
        "GetSessionToken with MFA",
        session_token,
        _SESSION_TOKEN,
    ),
    Source("GetFederationToken", federation_token, _FEDERATION_TOKEN),
    Source(
        "Cognito identity",
        cognito,
        _COGNITO,
    ),
    Source("bearer token", bearer),
    Source("unsigned", anonymous),
)
