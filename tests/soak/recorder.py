"""A million stubbed calls through an attached recorder: its memory stays flat, and the counts are exact.

Keys rotate, threads take turns, calls are refused, break, are interrupted, and have spans that nobody keeps. What is
counted is what a receiver would hold at the end.
"""

from __future__ import annotations

import io
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.awsrequest import AWSResponse
from opentelemetry.sdk.trace import TracerProvider

from credwatch.guard import Guard
from credwatch.instrumentation import Instrumentation
from credwatch.semconv import CALLS, decode
from credwatch.settings import Settings
from credwatch.telemetry import Point
from tests.recorder.support import MemoryExport, session, swallowed
from tests.soak.memory import MB, flat, resident

FULL_SIZE = 1_000_000
ROTATED = 1_000
"""Calls of one key."""
THREADS = 4
_SAMPLES = 20
_NAMES = 50
_MODES = ("allowed",) * 17 + ("denied", "failed", "abandoned")
_DENIED = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"

Told = Counter[tuple[str, str]]
"""(operation, outcome) -> calls."""


class Receiver(MemoryExport):
    """Holds the newest value of each usage, as an agent does, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[tuple[tuple[str, Any], ...], int] = {}

    def points(self, points: Sequence[Point], resource: Mapping[str, str]) -> bool:
        for point in points:
            if point.metric == CALLS:
                self.held[tuple(sorted(point.attributes.items()))] = point.value
        return True

    def told(self) -> Told:
        """Return what was received."""
        found: Told = Counter()
        for attributes, calls in self.held.items():
            usage = decode(dict(attributes))
            found[usage.operation, usage.outcome] += calls
        return found


class _Raw(io.BytesIO):
    def stream(self, *_: object, **__: object) -> Iterable[bytes]:
        yield self.read()


def _answer(request: Any, **_: object) -> AWSResponse:
    mode = request.headers.get("x-mode", b"allowed")
    mode = mode.decode() if isinstance(mode, bytes) else mode
    if mode == "failed":
        raise OSError("down")
    if mode == "abandoned":
        raise KeyboardInterrupt
    if mode == "denied":
        return AWSResponse(request.url, 403, {"content-length": str(len(_DENIED))}, _Raw(_DENIED))
    return AWSResponse(request.url, 200, {"content-length": "0"}, _Raw(b""))


class Application:
    """Makes calls with one key, and keeps its own tally."""

    def __init__(self, number: int) -> None:
        self._client = session(f"ASIAROTATED{number:09}").create_client("s3", region_name="eu-west-1")
        events = self._client.meta.events
        events.register("before-send", _answer)
        events.register("before-call", self._mark)
        self._modes: dict[str, str] = {}

    def _mark(self, params: Any, **_: object) -> None:
        params["headers"]["x-mode"] = self._mode_of(params["url_path"])

    def _mode_of(self, path: str) -> str:
        return _MODES[int(path.rpartition("-")[2]) % len(_MODES)]

    def work(self, first: int, calls: int) -> Told:
        """Make so many calls, the first with this number."""
        made: Told = Counter()
        for number in range(first, first + calls):
            put = number % 3 == 0
            call = self._client.put_object if put else self._client.get_object
            bucket, key = f"bucket-{number % _NAMES}", f"key-{number}"
            swallowed(lambda call=call, bucket=bucket, key=key: call(Bucket=bucket, Key=key))  # type: ignore[misc]
            made["PutObject" if put else "GetObject", _outcome(self._mode_of(key), put=put)] += 1
        return made


def _outcome(mode: str, *, put: bool) -> str:
    # S3 answers a reader alike where the object is missing
    return "denied-or-missing" if mode == "denied" and not put else mode


def main(size: int = FULL_SIZE) -> int:
    """Call, print figures, and return 1 where memory grew or a count is not exact."""
    rounds = max(_SAMPLES, size // ROTATED)
    receiver, made, sizes = Receiver(), Told(), list[int]()
    provider = TracerProvider(shutdown_on_exit=False)
    settings = Settings(export_interval=0.05)
    recorder = Instrumentation(settings, {}, export=receiver, provider=provider, guard=Guard(reraise=True))
    recorder.attach()
    began = time.monotonic()
    try:
        with ThreadPoolExecutor(THREADS) as threads:
            for number in range(rounds):
                application, part = Application(number), ROTATED // THREADS
                firsts = [number * ROTATED + thread * part for thread in range(THREADS)]
                for told in threads.map(application.work, firsts, [part] * THREADS):
                    made += told
                if number * _SAMPLES // rounds != (number + 1) * _SAMPLES // rounds:
                    sizes.append(resident())
        seconds = time.monotonic() - began
        usages = len(recorder.ledger)
        recorder.worker.close(60)
    finally:
        recorder.detach()
    exact, steady = receiver.told() == made, flat(sizes)
    print(
        f"recorder: N = {sum(made.values()):,} calls with {rounds:,} keys in {THREADS} threads, "
        f"{sum(made.values()) / seconds:,.0f} a second; {usages:,} usages, counts {'exact' if exact else 'NOT EXACT'}; "
        f"memory {'flat' if steady else 'NOT FLAT'}: " + " ".join(f"{found / MB:.0f}" for found in sizes) + " MB"
    )
    return 0 if exact and steady else 1
