"""What the agent counts about itself, as Prometheus text (https://prometheus.io/docs/instrumenting/exposition_formats/).

Owns names and numbers; what is counted, and when, the callers know.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator

from credwatch import semconv
from credwatch_agent.store import Summary

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

COUNTERS = {
    "credwatch_agent_points_accepted_total": "points of recorders that were taken",
    "credwatch_agent_points_rejected_total": "points that broke the contract, or that their token may not send",
    "credwatch_agent_points_folded_total": "points left out, since their processes were folded into totals before",
    "credwatch_agent_spans_accepted_total": "spans that were taken",
    "credwatch_agent_spans_rejected_total": "spans that were not",
    "credwatch_agent_requests_refused_total": "export requests that were refused, by HTTP status",
    "credwatch_agent_processes_folded_total": "processes folded into totals",
    "credwatch_agent_processes_forgotten_total": "processes and totals deleted by retention",
}
GAUGES = {
    "credwatch_agent_processes": "processes and totals that the store holds",
    "credwatch_recorder_errors": "exceptions that recorders kept from their applications, over all processes held",
    "credwatch_recorder_coarsened_calls": "calls that recorders counted with a coarser resource",
    "credwatch_recorder_spans_dropped": "spans that recorders dropped",
    "credwatch_agent_store_up": "1 where the store could be read for this answer, else 0",
    "credwatch_agent_build_info": "1; its label is the version",
}
LATENCY = "credwatch_agent_store_write_seconds"
_OF_HEALTH = {
    "credwatch_recorder_errors": semconv.RECORDER_ERRORS,
    "credwatch_recorder_coarsened_calls": semconv.RECORDER_COARSENED,
    "credwatch_recorder_spans_dropped": semconv.SPANS_DROPPED,
}
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Meters:
    """Counters of one agent since it started; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0

    def add(self, name: str, count: int = 1, labels: str = "") -> None:
        """Count; `name` is one of `COUNTERS`, `labels` as Prometheus writes them within the braces."""
        with self._lock:
            self._counts[name, labels] += count

    def wrote(self, seconds: float) -> None:
        """Count one write to the store and how long it took."""
        with self._lock:
            self._buckets[bisect_left(_BOUNDS, seconds)] += 1
            self._seconds += seconds

    def render(self, summary: Summary | None, version: str) -> str:
        """Return the exposition; without `summary`, the store could not be read."""
        with self._lock:
            counts, buckets, seconds = dict(self._counts), list(self._buckets), self._seconds
        lines: list[str] = []
        for name, meaning in COUNTERS.items():
            found = {labels: n for (of, labels), n in counts.items() if of == name}
            lines += _family(name, "counter", meaning, (found or {"": 0}).items())
        for name, meaning in GAUGES.items():
            lines += _family(name, "gauge", meaning, _gauge(name, summary, version))
        return "\n".join([*lines, *_latency(buckets, seconds)]) + "\n"


def _family(name: str, kind: str, meaning: str, samples: Iterable[tuple[str, int]]) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
    for labels, value in sorted(samples):
        yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"


def _gauge(name: str, summary: Summary | None, version: str) -> list[tuple[str, int]]:
    if name == "credwatch_agent_build_info":
        return [(f'version="{version}"', 1)]
    if name == "credwatch_agent_store_up":
        return [("", int(summary is not None))]
    if summary is None:
        return []
    return [("", summary.health.get(_OF_HEALTH[name], 0) if name in _OF_HEALTH else summary.processes)]


def _latency(buckets: list[int], seconds: float) -> Iterator[str]:
    yield f"# HELP {LATENCY} time of one committed write to the store"
    yield f"# TYPE {LATENCY} histogram"
    total = 0
    for bound, count in zip((*map(str, _BOUNDS), "+Inf"), buckets, strict=True):
        total += count
        yield f'{LATENCY}_bucket{{le="{bound}"}} {total}'
    yield f"{LATENCY}_sum {seconds:.6f}"
    yield f"{LATENCY}_count {total}"
