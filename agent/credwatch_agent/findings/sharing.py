"""Rules about roles that are chained, shared between workloads, or used in a place that is not theirs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from credwatch_agent.compare import RoleView
from credwatch_agent.evidence import Place, Signed
from credwatch_agent.findings import grants, words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.sight import HOST_SOURCE, ROLE_SOURCES, first, grouped, places, pseudonym, root_role
from credwatch_agent.records import KeySighting
from credwatch_agent.snapshot import Index


def role_chain(world: World) -> Iterator[Finding]:
    """Only from a role to a role: AssumeRole with a user's key is no chain."""

    def chained(item: Signed) -> tuple[str, str] | None:
        usage = item.usage
        if not usage.chain or usage.source != "assumed-role" or usage.root.source not in ROLE_SOURCES:
            return None
        return item.place.workload.where, item.role_arn or usage.principal

    for (where, target), signed in sorted(grouped(world.joined.signed, chained).items()):
        longest = max(signed, key=lambda item: len(item.usage.chain)).usage
        hops = [*(words.name(hop.principal) or hop.source for hop in reversed(longest.chain)), words.name(target)]
        first_ns, last_ns = words.seen(signed)
        yield Finding(
            id="role-chain",
            severity=Severity.LOW,
            kind=Subject.WORKLOAD,
            subject=where,
            sentence=(
                f"`{where}` reaches `{words.name(target)}` through {words.count(len(longest.chain), 'other role')}"
            ),
            evidence=(
                f"{' -> '.join(f'`{hop}`' for hop in hops)}; it begins at {longest.root.source}",
                words.calls(signed),
                words.reporters(places(signed)),
                "a session of a chained role ends after an hour, whatever the role allows",
            ),
            fixes=(
                Fix(
                    "Drop a hop: where the target is in this account, grant the first role what it needs; where the"
                    " resource is in another, let its own policy name the first role.",
                    grants.document(grants.statements(_wanted(signed))),
                    "json",
                ),
            ),
            detail=target,
            role_arn=target if target.startswith("arn:") else "",
            first_ns=first_ns,
            last_ns=last_ns,
        )


def _wanted(signed: Sequence[Signed]) -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for item in signed:
        if item.usage.outcome == "allowed":
            for action, resources in item.usage.authorizations:
                found[action].update(resources or ("*",))
    return dict(found)


# --- execution role, node role ----------------------------------------------------------------------


def execution_role_used_by_app(world: World) -> Iterator[Finding]:
    def execution(item: Signed) -> tuple[str, str] | None:
        definition = item.place.definition
        if item.usage.root.source != "ecs-task-role" or definition is None:
            return None
        role = root_role(item, world.index)
        return (item.place.workload.where, role) if role and role == definition.execution_role_arn else None

    for (where, role), signed in sorted(grouped(world.joined.signed, execution).items()):
        definition = signed[0].place.definition
        name = f"{definition.family}:{definition.revision}" if definition else ""
        first_ns, last_ns = words.seen(signed)
        yield Finding(
            id="execution-role-used-by-app",
            severity=Severity.MEDIUM,
            kind=Subject.WORKLOAD,
            subject=where,
            sentence=f"`{where}` signs with `{words.name(role)}`, which is also the execution role of its task",
            evidence=(
                f"task definition `{name}` has this role as `executionRoleArn`",
                words.calls(signed),
                words.reporters(places(signed)),
            ),
            fixes=(
                Fix(
                    "Make a task role of its own with what the application uses.",
                    grants.document(grants.statements(_wanted(signed))),
                    "json",
                ),
                Fix("Name it in the task definition.", f'"taskRoleArn": "{role}-task"', "json"),
            ),
            role_arn=role,
            first_ns=first_ns,
            last_ns=last_ns,
        )


_POD_SOURCES = frozenset({"web-identity", "eks-pod-identity"})


def node_role_used_by_pod(world: World) -> Iterator[Finding]:
    """The pods of a workload are alike: one that signs with its own role shows that one is configured."""

    def pod(item: Signed) -> str | None:
        return item.place.workload.where if "k8s.pod.name" in item.place.process.resource else None

    for where, signed in sorted(grouped(world.joined.signed, pod).items()):
        node = [item for item in signed if item.usage.root.source == HOST_SOURCE]
        own = [item for item in signed if item.usage.root.source in _POD_SOURCES]
        if not node or not own:
            continue
        host = root_role(node[0], world.index) or node[0].usage.root.principal
        first_ns, last_ns = words.seen(node)
        yield Finding(
            id="node-role-used-by-pod",
            severity=Severity.HIGH,
            kind=Subject.WORKLOAD,
            subject=where,
            sentence=f"pods of `{where}` sign with their node's role `{words.name(host)}` beside their own",
            evidence=(
                f"node's role: {words.calls(node)}",
                f"own role ({own[0].usage.root.source}): {words.calls(own)}",
                words.reporters(places(signed)),
            ),
            fixes=(
                Fix("Update the SDK to one that knows the pod's source (IRSA, Pod Identity)."),
                Fix(
                    "Keep pods from the metadata service: a hop limit of 1 ends at the node.",
                    "aws ec2 modify-instance-metadata-options --instance-id INSTANCE_ID"
                    " --http-tokens required --http-put-response-hop-limit 1",
                    "shell",
                ),
            ),
            role_arn=host if host.startswith("arn:") else "",
            first_ns=first_ns,
            last_ns=last_ns,
        )


