"""Statements that grant whole services or everything, and what was used of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from credwatch_agent.compare import RoleView, StatementView, Use
from credwatch_agent.evidence import Reason, State
from credwatch_agent.findings import grants, words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.iam.document import Statement
from credwatch_agent.snapshot import Role

ID = "admin-or-wildcard-statement"
_DOUBTS = frozenset({Reason.AMBIGUOUS, Reason.OUTCOME})


def admin_or_wildcard_statement(world: World) -> Iterator[Finding]:
    for view in world.roles:
        if changeable(view.role):
            for statement in view.statements:
                width = _width(statement.statement)
                if width:
                    yield _finding(view, statement, width)


def changeable(role: Role) -> bool:
    """Tell whether the account's owner can change a role: AWS owns service-linked and reserved ones."""
    return not role.service_linked and not role.path.startswith("/aws-reserved/")


def subject(role: Role, statement: StatementView) -> str:
    """Return a statement's public name."""
    return f"{role.arn} policy {statement.policy.name} {statement.name}"


def _width(statement: Statement) -> str:
    """Say what makes a statement too wide, or "" """
    if statement.not_actions:
        return f"every action but {words.listed(statement.not_actions)}"
    if any(action in {"*", "*:*"} for action in statement.actions):
        return "every action of every service"
    wide = [action for action in statement.actions if action.partition(":")[2].strip("*") == ""]
    return f"every action of {words.listed(action.partition(':')[0] for action in wide)}" if wide else ""


def used_of(view: RoleView, statement: StatementView) -> tuple[Use, ...]:
    """Return the calls that a statement allowed, or may have allowed."""
    actions = {
        grant.action.lower()
        for grant in statement.grants
        if grant.verdict.state is State.USED or any(gap.reason in _DOUBTS for gap in grant.verdict.gaps)
    }
    return tuple(use for use in view.uses if use.action.lower() in actions and _touches(statement, use))


def _touches(statement: StatementView, use: Use) -> bool:
    """Tell whether the statement's resources reach a use: another statement may have allowed it."""
    entries = statement.statement.resources
    return not entries or any("${" in entry or grants.reaches(entry, use.resource) for entry in entries)


def _finding(view: RoleView, statement: StatementView, width: str) -> Finding:
    used = used_of(view, statement)
    times = [(use.first_ns, use.last_ns) for use in used]
    return Finding(
        id=ID,
        severity=Severity.HIGH,
        kind=Subject.STATEMENT,
        subject=subject(view.role, statement),
        sentence=(
            f"statement `{statement.name}` of policy `{statement.policy.name}` grants `{view.role.name}` {width} on"
            f" {_resources(statement.statement)}; {_usage(statement)}"
        ),
        evidence=tuple(_evidence(view, statement, used)),
        fixes=tuple(_fixes(view, statement, used)),
        role_arn=view.role.arn,
        first_ns=min((first for first, _ in times), default=0),
        last_ns=max((last for _, last in times), default=0),
        policy=statement.policy.name,
        statement=statement.statement.index,
    )


def _resources(statement: Statement) -> str:
    if statement.not_resources:
        return f"every resource but {words.listed(statement.not_resources)}"
    return "every resource" if "*" in statement.resources else words.listed(statement.resources, 3)


def _usage(statement: StatementView) -> str:
    total, used = len(statement.grants), len(statement.used)
    if not used:
        return f"none of its {total:,} actions was seen in use"
    return f"{used:,} of its {total:,} actions {'was' if used == 1 else 'were'} seen in use"


def _evidence(view: RoleView, statement: StatementView, used: Sequence[Use]) -> Iterator[str]:
    if used:
        yield f"used: {words.listed(sorted({use.action for use in used}), 12)}"
        yield words.uses(used)
    doubted = [g for g in statement.grants if any(gap.reason in _DOUBTS for gap in g.verdict.gaps)]
    for grant in doubted[: words.MANY]:
        yield grant.verdict.gaps[0].sentence
    yield carriers(view)
    states = statement.states
    yield ", ".join(f"{states[state]:,} {state.value}" for state in State if states.get(state))
    yield from (f"not known: {gap.sentence}" for gap in view.coverage.gaps)


def carriers(view: RoleView) -> str:
    """Say who reports for a role, in one sentence."""
    found = view.coverage.carriers
    if not found:
        return "no process reports with this role"
    calls, processes = sum(c.calls for c in found), sum(c.processes for c in found)
    where = words.listed(sorted({c.workload.where for c in found}))
    final = "exact" if all(c.closed for c in found) else "a lower bound, since some still run or ended unseen"
    return f"{words.count(processes, 'process')} of {where} reported {words.count(calls, 'call')} ({final})"


def _fixes(view: RoleView, statement: StatementView, used: Sequence[Use]) -> Iterator[Fix]:
    gaps = view.coverage.gaps
    if used:
        sentence = (
            f"Evidence is not enough to replace the statement yet ({words.count(len(gaps), 'reason')} above);"
            " this is what was used of it so far."
            if gaps
            else "Replace the statement by what was used of it."
        )
        yield Fix(sentence, grants.replacement(statement, used), "json")
    elif gaps:
        yield Fix(
            "Evidence is not enough to replace or remove the statement: let what has the role report for the whole"
            " window first."
        )
        return
    else:
        yield Fix("Remove the statement: nothing was used of it.")
    blind = [grant.action for grant in statement.grants if grant.verdict.state is State.UNOBSERVABLE]
    if blind:
        yield Fix(
            f"No recorder sees the use of {words.count(len(blind), 'action')} of these: keep those that the workload"
            f" needs, such as {words.listed(_telling(blind), 4)}."
        )
    yield Fix(*grants.write(view.role, statement.policy), "shell")


def _telling(actions: Sequence[str]) -> list[str]:
    """Put `iam:PassRole` first: it is the one that deployments miss."""
    return sorted(actions, key=lambda action: (action != "iam:PassRole", action))


RULES = (
    Rule(
        id=ID,
        severity="high",
        check=admin_or_wildcard_statement,
        what="A statement allows `*`, all actions of a service (`svc:*`), or everything but a list (`NotAction`).",
        why=(
            "It grants what nobody chose, and what AWS adds tomorrow. Whoever takes over the workload may do all of it."
        ),
        how_we_know=(
            "The statement's text. What was used of it comes from calls that the statement allows; the evidence says"
            " whether that is enough to replace it."
        ),
        how_to_fix="Replace the statement by the actions and resources that were used; conditions are kept.",
        references=("AWS IAM best practices: apply least-privilege permissions", "Security Hub IAM.21"),
        absorbs=frozenset(
            {
                "unused-action",
                "unused-statement",
                "resource-wider-than-used",
                "privilege-escalation-unused",
                "condition-could-be-added",
            }
        ),
    ),
)
