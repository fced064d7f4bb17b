"""Whether other policies keep what was observed: a call is lost unless it is proved to be kept.

A condition key that was not observed may have had any value: the new policies must allow wherever the
old ones did, under every completion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from credwatch_agent.compare.passed import PASSED_TO, context
from credwatch_agent.iam.condition import Condition
from credwatch_agent.iam.contain import Proved, contain
from credwatch_agent.iam.context import EVERY_OTHER
from credwatch_agent.iam.document import Policy, Statement
from credwatch_agent.iam.evaluate import allowing
from credwatch_agent.iam.judge import applies
from credwatch_agent.iam.pattern import included, loosen, overlap, partial_tokens, resource_tokens
from credwatch_agent.iam.request import Request
from credwatch_agent.recommend.model import Call


@dataclass(frozen=True, slots=True)
class Lost:
    """An observed call that the old policies allow or may allow, and the new are not proved to allow as well."""

    call: Call
    resource: str
    reason: str


def lost(old: Sequence[Policy], new: Sequence[Policy], calls: Iterable[Call]) -> tuple[Lost, ...]:
    """Return the observed calls that are not proved to be kept."""
    denies = [replace(each, statements=tuple(s for s in each.statements if not s.allows)) for each in old]
    allows = [replace(each, statements=tuple(s for s in each.statements if s.allows)) for each in old]
    uses = [(call, arn, _only(allows, call, arn)) for call in believed(old, calls) for arn in call.resources or ("*",)]
    if isinstance(contain([*denies, *(part for _, _, parts in uses for part in parts)], new), Proved):
        return ()
    found: list[Lost] = []
    for call, arn, parts in uses:
        answer = contain([*denies, *parts], new)
        if not isinstance(answer, Proved):
            found.append(Lost(call, arn, getattr(answer, "reason", "the new policies do not allow it")))
    return tuple(found)


def believed(policies: Sequence[Policy], calls: Iterable[Call]) -> tuple[Call, ...]:
    """Forget where a call passed a role if no statement allows that: it was allowed, so the documentation errs."""
    return tuple(
        replace(call, passed_to=())
        if call.passed_to
        and not all(allowing(policies, call.action, arn, context(call.passed_to)) for arn in call.resources or ("*",))
        else call
        for call in calls
    )


def _only(allows: Sequence[Policy], call: Call, arn: str) -> list[Policy]:
    """Return the statements that allow one call or may allow it, cut down to that call."""
    request = Request(call.action, arn, context=context(call.passed_to), unknown_keys=EVERY_OTHER, partial=True)
    found: list[Policy] = []
    for policy in allows:
        met = (each for each in policy.candidates(request.service) if applies(each, request, set()) is not False)
        statements = tuple(_restricted(_passing(each, call), call.action, arn) for each in met)
        if statements:
            found.append(replace(policy, statements=statements))
    return found


def _passing(statement: Statement, call: Call) -> Statement:
    """Return the statement for requests that pass roles where the call did."""
    if not call.passed_to:
        return statement
    observed = Condition("StringEquals", PASSED_TO, call.passed_to, variables=False)
    return replace(statement, conditions=(*statement.conditions, observed))


def _restricted(statement: Statement, action: str, arn: str) -> Statement:
    if statement.not_resources:
        return replace(statement, actions=(action,), not_actions=())
    known = partial_tokens(arn)
    entries = {each: resource_tokens(each, variables=statement.variables) for each in statement.resources}
    if any(included(known, [pattern]) for pattern in entries.values()):
        met: tuple[str, ...] = (arn,)
    else:
        met = tuple(each for each, pattern in entries.items() if overlap(loosen(pattern), known))
    return replace(statement, actions=(action,), not_actions=(), resources=met or statement.resources)
