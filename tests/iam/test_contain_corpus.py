"""The corpus of mutations: no proof is unsound, every refutation is true, and how much is not proved is printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from credwatch_agent.iam.contain import NotProved, Proved, Refuted, contain
from credwatch_agent.iam.document import parse
from credwatch_agent.iam.evaluate import Decision, Request, evaluate
from tests.iam.corpus import SAMPLE, SIZE, calls, pairs

DENIED = {Decision.IMPLICITLY_DENIED, Decision.EXPLICITLY_DENIED}

MOST_NOT_PROVED = 0.15
"""Above this share the proofs would be of little use."""


@pytest.mark.slow
@pytest.mark.parametrize("size", [SAMPLE, pytest.param(SIZE, marks=pytest.mark.verify)])
def test_no_proof_is_unsound_and_every_refutation_is_true(
    size: int, record_property: Callable[[str, object], None]
) -> None:
    answers: Counter[str] = Counter()
    for one, other, chance in pairs(size):
        inner, outer = [parse("p", one)], [parse("q", other)]
        found = contain(inner, outer)
        answers[type(found).__name__] += 1
        if isinstance(found, Refuted):
            assert evaluate(found.witness, identity=inner).decision is Decision.ALLOWED, (one, other, found)
            assert evaluate(found.witness, identity=outer).decision in DENIED, (one, other, found)
        if isinstance(found, Proved):
            for action, arn, context in calls(one, other, chance):
                request = Request(action, arn, context=context)
                if evaluate(request, identity=inner).decision is Decision.ALLOWED:
                    assert evaluate(request, identity=outer).decision is Decision.ALLOWED, (one, other, request)
    share = answers[NotProved.__name__] / size
    told = ", ".join(f"{count:,} {answer}" for answer, count in sorted(answers.items()))
    record_property("containment", f"N = {size:,} pairs: {told}; not proved {share:.1%}")
    assert answers[Proved.__name__] > size / 5
    assert answers[Refuted.__name__] > size / 5
    assert share < MOST_NOT_PROVED


def test_the_samples_reach_what_is_not_contained() -> None:
    """The requests at the boundaries would find an unsound proof: of pairs that are refuted they refute most."""
    refuted = found_too = 0
    for one, other, chance in pairs(200):
        inner, outer = [parse("p", one)], [parse("q", other)]
        if not isinstance(contain(inner, outer), Refuted):
            continue
        refuted += 1
        requests = [Request(action, arn, context=context) for action, arn, context in calls(one, other, chance)]
        allowed = (each for each in requests if evaluate(each, identity=inner).decision is Decision.ALLOWED)
        found_too += any(evaluate(each, identity=outer).decision in DENIED for each in allowed)
    assert found_too > refuted / 2
