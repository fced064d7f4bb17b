"""OpenTelemetry's own variables for one signal: its own before the general one; what is ignored is named once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credwatch.standard import METRICS, ROWS, TRACES, Options, options

PREFIX = "OTEL_EXPORTER_OTLP_"
VARIABLES = [f"{PREFIX}{signal}{end}" for _, end, *_ in ROWS for signal in ("", "METRICS_", "TRACES_")]
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    ("end", "text", "field", "value"),
    [
        ("HEADERS", "a=b", "headers", {"a": "b"}),
        ("HEADERS", " A-b = x%20y , key=Basic Zm9v==,,", "headers", {"a-b": "x y", "key": "Basic Zm9v=="}),
        ("HEADERS", "a=", "headers", {"a": ""}),
        ("TIMEOUT", "2.5", "timeout", 2.5),
        ("TIMEOUT", "10000", "timeout", 60.0),
        ("COMPRESSION", "GZIP", "compression", "gzip"),
        ("COMPRESSION", "none", "compression", "none"),
        ("CERTIFICATE", "ca.pem", "certificate", "ca.pem"),
        ("CLIENT_KEY", "key.pem", "client_key", "key.pem"),
        ("CLIENT_CERTIFICATE", "client.pem", "client_certificate", "client.pem"),
        ("INSECURE", "True", "insecure", True),
        ("INSECURE", "false", "insecure", False),
    ],
)  # fmt: skip
def test_a_signals_own_variable_replaces_the_general_one(end: str, text: str, field: str, value: object) -> None:
    for environ in (
        {f"{PREFIX}{end}": text},
        {f"{PREFIX}METRICS_{end}": text},
        {f"{PREFIX}METRICS_{end}": text, f"{PREFIX}{end}": "general=1"},
        {f"{PREFIX}METRICS_{end}": " ", f"{PREFIX}{end}": text},
        {f"{PREFIX}TRACES_{end}": "general=1", f"{PREFIX}{end}": text},
    ):
        found, problems = options(environ, METRICS)
        assert (getattr(found, field), problems) == (value, [])


@pytest.mark.parametrize(
    ("end", "text"),
    [
        ("HEADERS", "no equals sign"),
        ("HEADERS", "=a value"),
        ("HEADERS", "a b=c"),
        ("HEADERS", "a=b%0d%0aHost: c"),
        ("HEADERS", "a=ü"),
        ("TIMEOUT", "soon"),
        ("TIMEOUT", "0"),
        ("TIMEOUT", "-1"),
        ("TIMEOUT", "nan"),
        ("COMPRESSION", "brotli"),
        ("INSECURE", "1"),
    ],
)
def test_what_cannot_be_obeyed_is_ignored_and_named(end: str, text: str) -> None:
    found, (problem,) = options({f"{PREFIX}{end}": text}, TRACES)
    assert found == Options()
    assert problem.startswith(f"{PREFIX}{end} is ignored: expected ")


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text() | st.just(SECRET)), st.sampled_from([METRICS, TRACES]))
def test_no_environment_raises_or_is_repeated(environ: dict[str, str], signal: str) -> None:
    _, problems = options(environ, signal)
    assert len(problems) <= len(ROWS)
    assert SECRET not in str(problems)
