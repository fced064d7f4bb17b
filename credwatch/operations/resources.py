"""Resources of single services whose ARNs no template says: EventBridge, Glue, Bedrock, Systems Manager and others.

Each function takes whatever the caller passed, never raises, and says in its docstring why it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from credwatch.operations.naming import Named, Place, reads, text

_MOST = 1000


def _several(arns: Iterable[tuple[str, bool]]) -> Named:
    found = list(arns)
    return tuple(sorted({arn for arn, _ in found})), all(known for _, known in found)


def _texts(params: Mapping[str, object], *names: str) -> list[str]:
    """Return the identifiers in parameters that hold one or a list of them, "" for each that is none."""
    values: list[object] = []
    for name in names:
        value = params.get(name)
        values += value[:_MOST] if isinstance(value, (list, tuple)) else [value] if value is not None else []
    return [text(value) for value in values]


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


# --- Glue's catalog -----------------------------------------------------------------------------


_CATALOGS = ("CatalogId", "CatalogID")


def _glue(params: Mapping[str, object], place: Place) -> tuple[str, str]:
    """Return the start of a catalog resource's ARN and the path of the catalog below the account's own.

    An id is an account, the path of a catalog (`s3tablescatalog/bucket`), or both with a colon.
    """
    catalog = text(params.get(_CATALOGS[0])) or text(params.get(_CATALOGS[1]))
    account, colon, path = catalog.partition(":")
    if not colon and not _is_account(account):
        account, path = place[2], catalog
    elif not _is_account(account):
        account, path = "*", "*"
    return f"arn:{place[0]}:glue:{place[1]}:{account}:", path


def _is_account(value: str) -> bool:
    return len(value) == 12 and value.isdigit()


def _under(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _named(params: Mapping[str, object], names: tuple[str, ...], inputs: str) -> str:
    for name in names:
        if value := text(params.get(name)):
            return value
    return _member(params, inputs, "Name")


def _member(params: Mapping[str, object], name: str, member: str) -> str:
    nested = params.get(name)
    return text(nested.get(member)) if isinstance(nested, dict) else ""


@reads(*_CATALOGS)
def glue_root(params: Mapping[str, object], place: Place) -> Named:
    """Root catalog of an account: the caller's own, or that in CatalogId; each catalog action is checked on it."""
    return (f"{_glue(params, place)[0]}catalog",), True


@reads(*_CATALOGS)
def glue_catalog(params: Mapping[str, object], place: Place) -> Named:
    """Catalog with its ancestors up to the root, each of which is checked."""
    base, path = _glue(params, place)
    names = path.split("/") if path else []
    below = [f"{base}catalog/{'/'.join(names[: depth + 1])}" for depth in range(len(names))]
    return tuple(sorted((f"{base}catalog", *below))), path != "*"


@reads(*_CATALOGS, "DatabaseName", "DatabaseInput", "TableName", "Name")
def glue_database(params: Mapping[str, object], place: Place) -> Named:
    """Database of a catalog operation: a parameter, or the name inside DatabaseInput."""
    base, path = _glue(params, place)
    name = _named(params, ("DatabaseName",), "DatabaseInput") or ("" if "TableName" in params else _plain(params))
    return (f"{base}database/{_under(path, name or '*')}",), bool(name) and path != "*"


def _plain(params: Mapping[str, object]) -> str:
    return text(params.get("Name"))


@reads(*_CATALOGS, "DatabaseName", "TableName", "TablesToDelete", "Name", "TableInput")
def glue_table(params: Mapping[str, object], place: Place) -> Named:
    """Table of a catalog operation: one name, several, or that inside TableInput, under its database."""
    base, path = _glue(params, place)
    base += f"table/{_under(path, text(params.get('DatabaseName')) or '*')}/"
    names = _texts(params, "TableName", "TablesToDelete") or [_named(params, ("Name",), "TableInput")]
    return _several((base + (name or "*"), bool(name) and path != "*") for name in names)


@reads(*_CATALOGS, "DatabaseName", "FunctionName", "FunctionInput")
def glue_function(params: Mapping[str, object], place: Place) -> Named:
    """User-defined function of a catalog operation, under its database."""
    base, path = _glue(params, place)
    name = text(params.get("FunctionName")) or _member(params, "FunctionInput", "FunctionName")
    database = _under(path, text(params.get("DatabaseName")) or "*")
    return (f"{base}userDefinedFunction/{database}/{name or '*'}",), bool(name) and path != "*"


