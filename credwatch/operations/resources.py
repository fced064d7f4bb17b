"""Resources of single services whose ARNs no template says: DynamoDB, EventBridge, Glue, Bedrock, EC2.

Each function takes whatever the caller passed, never raises, and says in its docstring why it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping

from credwatch.operations.naming import MOST, Named, Place, entries, reads, several, text, texts

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
    parts = name.split(":", 5)
    given = len(parts) == 6 and parts[2] == "events" and parts[5].startswith(("event-bus/", "event-busv2/"))
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


# --- Glue's catalog -----------------------------------------------------------------------------


_CATALOGS = ("CatalogId", "CatalogID")


def _glue(params: Mapping[str, object], place: Place) -> tuple[str, bool]:
    """Return the start of a catalog resource's ARN; a catalog id other than an account's tells no more."""
    catalog = text(params.get(_CATALOGS[0])) or text(params.get(_CATALOGS[1]))
    if not catalog:
        return f"arn:{place[0]}:glue:{place[1]}:{place[2]}:", True
    owned = len(catalog) == 12 and catalog.isdigit()
    return f"arn:{place[0]}:glue:{place[1]}:{catalog if owned else '*'}:", owned


def _named(params: Mapping[str, object], names: tuple[str, ...], inputs: str) -> str:
    for name in names:
        if value := text(params.get(name)):
            return value
    nested = params.get(inputs)
    return text(nested.get("Name")) if isinstance(nested, dict) else ""


@reads(*_CATALOGS)
def glue_catalog(params: Mapping[str, object], place: Place) -> Named:
    """Catalog: the account's own, or that of the account in CatalogId; each catalog action is checked on it."""
    base, known = _glue(params, place)
    return (f"{base}catalog",), known


@reads(*_CATALOGS, "DatabaseName", "DatabaseInput", "TableName", "Name")
def glue_database(params: Mapping[str, object], place: Place) -> Named:
    """Database of a catalog operation: a parameter, or the name inside DatabaseInput."""
    base, known = _glue(params, place)
    name = _named(params, ("DatabaseName",), "DatabaseInput") or ("" if "TableName" in params else _plain(params))
    return (f"{base}database/{name or '*'}",), known and bool(name)


def _plain(params: Mapping[str, object]) -> str:
    return text(params.get("Name"))


@reads(*_CATALOGS, "DatabaseName", "TableName", "TablesToDelete", "Name", "TableInput")
def glue_table(params: Mapping[str, object], place: Place) -> Named:
    """Table of a catalog operation: one name, several, or that inside TableInput, under its database."""
    base, known = _glue(params, place)
    database = text(params.get("DatabaseName")) or "*"
    names = texts(params, "TableName", "TablesToDelete") or [_named(params, ("Name",), "TableInput")]
    return several((f"{base}table/{database}/{name or '*'}", known and bool(name)) for name in names)


@reads(*_CATALOGS, "DatabaseName", "FunctionName", "FunctionInput")
def glue_function(params: Mapping[str, object], place: Place) -> Named:
    """User-defined function of a catalog operation, under its database."""
    base, known = _glue(params, place)
    name = text(params.get("FunctionName"))
    if not name:
        nested = params.get("FunctionInput")
        name = text(nested.get("FunctionName")) if isinstance(nested, dict) else ""
    database = text(params.get("DatabaseName")) or "*"
    return (f"{base}userDefinedFunction/{database}/{name or '*'}",), known and bool(name)


# --- Bedrock ------------------------------------------------------------------------------------

_GEOGRAPHIES = frozenset({"us", "us-gov", "eu", "apac", "global", "jp", "au", "ca"})
_PROFILES = ("inference-profile/", "application-inference-profile/")


