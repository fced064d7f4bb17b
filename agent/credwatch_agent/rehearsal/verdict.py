"""What policies say of recorded calls: what is missing, what is not known, what they grant beyond. Pure.

Only what is surely not allowed is missing: conditions that hang on the request, an account or region that is not
known, and a role that a template or task definition may not hold, are no reason to fail.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from credwatch_agent.compare import granted
from credwatch_agent.compare.passed import may_be_none
from credwatch_agent.findings import grants
from credwatch_agent.iam.catalogue import resource_types
from credwatch_agent.iam.document import Policy
from credwatch_agent.iam.evaluate import EVERY_OTHER, Request
from credwatch_agent.iam.judge import judge
from credwatch_agent.rehearsal.calls import Record


@dataclass(frozen=True, slots=True)
class Missing:
    """An action on a resource that no statement allows, or that a statement denies; and some tests that need it."""

    action: str
    resource: str
    denied_by: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Beyond:
    """Actions that a statement grants and no test called."""

    policy: str
    statement: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`statements` are what would have to be added; `unknown` calls of which no rule tells the actions."""

    missing: tuple[Missing, ...]
    statements: tuple[dict[str, Any], ...]
    unknown: tuple[str, ...]
    beyond: tuple[Beyond, ...]


def verdict(record: Record, policies: Sequence[Policy], *, resources: bool = True) -> Verdict:
    """Hold a record against all policies of one role; without `resources`, actions alone are compared."""
    missing = tuple(_missing(record, policies, resources))
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for each in missing:
        if not each.denied_by:
            wanted[each.action].add(each.resource)
    unknown = {f"{call.service}:{call.operation}" for call in record.calls if call.mapping == "unknown"}
    return Verdict(missing, tuple(grants.statements(wanted)), tuple(sorted(unknown)), tuple(_beyond(record, policies)))


def _missing(record: Record, policies: Sequence[Policy], resources: bool) -> Iterator[Missing]:
    needs: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    sure: set[tuple[str, str]] = set()
    for action, resource, seen in record.needs():
        asked = resource if resources or not resource_types(action) else "*"
        needs[action, asked] += seen.tests
        if not may_be_none(action, resource):
            sure.add((action, asked))
    for (action, resource), tests in sorted(needs.items()):
        # an action without resources is asked for `*` itself; any other wildcard stands for what is not known
        partial = ("*" in resource or "?" in resource) and bool(resource_types(action))
        request = Request(action, resource, unknown_keys=EVERY_OTHER, partial=partial)
        found = judge("identity", policies, request)
        if found.denied is True:
            by = found.denies[0]
            yield Missing(action, resource, f"{by.policy} {by.sid or f'statement {by.index}'}", _some(tests))
        elif found.allowed is False and (action, resource) in sure:
            yield Missing(action, resource, "", _some(tests))


def _some(tests: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tests))[:3]


def _beyond(record: Record, policies: Sequence[Policy]) -> Iterator[Beyond]:
    called = record.actions
    for policy in policies:
        for statement in policy.statements:
            if statement.allows:
                rest = tuple(action for action in granted(statement) if action.lower() not in called)
                if rest:
                    yield Beyond(policy.name, statement.sid or f"statement {statement.index}", rest)
