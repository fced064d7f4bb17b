"""Where this process runs, as OpenTelemetry resource attributes.

Reads the documents of the metadata endpoints and names what they say; asks nothing itself: `fetch`
and the environment are arguments. Names: OpenTelemetry resource conventions (`cloud.*`, `host.*`,
`aws.ecs.*`, `container.*`, `k8s.*`, `faas.*`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Fetch = Callable[[str, str, Mapping[str, str]], "bytes | None"]
"""(method, url, headers) -> body of a 200 answer, b"" for another answer, None for none. Quick, never raises."""

IMDS = "http://169.254.169.254"
CREDENTIALS_URI = "credwatch.ecs.credentials_uri"
IMDS_VERSION = "credwatch.imds.version"
"""`2` if the metadata service gave a token, `1` if it refused one and answered without."""
IMDS_PROBE = "credwatch.imds.probe"
"""In a task, where the probe was asked for: `answered` or `blocked`."""
POD_IDENTITY = "credwatch.eks.identity"
"""The source that a pod's environment leads to: `web-identity`, `eks-pod-identity` or `none`."""

# where the agent of EKS Pod Identity answers; the same variable may name other endpoints
_POD_AGENTS = ("http://169.254.170.23/", "http://[fd00:ec2::23]/")

_ARN = r"arn:[^:]+:[^:]+:[^:]*:[^:]*:.+"
_LONGEST = 2_048  # characters; the longest ARN of AWS
_LAUNCH_TYPES = frozenset({"ec2", "fargate", "external"})


def imds_base(environ: Mapping[str, str]) -> str:
    """Return the instance metadata endpoint that an SDK in this environment would use."""
    return (environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or IMDS).rstrip("/")


def describe(environ: Mapping[str, str], fetch: Fetch) -> dict[str, str]:
    """Return the resource attributes of this process; what cannot be read is left out."""
    metadata = environ.get("ECS_CONTAINER_METADATA_URI_V4")
    if metadata:
        attributes = ecs(metadata, fetch) or {"cloud.provider": "aws", "cloud.platform": "aws_ecs"}
        named = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
        present = any(environ.get(name) for name in named)
        return {**attributes, CREDENTIALS_URI: "present" if present else "absent"}
    if "AWS_LAMBDA_FUNCTION_NAME" in environ:
        return _function(environ)
    if "KUBERNETES_SERVICE_HOST" in environ:
        return _pod(environ)
    return {}


def ecs(metadata: str, fetch: Fetch) -> dict[str, str] | None:
    """Return what the task metadata endpoint (version 4) says, or None where it names no task.

    Shape: Amazon ECS developer guide, "Task metadata endpoint version 4".
    """
    task = _document(fetch("GET", f"{metadata}/task", {}))
    arn = _text(task, "TaskARN")
    if not re.fullmatch(_ARN, arn):
        return None
    container = _document(fetch("GET", metadata, {}))
    launch = _text(task, "LaunchType").lower()
    _, _, _, region, account, _ = arn.split(":", 5)
    found = {
        "cloud.provider": "aws",
        "cloud.platform": "aws_ecs",
        "cloud.account.id": account,
        "cloud.region": region,
        "aws.ecs.task.arn": arn,
        "aws.ecs.task.family": _text(task, "Family"),
        "aws.ecs.task.revision": _text(task, "Revision"),
        "aws.ecs.cluster.arn": _cluster(_text(task, "Cluster"), arn),
        "aws.ecs.launchtype": launch if launch in _LAUNCH_TYPES else "",
        "aws.ecs.container.arn": _text(container, "ContainerARN"),
        "container.id": _text(container, "DockerId"),
        "container.name": _text(container, "Name"),
        "container.image.name": _text(container, "Image"),
    }
    return {name: value for name, value in found.items() if value}


def _cluster(name: str, task_arn: str) -> str:
    # the endpoint gives a short name or an ARN, depending on the agent's version
    return name if not name or name.startswith("arn:") else f"{task_arn.split(':task/', maxsplit=1)[0]}:cluster/{name}"


def ec2(base: str, fetch: Fetch) -> dict[str, str] | None:
    """Return what EC2's instance metadata service says of the instance, or None where it is no such service.

    An endpoint that gives credentials but no instance identity or no `iam/info` is something else:
    kiam, kube2iam, aws-vault and Roles Anywhere answer there too.
    """
    token = fetch("PUT", f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    headers = {"X-aws-ec2-metadata-token": token.decode("ascii", "replace")} if token else {}
    identity = _document(fetch("GET", f"{base}/latest/dynamic/instance-identity/document", headers))
    profile = _document(fetch("GET", f"{base}/latest/meta-data/iam/info", headers))
    instance, arn = _text(identity, "instanceId"), _text(profile, "InstanceProfileArn")
    if not instance or not re.fullmatch(_ARN, arn):
        return None
    return {
        "host.id": instance,
        "host.type": _text(identity, "instanceType"),
        "cloud.account.id": _text(identity, "accountId"),
        "cloud.region": _text(identity, "region"),
        "credwatch.instance_profile.arn": arn,
        **({} if token is None else {IMDS_VERSION: "2" if token else "1"}),
    }


def probe(base: str, fetch: Fetch) -> dict[str, str]:
    """Return whether an instance metadata service can be reached from here, with a token or without one."""
    found = fetch("PUT", f"{base}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "1"})
    found = found or fetch("GET", f"{base}/latest/meta-data/instance-id", {})
    return {IMDS_PROBE: "answered" if found else "blocked"}


def _function(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "cloud.region": environ.get("AWS_REGION", ""),
        "faas.name": environ["AWS_LAMBDA_FUNCTION_NAME"],
        "faas.version": environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
    }


def _pod(environ: Mapping[str, str]) -> dict[str, str]:
    pod = environ.get("HOSTNAME", "")
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") and environ.get("AWS_ROLE_ARN"):
        identity = "web-identity"
    elif environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "").startswith(_POD_AGENTS):
        identity = "eks-pod-identity"
    else:
        identity = "none"
    return {"k8s.pod.name": pod, POD_IDENTITY: identity} if pod else {}


def entry_point(argv: list[str], main_module: str) -> str:
    """Return what a process runs, without its arguments: `-m package.module` or the script's name."""
    if main_module:
        return f"-m {main_module}"
    return argv[0].rpartition("/")[2] if argv and argv[0] else ""


def _text(document: Mapping[str, Any], name: str) -> str:
    """Return a text or number of a document; what is no such thing, or too long to be a name, is not known."""
    value = document.get(name, "")
    text = str(value) if isinstance(value, str | int) else ""
    return text if len(text) <= _LONGEST else ""


def _document(body: bytes | None) -> Mapping[str, Any]:
    try:
        parsed = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