@reads("modelId")
def bedrock_model(params: Mapping[str, object], place: Place) -> Named:
    """Model: an inference profile is checked itself and with the models behind it, in each of its regions."""
    model = text(params.get("modelId"))
    if model[:4] == "arn:":
        return _bedrock_arn(model, place)
    if not model:
        return (f"arn:{place[0]}:bedrock:{place[1]}::foundation-model/*",), False
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
        return (f"arn:{place[0]}:bedrock:*::foundation-model/*",), False
    if not parts[5].startswith(_PROFILES):
        return (arn,), parts[2] == "bedrock"
    name = parts[5].rpartition("/")[2]
    geography, _, rest = name.partition(".")
    behind = rest if geography in _GEOGRAPHIES and "." in rest else "*"
    return tuple(sorted((f"arn:{parts[1]}:bedrock:*::foundation-model/{behind}", arn))), True


# --- EC2 ----------------------------------------------------------------------------------------

# The kinds of resources by the id's prefix, where that tells it; a kind in a tag specification is its ARN's.
_EC2_KINDS = {
    "acl": "network-acl", "ami": "image", "cgw": "customer-gateway", "dopt": "dhcp-options", "eipalloc": "elastic-ip",
    "eni": "network-interface", "fleet": "fleet", "fl": "vpc-flow-log", "h": "dedicated-host", "i": "instance",
    "igw": "internet-gateway", "key": "key-pair", "lt": "launch-template", "nat": "natgateway", "pcx":
    "vpc-peering-connection", "rtb": "route-table", "sg": "security-group", "sir": "spot-instances-request",
    "snap": "snapshot", "subnet": "subnet", "tgw": "transit-gateway", "vgw": "vpn-gateway", "vol": "volume",
    "vpc": "vpc", "vpce": "vpc-endpoint", "vpn": "vpn-connection",
}  # fmt: skip
_EC2_WITHOUT_ACCOUNT = frozenset({"image", "snapshot"})


def _ec2(kind: str, name: str, place: Place) -> str:
    account = "" if kind in _EC2_WITHOUT_ACCOUNT else place[2]
    return f"arn:{place[0]}:ec2:{place[1]}:{account}:{kind}/{name}"


@reads("Resources")
def ec2_tagged(params: Mapping[str, object], place: Place) -> Named:
    """Tagged resources of any kind: the id's prefix tells which; one that tells none leaves all open."""
    names = texts(params, "Resources")
    kinds = [(_EC2_KINDS.get(name.partition("-")[0], "*"), name) for name in names] or [("*", "")]
    return several((_ec2(kind, name, place) if kind != "*" else "*", kind != "*") for kind, name in kinds)


@reads("TagSpecifications")
def ec2_tag_specifications(params: Mapping[str, object], place: Place) -> Named:
    """Resources that are tagged when they are made: the kinds that the tag specifications name."""
    listed = params.get("TagSpecifications")
    entries = listed[:MOST] if isinstance(listed, (list, tuple)) else []
    kinds = {text(entry.get("ResourceType")) for entry in entries if isinstance(entry, dict)} - {""}
    plain = {kind for kind in kinds if kind.replace("-", "").isalnum()}
    if not plain:
        return ("*",), False
    return tuple(sorted(_ec2(kind, "*", place) for kind in plain)), True


# --- Batch --------------------------------------------------------------------------------------


@reads("jobDefinition")
def batch_job_definition(params: Mapping[str, object], place: Place) -> Named:
    """Job definition: an ARN, `name:revision`, or a name, which means its latest revision."""
    name = text(params.get("jobDefinition"))
    base = f"arn:{place[0]}:batch:{place[1]}:{place[2]}:job-definition/"
    if name[:4] == "arn:":
        parts = name.split(":", 5)
        if len(parts) != 6 or parts[2] != "batch" or not parts[5].startswith("job-definition/"):
            return (f"arn:{place[0]}:batch:*:*:job-definition/*:*",), False
        base, name = ":".join(parts[:5]) + ":job-definition/", parts[5].removeprefix("job-definition/")
    return (base + (name if ":" in name else f"{name or '*'}:*"),), bool(name)


SHAPES = (
    batch_job_definition, bedrock_model, dynamodb_iterated, dynamodb_replicas, ec2_tag_specifications, ec2_tagged,
    events_entry_buses, events_rule, glue_catalog, glue_database, glue_function, glue_table, logs_destination,
    logs_group, logs_stream, scheduler_schedule, sns_subscribed, states_machine,
)  # fmt: skip
