"""One workload: what signed its calls and since when, what it did, and what it could do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from credwatch_agent.evidence import Place
from credwatch_agent.iam.catalogue import LEVELS
from credwatch_agent.web import calls
from credwatch_agent.web.asking import Asked, NotFound, Parameter
from credwatch_agent.web.parts import Brief, Hop, Stand, briefs, hops, stand, when
from credwatch_agent.web.state import Made, Moment
from credwatch_agent.web.workloads import Stream, streams

_CALLS = 20
_CHAINS = 20
_TASKS = 20


@dataclass(frozen=True, slots=True)
class Chain:
    """How the keys of some calls were obtained, the root first, and when they were seen.

    `begin` and `end` are the same times as shares of the time in which the workload reported, 0 to 1.
    """

    hops: tuple[Hop, ...]
    calls: int
    first: str
    last: str
    begin: float
    end: float
    laundered: bool
    wrong_layer: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """One role within reach, and by what way.

    It `signed` as it, is `given` it by where it runs, or may fetch it from its host (`instance-profile`).
    """

    role: str
    name: str
    way: str
    granted: int


@dataclass(frozen=True, slots=True)
class Level:
    """Actions of one access level: how many it could do, and how many it did."""

    level: str
    could: int
    did: int


@dataclass(frozen=True, slots=True)
class Radius:
    """The blast radius: what the roles within reach allow together, beside what the workload did."""

    roles: tuple[Reach, ...]
    could: int
    did: int
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """Processes of one entry point; `ended` ones named their totals."""

    entry_point: str
    processes: int
    ended: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class WorkloadAnswer:
    """Everything of one workload."""

    stand: Stand
    name: str
    service: str
    platforms: tuple[str, ...]
    tasks: tuple[str, ...]
    hosts: tuple[str, ...]
    runs: tuple[Run, ...]
    chains: tuple[Chain, ...]
    streams: tuple[Stream, ...]
    radius: Radius
    findings: tuple[Brief, ...]
    calls: tuple[calls.Row, ...]
    more_calls: int
    wrong_layer: bool


PARAMETERS = (Parameter("name", "the workload's name: `family/container`, or its service name", required=True),)


def workload(now: Moment, asked: Asked, traces: calls.Traces) -> WorkloadAnswer:
    """Answer everything of one workload; raises `NotFound`."""
    name = asked["name"]
    places = [place for place in now.world.joined.places.values() if place.workload.where == name]
    if not places:
        raise NotFound(f"no process of workload `{name}` reported within the window")
    made = now.made_by_workload.get(name, ())
    ordered = sorted(made, key=lambda one: -one.calls)
    since_ns = min(place.process.first_ns for place in places)
    until_ns = max(place.process.last_ns for place in places)
    return WorkloadAnswer(
        stand=stand(now),
        name=name,
        service=", ".join(sorted({place.workload.service for place in places})),
        platforms=tuple(sorted({place.platform for place in places} - {""})),
        tasks=tuple(sorted({place.task_arn for place in places} - {""}))[:_TASKS],
        hosts=tuple(sorted({place.instance.instance_id for place in places if place.instance}))[:_TASKS],
        runs=tuple(_runs(places)),
        chains=tuple(_chains(made, since_ns, until_ns))[:_CHAINS],
        streams=streams(made),
        radius=_radius(now, name, made),
        findings=briefs(now.findings_of_workload.get(name, ()), now),
        calls=tuple(calls.row(one, now, traces) for one in ordered[:_CALLS]),
        more_calls=max(0, len(ordered) - _CALLS),
        wrong_layer=any(one.wrong_layer for one in made),
    )


def _runs(places: Iterable[Place]) -> Iterator[Run]:
    groups: defaultdict[str, list[Place]] = defaultdict(list)
    for place in places:
        groups[place.workload.entry_point].append(place)
    for entry_point, found in sorted(groups.items()):
        processes = [place.process for place in found]
        yield Run(
            entry_point=entry_point,
            processes=len(processes),
            ended=sum(process.closed is not None for process in processes),
            first=when(min(process.first_ns for process in processes)),
            last=when(max(process.last_ns for process in processes)),
        )


def _chains(made: Iterable[Made], since_ns: int, until_ns: int) -> Iterator[Chain]:
    length = max(1, until_ns - since_ns)
    groups: defaultdict[tuple[tuple[Hop, ...], bool, bool], list[Made]] = defaultdict(list)
    for one in made:
        groups[hops(one), one.laundered, one.wrong_layer].append(one)
    for (chain, laundered, wrong), found in sorted(groups.items(), key=lambda item: item[1][0].first_ns):
        first_ns, last_ns = min(one.first_ns for one in found), max(one.last_ns for one in found)
        yield Chain(
            hops=chain,
            calls=sum(one.calls for one in found),
            first=when(first_ns),
            last=when(last_ns),
            begin=_share(first_ns - since_ns, length),
            end=_share(last_ns - since_ns, length),
            laundered=laundered,
            wrong_layer=wrong,
        )


def _share(part: int, whole: int) -> float:
    return round(min(1.0, max(0.0, part / whole)), 3)


# --- blast radius ---------------------------------------------------------------------------------


def _radius(now: Moment, name: str, made: Iterable[Made]) -> Radius:
    blast = now.blast[name]
    signed = {one.role_arn for one in made}
    ways = {arn: "signed" if arn in signed else "given" for arn in blast.roles}
    ways |= dict.fromkeys(blast.reachable, "instance-profile")
    levels = (*LEVELS, "unknown")
    return Radius(
        roles=tuple(
            Reach(arn, now.views[arn].role.name, way, len(now.views[arn].actions))
            for arn, way in ways.items()
            if arn in now.views
        ),
        could=sum(blast.could.values()),
        did=sum(blast.did.values()),
        levels=tuple(
            Level(level, blast.could.get(level, 0), blast.did.get(level, 0))
            for level in levels
            if level in blast.could or level in blast.did
        ),
    )
