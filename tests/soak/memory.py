"""Memory of a process over a long run: flat, once it is warm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

MB = 1_000_000
_PAGE = 4096
_LAST = 0.3
_SLACK = 1.1


def resident(pid: int | str = "self") -> int:
    """Return bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def flat(sizes: Sequence[int]) -> bool:
    """Tell whether the last third of a run needs no more than its warm part, by a tenth."""
    warm = sizes[: max(1, round(len(sizes) * (1 - _LAST)))]
    last = sizes[len(warm) :] or sizes
    return max(last) <= max(warm) * _SLACK
