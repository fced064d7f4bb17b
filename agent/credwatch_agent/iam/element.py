"""The Action and Resource elements of a statement, ready to match.

Nearly all of their patterns are plain text, or end in their only wildcard: these are compared as text, and only
the others are compiled, when first asked. Owns no pattern's meaning (`pattern`) and no statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from credwatch_agent.iam.context import Context, Presence, Truth, either
from credwatch_agent.iam.pattern import (
    Globs,
    Tokens,
    canonical,
    fill,
    globs,
    has_variables,
    included,
    loosen,
    overlap,
    partial_tokens,
    resource_tokens,
    tokens,
)


class Union:
    """A union of patterns, told apart by what it takes to match them: `names`, `beginnings` and `others`.

    One that is not `told`, since its text is not all that it says, is another.
    """

    __slots__ = ("beginnings", "names", "others")

    def __init__(self, patterns: Iterable[str], told: Callable[[str], bool]) -> None:
        heads = {each: plain(each) if told(each) else None for each in patterns}
        self.names = frozenset(each for each, head in heads.items() if head == each)
        self.beginnings = tuple(head for each, head in heads.items() if head is not None and head != each)
        self.others = tuple(each for each, head in heads.items() if head is None)

    def has(self, word: str) -> bool:
        """Say whether a name is it or a beginning begins it; the others are the caller's to ask."""
        return word in self.names or word.startswith(self.beginnings)

    def covers(self, beginning: str) -> bool:
        """Say whether one pattern alone matches all words that begin so.

        Without others that is exact: no number of names and of longer beginnings is all such words.
        """
        return beginning.startswith(self.beginnings)

    def meets(self, beginning: str) -> bool:
        """Say whether a name or a beginning matches some word that begins so."""
        if beginning.startswith(self.beginnings):
            return True
        return any(each.startswith(beginning) for each in (*self.beginnings, *self.names))


def plain(pattern: str) -> str | None:
    """Return what a pattern is (no wildcard) or what its words begin with (one `*`, its end); None for any other."""
    head = pattern[:-1] if pattern.endswith("*") else pattern
    return None if "*" in head or "?" in head else head


# --- actions --------------------------------------------------------------------------------------


class Actions:
    """The patterns of one Action or NotAction element: wildcards anywhere, case ignored."""

    __slots__ = ("_patterns", "_union")

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(dict.fromkeys(each.lower() for each in patterns))
        self._union = Union(self._patterns, told=str.isascii)

    def match(self, action: str) -> bool:
        """Say whether any of the patterns matches an action."""
        if not action.isascii():  # which letters are the same is then, as in `told`, the regular expression's to say
            return _compiled(self._patterns).match(action)
        action = action.lower()
        return self._union.has(action) or bool(self._union.others and _compiled(self._union.others).match(action))

    def covers(self, pattern: str) -> bool:
        """Prove that each action that a pattern in lower case matches is matched; False is "not proved"."""
        head = plain(pattern)
        if head == pattern:
            return self.match(pattern)
        if head is not None and (self._union.covers(head) or not self._union.others):
            return self._union.covers(head)
        return included(action_tokens(pattern), [action_tokens(each) for each in self._patterns])

    def meets(self, pattern: str) -> bool:
        """Say whether some action matches a pattern in lower case and one of these."""
        head = plain(pattern)
        if head == pattern:
            return self.match(pattern)
        if head is not None and self._union.meets(head):
            return True
        others = self._patterns if head is None else self._union.others
        return any(overlap(action_tokens(each), action_tokens(pattern)) for each in others)


@lru_cache(maxsize=16_384)
def action_tokens(pattern: str) -> Tokens:
    """Split an action pattern."""
    return tokens(pattern, variables=False)


@lru_cache(maxsize=4_096)
def _compiled(patterns: tuple[str, ...]) -> Globs:
    return Globs(map(action_tokens, patterns), ignore_case=True)


def actions(patterns: Iterable[str]) -> Actions:
    """Return the patterns of an element, from a bounded cache: many statements have the same."""
    return _actions(tuple(patterns))


@lru_cache(maxsize=16_384)
def _actions(patterns: tuple[str, ...]) -> Actions:
    return Actions(patterns)


# --- resources ------------------------------------------------------------------------------------


class Resources:
    """The entries of one Resource or NotResource element."""

    __slots__ = ("_dynamic", "_entries", "_others", "_static", "_tokens", "_union", "_variables")

    def __init__(self, entries: Iterable[str], *, variables: bool) -> None:
        self._variables = variables
        self._entries = tuple(dict.fromkeys(entries))
        self._union = Union(self._entries, told=lambda each: not (variables and "$" in each))
        others = [resource_tokens(each, variables=variables) for each in self._union.others]
        self._dynamic = tuple(each for each in others if has_variables(each))
        self._others = Globs(each for each in others if not has_variables(each))
        self._static: Globs | None = None
        self._tokens: tuple[Tokens, ...] | None = None

    @property
    def tokens(self) -> tuple[Tokens, ...]:
        """The entries split, keys of variables in lower case: kept with the document, which many roles may have."""
        if self._tokens is None:
            every = (resource_tokens(each, variables=self._variables) for each in self._entries)
            self._tokens = tuple(map(canonical, every))
        return self._tokens

    def match(self, resource: str, context: Context, unknown: set[str]) -> Truth:
        """Say whether any entry matches the ARN; an entry whose variable has no value matches nothing."""
        if self._union.has(resource) or self._others.match(resource):
            return True
        return self._any_dynamic(lambda each: each.match(resource), context, unknown)

    def match_partial(self, resource: str, context: Context, unknown: set[str]) -> Truth:
        """Like `match` for an ARN in which `*` and `?` are not known: True only if each completion matches."""
        truth = self._match_partial(resource)
        if truth is True:
            return True
        return either(truth, self._any_dynamic(lambda each: _match_partial(each, resource), context, unknown))

    def _match_partial(self, resource: str) -> Truth:
        if "*" not in resource and "?" not in resource:
            return self._union.has(resource) or self._others.match(resource)
        head = plain(resource)
        if head is not None and self._union.covers(head):
            return True
        if head is not None and not self._others.patterns:
            return None if self._union.meets(head) else False
        if self._static is None:
            every = (resource_tokens(each, variables=self._variables) for each in self._entries)
            self._static = Globs(each for each in every if not has_variables(each))
        return _match_partial(self._static, resource)

    def _any_dynamic(self, match: Callable[[Globs], Truth], context: Context, unknown: set[str]) -> Truth:
        truth: Truth = False
        for pattern in self._dynamic:
            if match(globs(loosen(pattern))) is False:
                continue  # whatever the variables are
            filled = fill(pattern, context, unknown)
            if filled is Presence.UNKNOWN:
                truth = either(truth, None)
            elif isinstance(filled, tuple):
                truth = either(truth, match(globs(filled)))
        return truth


@lru_cache(maxsize=16_384)
def resources(entries: tuple[str, ...], *, variables: bool) -> Resources:
    """Return the entries of an element, from a bounded cache: many statements have the same."""
    return Resources(entries, variables=variables)


@lru_cache(maxsize=65_536)
def _match_partial(union: Globs, resource: str) -> Truth:
    partial = partial_tokens(resource)
    possible = [each for each in union.patterns if overlap(partial, each)]
    if not possible:
        return False
    return True if included(partial, possible) else None
