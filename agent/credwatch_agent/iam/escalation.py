"""Escalation knowledge: which combinations of actions let a principal gain more than it was given.

For ranking what to take away first. The combinations are data with their source and licence in
`data/escalation.json`; access levels are `catalogue`'s. Decides no request.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from credwatch_agent.iam.catalogue import LEVELS, access_level
from credwatch_agent.iam.document import Policy, Statement
from credwatch_agent.iam.request import StatementRef

_DATA = Path(__file__).parent / "data" / "escalation.json"

CATEGORIES = {
    "self-escalation": "change its own permissions",
    "principal-access": "gain the credentials or the trust of another principal",
    "new-passrole": "pass a role to something that it creates",
    "existing-passrole": "change or enter something that has a role already",
}
"""What the categories let a principal do; to follow the word `could`."""


class Combination(NamedTuple):
    """A known combination: all of `actions` together escalate, where resources and roles permit."""

    id: str
    category: str
    actions: tuple[str, ...]
    reference: str


class Granted(NamedTuple):
    """A combination that policies grant, and for each of its actions the statements that allow it."""

    combination: Combination
    statements: tuple[tuple[str, tuple[StatementRef, ...]], ...]


@lru_cache(maxsize=1)
def combinations() -> tuple[Combination, ...]:
    """Return all known combinations, those of fewest actions first."""
    data = json.loads(_DATA.read_text(encoding="utf-8"))
    files = f"{data['source']}/blob/{data['commit']}/"
    found = (
        Combination(row["id"], row["category"], tuple(row["actions"]), files + row["file"]) for row in data["paths"]
    )
    return tuple(sorted(found, key=lambda each: (len(each.actions), each.id)))


def granted(policies: Sequence[Policy]) -> tuple[Granted, ...]:
    """Return the combinations that identity policies may grant, whatever resources and conditions say.

    Only a Deny of the action without condition on all resources rules one out: this ranks, it proves nothing.
    """
    found: list[Granted] = []
    for each in combinations():
        by_action = tuple((action, _allowing(policies, action)) for action in each.actions)
        if all(statements for _, statements in by_action):
            found.append(Granted(each, by_action))
    return tuple(found)


def weight(action: str) -> int:
    """Return how much an unused action matters: 0 the most. Escalation by itself, then its access level."""
    alone = any(each.actions == (action,) for each in combinations())
    level = access_level(action)
    return 0 if alone else 1 + (LEVELS.index(level) if level else len(LEVELS))


def _allowing(policies: Sequence[Policy], action: str) -> tuple[StatementRef, ...]:
    allows: list[StatementRef] = []
    for policy in policies:
        for each in policy.candidates(action.partition(":")[0].lower()):
            if each.action_globs.match(action) is bool(each.not_actions):
                continue
            if each.allows:
                allows.append(StatementRef(policy.name, each.index, each.sid, "identity"))
            elif _denies_everywhere(each):
                return ()
    return tuple(allows)


def _denies_everywhere(statement: Statement) -> bool:
    return "*" in statement.resources and not statement.conditions
