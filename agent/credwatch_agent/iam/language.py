"""Words of patterns: which of many patterns a word may match together, with one word for each answer.

The subset construction, followed only as far as needed. Owns no policy and no element.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from credwatch_agent.iam.pattern import MAX_STATES, Letter, Tokens, Variable, bits, close, letters, step

Word = tuple[Letter, ...]


class TooLarge(Exception):
    """The patterns meet in more ways than the search follows."""


class Entry(NamedTuple):
    """A pattern; if `loose`, each variable, here or in the word, may be any text: it matches at least what it should.

    Otherwise a variable matches itself only: it matches at most what it should.
    """

    pattern: Tokens
    loose: bool = False


class Class(NamedTuple):
    """The words that match the same entries: their positions, and the shortest such word."""

    hits: frozenset[int]
    word: Word


_State = tuple[int, tuple[int, ...]]


def classes(inner: Tokens, entries: Sequence[Entry], limit: int = MAX_STATES) -> Iterator[Class]:
    """Return each combination of entries that some word of `inner` matches, those of short words first.

    Raises TooLarge.
    """
    patterns = [entry.pattern for entry in entries]
    start: _State = (close(inner, 1), tuple(close(each, 1) for each in patterns))
    came: dict[_State, tuple[_State, Letter] | None] = {start: None}
    queue, found = deque([start]), set[frozenset[int]]()
    while queue:
        state = queue.popleft()
        mask, masks = state
        if mask >> len(inner) & 1:
            hits = frozenset(at for at, each in enumerate(masks) if each >> len(patterns[at]) & 1)
            if hits not in found:
                found.add(hits)
                yield Class(hits, _word(came, state))
        if len(came) > limit:
            raise TooLarge
        for letter in letters(inner, mask, zip(patterns, masks, strict=True)):
            after = (
                step(inner, mask, letter),
                tuple(_follow(entry, each, letter) if each else 0 for entry, each in zip(entries, masks, strict=True)),
            )
            if after not in came:
                came[after] = (state, letter)
                queue.append(after)


def _follow(entry: Entry, mask: int, letter: Letter) -> int:
    if not (entry.loose and isinstance(letter, Variable)):
        return step(entry.pattern, mask, letter)
    earliest = next(bits(mask))
    return (1 << len(entry.pattern) + 1) - (1 << earliest)


def _word(came: dict[_State, tuple[_State, Letter] | None], state: _State) -> Word:
    word: list[Letter] = []
    step_ = came[state]
    while step_ is not None:
        word.append(step_[1])
        step_ = came[step_[0]]
    return tuple(reversed(word))
