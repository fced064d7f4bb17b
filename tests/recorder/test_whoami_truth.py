"""The essential truth of whoami: it names the method that the real botocore resolves, or stops where it raises.

Every case is an environment and a home; botocore resolves it in a process of its own with exactly
that environment, whoami from the same values without running or calling anything.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from credwatch.identity.ask import inspect
from tests.recorder.whoami_world import LONG_LIVED, TEMPORARY, Endpoints, answer, aws_files, serve, world

pytestmark = pytest.mark.slow

KEYS = {"AWS_ACCESS_KEY_ID": LONG_LIVED, "AWS_SECRET_ACCESS_KEY": "s"}
SESSION = {"AWS_ACCESS_KEY_ID": TEMPORARY, "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
PAIR = f"aws_access_key_id = {LONG_LIVED}\naws_secret_access_key = s\n"
ROLE = "role_arn = arn:aws:iam::123456789012:role/deploy\n"
WEB = {"AWS_WEB_IDENTITY_TOKEN_FILE": "~/token", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/web"}
SSO = "sso_role_name = Admin\nsso_account_id = 123456789012\n"
START = "sso_start_url = https://example.awsapps.com/start\nsso_region = eu-west-1\n"
COMMAND = "credential_process = cat {home}/process.json\n"


class Case(NamedTuple):
    """`environ` may name endpoints: `{imds}`, `{bare}` (no role), `{v1}` (no token), `{ecs}`, `{empty}`."""

    expected: str
    environ: Mapping[str, str]
    config: str = ""
    credentials: str = ""
    profile: str | None = None


IMDS = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "{imds}"}
ECS = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{ecs}/creds"}
DEV = f"[dev]\n{PAIR}"
DEFAULT = f"[default]\n{PAIR}"

CASES: dict[str, Case] = {
    "nothing at all": Case("nothing", {}),
    "keys in the environment": Case("env", KEYS),
    "session keys in the environment": Case("env", SESSION),
    "a key id without a secret": Case("raises", {"AWS_ACCESS_KEY_ID": LONG_LIVED}),
    "a secret without a key id": Case("nothing", {"AWS_SECRET_ACCESS_KEY": "s"}),
    "empty variables are unset": Case(
        "shared-credentials-file", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, credentials=DEFAULT
    ),
    "an empty secret is a missing one": Case("raises", {**KEYS, "AWS_SECRET_ACCESS_KEY": ""}, credentials=DEFAULT),
    "environment keys beat AWS_PROFILE": Case("env", {**KEYS, "AWS_PROFILE": "dev"}, credentials=DEV),
    "a profile in code beats environment keys": Case(
        "shared-credentials-file", KEYS, credentials=DEV, profile="dev"
    ),
    "the default profile in code beats them too": Case(
        "shared-credentials-file", KEYS, credentials=DEFAULT, profile="default"
    ),
    "a profile in code without keys falls to the container": Case(
        "container-role", {**KEYS, **ECS}, config="[profile dev]\nregion = eu-west-1\n", profile="dev"
    ),
    "a profile that does not exist raises despite keys": Case("raises", {**KEYS, "AWS_PROFILE": "gone"}),
    "a profile in code that does not exist": Case("raises", {}, credentials=DEV, profile="gone"),
    "an empty AWS_PROFILE is a name": Case("raises", {"AWS_PROFILE": ""}, credentials=DEFAULT),
    "AWS_DEFAULT_PROFILE beats AWS_PROFILE": Case(
        "config-file", {"AWS_DEFAULT_PROFILE": "a", "AWS_PROFILE": "b"}, f"[profile a]\n{PAIR}", f"[b]\n{PAIR}"
    ),
    "a profile named without the word profile": Case("raises", {"AWS_PROFILE": "a"}, f"[a]\n{PAIR}"),
    "keys in the config file": Case("config-file", {}, DEFAULT),
    "the credentials file beats the config file": Case("shared-credentials-file", {}, DEFAULT, DEFAULT),
    "files elsewhere": Case(
        "shared-credentials-file", {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/config", "AWS_CONFIG_FILE": ""}, DEFAULT
    ),
    "half a key in the credentials file": Case("raises", {}, credentials="[default]\naws_access_key_id = AKIA\n"),
    "a config file that does not parse": Case("raises", KEYS, "aws_access_key_id\n"),
    "a credentials file that does not parse": Case("raises", {}, credentials="[default\n"),
    "web identity beats the container": Case("assume-role-with-web-identity", {**WEB, **ECS}),
    "environment keys beat web identity": Case("env", {**WEB, **KEYS}),
    "an empty token file variable is unset": Case(
        "container-role", {**WEB, "AWS_WEB_IDENTITY_TOKEN_FILE": "", **ECS}
    ),
    "web identity without a role": Case("raises", {"AWS_WEB_IDENTITY_TOKEN_FILE": "~/token"}),
    "a profile in code hides web identity of the environment": Case(
        "shared-credentials-file", WEB, credentials=DEV, profile="dev"
    ),
    "web identity of a profile": Case(
        "assume-role-with-web-identity", {}, f"[default]\nweb_identity_token_file = ~/token\n{ROLE}"
    ),
    "an assumed role from a profile": Case(
        "assume-role", {"AWS_PROFILE": "a"}, f"[profile a]\nsource_profile = dev\n{ROLE}", DEV
    ),
    "an assumed role beats web identity": Case(
        "assume-role", WEB, f"[default]\nsource_profile = dev\n{ROLE}", DEV
    ),
    "a role from a role": Case(
        "assume-role",
        {},
        f"[default]\nsource_profile = mid\n{ROLE}[profile mid]\nsource_profile = dev\n{ROLE}",
        DEV,
    ),
    "a role from its own keys": Case("assume-role", {}, f"[default]\nsource_profile = default\n{ROLE}{PAIR}"),
    "a role from a command": Case(
        "assume-role", {}, f"[default]\nsource_profile = cmd\n{ROLE}[profile cmd]\n{COMMAND}"
    ),
    "a role from the container": Case("assume-role", ECS, f"[default]\ncredential_source = EcsContainer\n{ROLE}"),
    "a role from the instance": Case(
        "assume-role", IMDS, f"[default]\ncredential_source = Ec2InstanceMetadata\n{ROLE}"
    ),
    "a role from an environment without keys": Case(
        "raises", {}, f"[default]\ncredential_source = Environment\n{ROLE}"
    ),
    "an unknown credential_source": Case("raises", {}, f"[default]\ncredential_source = environment\n{ROLE}"),
    "both sources of a role": Case(
        "raises", KEYS | {"AWS_ACCESS_KEY_ID": ""},
        f"[default]\ncredential_source = Environment\nsource_profile = dev\n{ROLE}", DEV,
    ),
    "no source of a role": Case("raises", {}, f"[default]\n{ROLE}"),
    "a source profile that does not exist": Case("raises", {}, f"[default]\nsource_profile = gone\n{ROLE}"),
    "a source profile without keys": Case(
        "raises", {}, f"[default]\nsource_profile = a\n{ROLE}[profile a]\nregion = x\n"
    ),
    "a loop of profiles": Case(
        "raises", {}, f"[default]\nsource_profile = a\n{ROLE}[profile a]\nsource_profile = default\n{ROLE}"
    ),
    "identity center": Case("sso", {}, f"[default]\n{SSO}{START}"),
    "identity center by session": Case("sso", {}, f"[default]\n{SSO}sso_session = s\n[sso-session s]\n{START}"),
    "identity center, session missing": Case("raises", {}, f"[default]\n{SSO}sso_session = s\n"),
    "identity center, session differing": Case(
        "raises", {}, f"[default]\n{SSO}sso_session = s\nsso_region = us-east-1\n[sso-session s]\n{START}"
    ),
    "identity center, incomplete": Case("raises", {}, f"[default]\n{SSO}"),
    "a login session without awscrt": Case("raises", {}, "[default]\nlogin_session = arn\n"),
    "a command": Case("custom-process", {}, f"[default]\n{COMMAND}"),
    "keys beat a command": Case("shared-credentials-file", {}, f"[default]\n{COMMAND}", DEFAULT),
    "the file of the first EC2 tools": Case("ec2-credentials-file", {"AWS_CREDENTIAL_FILE": "{home}/ec2"}),
    "the configuration of boto 2": Case("boto-config", {"BOTO_CONFIG": "{home}/boto"}),
    "the container": Case("container-role", ECS),
    "the container beats the instance": Case("container-role", {**ECS, **IMDS}),
    "a container without all fields": Case("raises", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{empty}/creds", **IMDS}),
    "a container host that is refused": Case("raises", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/"}),
    "an empty container variable": Case("raises", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "", **IMDS}),
    "a container token file that is missing": Case(
        "raises", {**ECS, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nowhere/token"}
    ),
    "a container token with a line break": Case("raises", {**ECS, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\nb"}),
    "environment keys beat every endpoint": Case("env", {**KEYS, **ECS, **IMDS}),
    "the instance": Case("iam-role", IMDS),
    "the instance, named in the config file": Case(
        "iam-role",
        {"AWS_EC2_METADATA_DISABLED": "false"},
        "[default]\nec2_metadata_service_endpoint = {imds}\n",
    ),
    "an instance without a role": Case("nothing", {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "{bare}"}),
    "an instance of version 1": Case("iam-role", {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "{v1}"}),
    "version 1 forbidden": Case(
        "raises", {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "{v1}", "AWS_EC2_METADATA_V1_DISABLED": "true"}
    ),
    "instance metadata switched off": Case("nothing", {**IMDS, "AWS_EC2_METADATA_DISABLED": "TRUE"}),
    "an instance address that is no URL": Case("raises", {**KEYS, "AWS_EC2_METADATA_SERVICE_ENDPOINT": "not a url"}),
    "an instance address without a scheme": Case("raises", {**KEYS, "AWS_EC2_METADATA_SERVICE_ENDPOINT": "localhost"}),
    "an instance mode that does not exist": Case("raises", {**KEYS, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "ipv5"}),
    "a role from the environment, the profile given in code": Case(
        "assume-role", KEYS, f"[profile a]\ncredential_source = Environment\n{ROLE}", profile="a"
    ),
    "a role from a source profile with web identity": Case(
        "assume-role", WEB,
        f"[default]\nsource_profile = w\n{ROLE}[profile w]\nweb_identity_token_file = ~/token\n{ROLE}",
    ),
    "a role from a source profile, web identity only in the environment": Case(
        "raises", WEB, f"[default]\nsource_profile = w\n{ROLE}[profile w]\nregion = x\n"
    ),
    "a role from a container that does not answer": Case(
        "raises", KEYS, f"[profile a]\ncredential_source = EcsContainer\n{ROLE}", profile="a"
    ),
    "an instance where nothing listens": Case(
        "nothing", {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}
    ),
}  # fmt: skip

RESOLVE = """
import json, os, sys
import botocore.session
for line in sys.stdin:
    case = json.loads(line)
    pid = os.fork()
    if pid == 0:
        os.environ.clear()
        os.environ.update(case["environ"])
        try:
            found = botocore.session.Session(profile=case["profile"]).get_credentials()
            said = found.method if found else "nothing"
        except Exception:
            said = "raises"
        print(said, flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""


class Prepared(NamedTuple):
    home: Path
    environ: dict[str, str]
    profile: str | None


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Prepared]]:
    servers = {
        "imds": Endpoints(),
        "bare": Endpoints(role=""),
        "v1": Endpoints(put_status=403, require_token=False),
        "ecs": Endpoints(),
        "empty": Endpoints(container={"AccessKeyId": "ASIA"}),
    }
    with ExitStack() as stack:
        urls = {name: stack.enter_context(serve(endpoints)).url for name, endpoints in servers.items()}
        made = {}
        for name, case in CASES.items():
            home = tmp_path_factory.mktemp("home")
            made[name] = _prepare(case, home, {**urls, "home": str(home)})
        yield made


