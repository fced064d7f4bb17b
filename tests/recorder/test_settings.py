"""The environment's words, good, bad and empty; none of them stops the application or is repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credwatch.settings import ROWS, Settings, read

VARIABLES = [row.variable for row in ROWS.values()]
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def test_every_setting_has_its_row_and_each_row_its_setting() -> None:
    assert tuple(ROWS) == Settings._fields


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("CREDWATCH_ENABLED", "1", "enabled", True),
        ("CREDWATCH_DISABLED", "TRUE", "disabled", True),
        ("CREDWATCH_SPANS", "Own", "spans", "own"),
        ("CREDWATCH_RESOURCES", "full", "resources", "full"),
        ("CREDWATCH_KEY_ID", "plain", "key_id", "plain"),
        ("CREDWATCH_CALL_SITE", "off", "call_site", False),
        ("CREDWATCH_ENDPOINT", " http://localhost:4318/ ", "endpoint", "http://localhost:4318"),
        ("CREDWATCH_ENDPOINT", "http://a", "endpoint", "http://a"),
        ("CREDWATCH_PROTOCOL", "grpc", "protocol", "grpc"),
        ("CREDWATCH_HEADERS_FILE", "headers.txt", "headers_file", "headers.txt"),
        ("CREDWATCH_CERTIFICATE", "ca.pem", "certificate", "ca.pem"),
        ("CREDWATCH_EXPORT_INTERVAL", "0.5", "export_interval", 0.5),
        ("CREDWATCH_WARNINGS", "yes", "warnings", True),
        ("CREDWATCH_LEDGER_LIMIT", "7", "ledger_limit", 7),
        ("OTEL_SDK_DISABLED", "true", "sdk_disabled", True),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318", "otlp_endpoint", "https://c:4318"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://c/x/", "otlp_metrics_endpoint", "https://c/x/"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "otlp_protocol", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc", "otlp_metrics_protocol", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf", "otlp_traces_protocol", "http/protobuf"),
        ("OTEL_SEMCONV_STABILITY_OPT_IN", "http,rpc", "semconv_opt_in", "http,rpc"),
    ],
)
def test_a_good_value_is_taken(variable: str, text: str, field: str, value: object) -> None:
    settings, problems = read({variable: text})
    assert (getattr(settings, field), problems) == (value, [])


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("CREDWATCH_ENABLED", "perhaps"),
        ("CREDWATCH_SPANS", "all"),
        ("CREDWATCH_ENDPOINT", "localhost:4318"),
        ("CREDWATCH_ENDPOINT", "https://"),
        ("CREDWATCH_ENDPOINT", "ftp://x"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "kafka"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "a word"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "kafka://c:1"),
        ("CREDWATCH_EXPORT_INTERVAL", "nan"),
        ("CREDWATCH_EXPORT_INTERVAL", "inf"),
        ("CREDWATCH_EXPORT_INTERVAL", "0"),
        ("CREDWATCH_LEDGER_LIMIT", "0"),
        ("CREDWATCH_LEDGER_LIMIT", "1.5"),
        ("CREDWATCH_LEDGER_LIMIT", "9" * 5_000),
    ],
)
def test_a_bad_value_is_one_sentence_and_the_default(variable: str, text: str) -> None:
    settings, problems = read({variable: text})
    assert settings == Settings()
    (problem,) = problems
    assert problem.startswith(f"{variable} is ignored: expected ")


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_value_says_nothing(variable: str, text: str) -> None:
    assert read({variable: text}) == (Settings(), [])


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_secret_in_the_wrong_variable_is_not_repeated(variable: str) -> None:
    _, problems = read({variable: SECRET})
    assert not any(SECRET in problem or SECRET.lower() in problem.lower() for problem in problems)


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text()))
def test_no_environment_raises(environ: dict[str, str]) -> None:
    settings, _ = read(environ)
    assert isinstance(settings.target, tuple)


def test_our_own_endpoint_wins() -> None:
    settings, _ = read({"CREDWATCH_ENDPOINT": "http://ours:1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs:1"})
    assert settings.target == ("http://ours:1", "http/protobuf", True, "http://ours:1/v1/metrics")


@pytest.mark.parametrize("variable", ["CREDWATCH_DISABLED", "OTEL_SDK_DISABLED"])
def test_off_wins_over_on(variable: str) -> None:
    assert read({"CREDWATCH_ENABLED": "1", variable: "true"})[0].off


BY_SIGNAL = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://m:1/x",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
}


@pytest.mark.parametrize(
    ("environ", "counts", "spans"),
    [
        ({}, ("", "http/protobuf", False, ""), ("", "http/protobuf", False, "")),
        (BY_SIGNAL, ("http://m:1/x", "http/protobuf", False, "http://m:1/x"),
         ("http://c:1", "grpc", False, "http://c:1/v1/traces")),
        ({**BY_SIGNAL, "CREDWATCH_PROTOCOL": "grpc"}, ("http://m:1/x", "grpc", False, "http://m:1/x"),
         ("http://c:1", "grpc", False, "http://c:1/v1/traces")),
        # what was asked for another endpoint's signal says nothing of ours
        ({**BY_SIGNAL, "CREDWATCH_ENDPOINT": "http://o:1"}, ("http://o:1", "http/protobuf", True, "http://o:1/v1/metrics"),
         ("http://o:1", "http/protobuf", True, "http://o:1/v1/traces")),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:1"}, ("", "http/protobuf", False, ""),
         ("http://t:1", "http/protobuf", False, "http://t:1")),
    ],
    ids=["nothing", "by signal", "protocol of ours", "endpoint of ours", "spans alone"],
)  # fmt: skip
def test_each_signal_goes_where_the_specification_says(
    environ: dict[str, str], counts: tuple[object, ...], spans: tuple[object, ...]
) -> None:
    settings, problems = read(environ)
    assert (settings.target, settings.spans_target, problems) == (counts, spans, [])
    assert settings.exports == bool(environ)


NAME = "collector:4317"  # without a scheme: an address for gRPC alone
GENERAL, COUNTS, SPANS = (f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT is ignored" for signal in ("", "METRICS_", "TRACES_"))


@pytest.mark.parametrize(
    ("variables", "counts", "spans", "said"),
    [
        ({"ENDPOINT": NAME, "PROTOCOL": "grpc"}, NAME, NAME, []),
        ({"ENDPOINT": NAME}, "", "", [f"{GENERAL} for counts and spans: "]),
        ({"ENDPOINT": NAME, "TRACES_PROTOCOL": "grpc"}, "", NAME, [f"{GENERAL} for counts: "]),
        ({"ENDPOINT": NAME, "METRICS_PROTOCOL": "grpc"}, NAME, "", [f"{GENERAL} for spans: "]),
        ({"ENDPOINT": NAME, "METRICS_ENDPOINT": "http://m:1/x", "TRACES_PROTOCOL": "grpc"}, "http://m:1/x", NAME, []),
        ({"ENDPOINT": NAME, "METRICS_ENDPOINT": "http://m:1/x"}, "http://m:1/x", "", [f"{GENERAL} for spans: "]),
        ({"ENDPOINT": "http://c:1", "METRICS_ENDPOINT": NAME}, "http://c:1", "http://c:1", [f"{COUNTS}: "]),
        ({"ENDPOINT": NAME, "TRACES_ENDPOINT": NAME}, "", "", [f"{SPANS}: ", f"{GENERAL} for counts and spans: "]),
        ({"TRACES_ENDPOINT": NAME}, "", "", [f"{SPANS}: "]),
    ],
)  # fmt: skip
def test_an_endpoint_without_a_scheme_is_grpcs_and_said_where_http_is_spoken(
    variables: dict[str, str], counts: str, spans: str, said: list[str]
) -> None:
    settings, problems = read({f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()})
    assert (settings.target.endpoint, settings.spans_target.endpoint) == (counts, spans)
    why = "expected a URL that begins with http:// or https://, for http/protobuf"
    assert problems == [f"{beginning}{why}" for beginning in said]
    assert read({"CREDWATCH_ENDPOINT": "http://o:1", "OTEL_EXPORTER_OTLP_ENDPOINT": NAME})[1] == []
