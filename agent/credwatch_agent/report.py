"""The report: what a reader is told, as plain records that every renderer shows alike.

`build` runs join, comparison and findings over one store and one snapshot. Pure: time is an
argument. How it looks is for `exports` to say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from credwatch_agent.compare import RoleView, StatementView, compare
from credwatch_agent.evidence import Carrier, Emits, Gap, Joined, Settings, Signed, State, Workload, begins, join
from credwatch_agent.evidence.coverage import trusted
from credwatch_agent.findings import RULES, Finding, Subject, World, find
from credwatch_agent.findings.exemptions import Exemption, tagged
from credwatch_agent.findings.life import History, Lives, Status, live
from credwatch_agent.reach import Reach, reach
from credwatch_agent.records import NO_SECOND, Second, Telemetry
from credwatch_agent.snapshot import Index, Snapshot
from credwatch_agent.snapshot.model import ROLES

SCHEMA = 1
"""Version of the report's JSON form."""


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One service: what it signs with, and how much of what its role grants it used.

    `sources` and `roles` are sorted; `granted` is None where no role of it is in the snapshot.
    `exact`: all its processes ended and reported their totals. `worst` is its worst finding
    that is not exempted.
    """

    name: str
    service: str
    sources: tuple[str, ...]
    roles: tuple[str, ...]
    calls: int
    used: int
    granted: int | None
    exact: bool
    processes: int
    worst: Finding | None


@dataclass(frozen=True, slots=True)
class StatementRow:
    """An Allow statement in short: its patterns, and how many of its actions are in which state."""

    policy: str
    statement: str
    patterns: tuple[str, ...]
    states: tuple[tuple[State, int], ...]
    used: tuple[tuple[str, int, tuple[str, ...]], ...]
    """(action, calls, resources) of what was used."""


@dataclass(frozen=True, slots=True)
class RoleRow:
    """A role: its grants by evidence state, who reported with it, and what stands against `unused`."""

    arn: str
    name: str
    states: tuple[tuple[State, int], ...]
    statements: tuple[StatementRow, ...]
    carriers: tuple[Carrier, ...]
    gaps: tuple[Gap, ...]
    denied: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything. Times in nanoseconds; `window_days` as asked for, `default_days` for comparison."""

    now_ns: int
    window_days: float
    default_days: float
    snapshot_ns: int
    account_id: str
    region: str
    calls: int
    services: tuple[ServiceRow, ...]
    roles: tuple[RoleRow, ...]
    silent_roles: tuple[RoleRow, ...]
    """Roles with which no process reported."""
    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]
    """What could not be known, a sentence each."""
    incomplete: bool = False
    """Whether a source could not be read: a layer of the snapshot, or AWS's own records."""
    life: Lives = field(default_factory=Lives)
    """How each finding stands: see `lived`."""
    reach: Reach = field(default_factory=Reach)
    """Who may and did, per role, and the blast radius of each workload."""

    @property
    def open(self) -> tuple[Finding, ...]:
        """Return the findings that count: neither exempted nor adopted by a baseline."""
        return self.standing(Status.OPEN)

    def standing(self, status: Status) -> tuple[Finding, ...]:
        """Return the findings that stand so, worst first."""
        return tuple(finding for finding in self.findings if self.life.of(finding).status is status)


def lived(
    report: Report, snapshot: Snapshot, history: History, exemptions: Sequence[Exemption]
) -> tuple[Report, History]:
    """Return a report with the life of its findings, and the history after it.

    `exemptions` are a file's; those of roles' tags are added. Nothing is resolved by a report that misses
    something.
    """
    of_tags, problems = tagged(snapshot.roles, (rule.id for rule in RULES))
    complete = bool(report.services) and not report.incomplete
    lives, after = live(history, report.findings, (*exemptions, *of_tags), report.now_ns, complete=complete)
    counted = _concerning(each for each in report.findings if lives.of(each).status is not Status.EXEMPTED)
    services = tuple(
        replace(row, worst=_worst((row.name, row.service, *row.roles), counted)) for row in report.services
    )
    return replace(report, services=services, life=lives, unknown=(*report.unknown, *problems)), after


def build(
    telemetry: Telemetry,
    snapshot: Snapshot,
    now_ns: int,
    settings: Settings,
    emits: Emits,
    *,
    earlier: Snapshot | None = None,
    second: Second = NO_SECOND,
) -> Report:
    """Return the report of one store and one snapshot at one moment.

    `earlier` is a snapshot from before it, which shows what was taken away since; `second` is what
    AWS's own records say beside the recorders.
    """
    world = weigh(telemetry, snapshot, now_ns, settings, emits, earlier=earlier, second=second)
    return tell(world, find(world), settings, second)


