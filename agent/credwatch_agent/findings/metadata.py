"""Rules about the instance metadata service: keys that it gives without a token, tasks that reach it.

Both rest on what a process met: that a host's options would allow it is confirmation, no evidence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from credwatch.semconv import IMDS_PROBE, IMDS_VERSION
from credwatch_agent.evidence import Place
from credwatch_agent.findings import words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.sight import HOST_SOURCE


def imdsv1_credentials(world: World) -> Iterator[Finding]:
    """A host that requires tokens by now is mended; one that the snapshot lacks is judged by what was met."""
    signed = {item.row.process_id for item in world.joined.signed if item.usage.root.source == HOST_SOURCE}

    def tokenless(place: Place) -> bool:
        mended = place.instance is not None and place.instance.http_tokens == "required"
        process = place.process
        return process.process_id in signed and process.resource.get(IMDS_VERSION) == "1" and not mended

    for where, found in _by_workload(world, tokenless):
        options = sorted(
            f"`HttpTokens` of `{place.instance.instance_id}` is `{place.instance.http_tokens}`"
            for place in found
            if place.instance and place.instance.http_tokens
        )
        yield _finding(
            "imdsv1-credentials",
            Severity.MEDIUM,
            where,
            found,
            f"the instance metadata service gives `{where}` credentials without a token (IMDSv1)",
            ("the request for a token failed, and one without a token was answered", *dict.fromkeys(options)),
            (
                Fix(
                    "Require tokens; where the process runs in a container, raise the hop limit to 2 or give it a role"
                    " of its own first.",
                    _options(found, "--http-tokens required"),
                    "shell",
                ),
                Fix(
                    "Deny what was signed with IMDSv1 keys, in a service control policy.",
                    '{"Effect": "Deny", "Action": "*", "Resource": "*",\n'
                    ' "Condition": {"NumericLessThan": {"ec2:RoleDelivery": "2.0"}}}',
                    "json",
                ),
            ),
        )


def imds_reachable_from_task(world: World) -> Iterator[Finding]:
    def reached(place: Place) -> bool:
        return place.on_ecs and place.process.resource.get(IMDS_PROBE) == "answered"

    for where, found in _by_workload(world, reached):
        yield _finding(
            "imds-reachable-from-task",
            Severity.HIGH,
            where,
            found,
            f"`{where}` reaches the instance metadata service from its task, and with it the role of its host",
            ("the probe was answered inside the task", *dict.fromkeys(_ways(found))),
            tuple(block(found)),
        )


def _by_workload(world: World, chosen: Callable[[Place], bool]) -> list[tuple[str, list[Place]]]:
    groups: defaultdict[str, list[Place]] = defaultdict(list)
    for place in world.joined.places.values():
        if chosen(place):
            groups[place.workload.where].append(place)
    return sorted(groups.items())


def _ways(found: Sequence[Place]) -> Iterator[str]:
    for place in found:
        if place.definition and place.definition.network_mode:
            yield f"task definition `{place.workload.family}` has network mode `{place.definition.network_mode}`"
        if place.instance and place.instance.hop_limit:
            yield f"the hop limit of `{place.instance.instance_id}` is {place.instance.hop_limit}"


def block(found: Sequence[Place]) -> Iterator[Fix]:
    """Keep tasks from the instance metadata service; how depends on the network mode."""
    modes = {place.definition.network_mode for place in found if place.definition}
    if "awsvpc" in modes:
        yield Fix(
            "Block the metadata service for tasks, in `/etc/ecs/ecs.config` of the hosts.",
            "ECS_AWSVPC_BLOCK_IMDS=true",
        )
    if modes & {"bridge", "default", ""} or not modes:
        yield Fix(
            "Block the metadata service for tasks in bridge mode: a hop limit of 1 ends at the host.",
            _options(found, "--http-tokens required --http-put-response-hop-limit 1"),
            "shell",
        )
    if "host" in modes:
        yield Fix("Tasks in `host` network mode cannot be kept from the metadata service: use `awsvpc`.")


def _options(found: Sequence[Place], options: str) -> str:
    hosts = sorted({place.instance.instance_id for place in found if place.instance}) or ["INSTANCE_ID"]
    return "\n".join(f"aws ec2 modify-instance-metadata-options --instance-id {host} {options}" for host in hosts)


def _finding(
    name: str,
    severity: Severity,
    where: str,
    found: Sequence[Place],
    sentence: str,
    evidence: tuple[str, ...],
    fixes: tuple[Fix, ...],
) -> Finding:
    return Finding(
        id=name,
        severity=severity,
        kind=Subject.WORKLOAD,
        subject=where,
        sentence=sentence,
        evidence=(*evidence, words.reporters(found)),
        fixes=fixes,
        first_ns=min(place.process.first_ns for place in found),
        last_ns=max(place.process.last_ns for place in found),
    )


RULES = (
    Rule(
        id="imdsv1-credentials",
        severity="medium",
        check=imdsv1_credentials,
        what="The instance metadata service gave credentials without a token.",
        why="Whoever can make a process fetch a URL (SSRF) then has the host's keys.",
        how_we_know=(
            "The recorder's own request for a token failed, and one without a token was answered; an instance whose"
            " `HttpTokens` is `required` in the snapshot is mended, and not named. Only of processes that signed with"
            " the instance profile."
        ),
        how_to_fix="Require tokens on the instance (`HttpTokens=required`), and deny keys with `ec2:RoleDelivery` 1.0.",
        references=("Security Hub EC2.8", "Amazon EC2 user guide, use IMDSv2"),
    ),
    Rule(
        id="imds-reachable-from-task",
        severity="high",
        check=imds_reachable_from_task,
        what="The instance metadata service answers inside an ECS task.",
        why="The task can then take the role of its host, whatever role it has itself.",
        how_we_know=(
            "`CREDWATCH_PROBE_IMDS=1` was set for the process, and its probe was answered. Hop limit and network mode"
            " in the snapshot say why; without the probe nothing is said."
        ),
        how_to_fix="Block the metadata service for tasks, by the agent's setting, the hop limit or `awsvpc` mode.",
        references=("Security Hub ECS.17", "Checkov CKV_AWS_341", "ECScape (Naor Haziz, 2025)"),
    ),
)
