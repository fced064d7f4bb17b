"""Runs atheris on the OTLP decoder: a program of its own, since libFuzzer never returns and reads its own arguments.

    python -m tests.agent.guided CORPUS [libFuzzer's options]

Input: one byte says which decoder and encoding, the rest is the body. The decoder must answer with records or
with `Malformed`; anything else that it raises ends the run with another exit code than 0.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["credwatch_agent.otlp", "credwatch.semconv"]):
    from credwatch_agent import otlp

from credwatch_agent.receiver import JSON
from tests.agent.fuzz import METRICS, SEEDS
from tests.agent.wire import NOW

Target = Callable[[bytes], object]

TARGETS: tuple[Target, ...] = (
    lambda body: otlp.decode_metrics(body, "protobuf", now_ns=NOW),
    lambda body: otlp.decode_metrics(body, "json", now_ns=NOW),
    lambda body: otlp.decode_traces(body, "protobuf", now_ns=NOW),
    lambda body: otlp.decode_traces(body, "json", now_ns=NOW),
)


def decode(data: bytes) -> None:
    """Decode one input."""
    if not data:
        return
    with suppress(otlp.Malformed):
        TARGETS[data[0] % len(TARGETS)](data[1:])


def write_corpus(directory: Path) -> None:
    """Write what recorders send, well and spoilt, as inputs to begin with."""
    for seed in SEEDS:
        which = 2 * (seed.path != METRICS) + (seed.content_type == JSON)
        data = bytes([which]) + seed.body
        Path(directory, hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]))
    atheris.Setup(sys.argv, decode)
    atheris.Fuzz()
