"""Rules about keys: long-lived ones where a role would do, and a role's keys passed on as literals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from credwatch_agent.evidence import Place, Signed
from credwatch_agent.evidence.join import HOST_ID
from credwatch_agent.findings import words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.sight import LITERALS, ROLE_SOURCES, grouped, places, pseudonym
from credwatch_agent.records import KeySighting
from credwatch_agent.snapshot import AccessKey

_FILES = frozenset({"environment", "shared-credentials-file", "config-file"})
_WAYS = {
    "environment": "environment variables",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the AWS config file",
    "explicit": "its code",
}


# --- long-lived keys --------------------------------------------------------------------------------


def static_key_shadowing_role(world: World) -> Iterator[Finding]:
    def shadowing(item: Signed) -> str | None:
        long_lived = item.usage.credential_type == "long-lived" and item.usage.source in _FILES
        return item.place.workload.where if long_lived and offered(item.place) else None

    for where, signed in sorted(grouped(world.joined.signed, shadowing).items()):
        way = _WAYS[signed[0].usage.source]
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
        sites = words.listed(sorted({_site(item) for item in signed} - {""}))
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


def _site(item: Signed) -> str:
    usage = item.usage
    return f"{usage.code_file}:{usage.code_line}" if usage.code_file else ""


# --- temporary keys that somebody passed on ---------------------------------------------------------


def role_credentials_laundered(world: World) -> Iterator[Finding]:
    known = _origins(world)
    ways = _passed_on(world, known)

    def laundered(item: Signed) -> str | None:
        usage = item.usage
        by_fleet = (item.row.process_id, usage.source) in ways and usage.credential_type == "temporary"
        return item.place.workload.where if usage.laundered or by_fleet else None

    for where, signed in sorted(grouped(world.joined.signed, laundered).items()):
        expired = [item for item in signed if item.usage.outcome == "auth-failed"]
        source = _source(signed, ways)
        first_ns, last_ns = words.seen(signed)
        sites = words.listed(sorted({_site(item) for item in signed} - {""}))
        yield Finding(
            id="role-credentials-laundered",
            severity=Severity.MEDIUM if expired else Severity.INFO,
            kind=Subject.WORKLOAD,
            subject=where,
            sentence=f"`{where}` passes the keys of a role ({source}) on as literals: nobody renews them",
            evidence=(
                words.calls(signed),
                *((f"call sites: {sites}",) if sites else ()),
                words.reporters(places(signed)),
                *((f"refused as expired or invalid: {words.calls(expired)}",) if expired else ()),
            ),
            fixes=(_PASS_SESSION,),
            role_arn=signed[0].role_arn,
            first_ns=first_ns,
            last_ns=last_ns,
        )


_PASS_SESSION = Fix(
    "Pass the session, not its keys; for a role that is assumed, let botocore assume it and renew the keys.",
    "[profile target]\nrole_arn = ROLE_ARN\ncredential_source = EcsContainer  # or Ec2InstanceMetadata\n"
    '\n# boto3.Session(profile_name="target")',
)


def _origins(world: World) -> dict[str, KeySighting]:
    """Return, by pseudonym, where the fleet saw a key come from a role source."""
    return {
        pseudonym(key.pseudonym): key
        for key in world.telemetry.keys
        if key.source in ROLE_SOURCES and not key.laundered
    }


def _passed_on(world: World, known: dict[str, KeySighting]) -> dict[tuple[str, str], KeySighting]:
    """Return origins by the process and literal source in which a known role's key turned up."""
    return {
        (key.process_id, key.source): known[pseudonym(key.pseudonym)]
        for key in world.telemetry.keys
        if key.source in LITERALS and key.credential_type == "temporary" and pseudonym(key.pseudonym) in known
    }


def _source(signed: Sequence[Signed], ways: dict[tuple[str, str], KeySighting]) -> str:
    item = signed[0]
    origin = ways.get((item.row.process_id, item.usage.source))
    source = origin.source if origin else item.usage.source
    principal = words.name(item.usage.principal or (origin.principal if origin else ""))
    return f"{source} `{principal}`" if principal else source


def stale_credentials(world: World) -> Iterator[Finding]:
    old = _superseded(world.telemetry.keys)

    def stale(item: Signed) -> str | None:
        usage = item.usage
        expired = usage.laundered and usage.outcome == "auth-failed"
        outlived = usage.laundered and (item.row.process_id, usage.source, usage.principal) in old
        return item.place.workload.where if expired or outlived else None

    for where, signed in sorted(grouped(world.joined.signed, stale).items()):
        failed = [item for item in signed if item.usage.outcome == "auth-failed"]
        first_ns, last_ns = words.seen(signed)
        yield Finding(
            id="stale-credentials",
            severity=Severity.MEDIUM,
            kind=Subject.WORKLOAD,
            subject=where,
            sentence=f"`{where}` signs with copied keys of a role that "
            + ("were refused as expired or invalid" if failed else "the role's source has replaced since"),
            evidence=(
                *((f"refused: {words.calls(failed)}",) if failed else ()),
                words.calls(signed),
                words.reporters(places(signed)),
            ),
            fixes=(_PASS_SESSION,),
            role_arn=signed[0].role_arn,
            first_ns=first_ns,
            last_ns=last_ns,
        )


