"""`examples/aws-check`: every assumption is documented, the template is sound, and the checks tell true from false.

The verdicts are held against moto and our own endpoints: where moto is known not to be AWS (`Check.moto`), the
check must notice.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

from examples.demo.credentials import Issued, Rotating
from examples.demo.httpd import serving
from examples.demo.imds import Imds, Instance
from tests.recorder.whoami_world import Endpoints, serve

HERE = Path(__file__).parents[2] / "examples" / "aws-check"
TEMPLATE = HERE / "template.yaml"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("aws_check", HERE / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["aws_check"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


aws_check: Any = load()


def test_every_check_names_its_assumption_and_where_it_is_relied_on() -> None:
    root = HERE.parents[1]
    assert len({check.id for check in aws_check.EVERY}) == len(aws_check.EVERY)
    for check in aws_check.EVERY:
        assert check.where in ("anywhere", "ec2", "ecs")
        assert len(check.assumption.split()) > 3, check.id
        file, _, names = check.used_in.partition(": ")
        if file.endswith(".py"):
            text = (root / file).read_text(encoding="utf-8")
            assert all(name in text for name in names.split(", ")), f"{check.id}: {check.used_in}"


def test_list_prints_every_assumption_and_asks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert aws_check.main(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(check.assumption in out and check.used_in in out for check in aws_check.EVERY)


def test_without_a_stack_it_is_a_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        aws_check.main([])
    assert caught.value.code == 2
    assert "--stack NAME is needed" in capsys.readouterr().err


def test_the_template_makes_every_output_that_a_check_reads() -> None:
    class Loader(yaml.SafeLoader):
        """Reads CloudFormation's short functions as plain nodes."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: (suffix, getattr(node, "value", None)))
    template = yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader=Loader)
    read = {"Bucket", "Table", "Queue", "NothingRole", "ReaderRole", "ListerRole"}
    assert read <= set(template["Outputs"])
    assert set(template["Outputs"]) <= set(template["Resources"])
    always = {name: row["Type"] for name, row in template["Resources"].items() if "Condition" not in row}
    assert set(always) == read, "what costs money is made only on request"


def test_a_check_that_cannot_be_asked_is_never_passed() -> None:
    account = aws_check.Account({}, environ={}, session=boto3.Session(region_name="eu-west-1"))
    for check in aws_check.EVERY:
        if check.id in ("caller-identity-free", "head-missing-listed", "express-session-key", "task-metadata"):
            assert aws_check.verdict(check, account)[0] == "skip", check.id


# --- against moto and our own endpoints ---------------------------------------------------------


@pytest.mark.slow
def test_cfn_lint_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([linter, TEMPLATE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An account in moto with the stack, its roles assumed, and permissions enforced from here on."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    session = boto3.Session("operator", "not-a-secret")
    capabilities = ["CAPABILITY_IAM"]
    body = TEMPLATE.read_text(encoding="utf-8")
    session.client("cloudformation").create_stack(StackName="check", TemplateBody=body, Capabilities=capabilities)
    outputs = aws_check.outputs_of("check", session)
    _policies_as_text(session.client("iam"), outputs)
    made = aws_check.Account(outputs, environ={}, session=session)
    for role in ("Nothing", "Reader", "Lister"):
        made.assumed(role)
    yield made
    _enforce(url, "1e18")
    server.stop()


def _policies_as_text(iam: Any, outputs: dict[str, str]) -> None:
    # moto keeps what CloudFormation gave as the text of a Python object, which its enforcement cannot read
    for output, policy in (("ReaderRole", "reader"), ("ListerRole", "lister")):
        role = outputs[output].rpartition("/")[2]
        document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
        iam.put_role_policy(
            RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(ast.literal_eval(str(document)))
        )


def _enforce(url: str, after: str) -> None:
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{url}/moto-api/reset-auth", after.encode(), headers, method="POST")
    with urllib.request.urlopen(request) as response:
        response.read()


@pytest.mark.slow
def test_verdicts_against_moto(account: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = {check.id: check for check in aws_check.EVERY if check.where == "anywhere"}
    told = {"recorder-names-role": aws_check.verdict(checks.pop("recorder-names-role"), account)}
    _enforce(account.session.client("sts").meta.endpoint_url, "0")
    told |= {name: aws_check.verdict(check, account) for name, check in checks.items()}
    assert told["express-session-key"][0] == "skip"
    del told["express-session-key"]
    differing = {name for name, check in checks.items() if check.moto}
    assert {name: seen for name, (word, seen) in told.items() if (word == "pass") == (name in differing)} == {}


@pytest.mark.slow
def test_verdicts_on_an_instance() -> None:
    now = datetime(2026, 3, 1, tzinfo=timezone.utc)
    account, region = "123456789012", "eu-west-1"
    instance = Instance(
        "i-0abc", account, region, "eu-west-1a", "ami-1", "t4g.nano", "10.0.0.1", now, "host",
        f"arn:aws:iam::{account}:instance-profile/host", "AIPAEXAMPLE",
    )  # fmt: skip
    credentials = Rotating(
        lambda: Issued("ASIAEXAMPLE", "secret", "secret", now, now + timedelta(hours=6)), lambda: now
    )
    with serving(Imds(instance, credentials, lambda: now).answer) as url:
        here = aws_check.Account({}, environ={"AWS_EC2_METADATA_SERVICE_ENDPOINT": url})
        told = {c.id: aws_check.verdict(c, here) for c in aws_check.EVERY if c.id.startswith("imds-")}
    assert {name: word for name, (word, _) in told.items() if word != "pass"} == {}
    assert len(told) == 5
    assert "secret" not in str(told)


@pytest.mark.slow
def test_verdicts_in_a_task() -> None:
    with serve(Endpoints()) as endpoints:
        here = aws_check.Account({}, environ={**endpoints.container_environ, **endpoints.task_environ})
        ids = ("task-credentials", "task-metadata", "task-environment")
        told = {c.id: aws_check.verdict(c, here) for c in aws_check.EVERY if c.id in ids}
    assert {word for word, _ in told.values()} == {"pass"}
    assert "SENTINEL" not in str(told)
