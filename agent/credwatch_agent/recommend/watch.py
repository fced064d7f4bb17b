"""After a role's policies changed: which refused calls the earlier ones allowed, by which statements, and the way back.

Pure: what was refused, and since when, is the caller's to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from credwatch_agent.compare import Use
from credwatch_agent.compare.passed import context
from credwatch_agent.iam.evaluate import EVERY_OTHER, Decision, Request, allowing, evaluate
from credwatch_agent.recommend.model import Attached
from credwatch_agent.snapshot import Policy, Role


@dataclass(frozen=True, slots=True)
class Place:
    """A statement of a policy. `sure` is False where whether it speaks of the call hangs on a condition."""

    policy: str
    index: int
    sid: str
    sure: bool = True

    @property
    def name(self) -> str:
        """The policy and, by Sid or position, the statement."""
        return f"{self.policy}, {self.sid or f'statement {self.index}'}"


@dataclass(frozen=True, slots=True)
class Regression:
    """A refused call that the earlier policies allowed or may have allowed, and the present ones do not.

    `removed` are the earlier statements that allowed it; where a Deny refuses it now, `denies` are these.
    """

    use: Use
    removed: tuple[Place, ...]
    denies: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollback:
    """How one policy is brought back: commands, and for an inline policy the document that they read."""

    policy: str
    commands: tuple[str, ...]
    document: str = ""


def regressions(before: Sequence[Attached], after: Sequence[Attached], refused: Iterable[Use]) -> Iterator[Regression]:
    """Return the refused calls that are the change's doing.

    A call that the present policies surely allow was refused by somebody else; one that hangs on a condition
    now as before is no sign of the change.
    """
    old, new = [each.policy for each in before], [each.policy for each in after]
    for use in refused:
        known = context(use.passed_to)
        was = evaluate(_request(use, known), identity=old)
        if known and was.decision not in _MAYBE:
            # the documentation of the service that a role is passed to is not believed against what was allowed
            known = {}
            was = evaluate(_request(use, known), identity=old)
        now = evaluate(_request(use, known), identity=new)
        if now.decision in {Decision.ALLOWED, was.decision} or was.decision not in _MAYBE:
            continue
        if now.decision is Decision.EXPLICITLY_DENIED:
            yield Regression(use, (), tuple(Place(ref.policy, ref.index, ref.sid) for ref in now.statements))
        else:
            found = allowing(old, use.action, use.resource, known)
            yield Regression(use, tuple(Place(ref.policy, ref.index, ref.sid, truth is True) for ref, truth in found))


def _request(use: Use, known: Mapping[str, Any]) -> Request:
    return Request(use.action, use.resource, context=known, unknown_keys=EVERY_OTHER, partial=True)


_MAYBE = frozenset({Decision.ALLOWED, Decision.UNKNOWN})


def rollback(before: Role, after: Role, found: Iterable[Regression]) -> tuple[Rollback, ...]:
    """Return the way back for each policy that lost a statement or gained a Deny."""
    wanted = dict.fromkeys(place.policy for each in found for place in (*each.removed, *each.denies))
    earlier = {policy.name: policy for policy in before.policies}
    present = {policy.name: policy for policy in after.policies}
    return tuple(
        _back(before, after, earlier[name]) if name in earlier else _away(before, present[name]) for name in wanted
    )


def _back(before: Role, after: Role, policy: Policy) -> Rollback:
    if policy.inline:
        command = f"aws iam put-role-policy --role-name {before.name} --policy-name {policy.name}"
        return Rollback(policy.name, (f"{command} --policy-document file://{policy.name}.json",), policy.document)
    commands: list[str] = []
    now = next((each for each in after.policies if each.arn == policy.arn), None)
    if now is None:
        commands.append(f"aws iam attach-role-policy --role-name {before.name} --policy-arn {policy.arn}")
    elif policy.version and now.version != policy.version:
        commands.append(f"aws iam set-default-policy-version --policy-arn {policy.arn} --version-id {policy.version}")
    return Rollback(policy.name, tuple(commands), "" if commands else policy.document)


def _away(role: Role, policy: Policy) -> Rollback:
    """Take away a policy that was not there before."""
    if policy.inline:
        command = f"aws iam delete-role-policy --role-name {role.name} --policy-name {policy.name}"
    else:
        command = f"aws iam detach-role-policy --role-name {role.name} --policy-arn {policy.arn}"
    return Rollback(policy.name, (command,))


def statement(before: Sequence[Attached], removed: Place) -> Mapping[str, Any]:
    """Return a removed statement as its policy had it."""
    (policy,) = (each for each in before if each.policy.name == removed.policy)
    return policy.statements[removed.index]


def changed(before: Role, after: Role) -> bool:
    """Say whether the role's policies differ, whatever their order and spelling of JSON."""
    return _documents(before) != _documents(after)


def _documents(role: Role) -> dict[tuple[str, str], object]:
    return {(each.arn, each.name): _loaded(each.document) for each in role.policies}


def _loaded(document: str) -> object:
    try:
        return json.loads(document)
    except ValueError:
        return document
