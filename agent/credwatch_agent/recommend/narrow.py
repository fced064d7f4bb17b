"""One statement, narrowed to the calls that need it: its actions to those seen, its resources to their containers.

Whatever is not known keeps what was granted. Owns no policy and no claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from credwatch_agent.compare.passed import ACTION, PASSED_TO, context
from credwatch_agent.iam.catalogue import canonical, expand, known, resource_types
from credwatch_agent.iam.context import EVERY_OTHER
from credwatch_agent.iam.document import Statement, with_equals
from credwatch_agent.iam.element import actions
from credwatch_agent.iam.judge import applies
from credwatch_agent.iam.pattern import Tokens, included, loosen, overlap, partial_tokens, resource_tokens, tokens
from credwatch_agent.iam.request import Request
from credwatch_agent.recommend.model import Call, Settings

FORWARDED = frozenset({"aws:calledvia", "aws:calledviafirst", "aws:calledvialast", "aws:viaawsservice"})
"""Keys of calls that a service makes on the caller's behalf: nobody can see these from the caller's side."""

COARSE = frozenset({"service", "none"})
ALIASES = ("-s3alias", ".mrap")


class Narrowed(NamedTuple):
    """Statements in place of one, as written; `same` if it stays. `missed`: the hold-out found a call they lack."""

    statements: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()
    same: bool = False
    missed: bool = False


class _Use(NamedTuple):
    call: Call
    arn: str


def narrow(statement: Statement, written: Mapping[str, Any], calls: Iterable[Call], settings: Settings) -> Narrowed:
    """Narrow an Allow statement to the calls it allows or may allow; others stay as they are."""
    if not statement.allows:
        return Narrowed((written,), same=True)
    if any(each.key.lower() in FORWARDED for each in statement.conditions):
        return Narrowed((written,), ("stays: it is for calls that a service makes on the role's behalf",), same=True)
    uses = needed(statement, calls)
    learned = {action: kept for action, all_ in uses.items() if (kept := _before(all_, settings.split_ns))}
    stays, notes = _unseen(statement, learned, settings)
    groups, wide = _groups(statement, learned, stays, settings)
    notes += wide
    if any(
        use.call.last_ns > settings.split_ns and not _covered(statement, groups, action, use)
        for action, all_ in uses.items()
        for use in all_
    ):
        why = "stays as it was: what was learned on the first 80 % of the window misses calls of the last 20 %"
        return Narrowed((written,), (why,), same=True, missed=True)
    if not groups:
        return Narrowed((), ("removed: no call needed it",))
    notes += [_PASSES.format(", ".join(f"`{each}`" for each in on.to)) for on in groups if on.to]
    if _unchanged(statement, groups):
        return Narrowed((written,), tuple(notes), same=True)
    return Narrowed(tuple(_write(written, groups, learned)), tuple(notes))


def needed(statement: Statement, calls: Iterable[Call]) -> dict[str, list[_Use]]:
    """Return the uses that the statement allows or may allow, by action as AWS writes it."""
    found: dict[str, list[_Use]] = {}
    for call in calls:
        for arn in call.resources or ("*",):
            known = context(call.passed_to)
            request = Request(call.action, arn, context=known, unknown_keys=EVERY_OTHER, partial=True)
            if applies(statement, request, set()) is not False:
                found.setdefault(canonical(call.action), []).append(_Use(call, arn))
    return found


def _before(uses: Sequence[_Use], split_ns: int) -> list[_Use]:
    return [use for use in uses if use.call.first_ns <= split_ns]


# --- actions --------------------------------------------------------------------------------------


def _unseen(statement: Statement, learned: Mapping[str, Any], settings: Settings) -> tuple[set[str], list[str]]:
    """Return the actions that stay though no call used them, and why, grouped by reason.

    The reason why resources stay is the role's, and is told once, of the role.
    """
    today, odd = _granted(statement)
    reasons: dict[str, list[str]] = {}
    for action in today:
        if action not in learned and (reason := settings.keep(action)):
            reasons.setdefault(reason, []).append(action)
    for action in odd - set(learned):
        reasons.setdefault("not in the list of actions, so nobody can say that it is unused", []).append(action)
    told = sorted(reason for reason in reasons if reason != settings.keep_resources)
    notes = [f"kept: {_listed(reasons[reason])}: {reason}" for reason in told]
    return {name for names in reasons.values() for name in names}, notes


def _granted(statement: Statement) -> tuple[frozenset[str], set[str]]:
    """Return the actions of today that the statement grants, and the patterns that match none of these."""
    if statement.not_actions:
        return _today(statement.not_actions, negated=True), set()
    return _today(statement.actions), {each for each in statement.actions if not expand(each)}


@lru_cache(maxsize=1_024)
def _today(patterns: tuple[str, ...], *, negated: bool = False) -> frozenset[str]:
    found = frozenset(each for pattern in patterns for each in expand(pattern))
    return frozenset(expand("*")) - found if negated else found


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"`{name}`" for name in sorted(names)[:most]) + more


# --- resources ------------------------------------------------------------------------------------

Resources = tuple[str, ...]


class On(NamedTuple):
    """Resource entries, and the services alone that roles may be passed to; none: wherever the statement allows it."""

    resources: Resources
    to: tuple[str, ...] = ()


Groups = Mapping[On, Sequence[str]]
"""What action patterns are granted on."""

_PASSES = "passes roles to {} alone: AWS documents so of every operation that was called"


def _groups(
    statement: Statement, learned: Mapping[str, Sequence[_Use]], stays: Iterable[str], settings: Settings
) -> tuple[Groups, list[str]]:
    """Return what is granted on what, and why resources stay that calls did not need."""
    granted = _entries(statement)
    on = {action: On(_resources(statement, action, uses, settings)) for action, uses in learned.items()}
    wide: dict[str, list[str]] = {}
    for action in learned:
        if on[action].resources != granted and (why := settings.beside(action)):
            on[action] = On(granted)
            wide.setdefault(why, []).append(action)
    on |= {action: On(granted) for action in stays}
    if ACTION in learned:
        on[ACTION] = On(on[ACTION].resources, _passed_to(statement, learned[ACTION], settings))
    groups: dict[On, list[str]] = {}
    for each in sorted(set(on.values())):
        groups[each] = _spelled(statement, {action for action, mine in on.items() if mine == each})
    return groups, [f"{_listed(names)}: resources as granted: {why}" for why, names in sorted(wide.items())]


def _passed_to(statement: Statement, uses: Sequence[_Use], settings: Settings) -> tuple[str, ...]:
    """Return the services that the calls passed roles to, if all are known and the statement says nothing of it."""
    said = any(each.key.lower() == PASSED_TO.lower() for each in statement.conditions)
    if said or settings.keep_resources or not all(use.call.passed_to for use in uses):
        return ()
    return tuple(sorted({service for use in uses for service in use.call.passed_to}))


def _entries(statement: Statement) -> Resources:
    return statement.resources or statement.not_resources


def _spelled(statement: Statement, wanted: set[str]) -> list[str]:
    """Write a set of actions: by the statement's own patterns where these grant no other of today."""
    whole = [each for each in statement.actions if expand(each) and wanted.issuperset(expand(each))]
    whole += _families(statement, wanted)
    globs = actions(whole)
    return sorted({*whole, *(each for each in wanted if not (whole and globs.match(each)))}, key=str.lower)


