"""Patterns: actions, resources and condition values with `*`, `?` and policy variables.

A pattern is a tuple of tokens: characters, wildcards, variables. What a wildcard may cross is
decided here and nowhere else. Knows no statement and no operator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from credwatch_agent.iam.context import Context, Presence

MAX_BACKTRACKING_STARS = 4
"""Above this a regular expression may take polynomial time; the linear automaton is used instead."""

MAX_STATES = 20_000
"""Bound of the inclusion search; past it inclusion is not proved."""


class Wild(Enum):
    """A wildcard: how many characters, and whether a colon is among them."""

    STAR = ".*"
    SEGMENT_STAR = "[^:]*"
    ONE = "."
    SEGMENT_ONE = "[^:]"

    __hash__ = object.__hash__
    """Patterns are keys of caches; `Enum`'s own hashes the name, in Python."""


class Variable(NamedTuple):
    """`${key}` or `${key, 'default'}`."""

    key: str
    default: str | None = None


Token = str | Wild | Variable
Tokens = tuple[Token, ...]

_STARS = frozenset({Wild.STAR, Wild.SEGMENT_STAR})
_VARIABLE = re.compile(r"\$\{\s*([^,'{}]+?)\s*(?:,\s*'([^']*)'\s*)?\}")
_ESCAPES = frozenset("*?$")


# --- text to tokens -----------------------------------------------------------------------------


def tokens(source: str, *, variables: bool, wildcards: bool = True) -> Tokens:
    """Split a pattern whose wildcards cross everything; `variables` is Version 2012-10-17."""
    if not (variables and "$" in source):
        return _wild(source) if wildcards else tuple(source)
    found: list[Token] = []
    at = 0
    for match in _VARIABLE.finditer(source):
        found += _wild(source[at : match.start()]) if wildcards else source[at : match.start()]
        key, default = match.group(1), match.group(2)
        found.append(key if key in _ESCAPES and default is None else Variable(key, default))
        at = match.end()
    found += _wild(source[at:]) if wildcards else source[at:]
    return _collapse(found)


_WILD: Mapping[str, Wild] = {"*": Wild.STAR, "?": Wild.ONE}
_SEGMENT_WILD: Mapping[str, Wild] = {"*": Wild.SEGMENT_STAR, "?": Wild.SEGMENT_ONE}


def _wild(source: str) -> Tokens:
    if "*" not in source and "?" not in source:
        return tuple(source)
    found = tuple(_WILD.get(char, char) for char in source)
    return _collapse(found) if "**" in source else found


@lru_cache(maxsize=16_384)
def resource_tokens(source: str, *, variables: bool) -> Tokens:
    """Split a Resource entry: variables only after the fifth colon, and only a `*` that ends a segment crosses `:`."""
    head, tail = _split(source)
    loose = (*tokens(head, variables=False), *tokens(tail, variables=variables and bool(head)))
    if "*" not in source and "?" not in source:
        return loose
    last = len(loose) - 1
    strict = list(loose)
    for at, token in enumerate(loose):
        if token is Wild.STAR and at != last and loose[at + 1] != ":":
            strict[at] = Wild.SEGMENT_STAR
        elif token is Wild.ONE:
            strict[at] = Wild.SEGMENT_ONE
    return tuple(strict)


@lru_cache(maxsize=16_384)
def partial_tokens(arn: str) -> Tokens:
    """Split an ARN as telemetry has it: `*` stands for what is not known, inside its segment, `?` for a character."""
    head, tail = _split(arn)
    return _collapse([*(_SEGMENT_WILD.get(char, char) for char in head), *(_WILD.get(char, char) for char in tail)])


def _split(source: str) -> tuple[str, str]:
    """Cut after the fifth colon; the head is empty where there are fewer."""
    parts = source.split(":", 5)
    if len(parts) < 6:
        return "", source
    return ":".join(parts[:5]) + ":", parts[5]


def _collapse(found: Iterable[Token]) -> Tokens:
    """Write `**` as `*`."""
    kept: list[Token] = []
    for token in found:
        if not (kept and token in _STARS and kept[-1] is token):
            kept.append(token)
    return tuple(kept)


