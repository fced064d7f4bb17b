"""Resources of single services whose ARNs no template says: EventBridge, Bedrock, Systems Manager and others.

Each function takes whatever the caller passed, never raises, and says in its docstring why it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from credwatch.operations.naming import Named, Place, reads, text
from credwatch.operations.naming import several as _several
from credwatch.operations.naming import texts as _texts

# --- EventBridge --------------------------------------------------------------------------------


@reads("Rule", "Name", "EventBusName")
def events_rule(params: Mapping[str, object], place: Place) -> Named:
    """Rule: that of the default bus has no bus in its ARN; the bus may be an ARN, of another account."""
    name, bus = text(params.get("Rule")) or text(params.get("Name")), text(params.get("EventBusName"))
    region, account = place[1], place[2]
    if bus[:4] == "arn:":
        parts = bus.split(":", 5)
        if len(parts) != 6 or not parts[5].startswith("event-bus/"):
            return (f"arn:{place[0]}:events:*:*:rule/*",), False
        region, account, bus = parts[3], parts[4], parts[5].removeprefix("event-bus/")
    base = f"arn:{place[0]}:events:{region}:{account}:rule/"
    if not name:
        return (f"{base}*",), False
    return (f"{base}{name}" if bus in {"", "default"} else f"{base}{bus}/{name}",), True


@reads("Name", "GroupName")
def scheduler_schedule(params: Mapping[str, object], place: Place) -> Named:
    """Schedule: one that names no group is in the group `default`."""
    name, group = text(params.get("Name")), text(params.get("GroupName"))
    if not group:
        group = "default" if name else "*"
    return (f"arn:{place[0]}:scheduler:{place[1]}:{place[2]}:schedule/{group}/{name or '*'}",), bool(name)


# --- CloudWatch Logs ----------------------------------------------------------------------------


_LOG_GROUPS = ("logGroupName", "logGroupIdentifier", "logGroupNames", "logGroupIdentifiers")


def _log_groups(params: Mapping[str, object], place: Place, end: str) -> Named:
    names = _texts(params, *_LOG_GROUPS)
    return _several(_log_group(name, place, end) for name in names or [""])


def _log_group(name: str, place: Place, end: str) -> tuple[str, bool]:
    if name[:4] != "arn:":
        return f"arn:{place[0]}:logs:{place[1]}:{place[2]}:log-group:{name or '*'}:{end}", bool(name)
    parts = name.split(":")
    if len(parts) < 7 or parts[2] != "logs" or parts[5] != "log-group":
        return f"arn:{place[0]}:logs:*:*:log-group:*:{end}", False
    return ":".join((*parts[:7], end)), True


@reads(*_LOG_GROUPS)
def logs_group(params: Mapping[str, object], place: Place) -> Named:
    """Log groups: names or ARNs, which end in `:*` in a policy, whether or not the parameter does."""
    return _log_groups(params, place, "*")


@reads(*_LOG_GROUPS)
def logs_stream(params: Mapping[str, object], place: Place) -> Named:
    """The log streams of a log group, by name or ARN."""
    return _log_groups(params, place, "log-stream:*")


# --- Bedrock ------------------------------------------------------------------------------------

_GEOGRAPHIES = frozenset({"us", "us-gov", "eu", "apac", "global", "jp", "au", "ca"})
_PROFILES = ("inference-profile/", "application-inference-profile/")


_ROUTERS = ("prompt-router/", "default-prompt-router/")


@reads("modelId", "baseModelIdentifier")
def bedrock_model(params: Mapping[str, object], place: Place) -> Named:
    """Model: an inference profile is checked itself and with the models behind it, in each of its regions."""
    model = text(params.get("modelId")) or text(params.get("baseModelIdentifier"))
    if model[:4] == "arn:":
        return _bedrock_arn(model, place)
    if "." not in model:  # none, or a name of the caller's own: the id of a model names its maker, too
        return ("*",), False
    geography, _, rest = model.partition(".")
    if geography in _GEOGRAPHIES and "." in rest:
        return (
            f"arn:{place[0]}:bedrock:*::foundation-model/{rest}",
            f"arn:{place[0]}:bedrock:{place[1]}:{place[2]}:inference-profile/{model}",
        ), True
    return (f"arn:{place[0]}:bedrock:{place[1]}::foundation-model/{model}",), True


def _bedrock_arn(arn: str, place: Place) -> Named:
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2] not in {"bedrock", "sagemaker"} or not parts[5]:
        return ("*",), False
    if parts[2] == "sagemaker":  # the endpoint of a model of the marketplace: one resource stands for all
        return (f"arn:{parts[1]}:bedrock:{parts[3]}:{parts[4]}:marketplace/model-endpoint/all-access",), True
    if parts[5].startswith("prompt/"):  # which model it is for is kept with the prompt
        return ("*",), False
    if parts[5].startswith(_ROUTERS):
        return tuple(sorted((f"arn:{parts[1]}:bedrock:*::foundation-model/*", arn))), False
    if not parts[5].startswith(_PROFILES):
        return (arn,), True
    name = parts[5].rpartition("/")[2]
    geography, _, rest = name.partition(".")
    behind = rest if geography in _GEOGRAPHIES and "." in rest else "*"
    return tuple(sorted((f"arn:{parts[1]}:bedrock:*::foundation-model/{behind}", arn))), True


@reads("modelId")
def bedrock_prompt(params: Mapping[str, object]) -> bool:
    """Whether a prompt of Prompt management stands where the model does: it is rendered with another action."""
    parts = text(params.get("modelId")).split(":", 5)
    return len(parts) == 6 and parts[2] == "bedrock" and parts[5].startswith("prompt/")


@reads("inferenceProfileIdentifier")
def bedrock_profile(params: Mapping[str, object], place: Place) -> Named:
    """Inference profile: the id of one that AWS defines is that of its model, with dots; the account's have none."""
    name = text(params.get("inferenceProfileIdentifier"))
    base = f"arn:{place[0]}:bedrock:{place[1]}:{place[2]}:"
    if name[:4] == "arn:":
        parts = name.split(":", 5)
        given = len(parts) == 6 and parts[2] == "bedrock" and parts[5].startswith(_PROFILES)
        return ((name,), True) if given else (("*",), False)
    if not name:
        return (f"{base}application-inference-profile/*", f"{base}inference-profile/*"), False
    return (f"{base}{'' if '.' in name else 'application-'}inference-profile/{name}",), True


