"""Resources of single services whose ARNs no template says: EventBridge, Glue, Bedrock, Systems Manager.

Each function takes whatever the caller passed, never raises, and says in its docstring why it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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


# --- EC2 ----------------------------------------------------------------------------------------

# The kinds of resources by the id's prefix, where that tells it; a kind in a tag specification is its ARN's.
_EC2_KINDS = {
    "acl": "network-acl", "afi": "fpga-image", "ami": "image", "cagw": "carrier-gateway", "cgw": "customer-gateway",
    "cr": "capacity-reservation", "crf": "capacity-reservation-fleet", "cvpn-endpoint": "client-vpn-endpoint",
    "dopt": "dhcp-options", "eice": "instance-connect-endpoint", "eigw": "egress-only-internet-gateway",
    "eipalloc": "elastic-ip", "eni": "network-interface", "export-ami": "export-image-task",
    "export-i": "export-instance-task", "fl": "vpc-flow-log", "fleet": "fleet", "h": "dedicated-host",
    "i": "instance", "iew": "instance-event-window", "igw": "internet-gateway", "import-ami": "import-image-task",
    "import-snap": "import-snapshot-task", "ipam": "ipam", "ipam-pool": "ipam-pool",
    "ipam-res-disco": "ipam-resource-discovery", "ipam-scope": "ipam-scope", "ipv4pool-ec2": "ipv4pool-ec2",
    "ipv6pool-ec2": "ipv6pool-ec2", "key": "key-pair", "lgw": "local-gateway", "lgw-rtb": "local-gateway-route-table",
    "lt": "launch-template", "nat": "natgateway", "nia": "network-insights-analysis", "nip": "network-insights-path",
    "pcx": "vpc-peering-connection", "pg": "placement-group", "pl": "prefix-list", "rtb": "route-table",
    "sfr": "spot-fleet-request", "sg": "security-group", "sgr": "security-group-rule", "sir": "spot-instances-request",
    "snap": "snapshot", "subnet": "subnet", "tgw": "transit-gateway", "tgw-attach": "transit-gateway-attachment",
    "tgw-connect-peer": "transit-gateway-connect-peer", "tgw-mcast-domain": "transit-gateway-multicast-domain",
    "tgw-rtb": "transit-gateway-route-table", "tmf": "traffic-mirror-filter", "tmfr": "traffic-mirror-filter-rule",
    "tms": "traffic-mirror-session", "tmt": "traffic-mirror-target", "vgw": "vpn-gateway", "vol": "volume",
    "vpc": "vpc", "vpce": "vpc-endpoint", "vpce-svc": "vpc-endpoint-service", "vpn": "vpn-connection",
}  # fmt: skip
_EC2_WITHOUT_ACCOUNT = frozenset({"image", "snapshot"})
_EC2_UUIDS = frozenset({"fleet", "sfr"})  # in their ids the prefix does not end at the last hyphen
_EC2_BY_NAME = frozenset({"key-pair", "placement-group"})  # their ARNs have the name, which an id does not tell
_EC2_IDS = ("Resources", "ResourceIds", "Source", "Destination", "GatewayId", "ImportTaskId", "ExportTaskId")


def _ec2(kind: str, name: str, place: Place) -> str:
    account = "" if kind in _EC2_WITHOUT_ACCOUNT else place[2]
    region = "" if kind == "ipam" or (kind.startswith("ipam-") and kind != "ipam-pool-allocation") else place[1]
    return f"arn:{place[0]}:ec2:{region}:{account}:{kind}/{name}"


def _ec2_of(name: str, place: Place) -> tuple[str, bool]:
    """Return the ARN of an id, `*` where its prefix does not tell the kind; an ARN of EC2 as it is."""
    if name[:4] == "arn:":
        given = name.split(":", 5)[2:3] == ["ec2"] and name.count(":") >= 5
        return (name, True) if given else ("*", False)
    first = name.partition("-")[0]
    kind = _EC2_KINDS.get(first if first in _EC2_UUIDS else name.rpartition("-")[0])
    if kind is None:
        return "*", False
    known = kind not in _EC2_BY_NAME
    return _ec2(kind, name if known else "*", place), known


@reads(*_EC2_IDS)
def ec2_by_id(params: Mapping[str, object], place: Place) -> Named:
    """Resources of any kind: the id's prefix tells which; one that tells none leaves all open."""
    return _several(_ec2_of(name, place) for name in _texts(params, *_EC2_IDS) or [""])


@reads("TagSpecifications", "PoolTagSpecifications")
def ec2_tag_specifications(params: Mapping[str, object], place: Place) -> Named:
    """Resources that are tagged when they are made: the kinds that the tag specifications name."""
    listed = [params.get("TagSpecifications"), params.get("PoolTagSpecifications")]
    entries = [entry for each in listed if isinstance(each, (list, tuple)) for entry in each[:_MOST]]
    kinds = {text(entry.get("ResourceType")) for entry in entries if isinstance(entry, dict)} - {""}
    plain = {kind for kind in kinds if kind.replace("-", "").isalnum()}
    if not plain:
        return ("*",), False
    return tuple(sorted(_ec2(kind, "*", place) for kind in plain)), True


