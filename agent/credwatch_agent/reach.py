"""How far roles and workloads reach, against what they did: the two halves of every question about a role.

Per role: who may assume it and who did, what it may do and what it did, and the policy that each of several
workloads would need of its own. Per workload the blast radius: the actions of its roles and of an instance
profile that it may reach. Pure; says nothing of what is wrong: see `findings`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from credwatch_agent.compare import RoleView
from credwatch_agent.evidence import Joined, Place, Signed
from credwatch_agent.evidence.coverage import trusted
from credwatch_agent.findings import grants
from credwatch_agent.findings.sharing import unit
from credwatch_agent.findings.sight import HOST_SOURCE, grouped
from credwatch_agent.iam.catalogue import access_level
from credwatch_agent.snapshot import Index, Instance, TaskDefinition


@dataclass(frozen=True, slots=True)
class Assumed:
    """Who signed as a role: a workload, from which source, after which other roles (nearest first). Times in ns."""

    where: str
    source: str
    chain: tuple[str, ...]
    calls: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Did:
    """An action that a role used: allowed calls, the resources as far as they are known, the last time in ns."""

    action: str
    calls: int
    resources: tuple[str, ...]
    where: tuple[str, ...]
    last_ns: int


@dataclass(frozen=True, slots=True)
class Part:
    """What one of several workloads of a role needs: a policy of its own, as a document."""

    workload: str
    actions: int
    policy: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RoleReach:
    """One role. `may_assume` are principals of its trust policy, None where that does not parse.

    `may_do` are the patterns of its Allow statements, `granted` how many known actions they are; `split` is
    empty unless several workloads sign with the role.
    """

    arn: str
    may_assume: tuple[str, ...] | None
    assumed: tuple[Assumed, ...]
    may_do: tuple[str, ...]
    granted: int
    did: tuple[Did, ...]
    split: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Blast:
    """One workload: `could` and `did` are numbers of actions by access level.

    `roles` are its own, `reachable` roles of instance profiles whose credentials its tasks may fetch.
    """

    where: str
    roles: tuple[str, ...]
    reachable: tuple[str, ...]
    could: Mapping[str, int]
    did: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Reach:
    roles: tuple[RoleReach, ...] = ()
    workloads: tuple[Blast, ...] = ()


def reach(index: Index, joined: Joined, views: Sequence[RoleView]) -> Reach:
    """Return the reach of every role of the snapshot and of every workload that reported."""
    granted = {view.role.arn: frozenset(view.actions) for view in views}
    return Reach(
        tuple(_role(view, joined.by_role(view.role.arn), len(granted[view.role.arn])) for view in views),
        tuple(_workloads(index, joined, granted)),
    )


# --- roles ------------------------------------------------------------------------------------------


def _role(view: RoleView, signed: Sequence[Signed], granted: int) -> RoleReach:
    patterns = dict.fromkeys(
        str(pattern)
        for each in view.statements
        for pattern in (each.statement.actions or [f"NOT {name}" for name in each.statement.not_actions])
    )
    return RoleReach(
        arn=view.role.arn,
        may_assume=_may_assume(view.role.trust),
        assumed=tuple(_assumed(signed)),
        may_do=tuple(patterns),
        granted=granted,
        did=tuple(_did(view)),
        split=tuple(_split(signed)),
    )


def _may_assume(trust: str) -> tuple[str, ...] | None:
    try:
        return tuple(sorted(f"{kind}: {principal}" for kind, principal in trusted(trust)))
    except (ValueError, RecursionError):
        return None


def _assumed(signed: Iterable[Signed]) -> Iterator[Assumed]:
    def key(item: Signed) -> tuple[str, str, tuple[str, ...]]:
        chain = tuple(hop.principal or hop.source for hop in item.usage.chain)
        return item.place.workload.where, item.usage.source, chain

    for (where, source, chain), items in sorted(grouped(signed, key).items()):
        rows = [item.row for item in items]
        first, last = min(row.first_ns for row in rows), max(row.last_ns for row in rows)
        yield Assumed(where, source, chain, sum(row.calls for row in rows), first, last)


def _did(view: RoleView) -> Iterator[Did]:
    allowed = defaultdict(list)
    for use in view.uses:
        if use.outcome == "allowed":
            allowed[use.action].append(use)
    for action, uses in sorted(allowed.items()):
        yield Did(
            action,
            sum(use.calls for use in uses),
            tuple(sorted({use.resource for use in uses})),
            tuple(sorted({name for use in uses for name in use.where})),
            max(use.last_ns for use in uses),
        )


def _split(signed: Sequence[Signed]) -> Iterator[Part]:
    """Yield a policy for each workload of a shared role; an instance profile cannot be split."""
    by_unit = grouped([item for item in signed if item.usage.source != HOST_SOURCE], unit)
    wanted = {name: found for name, items in sorted(by_unit.items()) if (found := grants.wanted(items))}
    if len(wanted) > 1:
        for name, found in wanted.items():
            document = {"Version": grants.VERSION, "Statement": grants.statements(found)}
            yield Part(name, len(found), document)


# --- workloads --------------------------------------------------------------------------------------


def _workloads(index: Index, joined: Joined, granted: Mapping[str, frozenset[str]]) -> Iterator[Blast]:
    places: defaultdict[str, list[Place]] = defaultdict(list)
    signed: defaultdict[str, list[Signed]] = defaultdict(list)
    for place in joined.places.values():
        places[place.workload.where].append(place)
    for item in joined.signed:
        signed[item.place.workload.where].append(item)
    for where, found in sorted(places.items()):
        roles = {place.role_arn for place in found} | {item.role_arn for item in signed[where]}
        reachable = {arn for place in found for arn in _reachable(place, index)}
        could = frozenset().union(*(granted.get(arn, ()) for arn in roles | reachable))
        used = (item.usage for item in signed[where] if item.usage.outcome == "allowed")
        did = {action for usage in used for action in usage.actions}
        yield Blast(where, tuple(sorted(roles - {""})), tuple(sorted(reachable - roles)), _levels(could), _levels(did))


def _reachable(place: Place, index: Index) -> tuple[str, ...]:
    """Return the roles of the instance profile that a task's process may fetch from the host's metadata service."""
    host = place.instance if place.on_ecs else None
    profile = index.profiles.get(host.profile_arn) if host else None
    return profile.role_arns if host and profile and not _kept_away(host, place.definition) else ()


def _kept_away(host: Instance, definition: TaskDefinition | None) -> bool:
    """Tell whether a task surely cannot ask its host: no endpoint, or one hop too many through the bridge."""
    bridged = definition is not None and definition.network_mode in ("", "bridge")
    return host.http_endpoint == "disabled" or (bridged and host.hop_limit == 1)


def _levels(actions: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(map(_level, actions)).items()))


@lru_cache(maxsize=65_536)
def _level(action: str) -> str:
    return access_level(action) or "unknown"
