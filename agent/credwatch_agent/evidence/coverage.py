"""Who reports for a role, and what stands against calling a grant of it unused.

Each rule is a row of `RULES`: a function from what is known of one role to the gaps it sees.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from credwatch_agent.evidence.join import Joined, Place, Signed, Workload
from credwatch_agent.evidence.verdict import Gap, Reason
from credwatch_agent.snapshot import Index, Role, TaskDefinition, model

DAY_NS = 86_400 * 10**9
DEFAULT_WINDOW_DAYS = 90.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How much evidence is enough. `slack_s`: silence that is no gap, twice the default export interval."""

    window_days: float = DEFAULT_WINDOW_DAYS
    share: float = 0.95
    slack_s: float = 120.0

    @property
    def window_ns(self) -> int:
        return int(self.window_days * DAY_NS)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A class of processes that reported with a role. `closed`: all ended, so `calls` is exact."""

    workload: Workload
    processes: int
    instances: int
    calls: int
    first_ns: int
    last_ns: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Coverage:
    """Who reported for a role; with no gap left, an unseen action is unused."""

    carriers: tuple[Carrier, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """All that is known of one role: the rules' only argument."""

    role: Role
    index: Index
    places: tuple[Place, ...]
    signed: tuple[Signed, ...]
    now_ns: int
    settings: Settings

    @property
    def by_where(self) -> dict[str, list[Place]]:
        groups: defaultdict[str, list[Place]] = defaultdict(list)
        for place in self.places:
            groups[place.workload.where].append(place)
        return groups

    @property
    def definitions(self) -> tuple[TaskDefinition, ...]:
        """Task definitions whose tasks have the role, by themselves or by an override that runs."""
        running = {task.definition_arn for task in self.index.tasks_of(self.role.arn)}
        every = self.index.snapshot.task_definitions
        return tuple(d for d in every if d.arn in running or d.task_role_arn == self.role.arn)


def cover(role: Role, index: Index, joined: Joined, now_ns: int, settings: Settings) -> Coverage:
    """Return who carried a role within the window and the gaps in what they report."""
    signed = joined.by_role(role.arn)
    scope = Scope(role, index, joined.places_of(role.arn), signed, now_ns, settings)
    gaps = dict.fromkeys(gap for rule in RULES for gap in rule(scope))
    return Coverage(tuple(_carriers(scope)), tuple(gaps))


def _carriers(scope: Scope) -> Iterator[Carrier]:
    classes: defaultdict[Workload, list[Place]] = defaultdict(list)
    for place in scope.places:
        classes[place.workload].append(place)
    for workload, places in sorted(classes.items()):
        ids = {place.process.process_id for place in places}
        yield Carrier(
            workload=workload,
            processes=len(places),
            instances=len(
                {place.task_arn or (place.instance.instance_id if place.instance else "") for place in places}
            ),
            calls=sum(s.row.calls for s in scope.signed if s.row.process_id in ids),
            first_ns=min(place.process.first_ns for place in places),
            last_ns=max(place.process.last_ns for place in places),
            closed=all(place.process.closed is not None for place in places),
        )


# --- rules ----------------------------------------------------------------------------------------


def no_carrier(scope: Scope) -> Iterator[Gap]:
    if not scope.places:
        yield Gap(Reason.NO_CARRIER, "no process reported with this role")


def missing_layers(scope: Scope) -> Iterator[Gap]:
    """Without these layers nobody knows who else carries the role."""
    for missing in scope.index.snapshot.missing:
        if missing.layer in (model.TASKS, model.TASK_DEFINITIONS, model.INSTANCE_PROFILES, model.INSTANCES):
            yield Gap(Reason.MISSING_LAYER, missing.sentence)


def instance_profile(scope: Scope) -> Iterator[Gap]:
    for profile in scope.index.profiles_of(scope.role.arn):
        yield Gap(
            Reason.INSTANCE_PROFILE, f"instance profile `{profile.name}` carries it: any process on a host may sign"
        )


def window(scope: Scope) -> Iterator[Gap]:
    """Each workload must have reported since the window began, without long silence."""
    begin = scope.now_ns - scope.settings.window_ns
    slack = int(scope.settings.slack_s * 10**9)
    for where, places in sorted(scope.by_where.items()):
        first = min(place.process.first_ns for place in places)
        if first > begin + slack:
            seen = duration(max(0, scope.now_ns - first))
            yield Gap(Reason.WINDOW, f"`{where}` has been reporting for {seen} of {duration(scope.settings.window_ns)}")
            continue
        silence = _silence(places, begin, scope.now_ns)
        if silence > max((1 - scope.settings.share) * scope.settings.window_ns, slack):
            yield Gap(Reason.WINDOW, f"`{where}` was silent for {duration(silence)} of the window")


def _silence(places: Iterable[Place], begin: int, end: int) -> int:
    """Return for how long within a span of time no process of a workload was alive."""
    silent, reached = 0, begin
    for first, last in sorted((place.process.first_ns, place.process.last_ns) for place in places):
        silent += max(0, first - reached)
        reached = max(reached, last)
    return silent + max(0, end - reached)


def uninstrumented(scope: Scope) -> Iterator[Gap]:
    """Every container of a task with the role must report, unless it is marked as not calling AWS."""
    reporting = {(place.workload.family, place.workload.container) for place in scope.places}
    silent = {
        (definition.family, container.name)
        for definition in scope.definitions
        for container in definition.containers
        if not container.no_aws and (definition.family, container.name) not in reporting
    }
    for family, container in sorted(silent):
        yield Gap(
            Reason.UNINSTRUMENTED,
            f"container `{container}` of task family `{family}` does not report:"
            f" instrument it, or label it `{model.NO_AWS_LABEL}=true`",
        )


