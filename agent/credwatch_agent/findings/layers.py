"""Rules about layers on EC2 and ECS: an application that signs as its host, a task without a role.

They look at the root of a credential chain: what a role was assumed with. A source that is not
shown to be the instance profile (`imds-other`, `unknown`) proves nothing here.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from credwatch_agent.evidence import Place, Signed
from credwatch_agent.evidence.baselines import CONTAINER_INSTANCE, baseline, matches
from credwatch_agent.findings import grants, words
from credwatch_agent.findings.metadata import block
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.sight import HOST_SOURCE, LAUNCH_TYPE, first, grouped, places, root_role
from credwatch_agent.snapshot import Index, model

NO_TASK_ROLE = "no-task-role"
STRIPPED = "environment-stripped"
EXPLICIT = "explicit-imds-profile"
UNDETERMINED = "undetermined"

CAUSES = (
    (NO_TASK_ROLE, "the task definition names no task role, so the SDK finds the host's"),
    (STRIPPED, "the task has a role, but this process was started without the variable that leads to it"),
    (EXPLICIT, "the process is configured to ask the instance metadata service, although the variable is there"),
    (UNDETERMINED, "the task's definition or the process's environment is not known"),
)

_VARIABLE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"


# --- task-using-instance-profile --------------------------------------------------------------------


def task_using_instance_profile(world: World) -> Iterator[Finding]:
    groups = grouped(world.joined.signed, _cause_of)
    for (where, cause), signed in sorted(groups.items()):
        host = first(root_role(item, world.index) for item in signed)
        name = words.name(host or first(item.usage.root.principal for item in signed)) or "its host"
        first_ns, last_ns = words.seen(signed)
        yield Finding(
            id="task-using-instance-profile",
            severity=Severity.HIGH,
            kind=Subject.WORKLOAD,
            subject=where,
            sentence=_SENTENCES[cause].format(where=where, host=name, role=_task_roles(signed)),
            evidence=tuple(_evidence(signed)),
            fixes=tuple(_FIXES[cause](signed, world.index)),
            cause=cause,
            role_arn=host,
            first_ns=first_ns,
            last_ns=last_ns,
            related=tuple(sorted({item.place.role_arn for item in signed} - {""})),
        )


def _cause_of(signed: Signed) -> tuple[str, str] | None:
    place = signed.place
    if not place.on_ecs or signed.usage.root.source != HOST_SOURCE or _on_fargate(place):
        return None
    return place.workload.where, cause(place)


def _on_fargate(place: Place) -> bool:
    """Fargate has no instance metadata service: who answers there is not EC2."""
    return place.process.resource.get(LAUNCH_TYPE) == "fargate"


def cause(place: Place) -> str:
    """Return why a process of a task signs as its host, as far as its environment and the task tell."""
    uri = place.credentials_uri
    if uri == "present":
        return EXPLICIT
    if uri == "stripped" or (uri == "absent" and place.role_arn):
        return STRIPPED
    if place.definition is not None and not place.role_arn:
        return NO_TASK_ROLE
    return UNDETERMINED


_SENTENCES = {
    NO_TASK_ROLE: "`{where}` runs as an ECS task without a task role and signs as its host, `{host}`",
    STRIPPED: (
        "`{where}` has the task role {role}, but a process of it was started without the variable that leads there"
        " and signs as its host, `{host}`"
    ),
    EXPLICIT: (
        "`{where}` is configured to ask the instance metadata service and signs as its host, `{host}`,"
        " although its task offers the task role {role}"
    ),
    UNDETERMINED: "`{where}` runs as an ECS task and signs as its host, `{host}`; why is not known",
}


def _task_roles(signed: Sequence[Signed]) -> str:
    return words.listed(sorted({words.name(s.place.role_arn) for s in signed} - {""})) or "(not in the snapshot)"


def _evidence(signed: Sequence[Signed]) -> Iterator[str]:
    found = places(signed)
    yield words.calls(signed)
    yield words.reporters(found)
    uris = {uri: sum(place.credentials_uri == uri for place in found) for uri in ("present", "absent", "stripped")}
    for uri, number in uris.items():
        if number:
            yield f"`{_VARIABLE}` is {uri} in {number:,} of {words.count(len(found), 'process')}"
    yield from dict.fromkeys(_definition(place) for place in found)
    chained = sum(item.row.calls for item in signed if item.usage.chain)
    if chained:
        yield f"{words.count(chained, 'call')} of them with a role that was assumed with the host's credentials"
    hosts = sorted({place.instance.instance_id for place in found if place.instance})
    if hosts:
        yield f"hosts: {words.listed(hosts)}"
    yield words.mapping(signed)


def _definition(place: Place) -> str:
    if place.definition is None:
        return f"the task definition of `{place.workload.family}` is not in the snapshot"
    name = f"{place.definition.family}:{place.definition.revision}"
    if place.task and place.task.task_role_override:
        return f"task `{words.name(place.task.arn)}` overrides the task role: `{place.task.task_role_override}`"
    role = place.definition.task_role_arn
    return f"task definition `{name}` has {f'the task role `{role}`' if role else 'no `taskRoleArn`'}"


# --- fixes ------------------------------------------------------------------------------------------


def _give_a_role(signed: Sequence[Signed], index: Index) -> Iterator[Fix]:
    yield from _new_role(signed, index)
    yield from block(places(signed))


def _new_role(signed: Sequence[Signed], index: Index) -> Iterator[Fix]:
    place = signed[0].place
    account = index.snapshot.account_id or place.process.resource.get("cloud.account.id", "") or "ACCOUNT"
    role = f"{place.workload.family}-task-role"
    yield Fix(
        f"Make a task role for `{place.workload.family}` that ECS tasks of this account alone may assume.",
        grants.task_trust(account),
        "json",
    )
    wanted = grants.wanted(item for item in signed if not item.usage.chain)
    yield grants.policy_fix("Grant it what the workload was seen to use.", wanted)
    yield Fix(
        "Name the role in the task definition, then deploy it.",
        f'"taskRoleArn": "arn:aws:iam::{account}:role/{role}"',
        "json",
    )


def _pass_the_variable(signed: Sequence[Signed], index: Index) -> Iterator[Fix]:
    yield Fix(
        "Pass the variable on to what the container starts (cron, sudo, ssh and su drop it).",
        f"export {_VARIABLE}=$(tr '\\0' '\\n' < /proc/1/environ | sed -n 's/^{_VARIABLE}=//p')",
        "shell",
    )
    yield from block(places(signed))


def _unset_the_profile(signed: Sequence[Signed], index: Index) -> Iterator[Fix]:
    yield Fix(
        "In the AWS config file, take the task's credentials as the source, or remove the line;"
        " in code, make the session without an instance metadata provider.",
        "credential_source = EcsContainer",
    )
    yield from block(places(signed))


def _find_out(signed: Sequence[Signed], index: Index) -> Iterator[Fix]:
    place = signed[0].place
    family, revision = place.workload.family, place.process.resource.get("aws.ecs.task.revision", "")
    name = shlex.quote(f"{family}:{revision}" if revision else family)
    yield Fix(
        "Look whether the task has a role.",
        f"aws ecs describe-task-definition --task-definition {name} --query taskDefinition.taskRoleArn",
        "shell",
    )
    yield Fix("In the container, see which step found the credentials.", "credwatch whoami", "shell")
    yield from block(places(signed))


_FIXES = {
    NO_TASK_ROLE: _give_a_role,
    STRIPPED: _pass_the_variable,
    EXPLICIT: _unset_the_profile,
    UNDETERMINED: _find_out,
}


# --- infra-role-used-for-app-calls ------------------------------------------------------------------


def infra_role_used_for_app_calls(world: World) -> Iterator[Finding]:
    def by_workload(item: Signed) -> tuple[str, str] | None:
        if item.usage.source != HOST_SOURCE or not item.role_arn or _on_fargate(item.place):
            return None
        if not _on_container_instance(item, world.index):
            return None
        return (item.place.workload.where, item.role_arn) if _foreign(item, world.index) else None

    for (where, role), signed in sorted(grouped(world.joined.signed, by_workload).items()):
        first_ns, last_ns = words.seen(signed)
        actions = sorted({action for item in signed for action in item.usage.actions})
        yield Finding(
            id="infra-role-used-for-app-calls",
            severity=Severity.HIGH,
            kind=Subject.WORKLOAD,
            subject=where,
            sentence=(
                f"`{where}` signs {words.listed(actions) or 'application calls'} with `{words.name(role)}`, the role of"
                " an ECS container instance, which every task on the host could use"
            ),
            evidence=(words.calls(signed), words.reporters(places(signed)), words.mapping(signed)),
            fixes=(
                grants.policy_fix(
                    "Move these grants to a role of the workload's own, a task role in ECS, and take them from"
                    f" `{words.name(role)}`.",
                    grants.wanted(signed),
                ),
            ),
            role_arn=role,
            first_ns=first_ns,
            last_ns=last_ns,
        )


def _on_container_instance(item: Signed, index: Index) -> bool:
    instance = item.place.instance
    if instance and index.registered(instance.instance_id):
        return True
    return index.serves_container_instances(item.role_arn)


def _foreign(item: Signed, index: Index) -> bool:
    """Tell whether a call needs an action that the ECS agent and the host's own agents do not use."""
    role = index.roles.get(item.role_arn)
    own = (*CONTAINER_INSTANCE, *(baseline(role, index) if role else ()))
    return any(not matches(action, own) for action in item.usage.actions)