_ONE_KEY = frozenset({"ecs-task-role", "ec2-instance-profile", "eks-pod-identity", "lambda-execution-role"})


def _superseded(keys: Sequence[KeySighting]) -> set[tuple[str, str, str]]:
    """Return where a copied key was used after its source had given out a newer one.

    Only of sources that have one current key at a time: any number of sessions of an assumed role
    are valid side by side.
    """
    newest: dict[tuple[str, str, str], KeySighting] = {}
    for key in keys:
        if key.source in _ONE_KEY and not key.laundered:
            at = (key.process_id, key.source, key.principal)
            newest[at] = max(newest.get(at, key), key, key=lambda k: k.first_ns)
    return {
        at
        for key in keys
        if key.laundered
        and (at := (key.process_id, key.source, key.principal)) in newest
        and newest[at].pseudonym != key.pseudonym
        and key.first_ns < newest[at].first_ns < key.last_ns
    }


def foreign_temporary_credentials(world: World) -> Iterator[Finding]:
    known = _origins(world)
    foreign = {
        (key.process_id, key.source): key
        for key in world.telemetry.keys
        if key.source in LITERALS
        and key.credential_type == "temporary"
        and not key.laundered
        and pseudonym(key.pseudonym) not in known
    }

    def of_unknown_origin(item: Signed) -> str | None:
        at = (item.row.process_id, item.usage.source)
        unknown = at in foreign and item.usage.credential_type == "temporary" and not item.usage.laundered
        return item.place.workload.where if unknown and item.place.platform != "aws_lambda" else None

    for where, signed in sorted(grouped(world.joined.signed, of_unknown_origin).items()):
        keys = sorted({foreign[item.row.process_id, item.usage.source].pseudonym for item in signed})
        first_ns, last_ns = words.seen(signed)
        yield Finding(
            id="foreign-temporary-credentials",
            severity=Severity.MEDIUM,
            kind=Subject.WORKLOAD,
            subject=where,
            sentence=(
                f"`{where}` signs with temporary keys from {_WAYS[signed[0].usage.source]} that no reporting process"
                " obtained"
            ),
            evidence=(
                f"key {words.listed(keys)}: {words.calls(signed)}",
                words.reporters(places(signed)),
                f"of {words.count(len(world.joined.places), 'process')} that reported, none got it from a role source",
            ),
            fixes=(
                Fix("Find out whose they are, then who put them there.", "aws sts get-caller-identity", "shell"),
                Fix("Let the workload obtain its own credentials from its role."),
            ),
            role_arn=signed[0].role_arn,
            first_ns=first_ns,
            last_ns=last_ns,
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
        absorbs=frozenset({"root-or-user-key-on-compute"}),
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
        absorbs=frozenset({"root-or-user-key-on-compute"}),
    ),
    Rule(
        id="stale-credentials",
        severity="medium",
        check=stale_credentials,
        what="A copy of a role's keys is in use after the role's source replaced them.",
        why="The copy ends within hours, and calls then fail although the role is well.",
        how_we_know=(
            "Copied keys of a role were refused (ExpiredToken and its like), or the same process got newer keys from"
            " the same source while the copy was still signing."
        ),
        how_to_fix="Pass the session instead of its keys, so that they are renewed.",
        references=("handoff issue 162",),
        absorbs=frozenset({"role-credentials-laundered"}),
    ),
    Rule(
        id="foreign-temporary-credentials",
        severity="medium",
        check=foreign_temporary_credentials,
        what="A process signs with temporary keys that no reporting process obtained.",
        why="Somebody put them there: a pipeline, a person, or who stole them.",
        how_we_know=(
            "The keys are temporary (ASIA), given as text, and their pseudonym was not seen at any role source of the"
            " fleet. Lambda, which passes its role's keys in the environment, is left out."
        ),
        how_to_fix="Trace the origin, and let the workload obtain its own.",
        references=("MITRE ATT&CK T1550.001 (Application Access Token)",),
    ),
    Rule(
        id="role-credentials-laundered",
        severity="info; medium after an expired token",
        check=role_credentials_laundered,
        what="The temporary keys of a role are passed on as literals.",
        why="Nobody renews them, and the SDK's own word for their source (`explicit`) hides the role.",
        how_we_know=(
            "The key that signed was issued by a role source in the same process, or its pseudonym is known from one"
            " elsewhere in the fleet."
        ),
        how_to_fix="Pass the session, or let botocore assume the role.",
        references=("dlt issue 4004",),
    ),
)
