"""An answer that was given before is the one that would be found anew, and memory of them is bounded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import credwatch.operations
from credwatch import semconv
from credwatch.operations import ANSWERS, Resolution, answers, resolve, rules, vocabulary
from credwatch.operations.naming import FINER, READS

TABLES = [
    json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(credwatch.operations.__file__).parent / "data").glob("*.json"))
]
CASES = [
    json.loads(line)
    for path in sorted((Path(__file__).parent / "operations").glob("*.jsonl"))
    for line in path.read_text(encoding="utf-8").splitlines()
]
ASKED = ("partition", "region", "account", "detail", "missing")
OPERATIONS = sorted({(case["service"], case["operation"]) for case in CASES})
NAMES = sorted({name for case in CASES for name in case["params"]})

texts = st.sampled_from([
    "a", "b/c", "arn:aws:s3:::a/b", "n--x-s3", "arn:aws:dynamodb:eu-west-1:111122223333:table/t",
    "arn:aws:s3-outposts:eu-west-1:1:outpost/o/accesspoint/n", "alias/a", "", "us.model.x", "\N{SNOWMAN}",
])  # fmt: skip
values = st.recursive(
    texts | st.none() | st.booleans() | st.integers(0, 1) | st.just(1.0) | st.binary(max_size=2) | st.just(object()),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
    max_leaves=5,
)
places = st.tuples(*[st.sampled_from(["r", "s"])] * 3, st.sampled_from(semconv.DETAILS))


def fresh(*call: Any, **asked: Any) -> Resolution:
    ANSWERS.forget()
    return resolve(*call, **asked)


# --- what a shape or a test looks at is declared ---------------------------------------------------

SHAPES = [
    *rules.SHAPES.values(),
    *[vocabulary.shape_of(spec) for table in TABLES for spec in table.get("resources", {}).values()],
]
TESTS = [
    *[({head}, test) for table in TABLES for spec in table.get("facets", {}).values()
      for head, test in vocabulary.facet(spec).items()],
    *[(set(READS[test]), test) for test in (*rules.FACETS.values(), *rules.VARIANTS.values())],
]  # fmt: skip
UNDECLARED = {rules.SHAPES["s3_source"], rules.SHAPES["s3_source_directory"]}


def test_every_shape_says_what_it_looks_at() -> None:
    assert {shape for shape in SHAPES if shape not in READS} == UNDECLARED


@settings(max_examples=300)
@given(st.sampled_from([shape for shape in SHAPES if shape in READS]), places, st.data())
def test_a_shape_looks_at_nothing_that_it_does_not_declare(shape: Any, place: Any, data: st.DataObject) -> None:
    if shape in FINER and place[3] in {"prefix", "full"}:
        place = (*place[:3], "container")
    params = data.draw(st.dictionaries(st.sampled_from([*READS[shape], *NAMES]), values, max_size=5))
    declared = {name: value for name, value in params.items() if name in READS[shape]}
    assert shape(params, place) == shape(declared, place)


@settings(max_examples=300)
@given(st.sampled_from(TESTS), st.data())
def test_a_test_looks_at_nothing_that_it_does_not_declare(declared: Any, data: st.DataObject) -> None:
    names, test = declared
    params = data.draw(st.dictionaries(st.sampled_from([*names, *NAMES]), values, max_size=5))
    assert test(params) == test({name: value for name, value in params.items() if name in names})
    assert not test({name: value for name, value in params.items() if name not in names})


# --- an answer that is remembered is the true one --------------------------------------------------


def test_a_case_asked_again_among_all_others_has_the_answer_of_the_first_time() -> None:
    asked = [
        ((case["service"], case["operation"], case["params"]), {name: case[name] for name in ASKED if name in case})
        for case in CASES
    ]
    expected = [fresh(*call, **place) for call, place in asked]
    assert [resolve(*call, **place) for call, place in asked] == expected
    assert [resolve(*call, **place) for call, place in reversed(asked)] == expected[::-1]


@settings(max_examples=300)
@given(st.sampled_from(OPERATIONS), st.data())
def test_whatever_was_asked_before_changes_no_answer(call: tuple[str, str], data: st.DataObject) -> None:
    own = sorted({name for case in CASES if (case["service"], case["operation"]) == call for name in case["params"]})
    names = st.sampled_from(own or NAMES)
    questions = data.draw(
        st.lists(st.tuples(st.dictionaries(names, values, max_size=3), places, st.booleans()), min_size=2, max_size=5)
    )

    def ask(answer: Any) -> list[Resolution]:
        return [
            answer(
                *call, params, partition=place[0], region=place[1], account=place[2], detail=place[3], missing=missing
            )
            for params, place, missing in questions
        ]

    expected = ask(fresh)
    ANSWERS.forget()
    assert ask(resolve) == expected
    assert ask(resolve) == expected


@pytest.mark.parametrize(("one", "other"), [(True, 1), (False, 0), (None, ""), (1, 1.0)])
def test_values_that_python_calls_equal_are_told_apart(one: object, other: object) -> None:
    for name in NAMES:
        for service, operation in (("s3", "PutObject"), ("sqs", "CreateQueue"), ("ec2", "RunInstances")):
            for value in (one, other):
                expected = fresh(service, operation, {name: value})
                resolve(service, operation, {name: one})
                assert resolve(service, operation, {name: value}) == expected


class Text(str):
    """A text of the caller's own kind."""

    __slots__ = ()


def test_a_text_of_another_type_is_read_and_not_remembered() -> None:
    expected = fresh("dynamodb", "GetItem", {"TableName": "t"})
    ANSWERS.forget()
    assert resolve("dynamodb", "GetItem", {"TableName": Text("t")}) == expected
    assert len(ANSWERS) == 0


# --- the same object, and few of them --------------------------------------------------------------


def objects(detail: str) -> list[Resolution]:
    asked: list[Mapping[str, object]] = [{"Bucket": "photos", "Key": key} for key in ("a", "b/c")]
    return [resolve("s3", "GetObject", params, region="eu-west-1", detail=detail) for params in asked]


def test_calls_that_differ_in_their_keys_alone_share_one_answer() -> None:
    one, other = objects("container")
    assert one is other


def test_at_full_detail_each_key_has_its_own_answer() -> None:
    one, other = objects("full")
    assert one != other


def test_no_number_of_names_fills_the_memory() -> None:
    for number in range(answers.MOST + 500):
        resolve("dynamodb", "GetItem", {"TableName": f"table-{number}"})
    assert len(ANSWERS) <= answers.MOST


@pytest.mark.parametrize("place", [{"region": "r" * 1_000}, {"account": "1" * 1_000}, {}])
def test_what_is_long_is_not_kept(place: dict[str, Any]) -> None:
    ANSWERS.forget()
    resolve("dynamodb", "GetItem", {"TableName": "t" * (1_000 if not place else 1)}, **place)
    assert len(ANSWERS) == 0
    resolve("dynamodb", "GetItem", {"TableName": "t"})
    assert len(ANSWERS) == 1
