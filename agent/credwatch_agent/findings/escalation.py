"""Combinations of actions by which a principal can give itself more than it has, granted and unused.

The combinations are `iam.escalation`'s, each with its source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from credwatch_agent.compare import RoleView, StatementView
from credwatch_agent.evidence import State
from credwatch_agent.findings import grants, words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.wildcards import carriers, changeable, subject
from credwatch_agent.iam.escalation import CATEGORIES, Combination, Granted, granted


def privilege_escalation_unused(world: World) -> Iterator[Finding]:
    for view in world.roles:
        if not changeable(view.role):
            continue
        ways: dict[int, list[Combination]] = {}
        for way in _smallest(granted(view.documents)):
            holder = _holder(view, way)
            if holder is not None:
                ways.setdefault(holder, []).append(way)
        for position, found in ways.items():
            yield _finding(view, view.statements[position], found)


def _smallest(found: Iterable[Granted]) -> Iterator[Combination]:
    """Leave out a combination that contains another: whoever has the smaller one needs no more."""
    kept: list[Combination] = []
    for way in sorted((each.combination for each in found), key=lambda way: len(way.actions)):
        if not any(set(way.actions) >= set(other.actions) for other in kept):
            kept.append(way)
            yield way


def _holder(view: RoleView, way: Combination) -> int | None:
    """Return the statement that grants the unused part of a way, or None where all of it is used or in doubt."""
    states = view.actions
    unused = {action for action in way.actions if states.get(action) is State.UNUSED}
    for position, statement in enumerate(view.statements):
        if any(grant.action in unused for grant in statement.grants):
            return position
    return None


def _finding(view: RoleView, statement: StatementView, ways: list[Combination]) -> Finding:
    actions = sorted({action for way in ways for action in way.actions})
    unused = [action for action in actions if view.actions[action] is State.UNUSED]
    carried = view.coverage.carriers
    return Finding(
        id="privilege-escalation-unused",
        severity=Severity.HIGH,
        kind=Subject.STATEMENT,
        subject=subject(view.role, statement),
        sentence=(
            f"`{view.role.name}` could {words.either(CATEGORIES[way.category] for way in ways)}, and was not seen to:"
            f" {words.listed(actions)}"
        ),
        evidence=(
            *(f"{' with '.join(f'`{action}`' for action in way.actions)}: {_source(way)}" for way in ways),
            carriers(view),
        ),
        fixes=(
            Fix(f"Take {words.listed(unused)} out of statement `{statement.name}`."),
            Fix(*grants.write(view.role, statement.policy), "shell"),
        ),
        role_arn=view.role.arn,
        first_ns=min((c.first_ns for c in carried), default=0),
        last_ns=max((c.last_ns for c in carried), default=0),
        policy=statement.policy.name,
        statement=statement.statement.index,
    )


def _source(way: Combination) -> str:
    return f"{CATEGORIES[way.category]} ({way.id}: {way.reference})"


RULES = (
    Rule(
        id="privilege-escalation-unused",
        severity="high, listed first",
        check=privilege_escalation_unused,
        what="A role is granted actions by which it could give itself more, and does not use them.",
        why="Whoever takes over the workload takes over what the role can reach with them, often the account.",
        how_we_know=(
            "The statements grant every action of a combination that pathfinding.cloud lists, no Deny takes one away"
            " everywhere, and evidence says `unused` of at least one. The statements' conditions and resources are not"
            " weighed."
        ),
        how_to_fix="Remove the actions.",
        references=("https://github.com/DataDog/pathfinding.cloud", "MITRE ATT&CK T1098.003"),
        absorbs=frozenset({"unused-statement", "unused-action"}),
    ),
)
