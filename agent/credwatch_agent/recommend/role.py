"""A role's policies, narrowed, with what is claimed of them.

Owns what becomes of each policy (edit, fork, copy, removal), sizes, Sids and the claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from credwatch_agent.iam.contain import contain
from credwatch_agent.iam.document import Policy, parse
from credwatch_agent.iam.evaluate import allowing
from credwatch_agent.recommend.keep import believed, lost
from credwatch_agent.recommend.model import (
    COPY,
    EDIT,
    FORK,
    REMOVE,
    SAME,
    Attached,
    Call,
    Claim,
    Note,
    Recommendation,
    Recommended,
    Settings,
    requests,
)
from credwatch_agent.recommend.narrow import narrow
from credwatch_agent.recommend.size import INLINE_LIMIT, MANAGED_LIMIT, size, split

_SKIPPED = {
    "/aws-service-role/": "a service-linked role: its policy is AWS's",
    "/aws-reserved/": "a reserved role: IAM Identity Center writes its policies",
}


def recommend(role: str, attached: Sequence[Attached], calls: Iterable[Call], settings: Settings) -> Recommendation:
    """Narrow all policies of the role `role` (an ARN or a name) to the calls that were observed."""
    if settings.documented:
        seen = believed([each.policy for each in attached], calls)
    else:  # what was not seen decides nothing
        seen = tuple(replace(call, passed_to=()) for call in calls)
    skipped = next((why for path, why in _SKIPPED.items() if path in role), "")
    policies: list[Recommended] = []
    notes: list[Note] = []
    if settings.keep_resources and not skipped:
        notes.append(Note("", None, f"what was not seen stays, resources as granted: {settings.keep_resources}"))
    missed = 0
    for each in attached:
        if skipped or not each.policy.readable:
            policies.append(_same(each))
            notes += [Note(each.policy.name, None, f"stays: {problem.message}") for problem in each.policy.problems]
            continue
        statements, found, misses = _narrowed(each, seen, settings)
        missed += misses
        notes += found
        policies += _policies(role, each, statements)
    notes += _too_large(attached, policies)
    return Recommendation(
        role, tuple(policies), tuple(notes), _claim(attached, policies, seen, settings, missed), skipped
    )


def _narrowed(
    each: Attached, calls: Sequence[Call], settings: Settings
) -> tuple[list[Mapping[str, Any]], list[Note], int]:
    statements: list[Mapping[str, Any]] = []
    notes: list[Note] = []
    missed = 0
    odd = {problem.index: problem.message for problem in each.policy.problems}
    for statement, written in zip(each.policy.statements, each.statements, strict=True):
        if statement.index in odd:
            statements.append(written)
            notes.append(Note(each.policy.name, statement.index, f"stays: {odd[statement.index]}", statement.sid))
            continue
        result = narrow(statement, written, calls, settings)
        statements += result.statements
        missed += result.missed
        notes += [Note(each.policy.name, statement.index, text, statement.sid) for text in result.notes]
    return _unique_sids(statements), notes, missed


def _unique_sids(statements: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Number Sids that are there twice, after splitting a statement into several."""
    taken: set[str] = set()
    found: list[Mapping[str, Any]] = []
    for statement in statements:
        sid = wanted = statement.get("Sid", "")
        number = 2
        while sid and sid in taken:
            sid, number = f"{wanted}x{number}", number + 1
        taken.add(sid)
        found.append({**statement, "Sid": sid} if sid != wanted else statement)
    return found


# --- policies -------------------------------------------------------------------------------------


def _same(each: Attached) -> Recommended:
    return Recommended(each.policy.name, each.policy.name, SAME, each.document, each.arn)


def _policies(role: str, each: Attached, statements: Sequence[Mapping[str, Any]]) -> Iterable[Recommended]:
    name = each.policy.name
    if list(statements) == list(each.statements):
        return (_same(each),)
    document = {**each.document, "Statement": list(statements)}
    if not any(statement["Effect"] == "Allow" for statement in statements) and not _denies(each):
        return (Recommended(name, name, REMOVE, {**document, "Statement": []}, each.arn),)
    change = _change(each)
    new = name if change == EDIT else f"{name}-{role.rpartition('/')[2]}"
    parts = split(document) if each.arn else (document,)
    return tuple(
        Recommended(new if at == 1 else f"{new}-{at}", name, change, part, each.arn, at)
        for at, part in enumerate(parts, start=1)
    )


def _denies(each: Attached) -> bool:
    return any(not statement.allows for statement in each.policy.statements)


def _change(each: Attached) -> str:
    if each.arn.split(":")[4:5] == ["aws"]:
        return COPY
    return FORK if each.attachments > 1 else EDIT


def _too_large(attached: Sequence[Attached], policies: Sequence[Recommended]) -> Iterable[Note]:
    inline = sum(size(each.document) for each in policies if not each.arn and each.change != REMOVE)
    if inline > INLINE_LIMIT:
        text = (
            f"the role's inline policies would have {inline:,} characters of at most {INLINE_LIMIT:,}; make one managed"
        )
        yield Note("", None, text)
    for each in policies:
        if each.arn and each.change not in {SAME, REMOVE} and size(each.document) > MANAGED_LIMIT:
            yield Note(each.name, None, f"has {size(each.document):,} characters of at most {MANAGED_LIMIT:,}")
    managed = sum(bool(each.arn) for each in policies if each.change != REMOVE)
    if managed > max(10, sum(bool(each.arn) for each in attached)):
        yield Note("", None, f"would attach {managed} managed policies; by default a role may have 10")


# --- the claim ------------------------------------------------------------------------------------


def _claim(
    attached: Sequence[Attached],
    policies: Sequence[Recommended],
    calls: Sequence[Call],
    settings: Settings,
    missed: int,
) -> Claim:
    """Prove both halves from the documents alone: nothing is taken from how they were made."""
    old = [each.policy for each in attached]
    unread = {each.policy.name: each.policy for each in attached if not each.policy.readable}
    new = [_reparsed(each, unread) for each in policies if each.change != REMOVE]
    used = [call for call in calls if any(allowing(old, call.action, arn) for arn in call.resources or ("*",))]
    return Claim(
        grants_nothing_new=contain(new, old),
        calls=requests(used),
        broken=requests({each.call: None for each in lost(old, new, used)}),
        observed_ns=settings.observed_ns,
        missed=missed,
    )


def _reparsed(each: Recommended, unread: Mapping[str, Policy]) -> Policy:
    return unread[each.original] if each.original in unread else parse(each.name, each.document)
