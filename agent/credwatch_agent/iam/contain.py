"""Containment: whether one set of identity policies grants nothing that another does not.

Works on the pattern language and never by expanding patterns to the actions of today. Fail-closed: an
answer is proved, refuted by a request that both sides were evaluated on, or not proved. Owns the proof;
`imply` owns conditions, `language` words, `witness` the requests that refute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from credwatch_agent.iam.document import Policy, Statement, services
from credwatch_agent.iam.element import action_tokens as _tokens
from credwatch_agent.iam.imply import excludes, implies, implies_any
from credwatch_agent.iam.language import Class, Entry, TooLarge, Word, classes
from credwatch_agent.iam.pattern import Tokens, included, loosen, overlap, tokens
from credwatch_agent.iam.request import Request
from credwatch_agent.iam.witness import refuting

MAX_WITNESS_CELLS = 8
"""How many failed places are searched for a refuting request before containment is merely not proved."""


@dataclass(frozen=True, slots=True)
class Proved:
    """Each request that the inner policies allow, the outer ones allow, whatever actions AWS may add."""


@dataclass(frozen=True, slots=True)
class Refuted:
    """`witness` is allowed by the inner policies and not by the outer ones: both were evaluated."""

    witness: Request


@dataclass(frozen=True, slots=True)
class NotProved:
    """Neither a proof nor a refutation was found; `reason` is one sentence."""

    reason: str


Containment = Proved | Refuted | NotProved


def contain(inner: Sequence[Policy], outer: Sequence[Policy]) -> Containment:
    """Prove that identity policies `inner` allow nothing that `outer` does not, all condition keys being known."""
    reason = next(filter(None, map(_unfit, (*inner, *outer))), "")
    if reason:
        return NotProved(reason)
    proof = _Proof(inner, outer)
    gaps: list[_Gap] = []
    for cell in proof.cells():
        try:
            gaps += proof.gaps(cell)
        except TooLarge:
            reason = reason or f"{_where(cell.statement, cell.policy)}: too many wildcards meet"
        if len(gaps) >= MAX_WITNESS_CELLS:
            break
    for gap in gaps:
        witness = refuting(inner, outer, gap.action, gap.resource, [gap.cell.statement, *proof.statements])
        if witness is not None:
            return Refuted(witness)
    if gaps:
        return NotProved(f"{_where(gaps[0].cell.statement, gaps[0].cell.policy)}: {gaps[0].reason}")
    return NotProved(reason) if reason else Proved()


def _unfit(policy: Policy) -> str:
    if not policy.readable:
        return f"policy {policy.name} could not be parsed"
    for each in policy.statements:
        if each.principals or each.not_principals:
            return f"{_where(each, policy.name)} names principals: it is no identity policy"
        if not (each.resources or each.not_resources):
            return f"{_where(each, policy.name)} names no resource: it is no identity policy"
        if not all(action.isascii() for action in (*each.actions, *each.not_actions)):
            return f"{_where(each, policy.name)} names an action that is not ASCII"
    return ""


def _where(statement: Statement, policy: str) -> str:
    sid = f" ({statement.sid})" if statement.sid else ""
    return f"policy {policy}, statement {statement.index}{sid}"


# --- what is compared -----------------------------------------------------------------------------

_ANY_RESOURCE = tokens("*", variables=False)
_SHAPES = (tokens("*", variables=False, wildcards=False), tokens("arn:*:*:*:*:*", variables=False))
"""A resource is `*`, for an action without one, or an ARN; other words are proved but refute nothing."""


class _Cell(NamedTuple):
    """One action pattern and one resource pattern of a statement that allows."""

    policy: str
    statement: Statement
    pattern: str
    resource: Tokens

    @property
    def action(self) -> Tokens:
        return _tokens(self.pattern)


class _Gap(NamedTuple):
    """Words of a cell for which no proof was found."""

    cell: _Cell
    action: Word
    resource: Word
    reason: str


class _Part:
    """A statement beside which a cell is held."""

    def __init__(self, statement: Statement, *, outer: bool) -> None:
        self.statement = statement
        self.outer = outer
        # a proof may overestimate what the outer side denies, and must underestimate the rest
        self.wide = outer and not statement.allows

    @cached_property
    def services(self) -> frozenset[str]:
        return services(self.statement)

    @cached_property
    def actions(self) -> tuple[Tokens, ...]:
        return tuple(map(_tokens, _actions(self.statement)))

    @cached_property
    def resources(self) -> tuple[Tokens, ...]:
        return _resources(self.statement)

    def meets(self, cell: _Cell) -> bool:
        """Say whether it may speak of some request of the cell."""
        mine = self.statement
        if mine.actions and not mine.action_globs.meets(cell.pattern):
            return False
        if mine.not_actions and mine.action_globs.covers(cell.pattern):
            return False
        if mine.not_resources:
            return not included(cell.resource, self.resources)
        return _meet(self.resources, cell.resource)

    def covers(self, cell: _Cell) -> bool:
        """Show that it speaks of every request of the cell, conditions aside."""
        return self._covers_action(cell) and self._covers_resource(cell)

    def _covers_action(self, cell: _Cell) -> bool:
        mine, theirs = self.statement, cell.statement
        if mine.actions:
            return mine.action_globs.covers(cell.pattern)
        if not mine.action_globs.meets(cell.pattern):
            return True
        return bool(theirs.not_actions) and all(map(theirs.action_globs.covers, _actions(mine)))

    def _covers_resource(self, cell: _Cell) -> bool:
        mine, theirs = self.statement, cell.statement
        if mine.resources:
            return included(cell.resource, self.resources)
        if not _meet(self.resources, cell.resource):
            return True
        excluded = _resources(theirs) if theirs.not_resources else ()
        return bool(excluded) and all(included(each, excluded) for each in self.resources)


def _actions(statement: Statement) -> Iterator[str]:
    """Return the patterns of Action or NotAction, in lower case; `*` is `*:*`, since an action has a colon."""
    return ("*:*" if each == "*" else each.lower() for each in statement.actions or statement.not_actions)


def _resources(statement: Statement) -> tuple[Tokens, ...]:
    return statement.resource_globs.tokens


def _meet(entries: Iterable[Tokens], resource: Tokens) -> bool:
    """Say whether some resource may match both, whatever the variables are."""
    if resource == _ANY_RESOURCE:
        return True
    loose = loosen(resource)
    return any(each == _ANY_RESOURCE or overlap(loosen(each), loose) for each in entries)


# --- the proof ------------------------------------------------------------------------------------


class _Proof:
    """Both sides, ready to be compared cell by cell."""

    def __init__(self, inner: Sequence[Policy], outer: Sequence[Policy]) -> None:
        self.inner = inner
        self.inner_denies = [_Part(each, outer=False) for each in _statements(inner) if not each.allows]
        self.outer_allows = [_Part(each, outer=True) for each in _statements(outer) if each.allows]
        self._by_service: dict[str, tuple[list[_Part], ...]] = {}
        kept = {_identity(part.statement) for part in self.inner_denies}
        self.outer_denies = [
            _Part(each, outer=True)
            for each in _statements(outer)
            if not each.allows and _identity(each) not in kept  # what both sides deny needs no proof
        ]

    @property
    def statements(self) -> Iterator[Statement]:
        yield from (part.statement for part in (*self.outer_allows, *self.outer_denies, *self.inner_denies))

    def cells(self) -> Iterator[_Cell]:
        for policy in self.inner:
            for statement in policy.statements:
                if statement.allows:
                    acts = tuple(_actions(statement)) if statement.actions else ("*:*",)
                    entries = _resources(statement) if statement.resources else (_ANY_RESOURCE,)
                    yield from (_Cell(policy.name, statement, act, entry) for act in acts for entry in entries)

    def gaps(self, cell: _Cell) -> Iterable[_Gap]:
        """Return where the proof fails; nothing if the cell is proved. Raises TooLarge."""
        given = cell.statement.conditions
        outer_allows, outer_denies, inner_denies = self._beside(cell.pattern.partition(":")[0])
        denies = [part for part in outer_denies if part.meets(cell) and not excludes(given, part.statement.conditions)]
        if not denies:
            for part in outer_allows:
                if part.covers(cell) and implies(given, part.statement.conditions):
                    return ()
        allows = [part for part in outer_allows if part.meets(cell)]
        return self._search(cell, [*allows, *denies, *(part for part in inner_denies if part.meets(cell))])

    def _beside(self, service: str) -> tuple[list[_Part], ...]:
        """Return the allows and denies of the outer side and the denies of the inner that may speak of a service."""
        found = self._by_service.get(service)
        if found is None:
            every: tuple[list[_Part], ...] = (self.outer_allows, self.outer_denies, self.inner_denies)
            if "*" not in service and "?" not in service:
                every = tuple([part for part in parts if part.services & {service, ""}] for parts in every)
            found = self._by_service[service] = every
        return found

    def _search(self, cell: _Cell, parts: list[_Part]) -> Iterator[_Gap]:
        """Try each combination of statements that requests of the cell meet."""
        judged: dict[frozenset[int], str] = {}
        for action, by_action in _spoken_of(cell, parts, resources=False):
            for resource, by_resource in _spoken_of(cell, parts, resources=True):
                met = by_action & by_resource
                if met not in judged:
                    judged[met] = _judge(cell, [parts[at] for at in sorted(met)])
                    if judged[met]:
                        yield _Gap(cell, action, resource, judged[met])


def _statements(policies: Sequence[Policy]) -> Iterator[Statement]:
    return (statement for policy in policies for statement in policy.statements)


def _identity(statement: Statement) -> tuple[object, ...]:
    """What makes two statements the same, names and order aside."""
    elements = (statement.actions, statement.not_actions)
    entries = (statement.resources, statement.not_resources)
    return (
        *(frozenset(each.lower() for each in element) for element in elements),
        *(frozenset(element) for element in entries),
        frozenset(statement.conditions),
        statement.variables,
    )


def _spoken_of(cell: _Cell, parts: Sequence[_Part], *, resources: bool) -> list[tuple[Word, frozenset[int]]]:
    """Return the combinations of parts whose actions (or resources) match together, each with a word."""
    own, negated = _own(cell, resources=resources)
    entries: dict[Entry, int] = {}
    owned = [entries.setdefault(Entry(each), len(entries)) for each in own]
    shapes = [entries.setdefault(Entry(each), len(entries)) for each in (_SHAPES if resources else ())]
    wanted: list[tuple[list[int], bool]] = []
    for part in parts:
        listed = bool(part.statement.resources if resources else part.statement.actions)
        patterns = part.resources if resources else part.actions
        loose = part.wide is listed
        held = (Entry(loosen(each), True) if loose else Entry(each) for each in patterns)
        numbers = [entries.setdefault(each, len(entries)) for each in held]
        wanted.append((numbers, listed))
    found: dict[frozenset[int], Class] = {}
    odd: dict[frozenset[int], Class] = {}
    for each in classes(cell.resource if resources else cell.action, list(entries)):
        if negated and not each.hits.isdisjoint(owned):
            continue
        met = frozenset(at for at, (numbers, listed) in enumerate(wanted) if each.hits.isdisjoint(numbers) != listed)
        sound = not shapes or not each.hits.isdisjoint(shapes)
        (found if sound else odd).setdefault(met, each)
    return [(each.word, met) for met, each in {**odd, **found}.items()]


def _own(cell: _Cell, *, resources: bool) -> tuple[tuple[Tokens, ...], bool]:
    """Return what the cell's own Not-element takes away."""
    if resources:
        return (_resources(cell.statement), True) if cell.statement.not_resources else ((), False)
    return (tuple(map(_tokens, _actions(cell.statement))), True) if cell.statement.not_actions else ((), False)


def _judge(cell: _Cell, met: Sequence[_Part]) -> str:
    """Say why requests of the cell that meet just these statements are not shown to be allowed by the outer side."""
    given = cell.statement.conditions
    mine = [part.statement.conditions for part in met if not part.outer]
    if any(implies(given, each) for each in mine):
        return ""  # denied on this side: nothing to show
    for part in met:
        denied = part.statement.conditions
        if part.wide and not excludes(given, denied) and not implies_any((*given, *denied), mine):
            return "the other side denies some of it"
    choices = [part.statement.conditions for part in met if part.outer and part.statement.allows]
    if implies_any(given, choices):
        return ""
    return "the other side's conditions are not shown to hold" if choices else "the other side does not allow it"
