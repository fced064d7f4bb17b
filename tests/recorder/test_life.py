"""credwatch keeps nothing of the application alive: no client, no session, no credentials."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from tests.recorder.support import Recording, Stub, error, session, swallowed


def used(number: int) -> list[weakref.ref[Any]]:
    """Use a session and a client in every way that ends; return what must be gone then."""
    made = session(f"ASIALIFE{number:012}")
    s3 = made.create_client("s3", region_name="eu-west-1")
    Stub(error("AccessDenied"), OSError("down"), KeyboardInterrupt()).on(s3.meta.events)
    bucket = f"bucket{number}"
    for _ in range(3):
        swallowed(lambda: s3.list_objects_v2(Bucket=bucket))
    s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"})
    watched = [made, s3, s3.meta.events, s3._request_signer, s3._request_signer._credentials]
    return [weakref.ref(one) for one in watched]


@pytest.mark.parametrize("number", [10, pytest.param(500, marks=pytest.mark.verify)])
def test_clients_and_sessions_that_are_dropped_are_gone(
    recording: Recording, provider: TracerProvider, number: int
) -> None:
    alive: set[str] = set()
    for turn in range(number):
        with provider.get_tracer("application").start_as_current_span("outer"):
            watched = used(turn)
        gc.collect()
        alive |= {type(one).__name__ for reference in watched if (one := reference()) is not None}
    assert alive == set()
    assert sum(recording.counts().values()) == 4 * number
