"""A snapshot from the live APIs: read-only, paged, with botocore's standard retries.

Every layer is read on its own. One that is denied or fails becomes a `Missing` with one sentence
that names the permission; it never stops the others and never reads as empty. The permissions
needed are the rows of `PERMISSIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from credwatch_agent.snapshot import iam
from credwatch_agent.snapshot import model as m

PERMISSIONS: tuple[str, ...] = (
    "iam:GetAccountAuthorizationDetails",
    "iam:ListAccessKeys",
    "iam:GetAccessKeyLastUsed",
    "ec2:DescribeInstances",
    "ecs:ListClusters",
    "ecs:ListTasks",
    "ecs:DescribeTasks",
    "ecs:ListTaskDefinitionFamilies",
    "ecs:DescribeTaskDefinition",
    "ecs:ListContainerInstances",
    "ecs:DescribeContainerInstances",
)
"""The agent's own least policy for a live snapshot. `sts:GetCallerIdentity` needs no permission."""

EKS_PERMISSIONS: tuple[str, ...] = (
    "eks:ListClusters",
    "eks:ListPodIdentityAssociations",
    "eks:DescribePodIdentityAssociation",
)
"""What pod identity associations need on top."""

_CONFIG = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=30)
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")  # moto's JSON services say 403

T = TypeVar("T")
Client = Any
Reply = dict[str, Any]
Tell = Callable[[str, int, int | None], None]


class _Unreadable(Exception):
    """One API call that failed; the text is the beginning of the sentence."""


def read_live(
    session: Any,
    taken_ns: int,
    region: str = "",
    endpoint_url: str = "",
    *,
    eks: bool = False,
    tell: Tell = lambda _what, _done, _of: None,
) -> m.Snapshot:
    """Return the snapshot of the account and region of a boto3 session; with `eks`, pod identity associations too.

    `tell` takes what is being read, how many of them were read and of how many, None where that is not known.
    Raises nothing for what AWS denies or fails: see `Snapshot.missing`. Raises botocore's errors
    only where no client can be made at all (no region).
    """

    def client(name: str) -> Client:
        return session.client(name, region_name=region or None, endpoint_url=endpoint_url or None, config=_CONFIG)

    iam_api, ec2, ecs, sts = client("iam"), client("ec2"), client("ecs"), client("sts")
    reader = _Layers(_caller(sts))
    details = reader.read((m.ROLES, m.INSTANCE_PROFILES), lambda: _authorization(iam_api, tell))
    users = details[0].users if details else ()
    keys = (
        reader.read((m.ACCESS_KEYS,), lambda: _access_keys(iam_api, users, tell))
        if details
        else reader.lost(m.ACCESS_KEYS, "the users could not be listed")
    )
    instances = reader.read((m.INSTANCES,), lambda: _instances(ec2))
    clusters = reader.read((m.TASKS, m.CONTAINER_INSTANCES), lambda: _pages(ecs, "list_clusters", "clusterArns"))
    tasks = reader.read((m.TASKS,), lambda: _tasks(ecs, clusters)) if reader.has(m.TASKS) else []
    hosts = (
        reader.read((m.CONTAINER_INSTANCES,), lambda: _container_instances(ecs, clusters))
        if reader.has(m.CONTAINER_INSTANCES)
        else []
    )
    definitions = reader.read((m.TASK_DEFINITIONS,), lambda: _definitions(ecs, tasks, tell))
    associations = reader.read((m.ASSOCIATIONS,), lambda: _associations(client("eks"))) if eks else []
    return m.Snapshot(
        taken_ns=taken_ns,
        origin="live",
        account_id=reader.account_id,
        region=sts.meta.region_name or "",
        roles=details[0].roles if details else (),
        instance_profiles=details[0].instance_profiles if details else (),
        access_keys=tuple(keys),
        instances=tuple(instances),
        tasks=tuple(tasks),
        container_instances=tuple(hosts),
        task_definitions=tuple(definitions),
        associations=tuple(associations),
        missing=tuple(reader.missing),
    )