# --- task-without-task-role -------------------------------------------------------------------------


def task_without_task_role(world: World) -> Iterator[Finding]:
    workloads: dict[str, list[Place]] = {}
    for place in world.joined.places.values():
        if _roleless(place, world.index):
            workloads.setdefault(place.workload.where, []).append(place)
    for where, found in sorted(workloads.items()):
        ids = {place.process.process_id for place in found}
        signed = [item for item in world.joined.signed if item.row.process_id in ids]
        name = words.listed(sorted({f"{p.definition.family}:{p.definition.revision}" for p in found if p.definition}))
        yield Finding(
            id="task-without-task-role",
            severity=Severity.MEDIUM if signed else Severity.INFO,
            kind=Subject.WORKLOAD,
            subject=where,
            sentence=f"`{where}` runs as an ECS task without a task role"
            + ("" if signed else "; it was not seen to call AWS"),
            evidence=(
                f"task definition {name} has no `taskRoleArn`",
                f"`{_VARIABLE}` is absent",
                words.reporters(found),
                *((words.calls(signed),) if signed else ()),
            ),
            fixes=(
                tuple(_new_role(signed, world.index))
                if signed
                else (
                    Fix(
                        "If it shall call AWS, give it a task role of its own; else label the container.",
                        f'"dockerLabels": {{"{model.NO_AWS_LABEL}": "true"}}',
                        "json",
                    ),
                )
            ),
            first_ns=min(place.process.first_ns for place in found),
            last_ns=max(place.process.last_ns for place in found),
        )


