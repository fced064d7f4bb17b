"""Fuzz that is guided by coverage: atheris looks for bytes that take the OTLP decoder where nothing took it yet."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RUNS = 1_000_000


@pytest.mark.verify
@pytest.mark.atheris
def test_a_million_guided_bodies_are_records_or_malformed(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    options = ["-seed=1", "-max_len=8192", "-timeout=120", "-rss_limit_mb=1024", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.agent.guided", str(corpus), f"-runs={RUNS}", "-print_final_stats=1", *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5_000:]
    # inputs executed, branches of the decoder that some input took, peak memory
    executed, branches, peak = (
        int(re.findall(pattern, done.stderr)[-1])
        for pattern in (r"number_of_executed_units: (\d+)", r"DONE +cov: (\d+)", r"peak_rss_mb: +(\d+)")
    )
    assert executed >= RUNS
    assert branches > 150, "the decoder was not looked into"
    record_property(
        "fuzz, guided", f"N = {executed:,} bodies, {branches} branches, no crash or hang, at most {peak} MB"
    )