def weigh(
    telemetry: Telemetry,
    snapshot: Snapshot,
    now_ns: int,
    settings: Settings,
    emits: Emits,
    *,
    earlier: Snapshot | None = None,
    second: Second = NO_SECOND,
) -> World:
    """Return what a report is made from: telemetry laid over a snapshot, and what it says of each role."""
    index = Index(snapshot)
    joined = join(telemetry, index, now_ns - settings.window_ns, begins(index, now_ns, settings))
    views = compare(index, joined, now_ns, settings, emits, second)
    before = compare(Index(earlier), joined, now_ns, settings, emits, second) if earlier else ()
    return World(index, telemetry, joined, views, now_ns, before)


def tell(world: World, findings: tuple[Finding, ...], settings: Settings, second: Second = NO_SECOND) -> Report:
    """Return the report of a world and of what was found in it."""
    index, joined, views = world.index, world.joined, world.roles
    snapshot = index.snapshot
    rows = {view.role.arn: _role(view) for view in views}
    return Report(
        now_ns=world.now_ns,
        window_days=settings.window_days,
        default_days=Settings().window_days,
        snapshot_ns=snapshot.taken_ns,
        account_id=snapshot.account_id,
        region=snapshot.region,
        calls=sum(signed.row.calls for signed in joined.signed),
        services=tuple(_services(joined, {view.role.arn: view for view in views}, findings)),
        roles=tuple(row for row in rows.values() if row.carriers),
        silent_roles=tuple(row for row in rows.values() if not row.carriers),
        findings=findings,
        unknown=tuple(
            dict.fromkeys((*second.problems, *_strangers(second, index), *_unknown(snapshot, joined, views)))
        ),
        incomplete=bool(snapshot.missing or second.problems),
        reach=reach(index, joined, views),
    )


# --- services -------------------------------------------------------------------------------------


def _services(joined: Joined, views: dict[str, RoleView], findings: tuple[Finding, ...]) -> Iterator[ServiceRow]:
    signed: defaultdict[tuple[str, str], list[Signed]] = defaultdict(list)
    for one in joined.signed:
        signed[_key(one.place.workload)].append(one)
    processes = Counter(_key(place.workload) for place in joined.places.values())
    ended = Counter(_key(place.workload) for place in joined.places.values() if place.process.closed is not None)
    concerning = _concerning(findings)
    for key in sorted(processes.keys() | signed.keys()):
        yield _service(key, signed[key], views, concerning, (processes[key], ended[key]))


_Concerning = Mapping[str, "list[tuple[tuple[int, bool, int], Finding]]"]


def _concerning(findings: Iterable[Finding]) -> _Concerning:
    """Return findings by subject and by role, each with its rank: the worst first, then those of a workload."""
    found: defaultdict[str, list[tuple[tuple[int, bool, int], Finding]]] = defaultdict(list)
    for position, one in enumerate(findings):
        rank = one.severity.rank, one.kind is not Subject.WORKLOAD, position
        for name in {one.subject, one.role_arn}:
            found[name].append((rank, one))
    return found


def _worst(names: Iterable[str], findings: _Concerning) -> Finding | None:
    concerning = (ranked for name in {*names} for ranked in findings.get(name, ()))
    return min(concerning, key=lambda ranked: ranked[0], default=(None, None))[1]


def _key(workload: Workload) -> tuple[str, str]:
    return workload.where, workload.service


def _service(
    key: tuple[str, str],
    signed: list[Signed],
    views: dict[str, RoleView],
    findings: _Concerning,
    processes: tuple[int, int],
) -> ServiceRow:
    where, service = key
    arns = sorted({one.role_arn for one in signed if one.role_arn})
    granted = {action for arn in arns if arn in views for action in views[arn].actions}
    used = {action for one in signed if one.usage.outcome == "allowed" for action in one.usage.actions}
    roles = tuple(arns) or tuple(sorted({one.usage.principal for one in signed if one.usage.principal}))
    return ServiceRow(
        name=where,
        service=service,
        sources=tuple(sorted({one.usage.source for one in signed})),
        roles=roles,
        calls=sum(one.row.calls for one in signed),
        used=len(used & granted),
        granted=len(granted) if any(arn in views for arn in arns) else None,
        exact=processes[0] == processes[1] and all(one.row.exact and not one.place.lost for one in signed),
        processes=processes[0],
        worst=_worst((where, service, *roles), findings),
    )


