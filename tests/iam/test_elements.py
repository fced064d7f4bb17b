"""Elements compared as text say what their patterns say as languages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from credwatch_agent.iam.context import Context
from credwatch_agent.iam.element import Actions, Resources, action_tokens
from credwatch_agent.iam.pattern import Globs, globs, included, overlap, partial_tokens, resource_tokens, tokens

PATTERN = st.text("aAb:*?$", min_size=1, max_size=6)
PATTERNS = st.lists(PATTERN, max_size=4)
ACTION = st.text("aAbBk:\u212a\u017f", max_size=6)
ARN = st.text("ab:/*?", max_size=8).map("arn:p:s:r:1:".__add__) | st.text("ab:*?", max_size=6)


@given(PATTERNS, ACTION)
def test_an_action_matches_as_its_regular_expressions_do(patterns: list[str], action: str) -> None:
    every = Globs((tokens(each.lower(), variables=False) for each in patterns), ignore_case=True)
    assert Actions(patterns).match(action) is every.match(action)


@given(PATTERNS, PATTERN.map(str.lower))
def test_actions_cover_and_meet_as_languages_do(patterns: list[str], pattern: str) -> None:
    element, mine = Actions(patterns), action_tokens(pattern)
    every = [action_tokens(each.lower()) for each in patterns]
    assert element.covers(pattern) is included(mine, every)
    assert element.meets(pattern) is any(overlap(each, mine) for each in every)


@given(st.lists(ARN, max_size=4), ARN, st.booleans())
def test_resources_match_as_languages_do(entries: list[str], arn: str, variables: bool) -> None:
    element = Resources(entries, variables=variables)
    every = [resource_tokens(each, variables=variables) for each in entries]
    assert element.match(arn, Context({}), set()) is globs(*every).match(arn)
    partial = partial_tokens(arn)
    met = any(overlap(partial, each) for each in every)
    expected = True if included(partial, every) else None if met else False
    assert element.match_partial(arn, Context({}), set()) is expected


@given(st.lists(ARN, min_size=1, max_size=3), ARN)
def test_what_is_included_is_matched_wherever_the_inner_pattern_is(entries: list[str], arn: str) -> None:
    inner, outer = resource_tokens(arn, variables=False), [resource_tokens(each, variables=False) for each in entries]
    words = [arn.replace("*", stars).replace("?", "a") for stars in ("", "b", "a/b")]
    if included(inner, outer):
        assert all(globs(*outer).match(word) for word in words if globs(inner).match(word))
