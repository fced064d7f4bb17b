"""What one statement, and one layer of policies, says of a request.

Owns matching and counting; how layers combine is `evaluate`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from credwatch_agent.iam.condition import holds
from credwatch_agent.iam.context import Truth, both, either
from credwatch_agent.iam.document import Policy, Statement
from credwatch_agent.iam.principal import Grade, grade
from credwatch_agent.iam.request import Request, StatementRef


class Missing(Enum):
    """`MISSING`: the layer exists or may exist, but could not be read."""

    MISSING = "missing"


MISSING = Missing.MISSING

Layer = Sequence[Policy] | Missing


def applies(statement: Statement, request: Request, unknown: set[str]) -> Truth:
    """Say whether a statement's actions, resources and conditions match; principals are apart.

    What a None hangs on is added to `unknown`.
    """
    if statement.action_globs.match(request.action) is bool(statement.not_actions):
        return False
    truth = _resource(statement, request, unknown)
    for condition in statement.conditions:
        if truth is False:
            break
        truth = both(truth, holds(condition, request.keys, unknown))
    return truth


def _resource(statement: Statement, request: Request, unknown: set[str]) -> Truth:
    if not statement.resources and not statement.not_resources:
        return True  # a trust policy has no Resource: it speaks of its role
    globs = statement.resource_globs
    if request.partial:
        matched = globs.match_partial(request.resource, request.keys, unknown)
        if matched is None:
            unknown.add("resource")
    else:
        matched = globs.match(request.resource, request.keys, unknown)
    if matched is None or not statement.not_resources:
        return matched
    return not matched


@dataclass(slots=True)
class Verdict:
    """What one layer says: denied or not, and allowed or not by how exactly it names the requester."""

    layer: str
    denied: Truth = False
    grants: dict[Grade, Truth] = field(default_factory=dict)
    denies: list[StatementRef] = field(default_factory=list)
    allows: list[StatementRef] = field(default_factory=list)
    maybe_denies: list[StatementRef] = field(default_factory=list)
    maybe_allows: list[StatementRef] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)

    @property
    def allowed(self) -> Truth:
        """Whether the layer allows the requester, however it is named."""
        return _any(self.grants.values())

    def grant(self, each: Grade) -> Truth:
        """Whether a statement that names the requester in this way allows it."""
        return self.grants.get(each, False)

    def may_hold_anything(self, what: str) -> None:
        """Count a layer or policy that could not be read."""
        self.denied = either(self.denied, None)
        for each in Grade:
            self.grants[each] = either(self.grant(each), None)
        self.unknown.add(what)

    def note(self, statement: Statement, named: Grade, truth: Truth, ref: StatementRef) -> None:
        """Count a statement that applies, or (None) may apply."""
        if statement.allows:
            self.grants[named] = either(self.grant(named), truth)
            (self.allows if truth else self.maybe_allows).append(ref)
        else:
            self.denied = either(self.denied, truth)
            (self.denies if truth else self.maybe_denies).append(ref)


def _any(truths: Iterable[Truth]) -> Truth:
    found: Truth = False
    for each in truths:
        found = either(found, each)
    return found


def judge(layer: str, policies: Layer, request: Request) -> Verdict:
    """Match each candidate statement of a layer once."""
    verdict = Verdict(layer)
    if isinstance(policies, Missing):
        verdict.may_hold_anything(f"layer: {layer}")
        return verdict
    for policy in policies:
        if not policy.readable:
            verdict.may_hold_anything(f"policy: {policy.name}")
        for statement in policy.candidates(request.service):
            hangs: set[str] = set()
            truth = applies(statement, request, hangs)
            if truth is False:
                continue
            named, is_named = grade(statement, request.principal)
            truth = both(truth, is_named)
            if named is None or truth is False:
                continue
            if truth is None:
                verdict.unknown |= hangs if is_named else hangs | {"principal"}
            verdict.note(statement, named, truth, StatementRef(policy.name, statement.index, statement.sid, layer))
    return verdict
