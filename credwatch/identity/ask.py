"""The entrance: from a world (or a boto3 session) to an `Identity`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from credwatch.identity import edges
from credwatch.identity.chain import unreached, walk
from credwatch.identity.diagnose import Case, diagnose
from credwatch.identity.findings import Context
from credwatch.identity.metadata import misconfigured_endpoint
from credwatch.identity.model import Finding, Identity, Keys, Problem, Step, World
from credwatch.identity.profiles import load, region
from credwatch.signature import key_type, pseudonym


class Report(NamedTuple):
    """An identity, and the keys behind it for who must sign with them. Only the first may be shown."""

    identity: Identity
    keys: Keys | None


def whoami(session: Any = None) -> Identity:
    """Return which credential source this process, or a boto3 or botocore session, would use.

    Asks the metadata endpoints that the SDK would ask (each within seconds), runs no
    `credential_process`, assumes no role, calls no AWS service. What is not known is "". Does not
    raise for a broken configuration: that is a problem of the identity returned.
    """
    world = edges.this_process()
    if session is None:
        return inspect(world).identity
    inner = getattr(session, "_session", session)
    variables = inner.instance_variables()
    found = inspect(world, variables.get("profile"), named_by="the session", given=_given(inner)).identity
    return replace(found, region=variables.get("region") or found.region)


def _given(session: Any) -> Finding | None:
    credentials = getattr(session, "_credentials", None)
    if getattr(credentials, "method", "") != "explicit":
        return None
    # the property of refreshable credentials would fetch: what is held is in a private attribute
    held = vars(credentials)
    key_id = held.get("_access_key") or held.get("access_key") or ""
    return Finding("found", "keys given in code", "explicit", method="explicit", keys=Keys(key_id))


def inspect(
    world: World, profile: str | None = None, *, named_by: str = "--profile", given: Finding | None = None
) -> Report:
    """Return who a process in this world would be; `profile` as if given in code, `given` keys given in code."""
    profiles = load(world, profile, named_by)
    context = Context(world, profiles)
    broken = profiles.problem() or misconfigured_endpoint(world, profiles)
    if given is not None:
        ended, steps = given, (Step("explicit", "used", given.text), *unreached(context))
    elif broken is not None:
        ended, steps = Finding("stops", broken.sentence, problems=(broken,)), unreached(context)
    else:
        found, steps = walk(context)
        ended = found or Finding("nothing", "")
    identity = _identity(context, ended, steps)
    problems = diagnose(Case(context, identity, None if ended.state == "nothing" else ended))
    remarks = tuple(Problem("view", "info", "", note, "") for note in world.notes)
    return Report(replace(identity, problems=(*problems, *remarks)), ended.keys)


def _identity(context: Context, ended: Finding, steps: tuple[Step, ...]) -> Identity:
    key_id = ended.keys.access_key if ended.keys else ""
    return Identity(
        source=ended.source,
        provider=ended.method if ended.state == "found" else "",
        principal_arn=ended.principal_arn,
        principal_name=ended.principal_name,
        account_id=ended.account_id,
        instance_profile_arn=ended.instance_profile_arn,
        region=region(context.world, context.profiles),
        profile=context.profiles.name,
        pseudonym=pseudonym(key_id),
        credential_type=key_type(key_id),
        expires=ended.expires,
        chain=ended.chain,
        task=context.task,
        steps=steps,
    )