def fill(pattern: Tokens, context: Context, unknown: set[str]) -> Tokens | Presence:
    """Replace variables by the request's values, literally; says why where one has none."""
    filled: list[Token] = []
    for token in pattern:
        if not isinstance(token, Variable):
            filled.append(token)
            continue
        values = context.get(token.key)
        if values is Presence.UNKNOWN:
            unknown.add(token.key)
            return Presence.UNKNOWN
        if isinstance(values, tuple) and len(values) == 1:
            filled.extend(values[0])
        elif token.default is not None:
            filled.extend(token.default)
        else:
            return Presence.ABSENT
    return tuple(filled)


def canonical(pattern: Tokens) -> Tokens:
    """Write the keys of variables in lower case: they are case-insensitive."""
    if not has_variables(pattern):
        return pattern
    return tuple(Variable(each.key.lower(), each.default) if isinstance(each, Variable) else each for each in pattern)


def loosen(pattern: Tokens) -> Tokens:
    """Let each variable be anything: the pattern matches at least what it matched."""
    return _collapse(Wild.STAR if isinstance(token, Variable) else token for token in pattern)


def has_variables(pattern: Tokens) -> bool:
    """Say whether the pattern depends on the request's context."""
    return Variable in map(type, pattern)


# --- matching -----------------------------------------------------------------------------------


class Globs:
    """A union of patterns without variables, compiled once, when first asked."""

    __slots__ = ("_automata", "_ignore_case", "_regex", "patterns")

    def __init__(self, patterns: Iterable[Tokens], *, ignore_case: bool = False) -> None:
        self.patterns = tuple(dict.fromkeys(patterns))
        self._ignore_case = ignore_case
        self._regex: Callable[[str], object] | None = None
        self._automata: tuple[Tokens, ...] | None = None

    def match(self, value: str) -> bool:
        """Say whether any of the patterns matches the whole of `value`."""
        if self._automata is None:
            self._automata = self._compile()
        if self._regex is not None and self._regex(value) is not None:
            return True
        return bool(self._automata) and any(_simulate(each, value) for each in self._automata)

    def _compile(self) -> tuple[Tokens, ...]:
        """Compile what a regular expression may match, and return the others."""
        plain = [each for each in self.patterns if _stars(each) <= MAX_BACKTRACKING_STARS]
        flags = re.DOTALL | (re.IGNORECASE if self._ignore_case else 0)
        if plain:
            self._regex = re.compile("|".join(map(_regex, plain)), flags).fullmatch
        others = (each for each in self.patterns if _stars(each) > MAX_BACKTRACKING_STARS)
        return tuple(lower(each) if self._ignore_case else each for each in others)


@lru_cache(maxsize=16_384)
def globs(*patterns: Tokens) -> Globs:
    """Return the compiled union of patterns, from a bounded cache."""
    return Globs(patterns)


def covers(entry: str, arn: str) -> bool:
    """Say whether a Resource entry (without variables) matches each ARN that the partial `arn` may be."""
    return included(partial_tokens(arn), [resource_tokens(entry, variables=False)])


def could_match(entry: str, arn: str) -> bool:
    """Say whether a Resource entry (without variables) matches at least one ARN that `arn` may be."""
    return overlap(partial_tokens(arn), resource_tokens(entry, variables=False))


def _stars(pattern: Tokens) -> int:
    return sum(token in _STARS for token in pattern)


def _regex(pattern: Tokens) -> str:
    return "".join(token.value if isinstance(token, Wild) else re.escape(str(token)) for token in pattern)


def lower(pattern: Tokens) -> Tokens:
    """Write the characters of a pattern in lower case."""
    return tuple(token.lower() if isinstance(token, str) else token for token in pattern)


# --- the automaton: linear matching, overlap and inclusion ----------------------------------------
# A state is a position in the tokens; a set of states is a bit mask.


Letter = str | Variable
"""One step of a word: a character, or a variable, which stands for the same unknown text on both sides."""


def _accepts(token: Token, letter: Letter) -> bool:
    if isinstance(letter, Variable):
        return token is Wild.STAR or token == letter
    if isinstance(token, Wild):
        return letter != ":" or token in {Wild.STAR, Wild.ONE}
    return token == letter


def bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def close(pattern: Tokens, mask: int) -> int:
    """Add the states that are reached by letting stars match nothing."""
    for at in bits(mask):
        after = at
        while after < len(pattern) and pattern[after] in _STARS:
            after += 1
            mask |= 1 << after
    return mask


def step(pattern: Tokens, mask: int, letter: Letter) -> int:
    """Follow one letter from a set of states."""
    after = 0
    for at in bits(mask):
        if at < len(pattern) and _accepts(pattern[at], letter):
            after |= 1 << at if pattern[at] in _STARS else 1 << at + 1
    return close(pattern, after)


