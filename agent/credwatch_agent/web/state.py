"""What the page shows of one moment, indexed: a world, its report, and the spans that are kept.

Pure: made from records, never changed. Every view reads this and nothing else, so that all views
of one moment agree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from credwatch.semconv import OPERATION, SERVICE, Hop
from credwatch_agent.compare import RoleView
from credwatch_agent.evidence import Emits, Settings, Signed, State
from credwatch_agent.evidence.join import SERVICE_NAME
from credwatch_agent.findings import Finding, Severity, World, find
from credwatch_agent.findings.exemptions import Exemption
from credwatch_agent.findings.life import History
from credwatch_agent.iam.catalogue import access_level
from credwatch_agent.reach import Blast
from credwatch_agent.recommend import Recommendation
from credwatch_agent.recommend.view import of_role
from credwatch_agent.records import Span, Telemetry
from credwatch_agent.report import Report, RoleRow, lived, tell, weigh
from credwatch_agent.snapshot import Snapshot

HOST_SOURCE = "ec2-instance-profile"
TELLING_LEVELS = ("Permissions management", "Write")
"""Access levels of which an unseen grant is worth a look first."""


@dataclass(frozen=True, slots=True)
class Made:
    """Calls of one kind, over the processes of a workload. Times in nanoseconds."""

    service: str
    operation: str
    authorizations: tuple[tuple[str, tuple[str, ...]], ...]
    outcome: str
    source: str
    chain: tuple[Hop, ...]
    principal: str
    role_arn: str
    where: str
    service_name: str
    site: str
    function: str
    region: str
    laundered: bool
    wrong_layer: bool
    calls: int = 0
    first_ns: int = 0
    last_ns: int = 0
    exact: bool = True

    @property
    def root(self) -> str:
        """Return the source at which the chain begins: the layer that signs."""
        return self.chain[-1].source if self.chain else self.source

    @property
    def text(self) -> str:
        """Return what a search looks in, in lower case."""
        return "\n".join((f"{self.service}:{self.operation}", *self.actions, *self.resources)).lower()

    @property
    def actions(self) -> tuple[str, ...]:
        return tuple(action for action, _ in self.authorizations)

    @property
    def resources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(arn for _, arns in self.authorizations for arn in arns))


class Allowing(NamedTuple):
    """A statement that allowed a call, by the policy's name and the Sid or position."""

    policy: str
    statement: str


class Past(NamedTuple):
    """What is known of findings beside the moment: those of earlier runs, and the exemptions of a file."""

    history: History = History()
    exemptions: Sequence[Exemption] = ()


NO_PAST = Past()


class Moment:
    """Everything that is known at one moment. `note` says what stands in the way of a full picture, or ""."""

    def __init__(
        self,
        world: World,
        findings: tuple[Finding, ...],
        settings: Settings,
        spans: tuple[Span, ...] = (),
        note: str = "",
        past: Past = NO_PAST,
    ) -> None:
        self.world = world
        self.findings = findings
        self.settings = settings
        self.note = note
        told = tell(world, findings, settings)
        self.report: Report = lived(told, world.index.snapshot, past.history, past.exemptions)[0]
        self.made: tuple[Made, ...] = _made(world.joined.signed)
        self.traces: Mapping[tuple[str, str, str], Span] = _traces(spans)
        self.views: Mapping[str, RoleView] = {view.role.arn: view for view in world.roles}
        self.rows: Mapping[str, RoleRow] = {row.arn: row for row in (*self.report.roles, *self.report.silent_roles)}
        self.by_fingerprint: Mapping[str, Finding] = {one.fingerprint: one for one in findings}
        self._allowing: dict[str, dict[tuple[str, str], tuple[Allowing, ...]]] = {}
        self._recommended: dict[str, Recommendation] = {}

    @cached_property
    def risky(self) -> Mapping[str, int]:
        """Return for each role how many actions of a telling level it grants that were not seen in use."""
        return {arn: _risky(view) for arn, view in self.views.items()}

    @cached_property
    def findings_of_role(self) -> Mapping[str, tuple[Finding, ...]]:
        groups: defaultdict[str, list[Finding]] = defaultdict(list)
        for one in self.findings:
            for arn in dict.fromkeys((one.role_arn, one.subject, *one.related)):
                if arn in self.views:
                    groups[arn].append(one)
        return {arn: tuple(found) for arn, found in groups.items()}

    @cached_property
    def findings_of_workload(self) -> Mapping[str, tuple[Finding, ...]]:
        groups: defaultdict[str, list[Finding]] = defaultdict(list)
        for one in self.findings:
            for name in dict.fromkeys((one.subject, *one.related)):
                groups[name].append(one)
        return {name: tuple(found) for name, found in groups.items()}

    @cached_property
    def blast(self) -> Mapping[str, Blast]:
        """Return the blast radius of each workload, by its name."""
        return {one.where: one for one in self.report.reach.workloads}

    @cached_property
    def made_by_role(self) -> Mapping[str, tuple[Made, ...]]:
        return _grouped(self.made, "role_arn")

    @cached_property
    def made_by_workload(self) -> Mapping[str, tuple[Made, ...]]:
        return _grouped(self.made, "where")

    @cached_property
    def by_risk(self) -> tuple[RoleRow, ...]:
        """Return the roles, the riskiest first: worst finding, then what nobody uses and could do harm."""
        return tuple(
            sorted(self.rows.values(), key=lambda row: (self.worst_rank(row.arn), -self.risky[row.arn], row.arn))
        )

    @cached_property
    def accounts(self) -> frozenset[str]:
        """Return the accounts that something shown here belongs to."""
        named = {self.world.index.snapshot.account_id}
        for one in self.world.joined.signed:
            named.add(one.usage.account_id)
            named.add(account_of(one.usage.principal_arn))
        return frozenset(named - {""})

    def worst(self, arn: str) -> Severity | None:
        """Return the severity of a role's worst open finding; findings are in that order."""
        found = (one for one in self.findings_of_role.get(arn, ()) if self.status(one) == "open")
        return next((one.severity for one in found), None)

    def status(self, one: Finding) -> str:
        """Return how a finding stands: `open`, `exempted`, `adopted` by a baseline."""
        return self.report.life.of(one).status.value

    def worst_rank(self, arn: str) -> int:
        worst = self.worst(arn)
        return worst.rank if worst else len(Severity)

    def allowing(self, arn: str, action: str, resource: str) -> tuple[Allowing, ...]:
        """Return the statements of a role that allowed an action on a resource for certain."""
        if arn not in self._allowing:
            view = self.views.get(arn)
            self._allowing[arn] = _allowing(view) if view else {}
        return self._allowing[arn].get((action.lower(), resource), ())

    def recommended(self, arn: str) -> Recommendation:
        """Return what a role's policies could be; made once."""
        if arn not in self._recommended:
            signed = self.world.joined.by_role(arn)
            self._recommended[arn] = of_role(self.views[arn], signed, self.world.now_ns, self.settings)
        return self._recommended[arn]

    def trace(self, made: Made) -> Span | None:
        """Return the latest span that is kept of a call of this kind."""
        return self.traces.get((made.service_name, made.service, made.operation))