# --- roles ----------------------------------------------------------------------------------------


def _role(view: RoleView) -> RoleRow:
    return RoleRow(
        arn=view.role.arn,
        name=view.role.name,
        states=_counted(view.actions.values()),
        statements=tuple(_statement(statement) for statement in view.statements),
        carriers=tuple(carrier for carrier in view.coverage.carriers if carrier.calls),
        gaps=view.coverage.gaps,
        denied=sum(use.calls for use in view.denied),
    )


def _statement(view: StatementView) -> StatementRow:
    statement = view.statement
    patterns = [str(pattern) for pattern in statement.actions] or [f"NOT {p}" for p in statement.not_actions]
    return StatementRow(
        policy=view.policy.name,
        statement=view.name,
        patterns=tuple(patterns),
        states=_counted(grant.verdict.state for grant in view.grants),
        used=tuple((grant.action, grant.calls, grant.resources) for grant in view.used),
    )


def _counted(states: Iterable[State]) -> tuple[tuple[State, int], ...]:
    counts = Counter(states)
    return tuple((state, counts[state]) for state in State)


# --- what could not be known ----------------------------------------------------------------------


def _unknown(snapshot: Snapshot, joined: Joined, views: tuple[RoleView, ...]) -> Iterator[str]:
    yield from _nobody(joined)
    yield from (missing.sentence for missing in snapshot.missing)
    for view in views:
        yield from view.problems
        yield from _trust(view)
    yield from _open_processes(joined)
    yield from _claimed(joined)
    yield from _unplaced(snapshot, joined)
    for view in views:
        for gap in view.coverage.second.contradictions:
            yield f"contradiction at role `{view.role.name}`: {gap.sentence}"
    for view in views:
        if view.coverage.carriers:
            grants = (grant for statement in view.statements for grant in statement.grants)
            doubted = len({grant.action for grant in grants if grant.verdict.state is State.INSUFFICIENT})
            if doubted:
                reasons = "; ".join(gap.sentence for gap in view.coverage.gaps) or "see its statements"
                yield f"{doubted} unseen actions of role `{view.role.name}` are not called unused: {reasons}"


def _strangers(second: Second, index: Index) -> Iterator[str]:
    arns = {index.role_arn(use.principal_arn) for use in second.trail} - {""} - index.roles.keys()
    if arns:
        shown = ", ".join(f"`{arn}`" for arn in sorted(arns)[:3])
        verb = "is no role" if len(arns) == 1 else "are no roles"
        rest = f" and {len(arns) - 3:,} more" if len(arns) > 3 else ""
        yield f"CloudTrail saw {shown}{rest}, which {verb} of this snapshot: what it grants is not known"


def _trust(view: RoleView) -> Iterator[str]:
    if view.role.trust:
        try:
            trusted(view.role.trust)
        except (ValueError, RecursionError):
            yield f"the trust policy of role `{view.role.name}` does not parse: who may assume it is not known"


def _nobody(joined: Joined) -> Iterator[str]:
    if not joined.places:
        yield (
            "no process has reported in the window: a first report comes a minute after the start or at the end of a "
            "process; `credwatch doctor`, run as the service runs, says what keeps it"
        )


def _open_processes(joined: Joined) -> Iterator[str]:
    still = Counter(p.workload.where for p in joined.places.values() if p.process.closed is None)
    for where, count in sorted(still.items()):
        noun = "process has" if count == 1 else "processes have"
        yield f"{count} {noun} not said goodbye in `{where}` (running, or killed): its counts are a lower bound"


def _claimed(joined: Joined) -> Iterator[str]:
    count = sum(place.process.claimed for place in joined.places.values())
    if count:
        noun = "process" if count == 1 else "processes"
        yield f"what {count} {noun} reported is claimed: no token vouched for the sender or its account"


def _unplaced(snapshot: Snapshot, joined: Joined) -> Iterator[str]:
    for source in ("unknown", "imds-other", "container-other"):
        calls = sum(one.row.calls for one in joined.signed if one.usage.source == source)
        if calls:
            yield f"{calls} calls were signed by credentials of source `{source}`: whose they are is not known"
    known = {role.arn for role in snapshot.roles} if snapshot.knows(ROLES) else {one.role_arn for one in joined.signed}
    strange = (one.role_arn or one.usage.principal for one in joined.signed if one.role_arn not in known - {""})
    for principal, rows in sorted(Counter(filter(None, strange)).items()):
        usages = "1 usage" if rows == 1 else f"{rows:,} usages"
        yield f"principal `{principal}` ({usages}) is no role of this snapshot: its grants are not known"