def instances(scope: Scope) -> Iterator[Gap]:
    """Of the running tasks, nearly all must report, for each container and each lasting entry point.

    An entry point whose processes all ended is a job, not a service: no task has to run it.
    """
    running: defaultdict[str, set[str]] = defaultdict(set)
    for task in scope.index.tasks_of(scope.role.arn):
        definition = scope.index.definition_of(task)
        if definition:
            running[definition.family].add(task.arn)
    for name, family, reporting in sorted(_classes(scope)):
        tasks = running[family]
        seen = len(tasks & reporting)
        if tasks and seen < scope.settings.share * len(tasks):
            yield Gap(Reason.COVERAGE, f"`{name}` reports from {seen} of {len(tasks)} running tasks")


def _classes(scope: Scope) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield name, family and reporting tasks of each container, and of each entry point that lasts."""
    on_ecs = [place for place in scope.places if place.workload.family]
    groups: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    lasting = {place.workload for place in on_ecs if place.process.closed is None}
    for place in on_ecs:
        workload = place.workload
        groups[workload.where, workload.family].add(place.task_arn)
        if workload in lasting and workload.entry_point:
            groups[f"{workload.where} {workload.entry_point}", workload.family].add(place.task_arn)
    for (name, family), tasks in groups.items():
        yield name, family, frozenset(tasks)


def inexact(scope: Scope) -> Iterator[Gap]:
    if any(not signed.row.exact for signed in scope.signed):
        yield Gap(Reason.INEXACT, "some counts are incomplete (spans or delta points): calls may be missing")


def unmapped(scope: Scope) -> Iterator[Gap]:
    """A call that no rule maps may have used any action."""
    for signed in scope.signed:
        if signed.usage.mapping == "unknown":
            call = f"{signed.usage.service}:{signed.usage.operation}"
            yield Gap(Reason.MAPPING, f"`{call}` was called and no rule tells which actions it needs")


def trust(scope: Scope) -> Iterator[Gap]:
    """Everyone whom the trust policy lets in must report."""
    try:
        principals = sorted(trusted(scope.role.trust))
    except ValueError:
        yield Gap(Reason.TRUST, "the trust policy does not parse: who may assume the role is unknown")
        return
    for kind, principal in principals:
        if not any(_carries(kind, principal, scope)):
            yield Gap(Reason.TRUST, f"the trust policy lets in `{principal}`, from which no process reports")


def trusted(document: str) -> set[tuple[str, str]]:
    """Return the principals that the Allow statements of a trust policy let in, as (kind, name).

    Raises ValueError on what is no policy.
    """
    parsed = json.loads(document)
    statements = parsed.get("Statement", []) if isinstance(parsed, dict) else None
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not all(isinstance(s, dict) for s in statements):
        raise ValueError("a trust policy has a list of statements")
    found: set[tuple[str, str]] = set()
    for statement in statements:
        if statement.get("Effect") == "Allow":
            found.update(_principals(statement))
    return found


def _principals(statement: dict[str, object]) -> Iterator[tuple[str, str]]:
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        for kind, names in principal.items():
            for name in names if isinstance(names, list) else [names]:
                yield str(kind), str(name)
    elif principal is not None:
        yield "AWS", str(principal)
    if "NotPrincipal" in statement:
        yield "AWS", "everyone but NotPrincipal"


# service principal -> how a process in that place reports: its OpenTelemetry platforms, its sources
_PLATFORMS = {
    "ecs-tasks.amazonaws.com": ("aws_ecs",),
    "ec2.amazonaws.com": ("aws_ec2",),
    "lambda.amazonaws.com": ("aws_lambda",),
    "pods.eks.amazonaws.com": ("aws_eks",),
}
_SOURCES = {
    "ecs-tasks.amazonaws.com": "ecs-task-role",
    "ec2.amazonaws.com": "ec2-instance-profile",
    "lambda.amazonaws.com": "lambda-execution-role",
    "pods.eks.amazonaws.com": "eks-pod-identity",
}


def _carries(kind: str, principal: str, scope: Scope) -> Iterator[bool]:
    """Yield True for each sign that processes which this principal lets in do report."""
    if kind == "Service":
        source = _SOURCES.get(principal)
        yield from (source in _obtained(signed, scope) for signed in scope.signed)
        yield from (
            place.platform in _PLATFORMS.get(principal, ()) and place.role_arn == scope.role.arn
            for place in scope.places
        )
    elif kind == "Federated":
        yield from ("web-identity" in _obtained(signed, scope) for signed in scope.signed)
    else:
        # an account or a wildcard is never one carrier: only a role that was seen assuming it counts
        yield from (
            scope.index.role_arn(hop.principal) == principal for signed in scope.signed for hop in signed.usage.chain
        )


def _obtained(signed: Signed, scope: Scope) -> set[str]:
    """Return the sources from which the role itself was obtained; further hops are other roles."""
    hops = {hop.source for hop in signed.usage.chain if scope.index.role_arn(hop.principal) == scope.role.arn}
    return {signed.usage.source} | hops


Rule = Callable[[Scope], Iterator[Gap]]

RULES: tuple[Rule, ...] = (
    no_carrier,
    missing_layers,
    instance_profile,
    window,
    uninstrumented,
    instances,
    trust,
    inexact,
    unmapped,
)


def duration(ns: int) -> str:
    """Return a length of time in the largest unit that leaves a readable number."""
    seconds = ns / 10**9
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            value = f"{seconds / size:.1f}".removesuffix(".0")
            return f"{value} {unit}{'' if value == '1' else 's'}"
    return "0 seconds" if seconds <= 0 else "less than a second"
