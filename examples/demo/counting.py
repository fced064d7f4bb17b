"""The demo's check of its own claim: three independent counts of the same calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from credwatch_agent.records import Telemetry

from examples.demo.launch import Finished
from examples.demo.recording import Count, Use

Calls = Counter[tuple[str, str]]
"""(service, operation) -> calls."""


def by_credwatch(telemetry: Telemetry) -> Calls:
    """Calls as the recorders counted them; a call that never reached the service is not among them."""
    calls: Calls = Counter()
    for row in telemetry.usage:
        if row.usage.outcome != "signed":
            calls[row.usage.service, row.usage.operation] += row.calls
    return calls


def by_applications(finished: Iterable[Finished]) -> Calls:
    """Calls as the applications counted them themselves."""
    calls: Calls = Counter()
    for one in finished:
        calls.update(one.calls)
    return calls


def by_moto(counts: Mapping[Use, Count], principals: Iterable[str]) -> Calls:
    """Calls of these principals as the server recorded them."""
    wanted = set(principals)
    calls: Calls = Counter()
    for use, count in counts.items():
        if use.principal in wanted:
            calls[use.service, use.operation] += count.calls
    return calls
