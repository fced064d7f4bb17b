"""Makes a plan's resources through AWS's own APIs, with boto3, and reads back what they were named.

Roles, policies, instance profiles, hosts, cluster, task definitions, running tasks, buckets, queues,
tables and users. What the metadata endpoints serve comes from these answers, so ids agree everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import boto3

from examples.demo.ecs_endpoint import Task
from examples.demo.imds import Instance, identity_document
from examples.demo.nouns import Bucket, Host, Plan, Role, Service, Statement, User

IMAGE = "ami-12c6146b"  # one that moto knows


@dataclass(frozen=True)
class UserKey:
    """An IAM user's access key."""

    key_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Seeded:
    """What was made: instances by host, tasks by service, access keys by user."""

    instances: Mapping[str, Instance]
    tasks: Mapping[str, Task]
    keys: Mapping[str, UserKey]


class Clients:
    """AWS clients of an account's owner, before anything is enforced."""

    def __init__(self, endpoint: str, region: str, key: tuple[str, str, str | None] = ("seed", "seed", None)) -> None:
        key_id, secret, token = key
        session = boto3.Session(key_id, secret, token, region_name=region)
        self._session: Any = session
        self._endpoint = endpoint
        self._made: dict[str, Any] = {}

    def __getitem__(self, service: str) -> Any:
        if service not in self._made:
            self._made[service] = self._session.client(service, endpoint_url=self._endpoint)
        return self._made[service]

    def of_account(self, account: str) -> Clients:
        """Return clients of another account, by the role that an organization's owner has in each."""
        role = f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole"
        given = self["sts"].assume_role(RoleArn=role, RoleSessionName="seed")["Credentials"]
        key = (given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return Clients(self._endpoint, self._session.region_name, key)

    def close(self) -> None:
        for client in self._made.values():
            client.close()


def seed(plan: Plan, endpoint: str) -> Seeded:
    """Make everything in `plan` at `endpoint`, which must not enforce anything yet."""
    with ExitStack() as stack:
        clients = Clients(endpoint, plan.region)
        stack.callback(clients.close)
        by_account = {"": clients}
        accounts = {role.account for role in plan.roles} | {bucket.account for bucket in plan.buckets}
        for account in sorted(accounts - {""}):
            by_account[account] = clients.of_account(account)
            stack.callback(by_account[account].close)
        for role in plan.roles:
            _role(by_account[role.account]["iam"], role, plan.account)
        for bucket in plan.buckets:
            _bucket(by_account[bucket.account]["s3"], bucket, plan.region)
        keys = {user.name: _user(clients["iam"], user) for user in (plan.auditor, *plan.users)}
        for role_name in sorted({host.role for host in plan.hosts}):
            _profile(clients["iam"], role_name)
        _storage(clients, plan)
        clients["ecs"].create_cluster(clusterName=plan.cluster)
        instances = {host.name: _host(clients, plan, host) for host in plan.hosts}
        tasks = {
            service.name: _task(clients["ecs"], plan, service, instances[service.host])
            for service in plan.services
            if service.compute == "task"
        }
        return Seeded(instances, tasks, keys)


def _policy(statements: list[Statement]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _trust(role: Role, account: str) -> str:
    statements: list[Statement] = []
    for service in role.trust:
        statement: Statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        # EC2 does not set these keys: a condition on them would lock the instance out
        if service == "ecs-tasks.amazonaws.com" and role.source_condition:
            statement["Condition"] = {"StringEquals": {"aws:SourceAccount": account}}
        statements.append(statement)
    statements += [
        {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"} for principal in role.trusted
    ]
    return _policy(statements)


def _role(iam: Any, role: Role, account: str) -> None:
    iam.create_role(RoleName=role.name, AssumeRolePolicyDocument=_trust(role, account))
    for name, statements in role.managed.items():
        made = iam.create_policy(PolicyName=name, PolicyDocument=_policy(statements))
        iam.attach_role_policy(RoleName=role.name, PolicyArn=made["Policy"]["Arn"])
    for name, statements in role.inline.items():
        iam.put_role_policy(RoleName=role.name, PolicyName=name, PolicyDocument=_policy(statements))


def _profile(iam: Any, role: str) -> None:
    # the console gives an instance profile its role's name
    iam.create_instance_profile(InstanceProfileName=role)
    iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)


def _user(iam: Any, user: User) -> UserKey:
    iam.create_user(UserName=user.name)
    iam.put_user_policy(UserName=user.name, PolicyName=user.name, PolicyDocument=_policy(user.statements))
    key = iam.create_access_key(UserName=user.name)["AccessKey"]
    return UserKey(key["AccessKeyId"], key["SecretAccessKey"])


def _bucket(s3: Any, bucket: Bucket, region: str) -> None:
    s3.create_bucket(Bucket=bucket.name, CreateBucketConfiguration={"LocationConstraint": region})


def _storage(clients: Clients, plan: Plan) -> None:
    for queue in plan.queues:
        clients["sqs"].create_queue(QueueName=queue)
    for table in plan.tables:
        clients["dynamodb"].create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("customer", "order_id")],
            KeySchema=[
                {"AttributeName": "customer", "KeyType": "HASH"},
                {"AttributeName": "order_id", "KeyType": "RANGE"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )


def _host(clients: Clients, plan: Plan, host: Host) -> Instance:
    profile = clients["iam"].get_instance_profile(InstanceProfileName=host.role)["InstanceProfile"]
    made = clients["ec2"].run_instances(
        ImageId=IMAGE,
        InstanceType="m5.large",
        MinCount=1,
        MaxCount=1,
        IamInstanceProfile={"Arn": profile["Arn"]},
        MetadataOptions={"HttpTokens": host.http_tokens, "HttpPutResponseHopLimit": 2},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": host.name}]}],
    )["Instances"][0]
    instance = Instance(
        instance_id=made["InstanceId"],
        account=plan.account,
        region=plan.region,
        zone=made["Placement"]["AvailabilityZone"],
        image=made["ImageId"],
        instance_type=made["InstanceType"],
        private_ip=made["PrivateIpAddress"],
        launched=made["LaunchTime"],
        role=host.role,
        profile_arn=profile["Arn"],
        profile_id=profile["InstanceProfileId"],
        v1_allowed=host.http_tokens == "optional",
    )
    if host.cluster:
        clients["ecs"].register_container_instance(
            cluster=plan.cluster, instanceIdentityDocument=json.dumps(identity_document(instance))
        )
    return instance


def _task(ecs: Any, plan: Plan, service: Service, instance: Instance) -> Task:
    roles = {"taskRoleArn": service.task_role, "executionRoleArn": service.execution_role}
    definition = ecs.register_task_definition(
        family=service.name,
        networkMode="bridge",
        requiresCompatibilities=["EC2"],
        containerDefinitions=[
            {
                "name": service.name,
                "image": f"{plan.account}.dkr.ecr.{plan.region}.amazonaws.com/{service.name}:1",
                "cpu": 128,
                "memory": 128,
                "essential": True,
                "environment": [{"name": n, "value": v} for n, v in service.environment.items()],
            }
        ],
        **{name: plan.role_arn(role) for name, role in roles.items() if role},
    )["taskDefinition"]
    ecs.create_service(
        cluster=plan.cluster,
        serviceName=service.name,
        taskDefinition=definition["taskDefinitionArn"],
        desiredCount=1,
        launchType="EC2",
    )
    # moto's services start no tasks: start the service's one as ECS would have, in the service's group
    task = ecs.run_task(
        cluster=plan.cluster,
        taskDefinition=definition["taskDefinitionArn"],
        launchType="EC2",
        group=f"service:{service.name}",
        startedBy=f"ecs-svc/{service.name}",
    )["tasks"][0]
    container = task["containers"][0]
    return Task(
        cluster_arn=task["clusterArn"],
        task_arn=task["taskArn"],
        family=definition["family"],
        revision=str(definition["revision"]),
        service_name=service.name,
        launch_type=task["launchType"],
        zone=instance.zone,
        container=container["name"],
        container_arn=container["containerArn"],
        image=definition["containerDefinitions"][0]["image"],
        role_arn=definition.get("taskRoleArn", ""),
    )
