"""Who reports for a role, and what stands against calling a grant of it unused.

Each rule is a row of `RULES`: a function from what is known of one role to the gaps it sees.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from credwatch_agent.evidence.join import Joined, Place, Signed, Workload
from credwatch_agent.evidence.second import NOTHING, Scales, Weighed
from credwatch_agent.evidence.settings import Settings, settings_of
from credwatch_agent.evidence.verdict import Gap, Reason
from credwatch_agent.snapshot import Index, Role, model


@dataclass(frozen=True, slots=True)
class Carrier:
    """A class of processes that reported with a role. `closed`: all ended, so `calls` is exact.

    Sessions that CloudTrail alone saw are one class without processes.
    """

    workload: Workload
    processes: int
    instances: int
    calls: int
    first_ns: int
    last_ns: int
    closed: bool


@dataclass(frozen=True, slots=True)
class Coverage:
    """Who reported for a role; with no gap left, an unseen action is unused.

    `second` is what second sources say of it.
    """

    carriers: tuple[Carrier, ...]
    gaps: tuple[Gap, ...]
    second: Weighed = NOTHING


@dataclass(frozen=True, slots=True)
class Scope:
    """All that is known of one role: the rules' only argument."""

    role: Role
    index: Index
    places: tuple[Place, ...]
    signed: tuple[Signed, ...]
    strays: tuple[Signed, ...]
    now_ns: int
    settings: Settings

    @property
    def by_where(self) -> dict[str, list[Place]]:
        groups: defaultdict[str, list[Place]] = defaultdict(list)
        for place in self.places:
            groups[place.workload.where].append(place)
        return groups

    @property
    def principals(self) -> set[tuple[str, str]] | None:
        """Whom the trust policy lets in, None where it does not parse."""
        try:
            return trusted(self.role.trust)
        except (ValueError, RecursionError):
            return None


def cover(
    role: Role, index: Index, joined: Joined, now_ns: int, settings: Settings, scales: Scales | None = None
) -> Coverage:
    """Return who carried a role within its window and the gaps in what they report.

    Tags of the role override `settings`. `scales` weigh second sources, where there are some.
    """
    places = joined.places_of(role.arn)
    strays = tuple(stray for place in places for stray in joined.strays_of(place.process.process_id))
    strays += tuple(s for s in joined.strays_named(role.name) if _account_fits(s, role))
    scope = Scope(role, index, places, joined.by_role(role.arn), strays, now_ns, settings_of(role, settings))
    begin_ns = now_ns - scope.settings.window_ns
    second = scales.weigh(role.arn, places, scope.signed, begin_ns) if scales else NOTHING
    gaps = dict.fromkeys((*(gap for rule in RULES for gap in rule(scope)), *second.gaps))
    return Coverage((*_carriers(scope), *_unreported(second)), tuple(gaps), second)


def _unreported(second: Weighed) -> Iterator[Carrier]:
    """Return the sessions of which CloudTrail alone tells as one class of carriers."""
    found = second.unreported
    if found:
        yield Carrier(
            workload=Workload("(CloudTrail alone)"),
            processes=0,
            instances=len({use.session for use in found}),
            calls=sum(use.calls for use in found),
            first_ns=min(use.first_ns for use in found),
            last_ns=max(use.last_ns for use in found),
            closed=False,
        )


def _account_fits(signed: Signed, role: Role) -> bool:
    return not signed.usage.account_id or signed.usage.account_id == role.arn.split(":")[4]


