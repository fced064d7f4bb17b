"""What a role grants, service by service: each action with its evidence state, and why where there is a doubt."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from credwatch_agent.compare import RoleView
from credwatch_agent.evidence import Gap, Reason, State
from credwatch_agent.iam.catalogue import access_level
from credwatch_agent.web.parts import States, states
from credwatch_agent.web.state import Made

LISTED, LISTED_OF_MANY, MANY = 40, 12, 1_000
"""How many actions of a service are named unless all are asked for, how many of a role that grants many, and many."""

SERVICES = 16
"""Services that are shown one by one."""

WHY = {
    Reason.OUTCOME: "tried, which proves nothing: it was not allowed",
    Reason.AMBIGUOUS: "used, and more than one statement may have allowed it",
    Reason.BASELINE: "used by the infrastructure, which no recorder sees",
    Reason.FORWARDED: "a service may use it on the caller's behalf",
    Reason.NO_OPERATION: "no SDK operation is authorised as it",
    Reason.PASS_ROLE: "passing a role is no call of its own",
    Reason.MAPPING: "the operation map cannot tell",
}
"""Why one action is in doubt; what stands against all of a role's is said once for the role."""

ORDER = (State.USED, State.INSUFFICIENT, State.UNOBSERVABLE, State.UNUSED)


@dataclass(frozen=True, slots=True)
class Action:
    """An action's name without its service, its access level, and the calls that used it."""

    name: str
    level: str
    calls: int


@dataclass(frozen=True, slots=True)
class Group:
    """Actions of a service in one state, for one reason ("" where it is the role's); `more` are not listed."""

    state: str
    why: str
    actions: tuple[Action, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Service:
    """A service: its actions by state, and the patterns with a wildcard that open it."""

    service: str
    states: States
    wildcards: tuple[str, ...]
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """The services that are counted only: their names, and the states of their actions together."""

    services: tuple[str, ...]
    states: States


def services(view: RoleView, made: Iterable[Made], whole: str = "") -> tuple[tuple[Service, ...], Rest]:
    """Return the services of a role, most used first, and the rest; of the service `whole` every action is listed."""
    by_service: defaultdict[str, dict[str, State]] = defaultdict(dict)
    for action, state in view.actions.items():
        by_service[action.partition(":")[0]][action] = state
    reasons, calls, wild = _reasons(view), _calls(made), _wildcards(view)
    listed = LISTED if sum(map(len, by_service.values())) <= MANY else LISTED_OF_MANY
    found = [
        Service(
            service=name,
            states=states(Counter(actions.values())),
            wildcards=tuple(sorted(wild.get(name, set()) | wild.get("*", set()))),
            groups=_groups(actions, reasons, calls, limit=None if name == whole else listed),
        )
        for name, actions in by_service.items()
    ]
    found.sort(key=lambda each: (each.service != whole, -each.states.used, -each.states.total, each.service))
    shown, rest = found[:SERVICES], found[SERVICES:]
    return tuple(shown), Rest(
        tuple(sorted(each.service for each in rest)),
        States(**{state.value: sum(getattr(each.states, state.value) for each in rest) for state in State}),
    )


def _groups(
    actions: Mapping[str, State], reasons: Mapping[str, str], calls: Mapping[str, int], limit: int | None
) -> tuple[Group, ...]:
    found: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for action, state in actions.items():
        found[ORDER.index(state), "" if state is State.USED else reasons.get(action, "")].append(action)
    groups = []
    for (order, why), names in sorted(found.items()):
        names.sort(key=lambda action: (-calls.get(action.lower(), 0), access_level(action) != "Permissions management",
                                       action))  # fmt: skip
        shown = tuple(
            Action(action.partition(":")[2], access_level(action), calls.get(action.lower(), 0))
            for action in names[:limit]
        )
        groups.append(Group(ORDER[order].value, why, shown, len(names) - len(shown)))
    return tuple(groups)


def _calls(made: Iterable[Made]) -> Mapping[str, int]:
    calls: Counter[str] = Counter()
    for one in made:
        if one.outcome == "allowed":
            calls.update({action.lower(): one.calls for action in one.actions})
    return calls


def _reasons(view: RoleView) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for statement in view.statements:
        for grant in statement.grants:
            gaps: tuple[Gap, ...] = grant.verdict.gaps
            if gaps and gaps is not view.coverage.gaps:
                found.setdefault(grant.action, WHY.get(gaps[0].reason, ""))
    return found


def _wildcards(view: RoleView) -> Mapping[str, set[str]]:
    """Return the patterns with a wildcard by service prefix; those that open every service under `*`."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for statement in view.statements:
        for pattern in map(str, statement.statement.actions):
            prefix = pattern.partition(":")[0].lower()
            if "*" in pattern or "?" in pattern:
                found["*" if "*" in prefix or "?" in prefix else prefix].add(pattern)
        if statement.statement.not_actions:
            found["*"].add("everything but " + ", ".join(map(str, statement.statement.not_actions[:3])))
    return found
