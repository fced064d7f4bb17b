"""Grants that nobody used, and resources wider than what was used.

Only what evidence calls `unused` counts: `insufficient` and `unobservable` are never said here. What
holds for a whole role is not said again of its policies, and so on down.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from credwatch_agent.compare import Grant, RoleView, StatementView, Use
from credwatch_agent.evidence import State
from credwatch_agent.findings import grants, words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.wildcards import carriers, changeable, subject, used_of
from credwatch_agent.iam.catalogue import access_level, expand, resource_types
from credwatch_agent.iam.pattern import included, partial_tokens, resource_tokens
from credwatch_agent.snapshot import Policy

_HARMLESS = frozenset({"List", "Read"})


def _views(world: World) -> Iterator[RoleView]:
    return (view for view in world.roles if changeable(view.role))


def _unused(statement: StatementView) -> list[Grant]:
    return [grant for grant in statement.grants if grant.verdict.state is State.UNUSED]


def _wholly(statement: StatementView) -> bool:
    # a statement of actions that the catalogue does not know has no grants: nothing is known of it
    return bool(statement.grants) and len(_unused(statement)) == len(statement.grants)


def _whole_policies(view: RoleView) -> list[Policy]:
    """Return the policies of which nothing was used; one with a Deny is never one."""
    by_policy: defaultdict[Policy, list[StatementView]] = defaultdict(list)
    for statement in view.statements:
        by_policy[statement.policy].append(statement)
    return [p for p, found in by_policy.items() if all(map(_wholly, found)) and len(found) == _count(p)]


def _count(policy: Policy) -> int:
    found = json.loads(policy.document)["Statement"]
    return len(found) if isinstance(found, list) else 1


def _whole_role(view: RoleView) -> bool:
    """Tell whether nothing was signed with a role and all it may do is unused."""
    used = any(use.outcome == "allowed" for use in view.uses)
    called = any(carrier.calls for carrier in view.coverage.carriers)
    whole = {policy.name for policy in _whole_policies(view)}
    return bool(view.statements) and not used and not called and {p.name for p in view.role.policies} == whole


def unused_role(world: World) -> Iterator[Finding]:
    for view in _views(world):
        if _whole_role(view):
            actions = [grant.action for statement in view.statements for grant in statement.grants]
            yield _finding(
                "unused-role",
                view,
                view.role.arn,
                f"nothing signed with `{view.role.name}`",
                actions,
                (
                    Fix("Take the role from whatever names it, then delete it."),
                    Fix(
                        "See when it was last used, by AWS's own record, before that.",
                        f"aws iam get-role --role-name {view.role.name} --query Role.RoleLastUsed",
                        "shell",
                    ),
                ),
            )


def unused_policy(world: World) -> Iterator[Finding]:
    for view in _views(world):
        if _whole_role(view):
            continue
        for policy in _whole_policies(view):
            # of a policy that is one statement, the statement is the smaller thing to name
            if _count(policy) > 1:
                actions = [g.action for s in view.statements if s.policy == policy for g in s.grants]
                yield _finding(
                    "unused-policy",
                    view,
                    f"{view.role.arn} policy {policy.name}",
                    f"nothing that policy `{policy.name}` grants `{view.role.name}` was used",
                    actions,
                    (_detach(view, policy),),
                    policy=policy.name,
                )


def _detach(view: RoleView, policy: Policy) -> Fix:
    verb, target = (
        ("delete-role-policy", f"--policy-name {policy.name}")
        if policy.inline
        else ("detach-role-policy", f"--policy-arn {policy.arn}")
    )
    command = f"aws iam {verb} --role-name {view.role.name} {target}"
    return Fix(f"Take the policy from `{view.role.name}`.", command, "shell")


def _statements(world: World) -> Iterator[tuple[RoleView, StatementView]]:
    """Yield the statements of which nothing larger is unused."""
    for view in _views(world):
        if not _whole_role(view):
            whole = {policy for policy in _whole_policies(view) if _count(policy) > 1}
            yield from ((view, statement) for statement in view.statements if statement.policy not in whole)


def unused_statement(world: World) -> Iterator[Finding]:
    for view, statement in _statements(world):
        if _wholly(statement):
            yield _finding(
                "unused-statement",
                view,
                subject(view.role, statement),
                f"nothing that statement `{statement.name}` of policy `{statement.policy.name}` grants"
                f" `{view.role.name}` was used",
                [grant.action for grant in statement.grants],
                (Fix("Remove the statement."), Fix(*grants.write(view.role, statement.policy), "shell")),
                policy=statement.policy.name,
                statement=statement.statement.index,
            )


def unused_action(world: World) -> Iterator[Finding]:
    for view, statement in _statements(world):
        unused = [grant.action for grant in _unused(statement)]
        if unused and not _wholly(statement):
            yield _finding(
                "unused-action",
                view,
                subject(view.role, statement),
                f"of statement `{statement.name}` of policy `{statement.policy.name}`, `{view.role.name}` did not use"
                f" {words.count(len(unused), 'action')}: {words.listed(unused)}",
                unused,
                tuple(_without(view, statement, unused)),
                policy=statement.policy.name,
                statement=statement.statement.index,
            )


def _without(view: RoleView, statement: StatementView, unused: Sequence[str]) -> Iterator[Fix]:
    """Keep every pattern of which all is used or unknown, and spell out the others."""
    if statement.statement.not_actions:
        yield Fix("Name the actions that are needed instead of those that are not.")
        return
    gone = set(unused)
    kept: list[str] = []
    for pattern in statement.statement.actions:
        actions = expand(pattern)
        kept += [pattern] if not gone & set(actions) else [action for action in actions if action not in gone]
    text = json.dumps({**grants.source(statement), "Action": list(dict.fromkeys(kept))}, indent=2)
    yield Fix("Take them out of the statement.", text, "json")
    yield Fix(*grants.write(view.role, statement.policy), "shell")


def _finding(
    name: str,
    view: RoleView,
    about: str,
    sentence: str,
    actions: Sequence[str],
    fixes: tuple[Fix, ...],
    *,
    policy: str = "",
    statement: int = -1,
) -> Finding:
    risky = [action for action in actions if access_level(action) not in _HARMLESS]
    return Finding(
        id=name,
        severity=Severity.MEDIUM if risky else Severity.LOW,
        kind=Subject.STATEMENT if policy else Subject.ROLE,
        subject=about,
        sentence=sentence,
        evidence=tuple(_evidence(view, actions, risky)),
        fixes=fixes,
        role_arn=view.role.arn,
        first_ns=min((c.first_ns for c in view.coverage.carriers), default=0),
        last_ns=max((c.last_ns for c in view.coverage.carriers), default=0),
        policy=policy,
        statement=statement,
    )


def _evidence(view: RoleView, actions: Sequence[str], risky: Sequence[str]) -> Iterator[str]:
    found = view.coverage.carriers
    yield carriers(view)
    yield f"all reported {words.span(min(c.first_ns for c in found), max(c.last_ns for c in found))}, without a gap"
    yield f"unused: {words.listed(sorted(actions), 12)}"
    if risky:
        yield f"more than reading: {words.listed(sorted(risky))}"


# --- resources --------------------------------------------------------------------------------------


def resource_wider_than_used(world: World) -> Iterator[Finding]:
    for view, statement in _statements(world):
        if view.coverage.gaps or not statement.used or statement.statement.not_resources:
            continue
        used = used_of(view, statement)
        observed = _observed(used)
        wide = _wider(statement, observed) if observed else []
        if not wide:
            continue
        changes = [g.action for g in statement.used if access_level(g.action) not in _HARMLESS]
        yield Finding(
            id="resource-wider-than-used",
            severity=Severity.MEDIUM if changes else Severity.LOW,
            kind=Subject.STATEMENT,
            subject=subject(view.role, statement),
            sentence=(
                f"statement `{statement.name}` of policy `{statement.policy.name}` reaches {words.listed(wide, 3)},"
                f" and `{view.role.name}` used {words.listed(sorted(observed), 3)}"
            ),
            evidence=(words.uses(used), carriers(view)),
            fixes=(
                Fix("Narrow the statement to what was used.", grants.replacement(statement, used), "json"),
                Fix(*grants.write(view.role, statement.policy), "shell"),
            ),
            role_arn=view.role.arn,
            first_ns=min(use.first_ns for use in used),
            last_ns=max(use.last_ns for use in used),
            policy=statement.policy.name,
            statement=statement.statement.index,
        )


def _observed(used: Sequence[Use]) -> set[str]:
    """Return the containers that were used, or nothing where evidence does not name them all."""
    found: set[str] = set()
    for use in used:
        if use.resource != "*":
            found.add(container(use.resource))
        elif resource_types(use.action):
            return set()
    return found


def container(arn: str) -> str:
    """Return the pattern of all that a resource's container holds: of an S3 object, its bucket's objects."""
    head, slash, _ = arn.partition("/")
    return f"{head}/*" if slash and arn.split(":")[2] == "s3" else arn


def _wider(statement: StatementView, observed: set[str]) -> list[str]:
    """Return the entries that reach more than the observed containers do together."""
    reached = [partial_tokens(arn) for arn in sorted(observed)]
    entries = [entry for entry in statement.statement.resources if "${" not in entry]
    return [entry for entry in entries if not included(resource_tokens(entry, variables=False), reached)]


_KNOWN = (
    "Every condition of `unused` holds: the whole window was reported, by every class of process that carries the role"
    " and nearly all its instances, no container and no trusted principal is silent, the operation map knows which"
    " calls need the action, and no call needed it."
)

RULES = (
    Rule(
        id="unused-role",
        severity="low; medium if it grants more than reading",
        check=unused_role,
        what="Nothing signed with a role.",
        why="It can be taken over, and nobody would miss it.",
        how_we_know=_KNOWN,
        how_to_fix="Delete it.",
        references=("IAM user guide, refine permissions using last accessed information", "Security Hub IAM.22"),
        absorbs=frozenset({"privilege-escalation-unused"}),
    ),
    Rule(
        id="unused-policy",
        severity="low; medium if it grants more than reading",
        check=unused_policy,
        what="Nothing that a policy of several statements grants a role was used.",
        why="It only adds to what a taken-over workload may do.",
        how_we_know=_KNOWN,
        how_to_fix="Detach or delete it.",
        references=("IAM best practices, regularly review and remove unused permissions",),
    ),
    Rule(
        id="unused-statement",
        severity="low; medium if it grants more than reading",
        check=unused_statement,
        what="Nothing that a statement grants was used.",
        why="It only adds to what a taken-over workload may do.",
        how_we_know=_KNOWN,
        how_to_fix="Remove the statement.",
        references=("IAM best practices, regularly review and remove unused permissions",),
    ),
    Rule(
        id="unused-action",
        severity="low; medium if it grants more than reading",
        check=unused_action,
        what="A statement grants actions that were not used, beside some that were.",
        why="They only add to what a taken-over workload may do.",
        how_we_know=_KNOWN,
        how_to_fix="Take the actions out.",
        references=("IAM best practices, regularly review and remove unused permissions",),
    ),
    Rule(
        id="resource-wider-than-used",
        severity="low; medium if it is used for more than reading",
        check=resource_wider_than_used,
        what="The containers (bucket, table, queue, function) that were used are fewer than the statement reaches.",
        why="A taken-over workload reaches other workloads' data.",
        how_we_know=(
            "As for `unused`; and the recorder named the container of every call that the statement allowed. A resource"
            " with a policy variable is left alone."
        ),
        how_to_fix="Name the containers that were used.",
        references=("IAM best practices, apply least-privilege permissions",),
        absorbs=frozenset({"condition-could-be-added"}),
    ),
)
