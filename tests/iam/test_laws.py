"""Laws of the evaluator, and its agreement with a second one that was written from the rules alone."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from credwatch_agent.iam.context import OneOf
from credwatch_agent.iam.document import Policy, Statement, parse
from credwatch_agent.iam.evaluate import EVERY_OTHER, MISSING, Decision, Request, Result, allowing, evaluate
from credwatch_agent.iam.pattern import MAX_BACKTRACKING_STARS, Globs, could_match, covers, tokens
from tests.iam import naive
from tests.iam.strategies import ACTIONS, ARNS, VALUES, contexts, documents, policies, statements

Documents = list[dict[str, Any]]
Context = Mapping[str, Sequence[str]]

actions = st.sampled_from(ACTIONS)
arns = st.sampled_from(ARNS)


def parsed(many: Documents) -> list[Policy]:
    return [parse(f"p{at}", each) for at, each in enumerate(many)]


def decide(many: Documents, action: str, arn: str, context: Context, **request: Any) -> Result:
    return evaluate(Request(action, arn, context=context, **request), identity=parsed(many))


@given(policies, actions, arns, contexts)
def test_agrees_with_the_literal_evaluator(many: Documents, action: str, arn: str, context: Context) -> None:
    assert decide(many, action, arn, context).decision.value == naive.decide(many, action, arn, context)


@given(policies, statements(("Deny",)), actions, arns, contexts)
def test_adding_a_deny_never_allows(
    many: Documents, deny: dict[str, Any], action: str, arn: str, context: Context
) -> None:
    before = decide(many, action, arn, context).decision
    after = decide([*many, {"Version": "2012-10-17", "Statement": deny}], action, arn, context).decision
    assert after in {before, Decision.EXPLICITLY_DENIED}


@given(policies, statements(("Allow",)), actions, arns, contexts)
def test_adding_an_allow_never_denies(
    many: Documents, allow: dict[str, Any], action: str, arn: str, context: Context
) -> None:
    before = decide(many, action, arn, context).decision
    after = decide([*many, {"Version": "2012-10-17", "Statement": [allow]}], action, arn, context).decision
    assert after is before or (before, after) == (Decision.IMPLICITLY_DENIED, Decision.ALLOWED)


@given(policies, actions, arns, contexts, st.randoms())
def test_order_and_duplication_change_nothing(
    many: Documents, action: str, arn: str, context: Context, chance: random.Random
) -> None:
    doubled = [{**each, "Statement": each["Statement"] * 2} for each in many]
    for document in doubled:
        chance.shuffle(document["Statement"])
    chance.shuffle(doubled)
    assert decide(doubled, action, arn, context).decision is decide(many, action, arn, context).decision


@given(policies, actions, arns, contexts)
def test_case_of_actions_and_keys_changes_nothing(many: Documents, action: str, arn: str, context: Context) -> None:
    shouted = {key.upper(): values for key, values in context.items()}
    assert decide(many, action.upper(), arn, shouted).decision is decide(many, action, arn, context).decision


@given(policies, actions, arns, contexts, st.data())
def test_a_decision_with_unknown_keys_holds_for_each_completion(
    many: Documents, action: str, arn: str, context: Context, data: st.DataObject
) -> None:
    known = {key: values for key, values in context.items() if data.draw(st.booleans())}
    vague = decide(many, action, arn, known, unknown_keys=EVERY_OTHER).decision
    assume(vague is not Decision.UNKNOWN)
    exact = decide(many, action, arn, context).decision
    assert (vague is Decision.ALLOWED) == (exact is Decision.ALLOWED)
    assert vague is not Decision.EXPLICITLY_DENIED or exact is vague


@given(policies, actions, arns, contexts, st.lists(st.sampled_from(VALUES), max_size=3))
def test_a_decision_with_one_of_several_values_holds_for_each_of_them(
    many: Documents, action: str, arn: str, context: Context, values: list[str]
) -> None:
    some = decide(many, action, arn, {**context, "aws:a": OneOf(values)})
    each = {decide(many, action, arn, {**context, "aws:A": [value]}).decision for value in values}
    # where nothing allows, a Deny that holds for one value of several is not told: denied it is either way
    if some.decision is not Decision.UNKNOWN:
        assert all((some.decision is Decision.ALLOWED) == (exact is Decision.ALLOWED) for exact in each)
    if some.decision is Decision.EXPLICITLY_DENIED:
        assert each <= {some.decision}
    if len(values) == 1:
        assert {some.decision} == each


@given(documents, actions, contexts, st.sampled_from(["arn:aws:s3:::b*", "arn:aws:sqs:*:*:q*", "*"]))
def test_a_decision_on_a_partial_resource_holds_for_each_completion(
    document: dict[str, Any], action: str, context: Context, partial: str
) -> None:
    vague = decide([document], action, partial, context, partial=True).decision
    assume(vague is not Decision.UNKNOWN)
    for arn in (each for each in ARNS if naive.wild(partial, each)):
        exact = decide([document], action, arn, context).decision
        assert (vague is Decision.ALLOWED) == (exact is Decision.ALLOWED), arn


@given(policies, actions, arns, contexts)
def test_a_missing_layer_never_allows(many: Documents, action: str, arn: str, context: Context) -> None:
    request = Request(action, arn, context=context)
    for layers in ({"boundary": MISSING}, {"session": MISSING}, {"scps": MISSING}, {"rcps": MISSING}):
        result = evaluate(request, identity=parsed(many), **layers)
        assert result.decision is not Decision.ALLOWED


@given(policies, actions, arns, contexts)
def test_deciding_statements_alone_decide_the_same(many: Documents, action: str, arn: str, context: Context) -> None:
    every = parsed(many)
    result = evaluate(Request(action, arn, context=context), identity=every)
    kept: list[Policy] = []
    for policy in every:
        named = {ref.index for ref in result.statements if ref.policy == policy.name}
        statements_: tuple[Statement, ...] = tuple(each for each in policy.statements if each.index in named)
        kept.append(Policy(policy.name, policy.version, statements_))
    again = evaluate(Request(action, arn, context=context), identity=kept)
    assert again.decision is result.decision
    if result.decision is Decision.ALLOWED and arn != "*":  # a lone star is an unknown resource to `allowing`
        found = allowing(every, action, arn, context, unknown_keys=frozenset())
        assert {ref for ref, truth in found if truth} >= set(result.statements)


@given(st.text("ab*?:", max_size=8), st.text("ab:", max_size=8))
def test_patterns_of_many_stars_match_as_those_of_few(pattern: str, value: str) -> None:
    many = pattern + "*a*b*" * MAX_BACKTRACKING_STARS
    for each in (pattern, many):
        assert Globs([tokens(each, variables=False)]).match(value) == naive.wild(each, value)


@given(st.text("ab*?:/", max_size=7), st.text("ab*:/", max_size=7))
def test_covering_and_overlap_agree_with_brute_force(entry: str, partial: str) -> None:
    words = [""]
    for _ in range(4):
        words += [word + char for word in words for char in "ab:/" if len(word) < 4]
    fits = {word for word in set(words) if naive.wild(partial, word)}
    hits = {word for word in fits if naive.resource(entry, word)}
    if covers(entry, partial):
        assert hits == fits
    if hits:
        assert could_match(entry, partial)


def test_no_pattern_takes_long_on_hostile_input() -> None:
    hostile = "arn:aws:s3:::" + "*a" * 200 + "b"
    assert not Globs([tokens(hostile, variables=False)]).match("arn:aws:s3:::" + "a" * 300)