# --- CloudFormation -----------------------------------------------------------------------------


@reads("StackSetName", "CallAs")
def cloudformation_stack_set(params: Mapping[str, object], place: Place) -> Named:
    """Stack set: a name, or an id, which goes on after a colon; a delegated administrator's is another account's."""
    name = text(params.get("StackSetName"))
    if name[:4] == "arn:":
        parts = name.split(":", 5)
        given = len(parts) == 6 and parts[2] == "cloudformation" and parts[5].startswith("stackset/")
        return (name if given else f"arn:{place[0]}:cloudformation:*:*:stackset/*:*",), given
    account = "*" if text(params.get("CallAs")) == "DELEGATED_ADMIN" else place[2]
    base = f"arn:{place[0]}:cloudformation:{place[1]}:{account}:stackset/"
    return (base + (name if ":" in name else f"{name or '*'}:*"),), bool(name)


@reads("StackSetName")
def cloudformation_stack_set_targets(params: Mapping[str, object], place: Place) -> Named:
    """Targets of a stack set's instances, and types in its template: both are checked, and no parameter tells them."""
    name = text(params.get("StackSetName"))
    base = f"arn:{place[0]}:cloudformation:*:*:"
    name = "" if name[:4] == "arn:" else name
    return (f"{base}stackset-target/{name}*", f"{base}type/resource/*"), False


# --- Systems Manager ----------------------------------------------------------------------------


@reads("InstanceIds", "InstanceId", "Target")
def ssm_instance(params: Mapping[str, object], place: Place) -> Named:
    """Nodes: an EC2 instance or a managed one, told by the id; targets by tag may be any of both kinds."""
    names = _texts(params, "InstanceIds", "InstanceId", "Target")
    ec2 = f"arn:{place[0]}:ec2:{place[1]}:{place[2]}:instance/"
    managed = f"arn:{place[0]}:ssm:{place[1]}:{place[2]}:managed-instance/"
    if not names or not all(name.startswith(("i-", "mi-")) for name in names):
        return (f"{ec2}*", f"{managed}*"), False
    return _several((f"{managed if name.startswith('mi-') else ec2}{name}", True) for name in names)


@reads("DocumentName", "Name")
def ssm_document(params: Mapping[str, object], place: Place) -> Named:
    """Document: one of AWS's own belongs to no account of the caller; a name may also be a whole ARN."""
    name = text(params.get("DocumentName")) or text(params.get("Name"))
    if name[:4] == "arn:":
        parts = name.split(":", 5)
        given = len(parts) == 6 and parts[2] == "ssm" and parts[5].startswith("document/")
        return (name if given else f"arn:{place[0]}:ssm:*:*:document/*",), given
    account = "*" if name.startswith(("AWS", "Amazon")) else place[2]
    return (f"arn:{place[0]}:ssm:{place[1]}:{account}:document/{name or '*'}",), bool(name)


# --- API Gateway --------------------------------------------------------------------------------


@reads("resourceArn", "ResourceArn")
def apigateway_tags(params: Mapping[str, object], place: Place) -> Named:
    """Tags of a resource: the path that is checked holds its ARN, encoded as in a URL.

    What the second version makes is checked as `/v2/apis`, and tagged later by an ARN without the version.
    """
    second = text(params.get("ResourceArn"))
    arn = text(params.get("resourceArn")) or second
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2] != "apigateway":
        return (f"arn:{place[0]}:apigateway:{place[1] if not arn else '*'}::/tags/*",), False
    path = quote(arn, safe="")
    if second:
        path = path.replace("%3A%2F", "%3A*%2F", 1)
    return (f"arn:{parts[1]}:apigateway:{parts[3]}::/tags/{path}",), True


SHAPES = (
    apigateway_tags, bedrock_model, bedrock_profile, cloudformation_stack_set, cloudformation_stack_set_targets,
    events_rule, logs_group, logs_stream,
    scheduler_schedule, ssm_document, ssm_instance,
)  # fmt: skip
