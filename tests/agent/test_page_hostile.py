"""Whatever somebody named a thing: no view obeys it, and each shows it."""

from __future__ import annotations

import json
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from credwatch_agent.evidence import Settings
from credwatch_agent.exports.layout import visible
from credwatch_agent.records import Process, Span, Telemetry, UsageRow
from credwatch_agent.web import looks, traces
from credwatch_agent.web.asking import asked
from credwatch_agent.web.state import Moment, moment
from credwatch_agent.web.views import NAVIGATION, VIEWS, View
from tests.agent import pages
from tests.agent import worlds as w

TAGS = (
    "a article aside b body br button code datalist dd details div dl dt footer form g h1 h2 h3 h4 head header html i"
    " input label li link main meta nav ol option p path pre rect script section select small span summary svg table"
    " tbody td text th thead time title tr ul use wbr"
)
ATTRIBUTES = (
    "action aria-current aria-hidden aria-label aria-labelledby autocomplete charset class content d data-copy data-l"
    " datetime defer download height hidden href id lang list method name open placeholder preserveaspectratio rel role"
    " scope selected src stroke-dasharray stroke-width tabindex title type value viewbox width x y"
)
TEMPLATES = looks.environment()


class Checked(HTMLParser):
    """Fails on whatever no template writes; keeps addresses and text."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.scripts: list[str | None] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS.split(), tag
        for name, value in attrs:
            assert name in ATTRIBUTES.split(), name
            if name in {"href", "src", "action"}:
                self.addresses.append(value or "")
        if tag == "script":
            self.scripts.append(dict(attrs).get("src"))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


def render(view: View, now: Moment, query: dict[str, str]) -> str:
    question = asked(view.parameters, query)
    answer = view.ask(now, question, lambda span: traces.fill(pages.TRACE_URL, span))
    json.dumps(asdict(answer))
    return TEMPLATES.get_template(view.template).render(
        a=answer, asked=question, navigation=NAVIGATION, nav=view.nav, path=view.path, api=view.api, guarded=False
    )


def check(html: str) -> str:
    """Return a page's text; fails where it holds anything but what templates write."""
    page = Checked()
    page.feed(html)
    page.close()
    assert [urlsplit(each or "").path for each in page.scripts] == ["/static/page.js"]
    for address in page.addresses:
        assert address.startswith(("/", "#", "https://traces.example/trace/")), address
        assert not address.startswith("//")
    assert visible(html) == html
    html.encode("utf-8")
    return page.text


def scene(name: str) -> Moment:
    found = pages.hostile(name)
    assert found.snapshot is not None
    batches = found.batches
    process = Process("p", batches[0].resource, w.BEGIN, w.NOW)
    rows = tuple(UsageRow("p", point.usage, 10, w.BEGIN, w.NOW) for batch in batches for point in batch.usage)
    kept = {"credwatch.service": "s3", "credwatch.operation": "GetObject", "cloud.region": name}
    span = Span(name, name, "", name, w.BEGIN, w.NOW, kept, {"service.name": name or "(no service.name)"})
    telemetry = Telemetry({"p": process}, rows, ())
    return moment(telemetry, found.snapshot, w.NOW, Settings(), lambda _action: True, (span,), note=name)


ANY = st.text(st.characters(exclude_categories=()), min_size=1, max_size=40)


@settings(max_examples=15)
@given(ANY)
@example(pages.EVIL)
@example("</script><!--")
@example("..")
@example("\ud800")
@example("`a` `b")
@example("//evil.example")
@example("a" * 900)
def test_no_name_is_obeyed(name: str) -> None:
    now = scene(name)
    arn, where = w.role_arn(name), f"{name}/{name}"
    queries = {
        "/role": {"arn": arn, "service": name},
        "/workload": {"name": where},
        "/finding": {"fingerprint": now.findings[0].fingerprint if now.findings else ""},
        "/calls": {"q": name},
        "/findings": {"q": name[:3], "group": "subject"},
        "/roles": {"q": name},
        "/workloads": {"q": name},
    }
    for view in VIEWS:
        query = queries.get(view.path, {})
        if view.path == "/finding" and not now.findings:
            continue
        check(render(view, now, {key: value[:2_048] for key, value in query.items()}))
        if not any(parameter.required for parameter in view.parameters):
            check(render(view, now, {}))


@pytest.mark.parametrize("name", [pages.EVIL, "\u202egpj.exe", "a\x00b"])
def test_a_name_is_shown_with_what_it_hides(name: str) -> None:
    text = check(render(next(v for v in VIEWS if v.path == "/role"), scene(name), {"arn": w.role_arn(name)}))
    assert visible(name) in text
    assert ("\\u202e" in text) is ("\u202e" in name)


@given(ANY)
def test_a_link_leads_to_exactly_the_thing_that_it_names(name: str) -> None:
    readable = name.encode("utf-8", "replace").decode()
    link = looks.address("/role", arn=name)
    assert parse_qs(urlsplit(link).query, keep_blank_values=True) == {"arn": [readable]}


@pytest.mark.parametrize("where", [view.path for view in VIEWS])
def test_hostile_names_pass_a_real_store_and_the_whole_application(tmp_path: Path, where: str) -> None:
    name = pages.EVIL.replace("\x00", "")  # SQLite and OTLP take no NUL in text
    asks = {"/role": {"arn": w.role_arn(name)}, "/workload": {"name": f"{name}/{name}"}}
    with pages.client_of(pages.hostile(name), tmp_path) as client:
        found = client.get("/api/findings").json()["groups"]
        query = {"fingerprint": found[0]["findings"][0]["fingerprint"]} if where == "/finding" else asks.get(where, {})
        answer = client.get(where, params=query)
        assert answer.status_code == 200
        check(answer.text)


# --- addresses of traces --------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", traces.BACKENDS)
def test_every_backends_template_is_one_and_leads_to_the_trace(backend: str) -> None:
    template = traces.parse(traces.BACKENDS[backend])
    span = Span(pages.TRACE, "b7ad6b7169203331", "", "", 0, 0, {"cloud.region": "eu-west-1"})
    filled = traces.fill(template, span)
    assert (pages.TRACE in filled) or ("1-0af76519-16cd43dd8448eb211c80319c" in filled)
    assert not set(filled) & set(" \n")


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("javascript:alert({trace_id})", "is no web address"),
        ("/trace/{trace_id}", "is no web address"),
        ("https://host/{trace}", "holds `{trace}`"),
        ("https://host/{trace_id", "holds `{`"),
        ("https://host/{trace_id.__class__}", "holds `{`"),
        ("https://host/", "names no trace"),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_refused(template: str, why: str) -> None:
    with pytest.raises(traces.BadTemplate, match=why):
        traces.parse(template)


@given(ANY)
def test_nothing_in_a_span_leads_to_another_host(text: str) -> None:
    span = Span(text, text, "", "", 0, 0, {"cloud.region": text})
    for template in traces.BACKENDS.values():
        filled = traces.fill(template, span)
        assert urlsplit(filled).hostname == urlsplit(traces.fill(template, Span("", "", "", "", 0, 0))).hostname or (
            "region" in template
        )


def test_a_datadog_id_is_the_lower_half_as_a_number() -> None:
    span = Span("0" * 16 + "000000000000002a", "", "", "", 0, 0)
    assert traces.fill("https://host/{datadog_id}", span) == "https://host/42"