def _carriers(scope: Scope) -> Iterator[Carrier]:
    classes: defaultdict[Workload, list[Place]] = defaultdict(list)
    for place in scope.places:
        classes[place.workload].append(place)
    calls: Counter[Workload] = Counter()
    for signed in scope.signed:
        calls[signed.place.workload] += signed.row.calls
    for workload, places in sorted(classes.items()):
        yield Carrier(
            workload=workload,
            processes=len(places),
            instances=len(
                {place.task_arn or (place.instance.instance_id if place.instance else "") for place in places}
            ),
            calls=calls[workload],
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


def tags(scope: Scope) -> Iterator[Gap]:
    """A tag that cannot be read may have asked for more evidence."""
    yield from (Gap(Reason.SETTINGS, problem) for problem in scope.settings.problems)


def window(scope: Scope) -> Iterator[Gap]:
    """Each workload must have reported since the window began, without long silence.

    A job that said goodbye rests until its next run. Its rests are no silence as long as each is short
    beside the window, and as its first run is no later than its rhythm explains.
    """
    length = scope.settings.window_ns
    begin = scope.now_ns - length
    slack = int(scope.settings.slack_s * 10**9)
    allowed = max(int((1 - scope.settings.share) * length), slack)
    for where, places in sorted(scope.by_where.items()):
        first = min(place.process.first_ns for place in places)
        silence, rest = _silence(places, begin, scope.now_ns)
        if first > begin + max(slack, min(rest, allowed)):
            seen = duration(max(0, scope.now_ns - first))
            yield Gap(Reason.WINDOW, f"`{where}` has been reporting for {seen} of {duration(length)}")
        elif silence > allowed:
            yield Gap(Reason.WINDOW, f"`{where}` was silent for {duration(silence)} of the window")
        elif rest > allowed:
            yield Gap(Reason.WINDOW, f"`{where}` rested for {duration(rest)}, too long for so short a window")


def _silence(places: Iterable[Place], begin: int, end: int) -> tuple[int, int]:
    """Return for how long in all a workload was silent without a goodbye, and its longest rest after one.

    What lies before its first process is neither, and a rest is one only between two runs or after two.
    """
    silent = longest = 0
    reached, ended, runs = begin, False, 0
    for place in sorted(places, key=lambda each: (each.process.first_ns, each.process.last_ns)):
        first, last = place.process.first_ns, place.process.last_ns
        if runs and first > reached:
            silent, longest = (silent, max(longest, first - reached)) if ended else (silent + first - reached, longest)
        runs += 1 if first > reached or not runs else 0
        if last >= reached:
            reached, ended = last, place.process.closed is not None
    if ended and runs > 1:
        longest = max(longest, end - reached)
    else:
        silent += max(0, end - reached)
    return silent, longest


def uninstrumented(scope: Scope) -> Iterator[Gap]:
    """Every container of a task with the role must report, unless it is marked as not calling AWS."""
    reporting = {(place.workload.family, place.workload.container) for place in scope.places}
    silent = {
        (definition.family, container.name)
        for definition in scope.index.definitions_of(scope.role.arn)
        for container in definition.containers
        if not container.no_aws and (definition.family, container.name) not in reporting
    }
    for family, container in sorted(silent):
        if not scope.settings.no_aws & {container, f"{family}/{container}"}:
            yield Gap(
                Reason.UNINSTRUMENTED,
                f"container `{container}` of task family `{family}` does not report:"
                f" instrument it, or label it `{model.NO_AWS_LABEL}=true`",
            )


def undefined(scope: Scope) -> Iterator[Gap]:
    """A running task whose definition is not known may have the role, and containers that do not report."""
    principals = scope.principals
    if principals is not None and ("Service", ECS_TASKS) not in principals:
        return
    for task in scope.index.undefined:
        if task.task_role_override in ("", scope.role.arn):
            yield Gap(Reason.COVERAGE, f"task `{task.arn}` runs a task definition that the snapshot does not hold")


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


def unattributed(scope: Scope) -> Iterator[Gap]:
    """Calls of which it is not known who signed them may be the role's."""
    calls: Counter[str] = Counter()
    for stray in scope.strays:
        calls[stray.place.workload.where] += stray.row.calls
    for where, count in sorted(calls.items()):
        yield Gap(Reason.UNATTRIBUTED, f"`{where}` made {count} calls with credentials that may be this role's")


def inexact(scope: Scope) -> Iterator[Gap]:
    if any(not signed.row.exact for signed in scope.signed):
        yield Gap(Reason.INEXACT, "some counts are incomplete (spans or delta points): calls may be missing")


def lost(scope: Scope) -> Iterator[Gap]:
    """A process that ended named its total: where less arrived, what is missing may have used any action."""
    for where, places in sorted(scope.by_where.items()):
        short = [place for place in places if place.lost]
        if short:
            counted, arrived = sum(p.process.closed or 0 for p in short), sum(p.arrived for p in short)
            yield Gap(Reason.LOST, f"`{where}` counted {counted:,} calls, and {arrived:,} arrived")


def unmapped(scope: Scope) -> Iterator[Gap]:
    """A call that no rule maps may have used any action."""
    unknown = (signed.usage for signed in scope.signed if signed.usage.mapping == "unknown")
    for call in sorted({f"{usage.service}:{usage.operation}" for usage in unknown}):
        yield Gap(Reason.MAPPING, f"`{call}` was called and no rule tells which actions it needs")


def trust(scope: Scope) -> Iterator[Gap]:
    """Everyone whom the trust policy lets in must report."""
    principals = scope.principals
    if principals is None:
        yield Gap(Reason.TRUST, "the trust policy does not parse: who may assume the role is unknown")
        return
    # a token's issuer is not reported: of several nobody can tell which one was used
    several = sum(kind == "Federated" for kind, _ in principals) > 1
    for kind, principal in sorted(principals):
        if (kind == "Federated" and several) or not any(_carries(kind, principal, scope)):
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


ECS_TASKS = "ecs-tasks.amazonaws.com"

# service principal -> how a process in that place reports: its OpenTelemetry platforms, its sources
_PLATFORMS = {
    ECS_TASKS: ("aws_ecs",),
    "ec2.amazonaws.com": ("aws_ec2",),
    "lambda.amazonaws.com": ("aws_lambda",),
    "pods.eks.amazonaws.com": ("aws_eks",),
}
_SOURCES = {
    ECS_TASKS: "ecs-task-role",
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
        if ":saml-provider/" not in principal:
            yield from ("web-identity" in _obtained(signed, scope) for signed in scope.signed)
    else:
        # an account or a wildcard is never one carrier: only who was seen assuming the role counts
        hops = {hop.principal for signed in scope.signed for hop in signed.usage.chain}
        yield from (principal in (hop, scope.index.role_arn(hop)) for hop in sorted(hops))


def _obtained(signed: Signed, scope: Scope) -> set[str]:
    """Return the sources from which the role itself was obtained; further hops are other roles."""
    hops = {hop.source for hop in signed.usage.chain if scope.index.role_arn(hop.principal) == scope.role.arn}
    return {signed.usage.source} | hops


Rule = Callable[[Scope], Iterator[Gap]]

RULES: tuple[Rule, ...] = (
    no_carrier,
    missing_layers,
    tags,
    instance_profile,
    window,
    uninstrumented,
    undefined,
    instances,
    trust,
    unattributed,
    inexact,
    lost,
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