def _simulate(pattern: Tokens, value: str) -> bool:
    mask = close(pattern, 1)
    for char in value:
        mask = step(pattern, mask, char)
        if not mask:
            return False
    return bool(mask >> len(pattern) & 1)


@lru_cache(maxsize=65_536)
def overlap(left: Tokens, right: Tokens) -> bool:
    """Say whether some string matches both patterns."""
    seen, queue = {(0, 0)}, [(0, 0)]
    while queue:
        one, two = queue.pop()
        if one == len(left) and two == len(right):
            return True
        for after in _moves(left, one, right, two):
            if after not in seen:
                seen.add(after)
                queue.append(after)
    return False


def _moves(left: Tokens, one: int, right: Tokens, two: int) -> Iterator[tuple[int, int]]:
    """Let a star end, or let both patterns consume one character that both accept."""
    mine = left[one] if one < len(left) else None
    theirs = right[two] if two < len(right) else None
    if mine in _STARS:
        yield one + 1, two
    if theirs in _STARS:
        yield one, two + 1
    if mine is not None and theirs is not None and _share(mine, theirs):
        yield one + (mine not in _STARS), two + (theirs not in _STARS)


def _share(mine: Token, theirs: Token) -> bool:
    """Say whether some character is accepted by both tokens."""
    if isinstance(mine, str):
        return _accepts(theirs, mine)
    return not isinstance(theirs, str) or _accepts(mine, theirs)


def included(inner: Tokens, outer: Sequence[Tokens]) -> bool:
    """Prove that each string that `inner` matches is matched by one of `outer`; False is "not proved".

    A variable is opaque: whatever its value, it is covered by itself and by a star that crosses everything.
    """
    if any(_begins(inner, each) for each in outer):
        return True
    sample = _sample(inner)
    if sample is not None and not any(globs(each).match(sample) for each in outer if not has_variables(each)):
        return False
    if sample is not None and Wild not in map(type, inner):
        return True  # it was the only word
    return _included(inner, tuple(outer))


def _begins(inner: Tokens, outer: Tokens) -> bool:
    """Say whether two patterns are the same, or the outer one only lacks the end, for which it has a star."""
    if outer and outer[-1] is Wild.STAR:
        return inner[: len(outer) - 1] == outer[:-1]
    return inner == outer


@lru_cache(maxsize=16_384)
def _sample(pattern: Tokens) -> str | None:
    """Return a word of a pattern without variables: most patterns that do not cover it lack this one."""
    if has_variables(pattern):
        return None
    return "".join(token if isinstance(token, str) else "x" for token in pattern)


@lru_cache(maxsize=16_384)
def _included(inner: Tokens, outer: tuple[Tokens, ...]) -> bool:
    """Follow all strings of `inner` at once; one that ends where none of `outer` can end refutes."""
    start = (close(inner, 1), tuple(close(each, 1) for each in outer))
    seen, queue = {start}, [start]
    while queue:
        mask, masks = queue.pop()
        if mask >> len(inner) & 1 and not any(m >> len(p) & 1 for m, p in zip(masks, outer, strict=True)):
            return False
        if not any(masks) or len(seen) > MAX_STATES:
            return False
        for letter in letters(inner, mask, zip(outer, masks, strict=True)):
            after = tuple(step(p, m, letter) if m else 0 for m, p in zip(masks, outer, strict=True))
            state = (step(inner, mask, letter), after)
            if state not in seen:
                seen.add(state)
                queue.append(state)
    return True


def letters(inner: Tokens, mask: int, others: Iterable[tuple[Tokens, int]]) -> list[Letter]:
    """Return the letters worth trying from a set of states: those that a state names, a colon, and any other one."""
    mine = {inner[at] for at in bits(mask) if at < len(inner)}
    named: set[Letter] = {token for token in mine if not isinstance(token, Wild)}
    if any(isinstance(token, Wild) for token in mine):
        theirs = {pattern[at] for pattern, state in others for at in bits(state) if at < len(pattern)}
        named |= {token for token in theirs if isinstance(token, str)} | {":"}
        named.add(next(char for char in _OTHERS if char not in named))
    return sorted((each for each in named if any(_accepts(token, each) for token in mine)), key=str)


_OTHERS = "x" + "yzwvu" + "".join(map(chr, range(0x4E00, 0x9FA5)))
"""Where a character is wanted that no pattern names here: more of them than a policy has characters."""
