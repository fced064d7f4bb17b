"""Resources of Systems Manager: parameters, documents, nodes. AWS's own belong to no account.

Each function takes whatever the caller passed, never raises, and says in its docstring why it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping

from credwatch.operations.naming import Named, Place, entries, reads, several, text, texts


@reads("Name", "Names", "Path")
def ssm_parameter(params: Mapping[str, object], place: Place) -> Named:
    """Parameters: the leading slash is not in the ARN, nor a selector, nor the account of AWS's own."""
    return several(_parameter(name, place) for name in texts(params, "Name", "Path", "Names") or [""])


def _parameter(value: str, place: Place) -> tuple[str, bool]:
    if value[:4] == "arn:":
        parts = value.split(":")
        if len(parts) >= 6 and parts[2] == "ssm" and parts[5].startswith("parameter/"):
            return ":".join(parts[:6]), True
        return f"arn:{place[0]}:ssm:*:*:parameter/*", False
    name = value.partition(":")[0].removeprefix("/")
    account = "" if f"{name}/".startswith("aws/service/") else place[2]
    return f"arn:{place[0]}:ssm:{place[1]}:{account}:parameter/{name or '*'}", bool(name)


@reads("InstanceIds", "InstanceId", "Target", "ResourceId", "Targets")
def ssm_instance(params: Mapping[str, object], place: Place) -> Named:
    """Nodes: an EC2 instance, a managed one or a task of ECS, told by the id; a tag tells none of the first two."""
    names = texts(params, "InstanceIds", "InstanceId", "Target", "ResourceId")
    for target in entries(params.get("Targets")):
        names += texts(target, "Values") if text(target.get("Key")) == "InstanceIds" else [""]
    ec2 = f"arn:{place[0]}:ec2:{place[1]}:{place[2]}:instance/"
    managed = f"arn:{place[0]}:ssm:{place[1]}:{place[2]}:managed-instance/"
    nodes = []
    for name in names:
        if name.startswith("ecs:") and name.count("_") >= 2:  # ecs:cluster_task_runtime
            cluster, task, _ = name[4:].rsplit("_", 2)
            nodes.append(f"arn:{place[0]}:ecs:{place[1]}:{place[2]}:task/{cluster}/{task}")
        elif name.startswith(("i-", "mi-")):
            nodes.append(f"{managed if name.startswith('mi-') else ec2}{name}")
    if not names or len(nodes) < len(names):
        return (f"{ec2}*", f"{managed}*"), False
    return several((node, True) for node in nodes)


@reads("DocumentName", "Name", "Entries", "Runbooks", "CalendarNames")
def ssm_document(params: Mapping[str, object], place: Place) -> Named:
    """Documents: one of AWS's own belongs to no account; a name may also be a whole ARN."""
    inner = [*entries(params.get("Entries")), *entries(params.get("Runbooks"))]
    names = [*map(_named, inner), *texts(params, "CalendarNames")]
    own = _named(params)
    return several(_document(name, place) for name in (names if names and not own else [*names, own]))


def _named(params: Mapping[str, object]) -> str:
    return text(params.get("DocumentName")) or text(params.get("Name"))


def _document(name: str, place: Place) -> tuple[str, bool]:
    region, account = place[1], place[2]
    known = bool(name)
    if name[:4] == "arn:":
        parts = name.split(":", 5)
        known = len(parts) == 6 and parts[2] == "ssm" and parts[5].startswith("document/")
        region, account, name = (*parts[3:5], parts[5].removeprefix("document/")) if known else ("*", "*", "")
    elif name.startswith("AWSQuickSetup-"):
        account = "*"  # Quick Setup gives names like AWS's to documents that it makes in the caller's account
    elif name.startswith(("AWS", "Amazon")):
        account = ""
    return f"arn:{place[0]}:ssm:{region}:{account}:document/{name or '*'}", known


SHAPES = (ssm_document, ssm_instance, ssm_parameter)