def _families(statement: Statement, wanted: set[str]) -> list[str]:
    """Return `service:*` for each service of which all actions of today stay, where the statement grants all of it."""
    found = [f"{service}:*" for service in sorted({each.partition(":")[0] for each in wanted})]
    granted = [tokens(each.lower(), variables=False) for each in statement.actions or statement.not_actions]
    return [
        each for each in found if expand(each) and wanted.issuperset(expand(each)) and _all_of(statement, each, granted)
    ]


def _all_of(statement: Statement, family: str, patterns: Sequence[Tokens]) -> bool:
    mine = tokens(family, variables=False)
    if statement.not_actions:
        return not any(overlap(mine, each) for each in patterns)
    return included(mine, patterns)


def _resources(statement: Statement, action: str, uses: Sequence[_Use], settings: Settings) -> Resources:
    """Return the entries an action needs: the containers that it was seen on, within what was granted."""
    granted = _entries(statement)
    if statement.not_resources or settings.keep_resources:
        return granted
    if known(action) and not resource_types(action):
        return ("*",) if "*" in granted else granted
    if any(_says_nothing(use) for use in uses):
        return granted
    wanted: set[str] = set()
    for arn in {_container(use.arn) if settings.detail == "container" else use.arn for use in uses}:
        wanted.update(_within(statement, arn))
    kept = _reduced(wanted)
    return granted if set(kept) == set(granted) else kept


