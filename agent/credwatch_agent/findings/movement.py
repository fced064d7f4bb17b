"""Rules about change of place: keys that sign away from home, a process that goes over to another source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from credwatch_agent.compare import RoleView
from credwatch_agent.evidence import Place
from credwatch_agent.findings import grants, words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.sight import HOST_SOURCE, first, pseudonym
from credwatch_agent.records import KeySighting
from credwatch_agent.snapshot import Index


def credentials_away_from_home(world: World) -> Iterator[Finding]:
    by_key: defaultdict[str, list[KeySighting]] = defaultdict(list)
    for key in world.telemetry.keys:
        if key.credential_type == "temporary":
            by_key[pseudonym(key.pseudonym)].append(key)
    for name, keys in sorted(by_key.items()):
        owners = {key.source for key in keys if key.source in {"ecs-task-role", HOST_SOURCE}}
        if len(owners) != 1:
            continue
        homes = _homes(world, keys, owners.pop())
        if len(homes) > 1:
            yield _away(world, name, keys, homes)
        else:
            yield from _elsewhere(world, name, keys)


def _homes(world: World, keys: Sequence[KeySighting], owner: str) -> dict[str, list[Place]]:
    """Return the known tasks or instances in which a key signed; one task and its host are one home."""
    homes: defaultdict[str, list[Place]] = defaultdict(list)
    for key in keys:
        place = world.joined.places.get(key.process_id)
        if place is None:
            continue
        instance = place.instance.instance_id if place.instance else ""
        home = (place.task_arn or instance) if owner == "ecs-task-role" else instance
        if home:
            homes[home].append(place)
    hosts = {p.instance.instance_id for found in homes.values() for p in found if p.task_arn and p.instance}
    return {home: found for home, found in homes.items() if home not in hosts or owner == HOST_SOURCE}


def _away(world: World, name: str, keys: Sequence[KeySighting], homes: dict[str, list[Place]]) -> Finding:
    principal = first(key.principal for key in keys)
    role = first(words.name(key.principal) for key in keys)
    return Finding(
        id="credentials-away-from-home",
        severity=Severity.CRITICAL,
        kind=Subject.KEY,
        subject=name,
        sentence=f"one key of `{role}` signed in {len(homes)} places: {words.listed(map(words.name, sorted(homes)))}",
        evidence=(
            *(
                f"`{home}`: {words.listed(sorted({p.workload.where for p in found}))}"
                for home, found in sorted(homes.items())
            ),
            _signed_with(keys),
        ),
        fixes=tuple(_revoke(role, world, min(k.first_ns for k in keys))),
        role_arn=world.index.role_arn(principal) if principal.startswith("arn:") else "",
        first_ns=min(key.first_ns for key in keys),
        last_ns=max(key.last_ns for key in keys),
        # that somebody passed the key on there is the same cause
        related=tuple(sorted({p.workload.where for found in homes.values() for p in found})),
    )


def _signed_with(keys: Sequence[KeySighting]) -> str:
    total = words.count(sum(key.value for key in keys), "call")
    return f"{total} signed with it {words.span(min(k.first_ns for k in keys), max(k.last_ns for k in keys))}"


def _revoke(role: str, world: World, since_ns: int) -> Iterator[Fix]:
    deny = {
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"DateLessThan": {"aws:TokenIssueTime": words.iso(world.now_ns)}},
    }
    yield Fix(f"End all sessions of `{role}` that were issued until now.", grants.document([deny]), "json")
    bound = {
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {
            "StringNotEquals": {"aws:Ec2InstanceSourceVpc": "${aws:SourceVpc}"},
            "Null": {"ec2:SourceInstanceARN": "false"},
            "BoolIfExists": {"aws:ViaAWSService": "false"},
        },
    }
    yield Fix(
        "For instance profiles, where all calls go through VPC endpoints: let the keys work in their own VPC only.",
        grants.document([bound]),
        "json",
    )


def _elsewhere(world: World, name: str, keys: Sequence[KeySighting]) -> Iterator[Finding]:
    for key in keys:
        place = world.joined.places.get(key.process_id)
        account = place.process.resource.get("cloud.account.id", "") if place else ""
        if place and account and key.account_id and account != key.account_id:
            yield Finding(
                id="credentials-away-from-home",
                severity=Severity.INFO,
                kind=Subject.KEY,
                subject=name,
                sentence=(
                    f"a key of account {key.account_id} signed for `{place.workload.where}` in account {account}"
                ),
                evidence=(
                    _signed_with([key]),
                    words.reporters([place]),
                ),
                fixes=(Fix("See whether somebody passes keys from one account to another."),),
                detail="account",
                first_ns=key.first_ns,
                last_ns=key.last_ns,
            )
            return


# --- a source that changed --------------------------------------------------------------------------


def source_changed(world: World) -> Iterator[Finding]:
    views = {view.role.arn: view for view in world.roles}
    keys: defaultdict[str, list[KeySighting]] = defaultdict(list)
    for key in world.telemetry.keys:
        if not key.laundered:
            keys[key.process_id].append(key)
    for process_id, place in sorted(world.joined.places.items()):
        for before, after in _changes(keys[process_id]):
            old = views.get(_role(before, place, world.index))
            new = views.get(_role(after, place, world.index))
            if old and new and old is not new and _contains(new, old):
                yield _changed(place, before, after, old, new)


# sources that a process finds by itself: a role that it assumes is no change but a further step
_FOUND = frozenset(
    {"ec2-instance-profile", "ecs-task-role", "eks-pod-identity", "web-identity", "imds-other", "container-other"}
)


def _changes(keys: Sequence[KeySighting]) -> Iterator[tuple[KeySighting, KeySighting]]:
    """Yield the last key of each source and the first of the one that took its place for good."""
    ordered = sorted((key for key in keys if key.source in _FOUND), key=lambda key: key.first_ns)
    for position, after in enumerate(ordered[1:], 1):
        before = ordered[position - 1]
        if before.source != after.source and all(
            key.last_ns <= after.first_ns for key in ordered if key.source == before.source
        ):
            yield before, after


def _role(key: KeySighting, place: Place, index: Index) -> str:
    if key.principal.startswith("arn:"):
        return index.role_arn(key.principal)
    profile = place.instance.profile_arn if place.instance else ""
    return index.role_arn(name=key.principal, profile_arn=profile, account_id=key.account_id)


def _contains(outer: RoleView, inner: RoleView) -> bool:
    """Tell whether a role surely allows all that another does and more; a Deny or a boundary leaves it open."""
    if outer.problems or inner.problems or outer.role.boundary or not inner.statements:
        return False
    if any('"Deny"' in policy.document for policy in outer.role.policies):
        return False
    return all(any(grants.within(s, o) for o in outer.statements) for s in inner.statements) and not all(
        any(grants.within(o, s) for s in inner.statements) for o in outer.statements
    )


def _changed(place: Place, before: KeySighting, after: KeySighting, old: RoleView, new: RoleView) -> Finding:
    return Finding(
        id="source-changed",
        severity=Severity.HIGH,
        kind=Subject.WORKLOAD,
        subject=place.workload.where,
        sentence=(
            f"a process of `{place.workload.where}` went from {before.source} (`{old.role.name}`) to {after.source}"
            f" (`{new.role.name}`), which grants all of it and more"
        ),
        evidence=(
            f"{before.source}: {words.count(before.value, 'call')} {words.span(before.first_ns, before.last_ns)}",
            f"{after.source}: {words.count(after.value, 'call')} {words.span(after.first_ns, after.last_ns)}",
            words.reporters([place]),
        ),
        fixes=(Fix(f"Find out why {before.source} failed at {words.stamp(before.last_ns)}, and mend that."),),
        role_arn=new.role.arn,
        first_ns=before.first_ns,
        last_ns=after.last_ns,
    )


RULES = (
    Rule(
        id="credentials-away-from-home",
        severity="critical with two known places, else info",
        check=credentials_away_from_home,
        what="The temporary key of one task or instance signed somewhere else too.",
        why="A copied key is how a stolen one looks.",
        how_we_know=(
            "The same key's pseudonym was reported from two known tasks or instances (a task and its host are one), or"
            " from a place in another account than the key's."
        ),
        how_to_fix="End the role's sessions, find the copy, and bind the keys to their VPC where that is possible.",
        references=("GuardDuty InstanceCredentialExfiltration", "MITRE ATT&CK T1078.004 (Cloud Accounts)"),
        absorbs=frozenset({"role-credentials-laundered", "stale-credentials"}),
    ),
    Rule(
        id="source-changed",
        severity="high",
        check=source_changed,
        what="A process went over to another source whose role grants more.",
        why="The first source failed, and the SDK took the next one without a word.",
        how_we_know=(
            "Keys of one process: those of the first source end before those of the second begin, and each statement of"
            " the first role is contained in one of the second."
        ),
        how_to_fix="Mend the first source.",
        references=("botocore's order of credential providers",),
    ),
)