# --- one role, many workloads -----------------------------------------------------------------------


def one_role_many_workloads(world: World) -> Iterator[Finding]:
    for view in world.roles:
        signed = [s for s in world.joined.by_role(view.role.arn) if s.usage.source != HOST_SOURCE]
        by_workload = grouped(signed, _unit)
        wanted = {unit: found for unit, items in by_workload.items() if (found := _wanted(items))}
        parts = _parts(wanted)
        if len(parts) > 1:
            yield _shared(view, parts, wanted, signed)


def _unit(item: Signed) -> str:
    # the containers of one task cannot have roles of their own
    return item.place.workload.family or item.place.workload.service


def _parts(wanted: dict[str, dict[str, set[str]]]) -> list[list[str]]:
    """Return groups of workloads, such that those of different groups have no action in common."""
    parts: list[tuple[list[str], set[str]]] = []
    for unit, actions in sorted(wanted.items()):
        joined, names = [unit], set(actions)
        apart = []
        for members, theirs in parts:
            if theirs & names:
                joined, names = [*members, *joined], names | theirs
            else:
                apart.append((members, theirs))
        parts = [*apart, (joined, names)]
    return [sorted(members) for members, _ in parts]


def _shared(
    view: RoleView, parts: list[list[str]], wanted: dict[str, dict[str, set[str]]], signed: Sequence[Signed]
) -> Finding:
    first_ns, last_ns = words.seen(signed)
    return Finding(
        id="one-role-many-workloads",
        severity=Severity.MEDIUM,
        kind=Subject.ROLE,
        subject=view.role.arn,
        sentence=(
            f"`{view.role.name}` serves {words.listed(sorted(wanted))}, which have no action in common"
            if len(parts) == len(wanted)
            else f"`{view.role.name}` serves {len(parts)} groups of workloads that have no action in common"
        ),
        evidence=(
            *(f"{words.listed(members)}: {words.listed(_actions(members, wanted))}" for members in sorted(parts)),
            words.calls(signed),
            words.reporters(places(signed)),
        ),
        fixes=tuple(
            Fix(
                f"A role of its own for {words.listed(members)}, with what was seen of it.",
                grants.document(grants.statements(_union(members, wanted))),
                "json",
            )
            for members in sorted(parts)
        ),
        role_arn=view.role.arn,
        first_ns=first_ns,
        last_ns=last_ns,
    )


def _union(members: Sequence[str], wanted: dict[str, dict[str, set[str]]]) -> dict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for member in members:
        for action, resources in wanted[member].items():
            found[action] |= resources
    return dict(found)


def _actions(members: Sequence[str], wanted: dict[str, dict[str, set[str]]]) -> list[str]:
    return sorted(_union(members, wanted))


# --- credentials away from home ---------------------------------------------------------------------


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
    )


def _signed_with(keys: Sequence[KeySighting]) -> str:
    total = words.count(sum(key.value for key in keys), "call")
    return f"{total} signed with it: {words.span(min(k.first_ns for k in keys), max(k.last_ns for k in keys))}"


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
    for process_id, place in sorted(world.joined.places.items()):
        keys = [k for k in world.telemetry.keys if k.process_id == process_id and not k.laundered]
        for before, after in _changes(keys):
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
            f"{before.source}: {words.count(before.value, 'call')}, {words.span(before.first_ns, before.last_ns)}",
            f"{after.source}: {words.count(after.value, 'call')}, {words.span(after.first_ns, after.last_ns)}",
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
    Rule(
        id="node-role-used-by-pod",
        severity="high",
        check=node_role_used_by_pod,
        what="A pod signs with its node's role although it has one of its own.",
        why="The node's role is shared by every pod on it.",
        how_we_know=(
            "A process in a pod signed with the instance profile, and another process of the same service signed with"
            " IRSA or Pod Identity."
        ),
        how_to_fix="Update the SDK, and set the hop limit of the nodes' metadata service to 1.",
        references=("deeplake issue 3161",),
    ),
    Rule(
        id="execution-role-used-by-app",
        severity="medium",
        check=execution_role_used_by_app,
        what="An application signs with the execution role of its task.",
        why="That role is for pulling images and secrets: the application can then read all that ECS may.",
        how_we_know=("The ECS credentials endpoint named a role that the task definition has as `executionRoleArn`."),
        how_to_fix="Split the two roles.",
        references=("Checkov CKV_AWS_249",),
    ),
    Rule(
        id="one-role-many-workloads",
        severity="medium",
        check=one_role_many_workloads,
        what="Workloads that have no action in common share a role.",
        why="Each can do what the others need.",
        how_we_know=(
            "Calls by role and workload (task family or service); workloads with a common action are one group."
            " Instance profiles are left out: other rules speak of them."
        ),
        how_to_fix="One role each; the split is shown.",
        references=("Amazon ECS developer guide, security-iam-roles",),
    ),
    Rule(
        id="role-chain",
        severity="low",
        check=role_chain,
        what="A role is assumed with another role.",
        why="Sessions end after an hour whatever the role allows, and whoever reads logs sees the last role only.",
        how_we_know="The key that signed came from AssumeRole, and that call was signed with a role.",
        how_to_fix="Drop a hop where a direct grant does.",
        references=("IAM user guide, roles terms and concepts: role chaining",),
    ),
)