class _Layers:
    """Reads layers one by one and keeps what could not be read."""

    def __init__(self, caller: tuple[str, str]) -> None:
        self.account_id, self._who = caller
        self.missing: list[m.Missing] = []

    def has(self, layer: str) -> bool:
        return all(missing.layer != layer for missing in self.missing)

    def lost(self, layer: str, why: str) -> list[Any]:
        self.missing.append(m.Missing(layer, f"{why}: {layer} are unknown"))
        return []

    def read(self, layers: Sequence[str], get: Callable[[], list[T]]) -> list[T]:
        try:
            return get()
        except _Unreadable as error:
            for layer in layers:
                self.lost(layer, str(error).replace("{who}", self._who))
            return []


def _caller(sts: Client) -> tuple[str, str]:
    """Return the account id and the ARN that read the snapshot, for its sentences."""
    try:
        reply = _call(sts, "get_caller_identity")
    except _Unreadable:
        return "", "the agent's credentials"
    return reply["Account"], reply["Arn"]


def _call(client: Client, operation: str, **parameters: Any) -> Reply:
    try:
        reply: Reply = getattr(client, operation)(**parameters)
    except (ClientError, BotoCoreError) as error:
        raise _Unreadable(_why(client, operation, error)) from error
    return reply


def _why(client: Client, operation: str, error: Exception) -> str:
    permission = f"{client.meta.service_model.signing_name}:{client.meta.method_to_api_mapping[operation]}"
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _DENIED:
            return f"`{permission}` was denied to {{who}}"
        return f"`{permission}` failed with {code or 'no error code'}"
    return f"`{permission}` failed: {str(error).splitlines()[0]}"


def _pages(client: Client, operation: str, key: str, **parameters: Any) -> list[Any]:
    found: list[Any] = []
    try:
        for page in client.get_paginator(operation).paginate(**parameters):
            found.extend(page.get(key, ()))
    except (ClientError, BotoCoreError) as error:
        raise _Unreadable(_why(client, operation, error)) from error
    return found


def _batches(items: Sequence[T], size: int = 100) -> Iterator[Sequence[T]]:
    # DescribeTasks and DescribeContainerInstances take at most 100 ARNs
    return (items[i : i + size] for i in range(0, len(items), size))


def _authorization(client: Client, tell: Tell) -> list[iam.Authorization]:
    pages: list[Reply] = []
    try:
        for page in client.get_paginator("get_account_authorization_details").paginate():
            pages.append(page)
            tell("reading roles:", sum(len(each.get("RoleDetailList", ())) for each in pages), None)
    except (ClientError, BotoCoreError) as error:
        raise _Unreadable(_why(client, "get_account_authorization_details", error)) from error
    return [iam.parse(pages)]


def _access_keys(client: Client, users: Sequence[tuple[str, str]], tell: Tell) -> list[m.AccessKey]:
    return [
        m.AccessKey(
            pseudonym=iam.pseudonym(key["AccessKeyId"]),
            user_arn=arn,
            status=key.get("Status", ""),
            created=iam.moment(key.get("CreateDate")),
            last_used=_last_used(client, key["AccessKeyId"]),
        )
        for name, arn in _told(users, "reading access keys of users:", tell)
        for key in _pages(client, "list_access_keys", "AccessKeyMetadata", UserName=name)
    ]


def _told(items: Sequence[T], what: str, tell: Tell) -> Iterator[T]:
    for done, item in enumerate(items):
        tell(what, done, len(items))
        yield item


def _last_used(client: Client, key_id: str) -> str:
    reply = _call(client, "get_access_key_last_used", AccessKeyId=key_id)
    return iam.moment(reply.get("AccessKeyLastUsed", {}).get("LastUsedDate"))