def moment(
    telemetry: Telemetry,
    snapshot: Snapshot,
    now_ns: int,
    settings: Settings,
    emits: Emits,
    spans: tuple[Span, ...] = (),
    note: str = "",
    past: Past = NO_PAST,
) -> Moment:
    """Return everything that one store and one snapshot tell at one moment."""
    world = weigh(telemetry, snapshot, now_ns, settings, emits)
    return Moment(world, find(world), settings, spans, note, past)


def account_of(arn: str) -> str:
    """Return the account in an ARN, or "" where there is none."""
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""


def _made(signed: Iterable[Signed]) -> tuple[Made, ...]:
    groups: defaultdict[tuple[object, ...], list[Signed]] = defaultdict(list)
    for one in signed:
        usage = one.usage
        groups[
            usage.service, usage.operation, usage.authorizations, usage.outcome, usage.source, usage.chain,
            usage.principal, one.role_arn, one.place.workload, usage.code_file, usage.code_line,
            usage.region, usage.laundered, one.place.on_ecs,
        ].append(one)  # fmt: skip
    return tuple(_together(found) for found in groups.values())


def _together(signed: list[Signed]) -> Made:
    one = signed[0]
    usage = one.usage
    return Made(
        service=usage.service,
        operation=usage.operation,
        authorizations=usage.authorizations,
        outcome=usage.outcome,
        source=usage.source,
        chain=usage.chain,
        principal=usage.principal,
        role_arn=one.role_arn,
        where=one.place.workload.where,
        service_name=one.place.workload.service,
        site=f"{usage.code_file}:{usage.code_line}" if usage.code_file else "",
        function=usage.code_function,
        region=usage.region,
        laundered=usage.laundered,
        wrong_layer=one.place.on_ecs and usage.root.source == HOST_SOURCE,
        calls=sum(each.row.calls for each in signed),
        first_ns=min(each.row.first_ns for each in signed),
        last_ns=max(each.row.last_ns for each in signed),
        exact=all(each.row.exact and each.place.process.closed is not None for each in signed),
    )


def _grouped(made: Iterable[Made], name: str) -> Mapping[str, tuple[Made, ...]]:
    groups: defaultdict[str, list[Made]] = defaultdict(list)
    for one in made:
        groups[getattr(one, name)].append(one)
    return {key: tuple(found) for key, found in groups.items()}


def _traces(spans: Iterable[Span]) -> Mapping[tuple[str, str, str], Span]:
    """Return the latest span of each service's calls; spans come in the order of their start."""
    found: dict[tuple[str, str, str], Span] = {}
    for span in spans:
        service, operation = span.attributes.get(SERVICE), span.attributes.get(OPERATION)
        if service and operation:
            found[span.resource.get(SERVICE_NAME, ""), str(service), str(operation)] = span
    return found


def _risky(view: RoleView) -> int:
    levels = Counter(access_level(action) for action, state in view.actions.items() if state is not State.USED)
    return sum(levels[level] for level in TELLING_LEVELS)


def _allowing(view: RoleView) -> dict[tuple[str, str], tuple[Allowing, ...]]:
    found: defaultdict[tuple[str, str], list[Allowing]] = defaultdict(list)
    for statement in view.statements:
        for grant in statement.used:
            for resource in grant.resources:
                found[grant.action.lower(), resource].append(Allowing(statement.policy.name, statement.name))
    return {key: tuple(every) for key, every in found.items()}
