"""The key of the ledger: what is laid flat comes back, and each rung of the ladder loses detail and no action."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from credwatch.callsite import NOWHERE, CallSite
from credwatch.operations import Resolution
from credwatch.outcome import ALLOWED
from credwatch.provenance import Identity, Origin
from credwatch.recorder import UsageKey

ORIGIN = Origin(Identity("environment"), None)
SITE = CallSite("orders.main", "orders.py", 7)

texts = st.text(max_size=6)
authorizations = st.lists(st.tuples(texts, st.lists(texts, max_size=3).map(tuple)), max_size=4).map(tuple)
resolutions = st.builds(
    Resolution,
    authorizations,
    st.lists(st.tuples(texts, texts), max_size=2).map(tuple),
    st.sampled_from(["table", "unknown"]),
    texts,
    st.sampled_from(["full", "prefix", "container", "service"]),
)


def key_of(resolution: Resolution) -> UsageKey:
    return UsageKey.of(ORIGIN, "s3", "GetObject", resolution, "eu-west-1", ALLOWED, SITE)


@given(resolutions)
def test_a_key_holds_its_whole_resolution(resolution: Resolution) -> None:
    key = key_of(resolution)
    assert (key.authorizations, key.facets, key.mapping, key.mapping_version, key.detail) == resolution


@given(resolutions, resolutions)
def test_keys_are_equal_where_their_resolutions_are(one: Resolution, other: Resolution) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


@given(resolutions)
def test_a_coarser_key_has_the_same_actions_and_no_resource_or_site_and_is_the_last(resolution: Resolution) -> None:
    coarse = key_of(resolution).coarser()
    if resolution.detail == "service":
        assert coarse is None
        return
    assert coarse is not None
    assert coarse.authorizations == tuple((action, ()) for action, _ in resolution.authorizations)
    assert (coarse.detail, coarse.facets, coarse.site, coarse.coarser()) == ("service", (), NOWHERE, None)
    assert (coarse.service, coarse.operation, coarse.outcome) == ("s3", "GetObject", ALLOWED)
