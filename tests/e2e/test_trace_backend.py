"""The demo's spans in a real trace backend: recorder, Collector with `otel-collector.yaml`, Jaeger, its query API."""

from __future__ import annotations

import json
import signal
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from credwatch import semconv
from credwatch_agent.records import Span
from examples.demo import agent, counting, play
from examples.demo.plan import plan
from examples.demo.play import Files
from examples.demo.world import running
from tests.e2e.collector import Collector, until
from tests.e2e.jaeger import Jaeger

pytestmark = [pytest.mark.slow, pytest.mark.verify, pytest.mark.collector, pytest.mark.jaeger]

SEARCHED = (
    semconv.SOURCE,
    semconv.PRINCIPAL_ARN,
    semconv.PRINCIPAL_NAME,
    semconv.ACTIONS,
    semconv.OUTCOME,
    semconv.PSEUDONYM,
)


@dataclass(frozen=True)
class Arrived:
    """The same spans twice: in Jaeger, and in the agent's store."""

    jaeger: Jaeger
    spans: tuple[Span, ...]


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arrived]:
    directory = tmp_path_factory.mktemp("backend")
    files, jaeger = Files(directory), Jaeger()
    jaeger.start()
    try:
        with running(plan()) as world, agent.serving(files.db) as serving:
            collector = Collector(directory / "storage", serving.url, jaeger.url)
            collector.start()
            try:
                finished = play.services(world, collector.url, 3)
                calls = counting.by_applications(world.plan, finished).total()
                until(lambda: len(files.spans()) >= calls, f"{calls} spans in the agent's store")
                spans = files.spans()
                until(lambda: in_jaeger(jaeger, spans) >= {span.span_id for span in spans}, "the same spans in Jaeger")
            finally:
                collector.end(signal.SIGKILL)
        yield Arrived(jaeger, spans)
    finally:
        jaeger.end(signal.SIGKILL)


def in_jaeger(jaeger: Jaeger, spans: tuple[Span, ...]) -> set[str]:
    services = {span.resource["service.name"] for span in spans}
    return {span["spanID"] for service in services for trace in jaeger.traces(service, {}) for span in trace["spans"]}


def searched_as(value: object) -> str:
    """Return what is typed into the search: a list is compared as JSON, without blanks."""
    return json.dumps(value, separators=(",", ":")) if isinstance(value, (list, tuple)) else str(value)


@pytest.mark.parametrize("attribute", SEARCHED)
def test_a_search_by_one_attribute_finds_exactly_the_traces_that_have_it(arrived: Arrived, attribute: str) -> None:
    expected: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for span in arrived.spans:
        if attribute in span.attributes:
            expected[span.resource["service.name"], searched_as(span.attributes[attribute])].add(span.trace_id)
    assert expected
    found = {
        (service, value): {trace["traceID"] for trace in arrived.jaeger.traces(service, {attribute: value})}
        for service, value in expected
    }
    assert found == dict(expected)


def test_the_wrong_layer_is_one_search(arrived: Arrived) -> None:
    # both are ECS tasks: they sign as their host, and each span says so
    tasks = {service.name for service in plan().services if service.compute == "task"}
    signs_as_host = {name for name in tasks if arrived.jaeger.traces(name, {semconv.SOURCE: "ec2-instance-profile"})}
    assert signs_as_host == {
        s.name for s in plan().services if s.compute == "task" and s.credentials == "instance-profile"
    }


def test_a_denial_is_an_error_and_names_its_principal(arrived: Arrived) -> None:
    (trace,) = arrived.jaeger.traces("batch", {semconv.OUTCOME: "denied"})
    (denied,) = [
        tags
        for span in trace["spans"]
        if (tags := {tag["key"]: tag["value"] for tag in span["tags"]}).get(semconv.OUTCOME) == "denied"
    ]
    assert denied[semconv.PRINCIPAL_NAME]
    assert denied["error"] is True
    assert denied["rpc.method"] == "DeleteObject"


def test_every_service_is_listed(arrived: Arrived) -> None:
    assert {service.name for service in plan().services} <= set(arrived.jaeger.services())