def _roleless(place: Place, index: Index) -> bool:
    """Both must say so: the process that it lacks the variable, the definition that there is no role."""
    if not place.on_ecs or place.credentials_uri != "absent" or place.definition is None:
        return False
    # an override of a task that the snapshot does not hold is not known, but it would set the variable in PID 1
    return not place.role_arn


RULES = (
    Rule(
        id="task-using-instance-profile",
        severity="high",
        check=task_using_instance_profile,
        what="An ECS task on EC2 signs with the instance profile of its host instead of a task role.",
        why=(
            "The host's role is shared by every task on it and made for the ECS agent. Its grants grow with each"
            " application, and nobody can tell from AWS's side which workload made a call."
        ),
        how_we_know=(
            "The process has a task ARN from the task metadata endpoint, and the root of the credential chain is an"
            " instance metadata service that also gave an instance identity. The cause comes from the process's"
            " environment and from `taskRoleArn` and the overrides in the snapshot."
        ),
        how_to_fix=(
            "Give the task a role, or let its processes see it, and keep tasks from the instance metadata service."
        ),
        references=(
            "AWS re:Post ecs-iam-task-roles-config-errors",
            "MITRE ATT&CK T1552.005 (Cloud Instance Metadata API)",
        ),
        causes=CAUSES,
        absorbs=frozenset({"infra-role-used-for-app-calls", "task-without-task-role", "unused-role"}),
    ),
    Rule(
        id="infra-role-used-for-app-calls",
        severity="high",
        check=infra_role_used_for_app_calls,
        what="A process signs application calls with the role of a registered ECS container instance.",
        why="What is granted to the host for one application is granted to every task and process on every such host.",
        how_we_know=(
            "The instance profile signed actions that neither the ECS agent (AmazonEC2ContainerServiceforEC2Role)"
            " nor a managed policy for host agents explains, and the snapshot shows the host registered with a cluster."
        ),
        how_to_fix="Move the grants to a role of the workload's own.",
        references=("aws/amazon-ecs-agent issue 578",),
    ),
    Rule(
        id="task-without-task-role",
        severity="medium; info where no AWS call was seen",
        check=task_without_task_role,
        what="An ECS task runs without a task role.",
        why="Its AWS calls need other credentials: the host's, or keys that somebody has to pass and rotate.",
        how_we_know="The process lacks the credentials variable, and the task definition has no `taskRoleArn`.",
        how_to_fix="Add a task role with what the workload uses.",
        references=("Amazon ECS developer guide, security-iam-roles",),
    ),
)
