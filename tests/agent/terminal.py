"""What tests of printed text share."""

from __future__ import annotations


def unwrapped(text: str) -> str:
    """Return a text without its line breaks and indents, wherever the width of the terminal put them."""
    return " ".join(text.split())