def _instances(client: Client) -> list[m.Instance]:
    return [
        m.Instance(
            instance_id=instance["InstanceId"],
            profile_arn=(instance.get("IamInstanceProfile") or {}).get("Arn", ""),
            http_tokens=(options := instance.get("MetadataOptions") or {}).get("HttpTokens", ""),
            hop_limit=options.get("HttpPutResponseHopLimit", 0),
            http_endpoint=options.get("HttpEndpoint", ""),
            state=(instance.get("State") or {}).get("Name", ""),
        )
        for reservation in _pages(client, "describe_instances", "Reservations")
        for instance in reservation["Instances"]
        if (instance.get("State") or {}).get("Name") != "terminated"
    ]


def _tasks(client: Client, clusters: Sequence[str]) -> list[m.Task]:
    return [
        _task(task)
        for cluster in clusters
        for arns in _batches(_pages(client, "list_tasks", "taskArns", cluster=cluster))
        for task in _call(client, "describe_tasks", cluster=cluster, tasks=list(arns))["tasks"]
    ]


def _task(task: Reply) -> m.Task:
    return m.Task(
        arn=task["taskArn"],
        cluster_arn=task.get("clusterArn", ""),
        definition_arn=task.get("taskDefinitionArn", ""),
        task_role_override=(task.get("overrides") or {}).get("taskRoleArn") or "",
        container_instance_arn=task.get("containerInstanceArn") or "",
        launch_type=task.get("launchType", ""),
        group=task.get("group", ""),
        exec_enabled=bool(task.get("enableExecuteCommand", False)),
    )


def _container_instances(client: Client, clusters: Sequence[str]) -> list[m.ContainerInstance]:
    return [
        m.ContainerInstance(host["containerInstanceArn"], cluster, host.get("ec2InstanceId", ""))
        for cluster in clusters
        for arns in _batches(_pages(client, "list_container_instances", "containerInstanceArns", cluster=cluster))
        for host in _call(client, "describe_container_instances", cluster=cluster, containerInstances=list(arns))[
            "containerInstances"
        ]
    ]


def _associations(client: Client) -> list[m.Association]:
    return [
        m.Association(cluster, found["namespace"], found["serviceAccount"], found["roleArn"])
        for cluster in _pages(client, "list_clusters", "clusters")
        for each in _pages(client, "list_pod_identity_associations", "associations", clusterName=cluster)
        # the list names no role
        for found in (
            _call(
                client,
                "describe_pod_identity_association",
                clusterName=cluster,
                associationId=each["associationId"],
            )["association"],
        )
    ]


def _definitions(client: Client, tasks: Sequence[m.Task], tell: Tell) -> list[m.TaskDefinition]:
    """Read the latest active revision of each family, and the revisions that run."""
    families = _pages(client, "list_task_definition_families", "families", status="ACTIVE")
    wanted = {task.definition_arn for task in tasks if task.definition_arn}
    found: dict[str, m.TaskDefinition] = {}
    for name in _told([*sorted(families), *sorted(wanted)], "reading task definitions:", tell):
        if name not in found:
            reply = _call(client, "describe_task_definition", taskDefinition=name)
            definition = _definition(reply["taskDefinition"])
            found[definition.arn] = definition
    return [found[arn] for arn in sorted(found)]


def _definition(reply: Reply) -> m.TaskDefinition:
    return m.TaskDefinition(
        arn=reply["taskDefinitionArn"],
        family=reply.get("family", ""),
        revision=str(reply.get("revision", "")),
        task_role_arn=reply.get("taskRoleArn") or "",
        execution_role_arn=reply.get("executionRoleArn") or "",
        network_mode=reply.get("networkMode") or "",
        containers=tuple(_container(container) for container in reply.get("containerDefinitions", ())),
    )


def _container(reply: Reply) -> m.Container:
    label = (reply.get("dockerLabels") or {}).get(m.NO_AWS_LABEL, "")
    return m.Container(reply["name"], reply.get("image", ""), label.lower() == "true")
