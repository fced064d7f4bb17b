"""What one process tells: changed counts alone, equal usages as one point, at most 1,000 points a request."""

from __future__ import annotations

from credwatch import semconv
from credwatch.callsite import NOWHERE
from credwatch.ledger import Ledger
from credwatch.operations import Resolution
from credwatch.outcome import ALLOWED
from credwatch.provenance import Identity, Key, Origin, Question
from credwatch.recorder import UsageKey
from credwatch.reporting import POINTS_PER_REQUEST, Report, Request

MAPPED = Resolution((), (), "unknown", "", "container")


def usage(origin: Origin, operation: str = "ListBuckets") -> UsageKey:
    return UsageKey.of(origin, "s3", operation, MAPPED, "eu-west-1", ALLOWED, NOWHERE)


def origin(source: str = "explicit", question: Question | None = None) -> Origin:
    return Origin(Identity(source), question)


def report(ledger: Ledger[UsageKey], keys: list[Key] | None = None, *, everything: bool = False) -> list[Request]:
    """Return the requests and confirm them all."""
    requests = list(Report("p", 1, 9).requests(ledger.snapshot(), keys or [], everything))
    for request in requests:
        ledger.acknowledge(request.usages)
        for key, calls in request.keys:
            key.sent = calls
    return requests


def values(requests: list[Request]) -> list[int]:
    return [point.value for request in requests for point in request.points]


def test_only_what_changed_is_sent_and_everything_when_asked() -> None:
    ledger: Ledger[UsageKey] = Ledger(100)
    where = origin()
    first, second = usage(where), usage(where, "GetObject")
    for key in (first, first, second):
        ledger.add(key, None, 1)
    assert sorted(values(report(ledger))) == [1, 2]
    assert report(ledger) == []
    ledger.add(second, None, 1)
    assert values(report(ledger)) == [2]
    assert sorted(values(report(ledger, everything=True))) == [2, 2]


def test_what_was_not_confirmed_is_sent_again() -> None:
    ledger: Ledger[UsageKey] = Ledger(100)
    ledger.add(usage(origin()), None, 1)
    unconfirmed = list(Report("p", 1, 9).requests(ledger.snapshot(), [], False))
    assert values(unconfirmed) == values(report(ledger)) == [1]


def test_two_origins_of_one_identity_are_one_point() -> None:
    ledger: Ledger[UsageKey] = Ledger(100)
    one, two = usage(origin()), usage(origin())
    for key in (one, one, two):
        ledger.add(key, None, 1)
    assert values(report(ledger)) == [3]
    ledger.add(two, None, 1)
    assert values(report(ledger)) == [4]


def test_an_identity_that_is_not_settled_waits() -> None:
    ledger: Ledger[UsageKey] = Ledger(100)
    waiting = origin("unknown", Question("imds", ""))
    key = Key("ASIAX", waiting)
    ledger.add(usage(waiting), key, 5)
    assert report(ledger, [key]) == []
    waiting.settled = True
    assert values(report(ledger, [key])) == [1, 1]


def test_no_request_is_larger_than_the_limit() -> None:
    ledger: Ledger[UsageKey] = Ledger(10_000)
    where = origin()
    for number in range(2 * POINTS_PER_REQUEST + 5):
        ledger.add(usage(where, f"Op{number}"), None, 1)
    requests = report(ledger)
    assert [len(request.points) for request in requests] == [POINTS_PER_REQUEST, POINTS_PER_REQUEST, 5]
    assert len({str(p.attributes) for r in requests for p in r.points}) == 2 * POINTS_PER_REQUEST + 5
    assert report(ledger) == []


def test_the_time_of_a_point_is_that_of_the_last_call_and_not_of_the_report() -> None:
    ledger: Ledger[UsageKey] = Ledger(100)
    one, two = usage(origin()), usage(origin())  # one identity: one point
    for key, time in ((one, 5), (two, 7), (one, 4)):
        ledger.add(key, None, time)
    times = [[p.time_ns for r in report(ledger, everything=True) for p in r.points] for _ in range(2)]
    assert times == [[7], [7]]
    ledger.add(one, None, 8)
    assert [p.time_ns for r in report(ledger) for p in r.points] == [8]


def test_a_clock_that_stepped_back_does_not_end_a_point_before_its_start() -> None:
    ledger: Ledger[UsageKey] = Ledger(100)
    ledger.add(usage(origin()), None, 10)
    (request,) = Report("p", 50, 99).requests(ledger.snapshot(), [], False)
    assert [(p.start_ns, p.time_ns) for p in request.points] == [(50, 50)]


def test_the_start_of_a_key_never_moves() -> None:
    ledger: Ledger[UsageKey] = Ledger(100)
    where = origin()
    keys = [Key("ASIAX", where), Key("ASIAX", where)]
    starts, ends = [], []
    for number, time in ((0, 50), (0, 40), (1, 60), (0, 70)):  # the clock may step back
        ledger.add(usage(where), keys[number], time)
        (seen,) = [p for r in report(ledger, keys) for p in r.points if p.metric == semconv.CREDENTIAL_SEEN]
        starts.append(seen.start_ns)
        ends.append(seen.time_ns)
    assert starts == [50, 50, 50, 50]
    assert ends == [50, 50, 60, 70]


def test_points_are_what_the_contract_says() -> None:
    ledger: Ledger[UsageKey] = Ledger(100)
    ledger.add(usage(origin()), None, 1)
    ((request,)) = report(ledger)
    (point,) = request.points
    assert (point.start_ns, point.time_ns, point.attributes[semconv.PROCESS_ID]) == (1, 1, "p")
    assert semconv.decode(point.attributes).operation == "ListBuckets"
    assert all(isinstance(value, str | bool | int) for value in point.attributes.values())
    assert {p.metric for p in Report("p", 1, 9).health({semconv.RECORDER_UP: 3})} == {semconv.RECORDER_UP}
