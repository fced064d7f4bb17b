"""The two streams of the command line. Results go to `out`, everything else to `err`."""

from __future__ import annotations

from rich.console import Console

out = Console(highlight=False, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, markup=False, emoji=False)