def _prepare(case: Case, home: Path, values: Mapping[str, str]) -> Prepared:
    def fill(text: str) -> str:
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    aws_files(home, config=fill(case.config), credentials=fill(case.credentials))
    (home / "token").write_text("jwt", encoding="utf-8")
    (home / "ec2").write_text(f"AWSAccessKeyId={LONG_LIVED}\nAWSSecretKey=s\n", encoding="utf-8")
    (home / "boto").write_text(f"[Credentials]\n{PAIR}", encoding="utf-8")
    process = {"Version": 1, **answer(), "SessionToken": "t", "Expiration": "2099-01-01T00:00:00Z"}
    (home / "process.json").write_text(json.dumps(process), encoding="utf-8")
    environ = {name: fill(value) for name, value in case.environ.items()}
    if "AWS_EC2_METADATA_SERVICE_ENDPOINT" not in environ:
        environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    return Prepared(home, {**environ, "HOME": str(home), "PATH": "/usr/bin:/bin"}, case.profile)


@pytest.fixture(scope="module")
def resolved(prepared: dict[str, Prepared]) -> dict[str, str]:
    """What the real botocore says to each case."""
    cases = [json.dumps({"environ": case.environ, "profile": case.profile}) for case in prepared.values()]
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE], input="\n".join(cases), capture_output=True, text=True, check=True, timeout=60
    )
    return dict(zip(prepared, done.stdout.split(), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_whoami_names_what_botocore_resolves(
    name: str, prepared: dict[str, Prepared], resolved: dict[str, str]
) -> None:
    case = prepared[name]
    identity = inspect(world(case.home, case.environ), case.profile).identity
    stopped = any(step.state == "stops" for step in identity.steps) or any(
        problem.id in ("profile-not-found", "config-invalid") for problem in identity.problems
    )
    said = identity.provider or ("raises" if stopped else "nothing")
    assert resolved[name] == CASES[name].expected, "the case itself is wrong"
    assert said == resolved[name]
