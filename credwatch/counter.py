"""The one small metric in the application's own MeterProvider: calls by source, service and outcome.

Knows OpenTelemetry's metrics API and nothing of botocore. Added to by the recorder's thread, never
in a call; where the application has no MeterProvider, nothing is made.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from credwatch import semconv

if TYPE_CHECKING:
    from credwatch.reporting import Counted


class BySource:
    """Adds to the counter what was counted since the last time."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._provider: object = None
        self._counter: Any = None
        self._added: Counter[tuple[str, str, str]] = Counter()

    def wanted(self) -> bool:
        """Return whether the application has a MeterProvider."""
        return _provider() is not None

    def update(self, entries: Iterable[Counted]) -> None:
        """Bring the counter to the ledger's counts, as far as their sources are settled."""
        provider = _provider()
        if provider is None:
            return
        if provider is not self._provider:
            unit, meaning = semconv.METRICS[semconv.CALLS_BY_SOURCE]
            meter = provider.get_meter(semconv.SCOPE, self._version)
            self._provider = provider
            self._counter = meter.create_counter(semconv.CALLS_BY_SOURCE, unit, meaning)
        counted: Counter[tuple[str, str, str]] = Counter()
        for key, calls, *_ in entries:
            if key.origin.settled:
                counted[key.origin.identity.source, key.service, key.outcome.name] += calls
        for labels, calls in (counted - self._added).items():
            source, service, outcome = labels
            attributes = {semconv.SOURCE: source, semconv.SERVICE: service, semconv.OUTCOME: outcome}
            self._counter.add(calls, attributes)
            self._added[labels] += calls

    def forked(self) -> None:
        """In a child: the counts are the parent's."""
        self._added.clear()


def _provider() -> Any:
    """Return the application's MeterProvider, None where it has set none."""
    metrics = sys.modules.get("opentelemetry.metrics")
    if metrics is None:  # whoever sets a provider has imported this: nobody has, and it takes milliseconds
        return None
    # the API's stand-ins for a provider that nobody has set
    internal = getattr(metrics, "_internal", metrics)
    stand_ins = (metrics.NoOpMeterProvider, getattr(internal, "_ProxyMeterProvider", ()))
    provider = metrics.get_meter_provider()
    return None if isinstance(provider, stand_ins) else provider