def _says_nothing(use: _Use) -> bool:
    """Whether a use is too vague to narrow a resource."""
    parts = use.arn.split(":", 5)
    if use.call.detail in COARSE or len(parts) < 6 or "*" in parts[4]:
        return True
    return any(alias in parts[5] for alias in ALIASES)


def _container(arn: str) -> str:
    """Return the bucket's objects for an object; other resources are their own container."""
    head, slash, _ = arn.partition("/")
    return f"{head}/*" if slash and arn.split(":")[2] == "s3" and "accesspoint" not in head else arn


def _within(statement: Statement, arn: str) -> Sequence[str]:
    """Return the ARN if an entry covers all of it, else the entries that meet it, as they were."""
    wanted = partial_tokens(arn)
    entries = {each: resource_tokens(each, variables=statement.variables) for each in statement.resources}
    if any(included(wanted, [pattern]) for pattern in entries.values()):
        return [arn]
    return [each for each, pattern in entries.items() if overlap(loosen(pattern), wanted)]


def _reduced(entries: Iterable[str]) -> Resources:
    """Leave out what another entry covers."""
    kept: list[str] = []
    for entry in sorted(set(entries), key=lambda each: (-_reach(each), each)):
        mine = resource_tokens(entry, variables=True)
        if not any(included(mine, [resource_tokens(each, variables=True)]) for each in kept):
            kept.append(entry)
    return tuple(sorted(kept))


def _reach(entry: str) -> int:
    """Order patterns so that wider ones come first."""
    return entry.count("*") * 1_000 - len(entry)


# --- hold-out and writing -------------------------------------------------------------------------


def _covered(statement: Statement, groups: Groups, action: str, use: _Use) -> bool:
    """Whether the groups still allow a call wherever the statement did."""
    to = set(use.call.passed_to)
    mine = [
        on.resources
        for on, names in groups.items()
        if actions(names).match(action) and (not on.to or (to and to.issubset(on.to)))
    ]
    if statement.not_resources or _entries(statement) in mine:
        return bool(mine)
    union = [resource_tokens(each, variables=statement.variables) for entries in mine for each in entries]
    wanted = [resource_tokens(each, variables=statement.variables) for each in _within(statement, use.arn)]
    return bool(mine and wanted) and all(included(each, union) for each in wanted)


def _unchanged(statement: Statement, groups: Groups) -> bool:
    whole = On(_entries(statement))
    if set(groups) != {whole} or statement.not_actions:
        return False
    return set(map(str.lower, groups[whole])) == set(map(str.lower, statement.actions))


def _write(written: Mapping[str, Any], groups: Groups, learned: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    """Write each group in the order of the original's elements: what was used first, then what is only kept.

    Sids are made unique in the policy by `role`.
    """
    used = {on for on, names in groups.items() if any(map(actions(names).match, learned))}
    ordered = sorted(groups.items(), key=lambda group: (group[0] not in used, group[1][0].lower()))
    for at, (on, names) in enumerate(ordered):
        found: dict[str, Any] = {}
        for element, value in written.items():
            if element in {"Action", "NotAction"}:
                found["Action"] = one_or_many(names)
            elif element == "Resource":
                found["Resource"] = one_or_many(on.resources)
            elif element == "Sid" and at > 0:
                found["Sid"] = f"{value}{at + 1 if on in used else 'Kept'}"
            else:
                found[element] = value
        yield with_equals(found, PASSED_TO, one_or_many(on.to)) if on.to else found


def one_or_many(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
