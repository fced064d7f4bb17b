"""The key id, region and signing name that a signed request carries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credwatch.signature import UNSIGNED, Signature, from_form, from_request, key_type, pseudonym

V4 = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=00"
V4A = "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20260101/s3/aws4_request, SignedHeaders=host, Signature=00"
URL = "https://bucket.s3.amazonaws.com/key"


@pytest.mark.parametrize(
    ("headers", "url", "body", "expected"),
    [
        ({"Authorization": V4}, URL, None, Signature("header", "AKIDEXAMPLE", "eu-west-1", "s3")),
        ({"Authorization": V4.encode()}, URL, None, Signature("header", "AKIDEXAMPLE", "eu-west-1", "s3")),
        ({"Authorization": V4A}, URL, None, Signature("sigv4a", "AKIDEXAMPLE", "", "s3")),
        ({"Authorization": "Bearer secret"}, URL, None, Signature("bearer")),
        ({"Authorization": "AWS AKIDEXAMPLE:signature"}, URL, None, Signature("header", "AKIDEXAMPLE")),
        (
            {"Authorization": "AWS3-HTTPS AWSAccessKeyId=AKIDEXAMPLE,Algorithm=x"},
            URL,
            None,
            Signature("header", "AKIDEXAMPLE"),
        ),
        (
            {},
            URL
            + "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
            + "&X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Feu-west-1%2Fs3%2Faws4_request",
            None,
            Signature("query", "AKIDEXAMPLE", "eu-west-1", "s3"),
        ),
        (
            {},
            URL + "?X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260101%2Fs3%2Faws4_request",
            None,
            Signature("sigv4a", "AKIDEXAMPLE", "", "s3"),
        ),
        ({}, URL + "?AWSAccessKeyId=AKIDEXAMPLE&Signature=x", None, Signature("query", "AKIDEXAMPLE")),
        ({}, URL, {"AWSAccessKeyId": "AKIDEXAMPLE"}, Signature("header", "AKIDEXAMPLE")),
        ({}, URL, None, UNSIGNED),
        ({}, URL, b"AWSAccessKeyId", UNSIGNED),
        ({"Authorization": "AWS4-HMAC-SHA256 nonsense"}, URL, None, Signature("unreadable")),
        ({"Authorization": "Basic dXNlcjpw"}, URL, None, UNSIGNED),
        ({"Authorization": ""}, URL, None, UNSIGNED),
    ],
)
def test_the_request_tells_who_signed(headers: dict[str, object], url: str, body: object, expected: Signature) -> None:
    assert from_request(headers, url, body) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"x-amz-credential": "AKIDEXAMPLE/20260101/eu-west-1/s3/aws4_request"},
            Signature("post", "AKIDEXAMPLE", "eu-west-1", "s3"),
        ),
        ({"AWSAccessKeyId": "AKIDEXAMPLE"}, Signature("post", "AKIDEXAMPLE")),
        ({"key": "x"}, UNSIGNED),
    ],
)
def test_a_form_tells_who_signed(fields: dict[str, object], expected: Signature) -> None:
    assert from_form(fields) == expected


@given(st.text(), st.text())
def test_no_header_and_no_query_raises(header: str, query: str) -> None:
    from_request({"Authorization": header}, "https://host/?X-Amz-Credential=" + query)
    from_request({}, "https://host/?X-Amz-Credential=" + query)
    from_form({"x-amz-credential": header})


@pytest.mark.parametrize(("key", "kind"), [("AKIAX", "long-lived"), ("ASIAX", "temporary"), ("test", ""), ("", "")])
def test_the_prefix_tells_the_type(key: str, kind: str) -> None:
    assert key_type(key) == kind


def test_a_pseudonym_is_stable_and_hides_the_key() -> None:
    assert pseudonym("AKIAEXAMPLE") == pseudonym("AKIAEXAMPLE") != pseudonym("AKIAEXAMPLF")
    assert len(pseudonym("AKIAEXAMPLE")) == 16
    assert pseudonym("") == ""
