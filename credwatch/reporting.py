"""What one process tells: its counts, the keys it saw and its own health, as requests of points.

Pure: takes what the ledger and the registry hold and gives points; whoever sends them reports back
what the receiver confirmed.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from credwatch import semconv
from credwatch.provenance import Key
from credwatch.recorder import UsageKey
from credwatch.semconv import Scalar, Usage
from credwatch.telemetry import Point

POINTS_PER_REQUEST = 1_000

Counted = tuple[UsageKey, int, int, int]
"""Usage, calls, calls confirmed, time of the last call: as the ledger tells it."""

_OF_KEYS = frozenset(row.name for row in semconv.ATTRIBUTES if "key" in row.on.split())


class Request(NamedTuple):
    """Points of one request, and what its success confirms: (usage, calls) and (key, calls)."""

    points: list[Point]
    usages: list[tuple[UsageKey, int]]
    keys: list[tuple[Key, int]]


class Report:
    """The points of one process at one moment. `epoch_ns` is the start of its counts."""

    def __init__(self, process_id: str, epoch_ns: int, now_ns: int, *, plain_key_ids: bool = False) -> None:
        self._process = {semconv.PROCESS_ID: process_id}
        self._epoch_ns = epoch_ns
        self._now_ns = max(epoch_ns, now_ns)  # a point may not end before it starts, whatever the clock did
        self._plain = plain_key_ids

    def requests(self, entries: Iterable[Counted], keys: Iterable[Key], everything: bool) -> Iterator[Request]:
        """Yield what changed since it was confirmed (or all) in requests of POINTS_PER_REQUEST points.

        A point of a usage has the time of its last call, also where it is sent again. An identity that is
        still to be confirmed waits.
        """
        parts = [*self._usages(entries, everything), *self._keys(keys, everything)]
        for start in range(0, len(parts), POINTS_PER_REQUEST):
            part = parts[start : start + POINTS_PER_REQUEST]
            yield Request(
                [point for row in part for point in row.points],
                [usage for row in part for usage in row.usages],
                [key for row in part for key in row.keys],
            )

    def health(self, values: Mapping[str, int]) -> list[Point]:
        """Return the health points of metric name -> value."""
        return [Point(name, self._process, self._epoch_ns, self._now_ns, value) for name, value in values.items()]

    def _usages(self, entries: Iterable[Counted], everything: bool) -> Iterator[Request]:
        # two origins may turn out to be one identity: one point, or the receiver's maximum loses one
        merged: dict[Usage, list[Counted]] = {}
        for entry in entries:
            if entry[0].origin.settled:
                merged.setdefault(entry[0].usage(), []).append(entry)
        for usage, group in merged.items():
            if everything or any(calls != confirmed for _, calls, confirmed, _ in group):
                total = sum(calls for _, calls, _, _ in group)
                attributes = {**semconv.encode(usage), **self._process}
                last = max(self._epoch_ns, *(last_ns for *_, last_ns in group))
                point = Point(semconv.CALLS, attributes, self._epoch_ns, last, total)
                yield Request([point], [(key, calls) for key, calls, _, _ in group], [])

    def _keys(self, keys: Iterable[Key], everything: bool) -> Iterator[Request]:
        merged: dict[tuple[tuple[str, Scalar], ...], list[Key]] = {}
        for key in keys:
            if key.origin.settled and key.calls:
                merged.setdefault(tuple(self._of_key(key).items()), []).append(key)
        for attributes, group in merged.items():
            if everything or any(key.calls != key.sent for key in group):
                calls = [(key, key.calls) for key in group]
                first, last = min(key.first_ns for key in group), max(key.last_ns for key in group)
                total = sum(count for _, count in calls)
                yield Request([Point(semconv.CREDENTIAL_SEEN, dict(attributes), first, last, total)], [], calls)

    def _of_key(self, key: Key) -> dict[str, Scalar]:
        identity = key.origin.identity
        usage = Usage(
            source=identity.source,
            provider=identity.provider,
            credential_type=identity.credential_type,
            laundered=identity.laundered,
            chain=identity.chain,
            principal_arn=identity.principal_arn,
            principal_name=identity.principal_name,
            account_id=identity.account_id,
        )
        attributes = {name: value for name, value in semconv.encode(usage).items() if name in _OF_KEYS}
        attributes[semconv.PSEUDONYM] = key.key_id if self._plain else key.pseudonym
        return {**attributes, **self._process}