@reads(*_CATALOGS, "Name", "ConnectionName", "ConnectionNameList", "ConnectionInput")
def glue_connection(params: Mapping[str, object], place: Place) -> Named:
    """Connections: one name, several, or that inside ConnectionInput, in the account of the catalog."""
    base, _ = _glue(params, place)
    names = _texts(params, "ConnectionName", "ConnectionNameList") or [_named(params, ("Name",), "ConnectionInput")]
    return _several((f"{base}connection/{name or '*'}", bool(name)) for name in names)


@reads(*_CATALOGS, "Name")
def glue_contents(params: Mapping[str, object], place: Place) -> Named:
    """Tables and functions of a database that is deleted with all that it holds."""
    base, path = _glue(params, place)
    name = _under(path, _plain(params) or "*")
    return (f"{base}table/{name}/*", f"{base}userDefinedFunction/{name}/*"), bool(_plain(params)) and path != "*"


@reads("Entries")
def glue_optimized(params: Mapping[str, object], place: Place) -> Named:
    """Tables of a batch, each entry with its own catalog and database, which are checked with it."""
    listed = params.get("Entries")
    given = [e for e in listed[:_MOST] if isinstance(e, dict)] if isinstance(listed, (list, tuple)) else []
    entries = [
        {"CatalogId": e.get("catalogId"), "DatabaseName": e.get("databaseName"), "TableName": e.get("tableName")}
        for e in given or [{}]
    ]
    named = [shape(entry, place) for entry in entries for shape in (glue_root, glue_database, glue_table)]
    return tuple(sorted({arn for arns, _ in named for arn in arns})), all(known for _, known in named)


# --- Glue's schema registry ---------------------------------------------------------------------


def _schema(params: Mapping[str, object], place: Place) -> tuple[str, str, str]:
    """Return the start of a schema's ARN, its registry and its name, "" where the request does not tell."""
    base = f"arn:{place[0]}:glue:{place[1]}:{place[2]}:"
    if arn := _member(params, "SchemaId", "SchemaArn") or _member(params, "RegistryId", "RegistryArn"):
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "glue":
            return f"arn:{place[0]}:glue:*:*:", "", ""
        base = ":".join(parts[:5]) + ":"
        kind, _, path = parts[5].partition("/")
        registry, _, name = path.partition("/")
        return base, registry, name if kind == "schema" else text(params.get("SchemaName"))
    if new := text(params.get("SchemaName")):
        return base, _member(params, "RegistryId", "RegistryName") or "default-registry*", new
    return base, _member(params, "SchemaId", "RegistryName"), _member(params, "SchemaId", "SchemaName")


@reads("SchemaId", "RegistryId", "SchemaName")
def glue_registry(params: Mapping[str, object], place: Place) -> Named:
    """Registry of a schema; a new schema that names none is in the default one, whose ARN ends in letters."""
    base, registry, _ = _schema(params, place)
    return (f"{base}registry/{registry or '*'}",), bool(registry)


@reads("SchemaId", "RegistryId", "SchemaName")
def glue_schema(params: Mapping[str, object], place: Place) -> Named:
    """Schema: its ARN, or its name, which follows its registry's in the ARN."""
    base, registry, name = _schema(params, place)
    return (f"{base}schema/{registry or '*'}/{name or '*'}",), bool(registry and name)


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
    """Targets of a stack set's instances and types of its template: checked with it, and told by neither name nor id."""
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
    names = _texts(params, "Resources")
    kinds = [(_EC2_KINDS.get(name.partition("-")[0], "*"), name) for name in names] or [("*", "")]
    return _several((_ec2(kind, name, place) if kind != "*" else "*", kind != "*") for kind, name in kinds)


@reads("TagSpecifications")
def ec2_tag_specifications(params: Mapping[str, object], place: Place) -> Named:
    """Resources that are tagged when they are made: the kinds that the tag specifications name."""
    listed = params.get("TagSpecifications")
    entries = listed[:_MOST] if isinstance(listed, (list, tuple)) else []
    kinds = {text(entry.get("ResourceType")) for entry in entries if isinstance(entry, dict)} - {""}
    plain = {kind for kind in kinds if kind.replace("-", "").isalnum()}
    if not plain:
        return ("*",), False
    return tuple(sorted(_ec2(kind, "*", place) for kind in plain)), True


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
    apigateway_tags, batch_job_definition, bedrock_model, bedrock_profile, cloudformation_stack_set,
    cloudformation_stack_set_targets, ec2_tag_specifications, ec2_tagged, events_rule, glue_catalog, glue_connection, glue_contents, glue_database, glue_function, glue_optimized, glue_registry, glue_root,
    glue_schema, glue_table, logs_group, logs_stream, scheduler_schedule, ssm_document, ssm_instance,
)  # fmt: skip
