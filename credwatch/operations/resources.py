"""Resources of single services whose ARNs no template says: DynamoDB, EventBridge, Bedrock, CloudFormation and others.

Each function takes whatever the caller passed, never raises, and says in its docstring why it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from credwatch.operations.naming import Named, Place, entries, is_arn_of, reads, several, text, texts

# --- DynamoDB -----------------------------------------------------------------------------------


@reads("ShardIterator")
def dynamodb_iterated(params: Mapping[str, object], place: Place) -> Named:
    """Stream that a shard iterator goes through: the iterator begins with its ARN, up to the first bar."""
    arn = text(params.get("ShardIterator")).partition("|")[0]
    parts = arn.split(":", 5)
    if len(parts) == 6 and parts[:3:2] == ["arn", "dynamodb"] and "/stream/" in parts[5]:
        return (arn,), True
    return (f"arn:{place[0]}:dynamodb:{place[1]}:{place[2]}:table/*/stream/*",), False


@reads("TableName", "GlobalTableName", "ReplicaUpdates", "ReplicationGroup")
def dynamodb_replicas(params: Mapping[str, object], place: Place) -> Named:
    """Replicas that a request makes or removes: tables of the same name, in the regions that it names."""
    account, name = place[2], text(params.get("TableName")) or text(params.get("GlobalTableName"))
    if name[:4] == "arn:":
        parts = name.split(":", 5)
        given = len(parts) == 6 and parts[2] == "dynamodb" and parts[5].startswith("table/")
        account, name = (parts[4], parts[5].removeprefix("table/")) if given else ("*", "")
    replicas: list[object] = [*entries(params.get("ReplicationGroup"))]
    for update in entries(params.get("ReplicaUpdates")):
        replicas += update.values()
    regions = {text(each.get("RegionName")) for each in replicas if isinstance(each, dict)} - {""}
    return several(
        (f"arn:{place[0]}:dynamodb:{region}:{account}:table/{name or '*'}", bool(name and regions))
        for region in regions or {"*"}
    )


# --- SNS ----------------------------------------------------------------------------------------


@reads("SubscriptionArn")
def sns_subscribed(params: Mapping[str, object], place: Place) -> Named:
    """Topic of a subscription: the one resource that AWS names; whether its id follows in the check is not said."""
    parts = text(params.get("SubscriptionArn")).split(":")
    if len(parts) == 7 and parts[2] == "sns":
        return (f"{':'.join(parts[:6])}*",), True
    return (f"arn:{place[0]}:sns:{place[1]}:{place[2]}:*",), False


# --- Step Functions -----------------------------------------------------------------------------

_MACHINES = ("stateMachineArn", "stateMachineAliasArn", "stateMachineVersionArn")


@reads(*_MACHINES, "routingConfiguration")
def states_machine(params: Mapping[str, object], place: Place) -> Named:
    """State machine: the check is on its own ARN where the request names a version or an alias of it."""
    routes = entries(params.get("routingConfiguration"))
    names = [*texts(params, *_MACHINES), *(text(route.get(_MACHINES[2])) for route in routes)]
    return several(_machine(name.split(":")) for name in names or [""])


def _machine(parts: list[str]) -> tuple[str, bool]:
    given = len(parts) in {7, 8} and parts[2] == "states" and parts[5] == "stateMachine"
    return (":".join(parts[:7]), True) if given else ("*", False)


# --- EventBridge --------------------------------------------------------------------------------


@reads("Entries")
def events_entry_buses(params: Mapping[str, object], place: Place) -> Named:
    """Buses of events: an entry that names none goes to the default bus."""
    if "Entries" not in params:
        return (f"arn:{place[0]}:events:{place[1]}:{place[2]}:event-bus/*",), False
    names = [text(entry.get("EventBusName")) or "default" for entry in entries(params["Entries"])]
    return several(_bus(name, place) for name in names or ["default"])


def _bus(name: str, place: Place) -> tuple[str, bool]:
    if name[:4] != "arn:":
        return f"arn:{place[0]}:events:{place[1]}:{place[2]}:event-bus/{name.removeprefix('event-bus/')}", True
    given = is_arn_of(name, "events", ("event-bus/", "event-busv2/"))
    return (name, True) if given else (f"arn:{place[0]}:events:*:*:event-bus/*", False)


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


_LOG_GROUPS = (
    "logGroupName",
    "logGroupIdentifier",
    "logGroupNames",
    "logGroupIdentifiers",
    "logGroupArnList",
    "resourceIdentifier",
)


def _log_groups(params: Mapping[str, object], place: Place, end: str) -> Named:
    names = texts(params, *_LOG_GROUPS)
    return several(_log_group(name, place, end) for name in names or [""])


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


@reads("destinationArn")
def logs_destination(params: Mapping[str, object], place: Place) -> Named:
    """Destination of a subscription: checked too if it is one of CloudWatch Logs, no stream and no function."""
    arn = text(params.get("destinationArn"))
    parts = arn.split(":", 6)
    return ((arn,) if len(parts) == 7 and parts[2] == "logs" and parts[5] == "destination" else ()), True


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
    return is_arn_of(text(params.get("modelId")), "bedrock", "prompt/")


@reads("inferenceProfileIdentifier")
def bedrock_profile(params: Mapping[str, object], place: Place) -> Named:
    """Inference profile: the id of one that AWS defines is that of its model, with dots; the account's have none."""
    name = text(params.get("inferenceProfileIdentifier"))
    base = f"arn:{place[0]}:bedrock:{place[1]}:{place[2]}:"
    if name[:4] == "arn:":
        given = is_arn_of(name, "bedrock", _PROFILES)
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
        given = is_arn_of(name, "cloudformation", "stackset/")
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
    dynamodb_iterated, dynamodb_replicas, events_entry_buses, events_rule, logs_destination, logs_group,
    logs_stream, scheduler_schedule, sns_subscribed, states_machine,
)  # fmt: skip
