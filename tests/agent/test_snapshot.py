"""The snapshot: nothing lost in its file, nothing empty that is only unread, every principal resolved."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from credwatch.signature import pseudonym
from credwatch_agent import snapshot as s
from credwatch_agent.snapshot import iam, live, model

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/front"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::orders/*"}],
}

# --- the file -----------------------------------------------------------------------------------


def test_every_snapshot_comes_back_from_its_text_unchanged() -> None:
    records = st.from_type(s.Snapshot)

    @given(records)
    @settings(max_examples=20)
    def law(snapshot: s.Snapshot) -> None:
        assert s.loads(s.dumps(snapshot)) == snapshot

    law()


def test_the_file_is_written_whole_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    path.write_text("old", encoding="utf-8")
    snapshot = s.Snapshot(1, "live", roles=(s.Role("arn:aws:iam::1:role/a", "a"),))
    s.save(snapshot, path)
    assert s.load(path) == snapshot
    assert [p.name for p in tmp_path.iterdir()] == ["snapshot.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    with pytest.raises(s.SnapshotError, match=r"cannot write .*no-such-folder"):
        s.save(s.Snapshot(1, "live"), tmp_path / "no-such-folder" / "snapshot.json")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not JSON"),
        ("[]", "is no credwatch snapshot: take one"),
        ('{"roles": []}', "is no credwatch snapshot: take one"),
        ('{"credwatch_snapshot": 99}', "has snapshot version 99, this agent reads 1"),
        ('{"credwatch_snapshot": 1}', "is damaged: `snapshot` lacks"),
        ('{"credwatch_snapshot": 1, "taken_ns": "1", "origin": "live"}', "`snapshot.taken_ns` is str, expected int"),
        ('{"credwatch_snapshot": 1, "taken_ns": 1, "origin": "live", "roles": {}}', "`snapshot.roles` is no list"),
        ('{"credwatch_snapshot": 1, "taken_ns": 1, "origin": "live", "roles": [1]}', r"`snapshot.roles\[0\]` is no"),
    ],
)
def test_a_bad_file_gets_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(s.SnapshotError, match=sentence):
        s.loads(text)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(s.SnapshotError, match="take one with `credwatch-agent snapshot --out"):
        s.load(tmp_path / "none.json")


def test_the_agent_and_the_recorder_give_a_key_the_same_pseudonym() -> None:
    for key in ("", "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"):
        assert iam.pseudonym(key) == pseudonym(key)


# --- what a document may look like ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"Version": "2012-10-17"}, '{"Version": "2012-10-17"}'),
        ("%7B%22Version%22%3A%20%222012-10-17%22%7D", '{"Version": "2012-10-17"}'),
        ('{"Resource": "arn:aws:s3:::a%20b"}', '{"Resource": "arn:aws:s3:::a%20b"}'),
        ("{broken", "{broken"),
        (None, ""),
    ],
)
def test_policy_documents_are_kept_as_text(document: object, text: str) -> None:
    assert iam.text(document) == text


def details(**role: Any) -> dict[str, Any]:
    base = {"RoleName": "orders", "Arn": f"arn:aws:iam::{ACCOUNT}:role/orders", "AssumeRolePolicyDocument": TRUST}
    return {
        "RoleDetailList": [{**base, **role}],
        "UserDetailList": [{"UserName": "ci", "Arn": f"arn:aws:iam::{ACCOUNT}:user/ci"}],
        "Policies": [
            {
                "Arn": f"arn:aws:iam::{ACCOUNT}:policy/shared",
                "PolicyName": "shared",
                "AttachmentCount": 3,
                "DefaultVersionId": "v2",
                "PolicyVersionList": [
                    {"VersionId": "v1", "IsDefaultVersion": False, "Document": {}},
                    {"VersionId": "v2", "IsDefaultVersion": True, "Document": POLICY},
                ],
            }
        ],
    }


def test_files_of_the_aws_cli_give_roles_and_say_what_they_do_not_hold(tmp_path: Path) -> None:
    page = details(
        Path="/team/",
        AttachedManagedPolicies=[
            {"PolicyName": "shared", "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/shared"},
            {"PolicyName": "ReadOnlyAccess", "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
        ],
        RolePolicyList=[{"PolicyName": "inline", "PolicyDocument": POLICY}],
        PermissionsBoundary={"PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/shared"},
        RoleLastUsed={"LastUsedDate": "2026-01-02T03:04:05+00:00"},
        Tags=[{"Key": "team", "Value": "shop"}],
    )
    path = tmp_path / "gaad.json"
    path.write_text(json.dumps(page), encoding="utf-8")
    snapshot = s.read_files([path], taken_ns=7)
    (role,) = snapshot.roles
    shared, managed, inline = role.policies
    assert (shared.version, shared.attachments, json.loads(shared.document)) == ("v2", 3, POLICY)
    assert managed.aws_managed
    assert not shared.aws_managed
    assert (inline.inline, managed.document) == (True, "")
    assert (role.path, role.last_used, role.tags) == ("/team/", "2026-01-02T03:04:05+00:00", (("team", "shop"),))
    assert json.loads(role.boundary_document) == POLICY
    assert not snapshot.knows(model.TASKS)
    assert snapshot.knows(model.ROLES)
    assert "the file has no tasks: they are unknown" in {m.sentence for m in snapshot.missing}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "is not JSON"), ("{}", "has no `RoleDetailList`: write it with"), ('{"RoleDetailList": [{}]}', "not as")],
)
def test_a_file_that_is_something_else_gets_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "gaad.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(s.SnapshotError, match=sentence):
        s.read_files([path], taken_ns=0)


# --- principals -------------------------------------------------------------------------------------

HOST = f"arn:aws:iam::{ACCOUNT}:role/infra/ecs-host"
PROFILE = f"arn:aws:iam::{ACCOUNT}:instance-profile/ecs-host"
SSO_PATH = "aws-reserved/sso.amazonaws.com/"
RESERVED = [f"AWSReservedSSO_{name}" for name in ("Read_Only_0123456789abcdef", "Twice_01", "Twice_02")]
INDEX = s.Index(
    s.Snapshot(
        0,
        "live",
        account_id=ACCOUNT,
        roles=(
            s.Role(HOST, "ecs-host", "/infra/"),
            *(s.Role(f"arn:aws:iam::{ACCOUNT}:role/{SSO_PATH}{name}", name, f"/{SSO_PATH}") for name in RESERVED),
        ),
        instance_profiles=(s.InstanceProfile(PROFILE, "ecs-host", (HOST,)),),
    )
)


@pytest.mark.parametrize(
    ("known", "role"),
    [
        ({"arn": HOST}, HOST),
        ({"arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/ecs-host/i-0abc"}, HOST),
        ({"arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/gone/s"}, f"arn:aws:iam::{ACCOUNT}:role/gone"),
        ({"name": "ecs-host", "profile_arn": PROFILE}, HOST),
        ({"name": "ecs-host"}, HOST),
        ({"name": "ecs-host", "account_id": "999999999999"}, ""),
        ({"name": "other", "profile_arn": PROFILE}, ""),
        ({"arn": f"arn:aws:iam::{ACCOUNT}:user/ci"}, ""),
        ({"name": "AWSReservedSSO_Read_Only_*"}, f"arn:aws:iam::{ACCOUNT}:role/{SSO_PATH}{RESERVED[0]}"),
        ({"name": "AWSReservedSSO_Twice_*"}, ""),
        ({"name": "AWSReservedSSO_Read_*"}, ""),
        ({"name": "AWSReservedSSO_Read_Only_*", "account_id": "999999999999"}, ""),
        ({}, ""),
    ],
)
def test_whatever_is_known_of_a_principal_leads_to_its_role(known: dict[str, str], role: str) -> None:
    assert INDEX.role_arn(**known) == role


# --- the live APIs, against moto over HTTP ------------------------------------------------------------


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x", region_name="eu-west-1")


@pytest.fixture(scope="module")
def world(endpoint: str, session: boto3.Session) -> dict[str, str]:
    def client(name: str) -> Any:
        return session.client(name, endpoint_url=endpoint)

    iam_api, ec2, ecs = client("iam"), client("ec2"), client("ecs")
    role = iam_api.create_role(RoleName="orders", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam_api.put_role_policy(RoleName="orders", PolicyName="inline", PolicyDocument=json.dumps(POLICY))
    iam_api.create_role(RoleName="host", Path="/infra/", AssumeRolePolicyDocument=json.dumps(TRUST))
    profile = iam_api.create_instance_profile(InstanceProfileName="host")["InstanceProfile"]["Arn"]
    iam_api.add_role_to_instance_profile(InstanceProfileName="host", RoleName="host")
    policy = iam_api.create_policy(PolicyName="shared", PolicyDocument=json.dumps(POLICY))["Policy"]["Arn"]
    iam_api.attach_role_policy(RoleName="orders", PolicyArn=policy)
    iam_api.create_user(UserName="ci")
    key = iam_api.create_access_key(UserName="ci")["AccessKey"]["AccessKeyId"]
    image = ec2.describe_images()["Images"][0]["ImageId"]
    instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, IamInstanceProfile={"Arn": profile})[
        "Instances"
    ][0]["InstanceId"]
    ecs.create_cluster(clusterName="shop")
    identity = {"instanceId": instance, "accountId": ACCOUNT, "region": "eu-west-1"}
    ecs.register_container_instance(cluster="shop", instanceIdentityDocument=json.dumps(identity))
    containers = [
        {"name": "app", "image": "shop/orders", "memory": 64},
        {"name": "proxy", "image": "envoy", "memory": 64, "dockerLabels": {"credwatch.no-aws": "true"}},
    ]
    ecs.register_task_definition(family="orders", containerDefinitions=containers, taskRoleArn=role)
    task = ecs.run_task(cluster="shop", taskDefinition="orders", launchType="EC2")["tasks"][0]["taskArn"]
    return {"role": role, "profile": profile, "key": key, "instance": instance, "task": task, "policy": policy}


@pytest.mark.slow
def test_a_live_snapshot_holds_every_layer_and_joins_them(
    endpoint: str, session: boto3.Session, world: dict[str, str]
) -> None:
    snapshot = s.read_live(session, taken_ns=5, endpoint_url=endpoint)
    index = s.Index(snapshot)
    assert snapshot.missing == ()
    assert (snapshot.account_id, snapshot.region, snapshot.taken_ns) == (ACCOUNT, "eu-west-1", 5)
    assert [(k.pseudonym, k.status) for k in snapshot.access_keys] == [(pseudonym(world["key"]), "Active")]
    assert world["key"] not in s.dumps(snapshot)
    orders = index.roles[world["role"]]
    assert sorted((p.name, p.inline) for p in orders.policies) == [("inline", True), ("shared", False)]
    assert all(json.loads(p.document) == POLICY for p in orders.policies)
    host = f"arn:aws:iam::{ACCOUNT}:role/infra/host"
    assert index.role_arn(name="host", profile_arn=world["profile"]) == host
    task = index.tasks[world["task"]]
    definition = index.definition_of(task)
    assert definition is not None
    assert [(c.name, c.no_aws) for c in definition.containers] == [("app", False), ("proxy", True)]
    assert index.task_role(task, definition) == world["role"]
    assert [t.arn for t in index.tasks_of(world["role"])] == [world["task"]]
    found = index.host(task)
    assert found is not None
    assert found.instance_id == world["instance"]
    assert index.serves_container_instances(host)
    assert s.loads(s.dumps(snapshot)) == snapshot


@pytest.mark.slow
def test_a_denied_layer_is_missing_with_the_permission_named_and_the_others_are_read(
    endpoint: str, session: boto3.Session, world: dict[str, str]
) -> None:
    iam_api = session.client("iam", endpoint_url=endpoint)
    iam_api.create_user(UserName="auditor")
    allowed = {"Effect": "Allow", "Action": ["iam:*", "ec2:*", "ecs:List*", "ecs:DescribeTaskDefinition"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [{**allowed, "Resource": "*"}]})
    iam_api.put_user_policy(UserName="auditor", PolicyName="p", PolicyDocument=document)
    key = iam_api.create_access_key(UserName="auditor")["AccessKey"]
    auditor = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="eu-west-1")
    switch(endpoint, "0")
    try:
        snapshot = s.read_live(auditor, taken_ns=5, endpoint_url=endpoint)
    finally:
        switch(endpoint, "1e18")
    who = f"arn:aws:iam::{ACCOUNT}:user/auditor"
    assert {m.layer: m.sentence for m in snapshot.missing} == {
        "tasks": f"`ecs:DescribeTasks` was denied to {who}: tasks are unknown",
        "container instances": (
            f"`ecs:DescribeContainerInstances` was denied to {who}: container instances are unknown"
        ),
    }
    assert (snapshot.tasks, snapshot.knows(model.TASKS), snapshot.knows(model.INSTANCES)) == ((), False, True)
    assert world["role"] in {role.arn for role in snapshot.roles}


class _Clusters(BaseHTTPRequestHandler):
    """EKS as far as associations go; moto does not serve them."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        answers: dict[str, object] = {
            "/clusters": {"clusters": ["shop"]},
            "/clusters/shop/pod-identity-associations": {"associations": [{"associationId": "a-1"}]},
            "/clusters/shop/pod-identity-associations/a-1": {
                "association": {"namespace": "web", "serviceAccount": "front", "roleArn": ROLE}
            },
        }
        body = json.dumps(answers[path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


def test_pod_identity_associations_are_read_with_their_roles(session: boto3.Session) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Clusters) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = session.client("eks", endpoint_url=f"http://127.0.0.1:{server.server_port}")
        found = live._associations(client)
        server.shutdown()
    assert found == [s.Association("shop", "web", "front", ROLE)]
    index = s.Index(s.Snapshot(1, "live", associations=tuple(found)))
    assert index.association("web", "front") == found[0]
    assert index.association("web", "other") is None
    twice = s.Snapshot(1, "live", associations=(*found, s.Association("other", "web", "front", "arn")))
    assert s.Index(twice).association("web", "front") is None


def switch(endpoint: str, value: str) -> None:
    """Turn moto's enforcement on ("0") or off ("1e18")."""
    httpx.post(f"{endpoint}/moto-api/reset-auth", content=value).raise_for_status()


@pytest.mark.slow
def test_nothing_that_answers_gives_missing_layers_and_no_exception(session: boto3.Session) -> None:
    with socket.socket() as bound:  # bound and not listening: refuses at once
        bound.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{bound.getsockname()[1]}"
        snapshot = s.read_live(session, taken_ns=5, endpoint_url=endpoint)
    assert {m.layer for m in snapshot.missing} == set(model.LAYERS)
    assert all(m.sentence.endswith("are unknown") for m in snapshot.missing)


def test_permissions_are_the_calls_that_are_made() -> None:
    source = Path(live.__file__).read_text(encoding="utf-8")
    for permission in (*live.PERMISSIONS, *live.EKS_PERMISSIONS):
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in permission.partition(":")[2]).lstrip("_")
        assert f'"{name}"' in source, permission
