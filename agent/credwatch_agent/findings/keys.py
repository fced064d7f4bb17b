"""Rules about long-lived keys where a role would do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from credwatch_agent.evidence import Place, Signed
from credwatch_agent.evidence.join import HOST_ID
from credwatch_agent.findings import words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.sight import WAYS, grouped, places, pseudonym, site
from credwatch_agent.records import KeySighting
from credwatch_agent.snapshot import AccessKey

_FILES = frozenset({"environment", "shared-credentials-file", "config-file"})


# --- long-lived keys --------------------------------------------------------------------------------


def static_key_shadowing_role(world: World) -> Iterator[Finding]:
    def shadowing(item: Signed) -> str | None:
        long_lived = item.usage.credential_type == "long-lived" and item.usage.source in _FILES
        return item.place.workload.where if long_lived and offered(item.place) else None

    for where, signed in sorted(grouped(world.joined.signed, shadowing).items()):
        way = WAYS[signed[0].usage.source]
        place = signed[0].place
        yield _long_lived(
            world,
            "static-key-shadowing-role",
            where,
            signed,
            f"`{where}` signs with a long-lived key from {way}, although it could sign with {offered(place)}",
            (
                Fix(f"Take the key out of {way}: the SDK then finds the role.", _UNSET, "shell"),
                *_grant_fix(place, signed),
            ),
        )


def offered(place: Place) -> str:
    """Say which role a process could have signed with, or "" where none is known."""
    if place.on_ecs and (place.role_arn or place.credentials_uri == "present"):
        return f"the task role `{words.name(place.role_arn)}`" if place.role_arn else "its task role"
    if not place.on_ecs and place.instance and place.instance.profile_arn:
        return f"the instance profile `{words.name(place.instance.profile_arn)}`"
    return ""


_UNSET = "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN"


def _grant_fix(place: Place, signed: Sequence[Signed]) -> Iterator[Fix]:
    actions = sorted({action for item in signed for action in item.usage.actions})
    if place.role_arn and actions:
        yield Fix(f"Before that, see that `{words.name(place.role_arn)}` grants {words.listed(actions)}.")


def hardcoded_credentials(world: World) -> Iterator[Finding]:
    def literal(item: Signed) -> str | None:
        usage = item.usage
        found = usage.source == "explicit" and usage.credential_type == "long-lived" and not usage.laundered
        return item.place.workload.where if found else None

    for where, signed in sorted(grouped(world.joined.signed, literal).items()):
        sites = words.listed(sorted({site(item) for item in signed} - {""}))
        yield _long_lived(
            world,
            "hardcoded-credentials",
            where,
            signed,
            f"`{where}` gives a long-lived key to its client in code{f', seen at {sites}' if sites else ''}",
            (
                Fix("Make the client without keys: the SDK then finds the role.", 'boto3.client("s3")', "text"),
                Fix("Look for the key in the repository's history: it has to be deleted, not only removed."),
            ),
        )


def root_or_user_key_on_compute(world: World) -> Iterator[Finding]:
    def on_compute(item: Signed) -> str | None:
        return item.place.workload.where if item.usage.credential_type == "long-lived" and compute(item.place) else None

    for where, signed in sorted(grouped(world.joined.signed, on_compute).items()):
        root = any(item.usage.principal_arn.endswith(":root") for item in signed)
        whose = _owner(world, signed)
        finding = _long_lived(
            world,
            "root-or-user-key-on-compute",
            where,
            signed,
            f"`{where}` runs on {compute(signed[0].place)} and signs with a long-lived key of {whose}",
            (Fix("Give the workload a role, and let the SDK find it."),),
            Severity.CRITICAL if root else Severity.HIGH,
        )
        yield finding


def compute(place: Place) -> str:
    """Name the AWS compute that a process is known to run on, or "" """
    if place.on_ecs:
        return "ECS"
    if place.instance or place.platform == "aws_ec2" or place.process.resource.get(HOST_ID, "").startswith("i-"):
        return "EC2"
    if "k8s.pod.name" in place.process.resource and place.platform == "aws_eks":
        return "EKS"
    return "Lambda" if place.platform == "aws_lambda" else ""


def _long_lived(
    world: World,
    rule: str,
    where: str,
    signed: Sequence[Signed],
    sentence: str,
    fixes: tuple[Fix, ...],
    severity: Severity = Severity.HIGH,
) -> Finding:
    first_ns, last_ns = words.seen(signed)
    listed = tuple(_listed(world, signed))
    return Finding(
        id=rule,
        severity=severity,
        kind=Subject.WORKLOAD,
        subject=where,
        sentence=sentence,
        evidence=(
            words.calls(signed),
            words.reporters(places(signed)),
            *(_about(key) for key in listed),
            *_sightings(world, signed),
        ),
        fixes=(*fixes, *_delete(listed)),
        role_arn=signed[0].place.role_arn,
        first_ns=first_ns,
        last_ns=last_ns,
        # the role that it should have found is unused for the same cause
        related=tuple(sorted({item.place.role_arn for item in signed} - {""})),
    )


def _owner(world: World, signed: Sequence[Signed]) -> str:
    names = {item.usage.principal_arn for item in signed if item.usage.principal_arn}
    names |= {key.user_arn for key in _listed(world, signed)}
    if any(name.endswith(":root") for name in names):
        return "the account's root user"
    return f"the user {words.listed(words.name(name) for name in sorted(names))}" if names else "an IAM user or root"


def _keys(world: World, signed: Sequence[Signed]) -> Iterator[KeySighting]:
    """Yield the long-lived keys that the same processes signed with, from the same sources."""
    ways = {(item.row.process_id, item.usage.source) for item in signed}
    for key in world.telemetry.keys:
        if key.credential_type == "long-lived" and (key.process_id, key.source) in ways:
            yield key


def _listed(world: World, signed: Sequence[Signed]) -> Iterator[AccessKey]:
    """Yield what the snapshot knows of these keys."""
    seen = {pseudonym(key.pseudonym) for key in _keys(world, signed)}
    return (key for key in world.index.snapshot.access_keys if key.pseudonym in seen)


def _about(key: AccessKey) -> str:
    used = f", last used {key.last_used}" if key.last_used else ""
    return f"key `{key.pseudonym}` of `{key.user_arn}`: {key.status or 'status unknown'}, made {key.created}{used}"


def _sightings(world: World, signed: Sequence[Signed]) -> Iterator[str]:
    """Say which keys signed, those that the snapshot does not list."""
    known = {key.pseudonym for key in world.index.snapshot.access_keys}
    unknown = sorted({key.pseudonym for key in _keys(world, signed) if pseudonym(key.pseudonym) not in known})
    if unknown:
        yield f"key {words.listed(unknown)} belongs to no user of the snapshot"


def _delete(listed: Iterable[AccessKey]) -> Iterator[Fix]:
    """Deactivate first, delete once nothing breaks; the key's id is not known here, only its pseudonym."""
    for key in listed:
        user = words.name(key.user_arn)
        yield Fix(
            f"Then deactivate the key of `{user}`, and delete it when nothing breaks.",
            f"aws iam list-access-keys --user-name {user}\n"
            f"aws iam update-access-key --user-name {user} --access-key-id ID --status Inactive\n"
            f"aws iam delete-access-key --user-name {user} --access-key-id ID",
            "shell",
        )


