"""The wire contract: what is encoded is what is decoded, and what breaks it is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credwatch import semconv
from credwatch.semconv import Hop, Undecodable, Usage, decode, encode, encode_span

text = st.text(max_size=12)
hops = st.builds(Hop, st.sampled_from(sorted(semconv.SOURCES)), text)
authorizations = st.dictionaries(text, st.lists(text, max_size=3, unique=True)).map(
    lambda d: tuple(sorted((a, tuple(sorted(arns))) for a, arns in d.items()))
)
usages = st.builds(
    Usage,
    source=st.sampled_from(sorted(semconv.SOURCES)),
    provider=text,
    credential_type=st.sampled_from(["", "long-lived", "temporary"]),
    laundered=st.booleans(),
    chain=st.lists(hops, max_size=3).map(tuple),
    principal_arn=text,
    principal_name=text,
    account_id=text,
    instance_profile_arn=text,
    service=text,
    operation=text,
    facets=st.dictionaries(text, text, max_size=3).map(lambda d: tuple(sorted(d.items()))),
    authorizations=authorizations,
    mapping=st.sampled_from(sorted(semconv.MAPPINGS)),
    mapping_version=text,
    detail=st.sampled_from(semconv.DETAILS),
    region=text,
    outcome=st.sampled_from(sorted(semconv.OUTCOMES)),
    denied_layer=text,
    code_function=text,
    code_file=text,
    code_line=st.integers(min_value=0, max_value=2**31),
)


@given(usages)
def test_decode_is_the_inverse_of_encode(usage: Usage) -> None:
    assert decode(encode(usage)) == usage


@given(usages)
def test_point_attributes_are_scalars_that_every_sdk_can_hash(usage: Usage) -> None:
    attributes = encode(usage)
    assert all(type(value) in (str, bool, int) for value in attributes.values())
    hash(tuple(attributes.items()))


@given(usages)
def test_every_sent_attribute_is_in_the_contract_where_it_is_sent(usage: Usage) -> None:
    places = {row.name: row.on.split() for row in semconv.ATTRIBUTES}
    assert all("point" in places[name] for name in encode(usage))
    assert all("span" in places[name] for name in encode_span(usage))


def test_span_attributes_hold_searchable_arrays() -> None:
    usage = Usage("ecs-task-role", authorizations=(("s3:GetObject", ("b", "a")), ("s3:PutObject", ("c",))))
    attributes = encode_span(usage)
    assert attributes[semconv.ACTIONS] == ("s3:GetObject", "s3:PutObject")
    assert attributes[semconv.RESOURCES] == ("a", "b", "c")


GOOD = encode(Usage("ecs-task-role", chain=(Hop("environment", "x"),)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({semconv.SOURCE: "magic"}, "`credwatch.credential.source` has the unknown value `magic`"),
        ({semconv.SOURCE: 3}, "`credwatch.credential.source` is int, expected str"),
        ({semconv.LAUNDERED: 1}, "`credwatch.credential.laundered` is int, expected bool"),
        ({semconv.CODE_LINE: True}, "`code.line.number` is bool, expected int"),
        ({semconv.CHAIN: "["}, "`credwatch.credential.chain` is not JSON"),
        ({semconv.CHAIN: "[" * 100_000}, "`credwatch.credential.chain` is not JSON"),
        ({semconv.CHAIN: "{}"}, "`credwatch.credential.chain` is not a JSON list"),
        ({semconv.CHAIN: '[["a"]]'}, "no pair of source and principal"),
        ({semconv.CHAIN: '[["a","b"]]'}, "`credwatch.credential.chain` has the unknown value `a`"),
        ({semconv.FACETS: "[]"}, "`credwatch.facets` is not a JSON object"),
        ({semconv.FACETS: '{"a":1}'}, "`credwatch.facets` holds a int where text is expected"),
        ({semconv.RESOURCES: '{"s3:GetObject":"arn"}'}, "an action without a list of ARNs"),
        ({semconv.OUTCOME: "fine"}, "`credwatch.outcome` has the unknown value `fine`"),
    ],
)
def test_a_broken_attribute_is_named(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(Undecodable) as caught:
        decode({**GOOD, **change})
    assert sentence in str(caught.value)


def test_a_missing_source_is_named() -> None:
    with pytest.raises(Undecodable, match="source` is missing"):
        decode({})
