"""Resources whose ARNs no template says: EC2, containers, EFS, RDS, IAM and Organizations.

As `resources`: each function takes whatever the caller passed, never raises, and says why it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping

from credwatch.operations.naming import Named, Place, Shape, entries, is_account, is_arn_of, reads, several, text, texts

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
    return several(_ec2_of(name, place) for name in texts(params, *_EC2_IDS) or [""])


@reads("TagSpecifications", "PoolTagSpecifications")
def ec2_tag_specifications(params: Mapping[str, object], place: Place) -> Named:
    """Resources that are tagged when they are made: the kinds that the tag specifications name."""
    listed = [*entries(params.get("TagSpecifications")), *entries(params.get("PoolTagSpecifications"))]
    kinds = {text(entry.get("ResourceType")) for entry in listed} - {""}
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
    return several([_source(params, place, "SourceImageId")])


@reads("SourceSnapshotId", "SourceRegion")
def ec2_source_snapshot(params: Mapping[str, object], place: Place) -> Named:
    """Snapshot that is copied: the call goes to the copy's region, the snapshot is in SourceRegion."""
    return several([_source(params, place, "SourceSnapshotId")])


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
    return several(map(_ecs_parent, texts(params, *_ECS_CHILDREN) or [""]))


# --- ECR and EFS --------------------------------------------------------------------------------


def _ecr(params: Mapping[str, object], place: Place, service: str, region: str) -> Named:
    registry = text(params.get("registryId"))
    owner = (registry if is_account(registry) else "*") if registry else place[2]
    base = f"arn:{place[0]}:{service}:{region}:{owner}:repository/"
    names = texts(params, "repositoryName", "repositoryNames")
    return several((f"{base}{name or '*'}", bool(name)) for name in names or [""])


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
        if not is_arn_of(name, "batch", "job-definition/"):
            return (f"arn:{place[0]}:batch:*:*:job-definition/*:*",), False
        owner, _, name = name.partition(":job-definition/")
        base = f"{owner}:job-definition/"
    return (base + (name if ":" in name else f"{name or '*'}:*"),), bool(name)


# --- IAM ----------------------------------------------------------------------------------------


def _made(kind: str, parameter: str) -> Shape:
    """Return the shape of what an IAM operation makes: its path is in the request, unlike those of others."""

    @reads(parameter, "Path")
    def shape(params: Mapping[str, object], place: Place) -> Named:
        name, path = text(params.get(parameter)), text(params.get("Path", "/"))
        known = bool(name) and path[:1] == "/" and path[-1:] == "/"
        return (f"arn:{place[0]}:iam::{place[2]}:{kind}{path if known else '/*'}{name}",), bool(name)

    shape.__name__ = f"iam_new_{kind.replace('-', '_')}"
    return shape


_MADE = tuple(
    _made(kind, parameter)
    for kind, parameter in (
        ("group", "GroupName"), ("instance-profile", "InstanceProfileName"), ("mfa", "VirtualMFADeviceName"),
        ("policy", "PolicyName"), ("role", "RoleName"), ("server-certificate", "ServerCertificateName"),
        ("user", "UserName"),
    )
)  # fmt: skip


@reads("Url")
def iam_new_oidc_provider(params: Mapping[str, object], place: Place) -> Named:
    """OIDC provider that is made: named by its URL without the scheme."""
    host = text(params.get("Url")).partition("://")[2]
    return (f"arn:{place[0]}:iam::{place[2]}:oidc-provider/{host or '*'}",), bool(host)


# --- Organizations ------------------------------------------------------------------------------

_ORGANIZATIONS_IDS = (
    "ChildId", "DestinationParentId", "HandshakeId", "Id", "OrganizationalUnitId", "ParentId", "PolicyId",
    "ResourceId", "RootId", "SourceParentId", "TargetId",
)  # fmt: skip
_ORGANIZATIONS_KINDS = {
    "h": "handshake/o-*/*", "ou": "ou/o-*", "p": "policy/o-*/*", "r": "root/o-*", "rp": "resourcepolicy/o-*",
    "rt": "transfer/o-*/*/*",
}  # fmt: skip


def _organizations(name: str, place: Place) -> tuple[str, bool]:
    if is_account(name):
        return f"arn:{place[0]}:organizations::*:account/o-*/{name}", True
    kind = _ORGANIZATIONS_KINDS.get(name.partition("-")[0])
    if kind is None:
        return "*", False
    if kind[:6] == "policy" and name != name.lower():
        return f"arn:{place[0]}:organizations::aws:policy/*/{name}", True  # one of AWS's own: `p-FullAWSAccess`
    return f"arn:{place[0]}:organizations::*:{kind}/{name}", True


@reads(*_ORGANIZATIONS_IDS)
def organizations_by_id(params: Mapping[str, object], place: Place) -> Named:
    """Accounts, roots, units, policies, handshakes: the id tells which; the organization is not in the request."""
    return several(_organizations(name, place) for name in texts(params, *_ORGANIZATIONS_IDS) or [""])


SHAPES = (
    batch_job_definition, ec2_by_id, ec2_image, ec2_source_image, ec2_source_snapshot, ec2_tag_specifications,
    ecr_public_repository, ecr_repository, ecs_parent, efs_resource, iam_new_oidc_provider, organizations_by_id,
    rds_snapshot, *_MADE,
)  # fmt: skip
