"""Ten million points through a serving agent: its memory stays flat, and the counts are exact.

A Collector's batches of 8,000 points, of 2,000 processes with 200 usages each, every one with new values.
"""

from __future__ import annotations

import struct
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from credwatch_agent.receiver import PROTOBUF
from credwatch_agent.store.location import open_store
from tests.agent.serving import Agent
from tests.agent.wire import NOW, S
from tests.bench.ingest import POINTS, PROCESSES, USAGES, body
from tests.soak.memory import MB, flat, resident

FULL_SIZE = 10_000_000
GROUPS = 50
_SAMPLES = 20
_MARK = 0x1122334455667788
_PROCESS = b"7f0c1f6e-0f0f"  # how ids begin in what the benchmark sends


def _template() -> bytes:
    """Return a request in which every count and time is a mark, so that new ones are written over them."""
    sent, number = body(7), struct.Struct("<q")
    return sent.replace(b"\x31" + number.pack(7), b"\x31" + number.pack(_MARK))


def _request(template: bytes, number: int) -> bytes:
    """Return the request of one group of processes, their counts grown by one since the last time."""
    group, value = number % GROUPS, number // GROUPS + 1
    count, at = struct.pack("<q", _MARK), struct.pack("<Q", NOW + 7 * S)
    sent = template.replace(count, struct.pack("<q", value)).replace(at, struct.pack("<Q", NOW + value * S))
    return sent.replace(_PROCESS, b"%08x-0f0f" % group)


def main(size: int = FULL_SIZE) -> int:
    """Send, print figures, and return 1 where memory grew or a count is not exact."""
    requests = max(GROUPS, size // POINTS)
    template = _template()
    with TemporaryDirectory() as directory:
        db = str(Path(directory, "db"))
        agent = Agent(db, now_ns=NOW + 3_600 * S)
        try:
            sizes, seconds = _send(agent, template, requests)
        finally:
            agent.bury()
        with closing(open_store(db, read_only=True)) as store:
            rows = store.telemetry().usage
        exact = sum(row.calls for row in rows) == sum(
            (requests - group + GROUPS - 1) // GROUPS * PROCESSES * USAGES for group in range(GROUPS)
        )
    points, steady = requests * POINTS, flat(sizes)
    print(
        f"agent: N = {points:,} points in {requests:,} requests, {points / seconds:,.0f} a second; "
        f"{len(rows):,} counts {'exact' if exact else 'NOT EXACT'}; memory {'flat' if steady else 'NOT FLAT'}: "
        + " ".join(f"{found / MB:.0f}" for found in sizes)
        + " MB"
    )
    return 0 if exact and steady else 1


def _send(agent: Agent, template: bytes, requests: int) -> tuple[list[int], float]:
    sizes: list[int] = []
    began = time.monotonic()
    with httpx.Client(timeout=60, headers={"content-type": PROTOBUF}) as client:
        for number in range(requests):
            answer = client.post(f"{agent.url}/v1/metrics", content=_request(template, number))
            if (answer.status_code, answer.content) != (200, b""):
                raise RuntimeError(f"request {number} was answered by {answer.status_code}: {answer.content[:200]!r}")
            if number * _SAMPLES // requests != (number + 1) * _SAMPLES // requests:
                sizes.append(resident(agent.pid))
    return sizes, time.monotonic() - began
