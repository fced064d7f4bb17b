"""Resources of single services whose ARNs no template says: EventBridge, Glue, Bedrock, Systems Manager.

Each function takes whatever the caller passed, never raises, and says in its docstring why it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    names = _texts(params, "TableName", "TablesToDelete") or [_named(params, ("Name",), "TableInput")]
    return _several((f"{base}table/{database}/{name or '*'}", known and bool(name)) for name in names)


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


SHAPES = (
    bedrock_model, events_rule, glue_catalog, glue_database, glue_function, glue_table, logs_group, logs_stream,
    scheduler_schedule, ssm_document, ssm_instance,
)  # fmt: skip
