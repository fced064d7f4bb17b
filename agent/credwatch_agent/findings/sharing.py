"""Rules about roles that are chained, shared between workloads, or taken for another purpose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from credwatch.semconv import POD_IDENTITY
from credwatch_agent.compare import RoleView
from credwatch_agent.evidence import Place, Signed
from credwatch_agent.findings import grants, words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.sight import HOST_SOURCE, ROLE_SOURCES, grouped, places, root_role
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
                grants.policy_fix(
                    "Drop a hop: where the target is in this account, grant the first role what it needs; where the"
                    " resource is in another, let its own policy name the first role.",
                    grants.wanted(signed),
                ),
            ),
            detail=target,
            role_arn=target if target.startswith("arn:") else "",
            first_ns=first_ns,
            last_ns=last_ns,
        )


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
                grants.policy_fix(
                    "Make a task role of its own with what the application uses.",
                    grants.wanted(signed),
                ),
                Fix("Name it in the task definition.", f'"taskRoleArn": "{role}-task"', "json"),
            ),
            role_arn=role,
            first_ns=first_ns,
            last_ns=last_ns,
        )


POD = "k8s.pod.name"

_POD_SOURCES = frozenset({"web-identity", "eks-pod-identity"})


def node_role_used_by_pod(world: World) -> Iterator[Finding]:
    """A pod has a role of its own if its environment, the cluster's associations or another pod say so."""

    def pod(item: Signed) -> str | None:
        return item.place.workload.where if POD in item.place.process.resource else None

    for where, signed in sorted(grouped(world.joined.signed, pod).items()):
        node = [item for item in signed if item.usage.root.source == HOST_SOURCE]
        # the pods of a workload are alike: what one signs with, the others could
        own = [item for item in signed if item.usage.root.source in _POD_SOURCES]
        configured = sorted({sign for item in node for sign in _configured(item.place, world.index)})
        if not node or not (own or configured):
            continue
        host = root_role(node[0], world.index) or node[0].usage.root.principal
        first_ns, last_ns = words.seen(node)
        yield Finding(
            id="node-role-used-by-pod",
            severity=Severity.HIGH,
            kind=Subject.WORKLOAD,
            subject=where,
            sentence=f"pods of `{where}` sign with their node's role `{words.name(host)}`, and have one of their own",
            evidence=(
                f"node's role: {words.calls(node)}",
                *((f"own role ({own[0].usage.root.source}): {words.calls(own)}",) if own else ()),
                *configured,
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


def _configured(place: Place, index: Index) -> Iterator[str]:
    """Say what shows that a pod has a role of its own, from its environment and from the cluster."""
    resource = place.process.resource
    if resource.get(POD_IDENTITY) in _POD_SOURCES:
        yield f"the pod's environment leads to {resource[POD_IDENTITY]}"
    association = index.association(resource.get("k8s.namespace.name", ""), resource.get("k8s.serviceaccount.name", ""))
    if association:
        account = f"{association.namespace}/{association.service_account}"
        yield f"cluster `{association.cluster}` associates `{account}` with `{words.name(association.role_arn)}`"


# --- one role, many workloads -----------------------------------------------------------------------


def one_role_many_workloads(world: World) -> Iterator[Finding]:
    for view in world.roles:
        signed = [s for s in world.joined.by_role(view.role.arn) if s.usage.source != HOST_SOURCE]
        by_workload = grouped(signed, unit)
        wanted = {name: found for name, items in by_workload.items() if (found := grants.wanted(items))}
        parts = _parts(wanted)
        if len(parts) > 1:
            yield _shared(view, parts, wanted, signed)


def unit(item: Signed) -> str:
    """Return what can have a role of its own: a task family (its containers cannot), or a service."""
    return item.place.workload.family or item.place.workload.service


def _parts(wanted: dict[str, dict[str, set[str]]]) -> list[list[str]]:
    """Return groups of workloads, such that those of different groups have no action in common."""
    parts: list[tuple[list[str], set[str]]] = []
    for workload, actions in sorted(wanted.items()):
        joined, names = [workload], set(actions)
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


RULES = (
    Rule(
        id="node-role-used-by-pod",
        severity="high",
        check=node_role_used_by_pod,
        what="A pod signs with its node's role although it has one of its own.",
        why="The node's role is shared by every pod on it.",
        how_we_know=(
            "A process in a pod signed with the instance profile, and one of these shows a role of its own: the pod's"
            " environment (IRSA, Pod Identity), an association of the cluster with its service account, another"
            " process of the same service that signed so."
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
