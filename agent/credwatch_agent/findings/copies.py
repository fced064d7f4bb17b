"""Rules about temporary keys that somebody passed on: copies of a role's keys, and keys of unknown origin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from credwatch_agent.evidence import Signed
from credwatch_agent.findings import words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.sight import LITERALS, ROLE_SOURCES, WAYS, grouped, places, pseudonym, site
from credwatch_agent.records import KeySighting


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
        sites = words.listed(sorted({site(item) for item in signed} - {""}))
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
    ways = _passed_on(world, _origins(world))
    old = _superseded(world.telemetry.keys, ways)

    def stale(item: Signed) -> str | None:
        usage = item.usage
        at = (item.row.process_id, usage.source)
        copied = usage.laundered or (at in ways and usage.credential_type == "temporary")
        outlived = (*at, usage.principal) in old
        return item.place.workload.where if copied and (outlived or usage.outcome == "auth-failed") else None

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


def _superseded(keys: Sequence[KeySighting], ways: dict[tuple[str, str], KeySighting]) -> set[tuple[str, str, str]]:
    """Return where a copied key was used after its source had given a newer one to the process that copied it.

    Only of sources that have one current key at a time: any number of sessions of an assumed role
    are valid side by side.
    """
    newest: dict[tuple[str, str, str], KeySighting] = {}
    for key in keys:
        if key.source in _ONE_KEY and not key.laundered:
            at = (key.process_id, key.source, key.principal)
            newest[at] = max(newest.get(at, key), key, key=lambda k: k.first_ns)
    found: set[tuple[str, str, str]] = set()
    for key in keys:
        origin = ways.get((key.process_id, key.source), key if key.laundered else None)
        now = newest.get((origin.process_id, origin.source, origin.principal)) if origin else None
        if origin and now and now.pseudonym != key.pseudonym and origin.first_ns < now.first_ns < key.last_ns:
            found.add((key.process_id, key.source, key.principal))
    return found


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
                f"`{where}` signs with temporary keys from {WAYS[signed[0].usage.source]} that no reporting process"
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
