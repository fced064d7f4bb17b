"""One role after the other: its policies parsed once, its calls attributed, its grants judged."""

from __future__ import annotations

from collections.abc import Sequence

from credwatch_agent.compare.attribute import Attached, attribute
from credwatch_agent.compare.grants import Doubts, Unseen, grants
from credwatch_agent.compare.model import REFUSED, RoleView, StatementView, uses_of, with_trail
from credwatch_agent.evidence import Coverage, Emits, Joined, Scales, Settings, Signed, cover
from credwatch_agent.evidence.baselines import baseline, forwarding
from credwatch_agent.iam import document as documents
from credwatch_agent.iam.document import PolicyError
from credwatch_agent.records import NO_SECOND, Second
from credwatch_agent.snapshot import Index, Role


def compare(
    index: Index,
    joined: Joined,
    now_ns: int,
    settings: Settings,
    emits: Emits,
    second: Second = NO_SECOND,
    *,
    roles: Sequence[Role] | None = None,
) -> tuple[RoleView, ...]:
    """Return the comparison of `roles`, or of every role of the snapshot in the order of their ARNs."""
    unseen, scales = Unseen(emits), Scales(second, index)
    return tuple(
        _role(
            role,
            cover(role, index, joined, now_ns, settings, scales),
            joined.by_role(role.arn),
            index,
            unseen,
            settings,
        )
        for role in (index.snapshot.roles if roles is None else roles)
    )


def _role(
    role: Role, coverage: Coverage, signed: tuple[Signed, ...], index: Index, unseen: Unseen, settings: Settings
) -> RoleView:
    parsed, read, problems = _parse(role)
    uses = with_trail(tuple(uses_of(signed)), coverage.second.uses)
    attributed = attribute(parsed, uses)
    served = {(s.usage.service, s.usage.operation) for s in signed if s.usage.outcome not in REFUSED}
    served |= {(service, name) for use in coverage.second.uses for service, _, name in [use.call.partition(":")]}
    tested = frozenset(action for name, action in settings.tested if name in {role.arn, role.name})
    infrastructure, forwarded = baseline(role, index), forwarding(served)
    doubts = Doubts(coverage.gaps, infrastructure, forwarded, unseen, coverage.second, tested)
    views = tuple(
        StatementView(each.policy, each.statement, grants(each.statement, seen, doubts))
        for each, seen in zip(parsed, attributed.seen, strict=True)
    )
    return RoleView(role, coverage, views, uses, attributed.unexplained, problems, read, infrastructure, forwarded)


def _parse(role: Role) -> tuple[list[Attached], tuple[documents.Policy, ...], tuple[str, ...]]:
    """Parse each policy on its own: one that does not parse is a problem, the others are unaffected."""
    parsed: list[Attached] = []
    read: list[documents.Policy] = []
    problems: list[str] = []
    for policy in role.policies:
        if not policy.document:
            problems.append(f"policy `{policy.name}` of role `{role.name}`: the snapshot holds no document of it")
            continue
        try:
            document = documents.parse_text(policy.name, policy.document)
        except PolicyError as error:
            problems.append(f"policy `{policy.name}` of role `{role.name}` does not parse: {error}")
            continue
        read.append(document)
        parsed += [Attached(policy, statement) for statement in document.statements if statement.allows]
        problems += [
            f"policy `{policy.name}` of role `{role.name}`: {problem.message}" for problem in document.problems
        ]
    return parsed, tuple(read), tuple(problems)