RULES = (
    Rule(
        id="root-or-user-key-on-compute",
        severity="critical for root, else high",
        check=root_or_user_key_on_compute,
        what="A process on ECS, EC2, EKS or Lambda signs with a long-lived key of an IAM user or of root.",
        why="Such a key never ends, is copied easily, and works from anywhere.",
        how_we_know=(
            "The key that signed is long-lived (AKIA), and the process is known to run on AWS compute. Whose it is"
            " comes from the snapshot's list of access keys, by pseudonym."
        ),
        how_to_fix="Give the workload a role, then deactivate and delete the key.",
        references=("Security Hub IAM.4", "MITRE ATT&CK T1552.001 (Credentials in Files)"),
        absorbs=frozenset({"unused-role"}),
    ),
    Rule(
        id="static-key-shadowing-role",
        severity="high",
        check=static_key_shadowing_role,
        what="A long-lived key from the environment or a file signs, although a role is there.",
        why="SDKs look at the environment and files before they look for a role, so the key hides it.",
        how_we_know=(
            "The key that signed is long-lived (AKIA) and came from the environment or a file, and the process's task"
            " has a role or its EC2 instance a profile."
        ),
        how_to_fix="Take the key away, then deactivate and delete it.",
        references=("Security Hub ECS.8", "MITRE ATT&CK T1552.001 (Credentials in Files)"),
        absorbs=frozenset({"root-or-user-key-on-compute", "unused-role"}),
    ),
    Rule(
        id="hardcoded-credentials",
        severity="high",
        check=hardcoded_credentials,
        what="Code gives a long-lived key to its client.",
        why="Whoever reads the code or its history has the key, and rotating it needs a release.",
        how_we_know="botocore's credentials were `explicit`, the key that signed is long-lived (AKIA).",
        how_to_fix="Make the client without keys and use a role; delete the key.",
        references=("Checkov CKV_AWS_41",),
        absorbs=frozenset({"root-or-user-key-on-compute", "unused-role"}),
    ),
)