@reads("ImageId")
def ec2_image(params: Mapping[str, object], place: Place) -> Named:
    """Image to launch: its id, or a Systems Manager parameter (`resolve:ssm:`), which does not tell it."""
    image = text(params.get("ImageId"))
    known = bool(image) and not image.startswith("resolve:")
    return (f"arn:{place[0]}:ec2:{place[1]}::image/{image if known else '*'}",), known


def _source(params: Mapping[str, object], place: Place, parameter: str) -> tuple[str, bool]:
    # which region the ARN of a resource of another region is checked with is not documented
    name, region = text(params.get(parameter)), text(params.get("SourceRegion"))
    kind = "image" if parameter == "SourceImageId" else "snapshot"
    return f"arn:{place[0]}:ec2:{place[1] if region in {'', place[1]} else '*'}::{kind}/{name or '*'}", bool(name)


@reads("SourceImageId", "SourceRegion")
def ec2_source_image(params: Mapping[str, object], place: Place) -> Named:
    """Image that is copied: the call goes to the copy's region, the image is in SourceRegion."""
    return _several([_source(params, place, "SourceImageId")])


@reads("SourceSnapshotId", "SourceRegion")
def ec2_source_snapshot(params: Mapping[str, object], place: Place) -> Named:
    """Snapshot that is copied: the call goes to the copy's region, the snapshot is in SourceRegion."""
    return _several([_source(params, place, "SourceSnapshotId")])


# --- ECS ----------------------------------------------------------------------------------------

_ECS_PARENTS = {
    "service-deployment": "service", "service-revision": "service", "daemon-deployment": "daemon",
    "daemon-revision": "daemon", "gateway-route": "gateway",
}  # fmt: skip
_ECS_CHILDREN = (
    "serviceDeploymentArn", "serviceDeploymentArns", "serviceRevisionArns", "daemonDeploymentArns",
    "daemonRevisionArns", "gatewayRouteArn",
)  # fmt: skip


def _ecs_parent(arn: str) -> tuple[str, bool]:
    parts = arn.split(":", 5)
    kind, *names = parts[5].split("/") if len(parts) == 6 and parts[2] == "ecs" else [""]
    if kind not in _ECS_PARENTS or len(names) != 3:
        return "*", False
    return ":".join((*parts[:5], "/".join((_ECS_PARENTS[kind], *names[:2])))), True


@reads(*_ECS_CHILDREN)
def ecs_parent(params: Mapping[str, object], place: Place) -> Named:
    """Service, daemon or gateway of a deployment, revision or route: the first two names of the child's ARN."""
    return _several(map(_ecs_parent, _texts(params, *_ECS_CHILDREN) or [""]))


# --- ECR and EFS --------------------------------------------------------------------------------


def _ecr(params: Mapping[str, object], place: Place, service: str, region: str) -> Named:
    registry = text(params.get("registryId"))
    owned = len(registry) == 12 and registry.isdigit()
    base = f"arn:{place[0]}:{service}:{region}:{(registry if owned else '*') if registry else place[2]}:repository/"
    names = _texts(params, "repositoryName", "repositoryNames")
    return _several((f"{base}{name or '*'}", bool(name)) for name in names or [""])


@reads("repositoryName", "repositoryNames", "registryId")
def ecr_repository(params: Mapping[str, object], place: Place) -> Named:
    """Repositories: a registry is named by the account that owns it."""
    return _ecr(params, place, "ecr", place[1])


@reads("repositoryName", "repositoryNames", "registryId")
def ecr_public_repository(params: Mapping[str, object], place: Place) -> Named:
    """Public repositories: as ECR's, without a region."""
    return _ecr(params, place, "ecr-public", "")


@reads("ResourceId")
def efs_resource(params: Mapping[str, object], place: Place) -> Named:
    """Tagged resource: the id's prefix tells a file system from an access point; it may also be an ARN."""
    value = text(params.get("ResourceId"))
    if value[:4] == "arn:":
        given = value.split(":", 5)[2:3] == ["elasticfilesystem"] and value.count(":") >= 5
        return (value if given else "*",), given
    kind = {"fs": "file-system", "fsap": "access-point"}.get(value.partition("-")[0])
    if kind is None:
        return ("*",), False
    return (f"arn:{place[0]}:elasticfilesystem:{place[1]}:{place[2]}:{kind}/{value}",), True


# --- RDS ----------------------------------------------------------------------------------------


@reads("SnapshotIdentifier")
def rds_snapshot(params: Mapping[str, object], place: Place) -> Named:
    """Snapshot that a cluster is made of: a name is a cluster snapshot's, an ARN may be an instance's, too."""
    name = text(params.get("SnapshotIdentifier"))
    if name[:4] == "arn:":
        given = name.split(":", 6)[5:6] in (["cluster-snapshot"], ["snapshot"])
        return (name if given else "*",), given
    return (f"arn:{place[0]}:rds:{place[1]}:{place[2]}:cluster-snapshot:{name.lower() or '*'}",), bool(name)


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
    batch_job_definition, bedrock_model, ec2_by_id, ec2_image, ec2_source_image, ec2_source_snapshot,
    ec2_tag_specifications, ecr_public_repository, ecr_repository, ecs_parent, efs_resource, events_rule, glue_catalog,
    glue_database, glue_function, glue_table, logs_group, logs_stream, rds_snapshot, scheduler_schedule,
    ssm_document, ssm_instance,
)  # fmt: skip
