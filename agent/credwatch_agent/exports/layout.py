"""JSON laid out for reading: what fits on a line stays on it. Pure; knows nothing of policies."""

from __future__ import annotations

import json
from typing import Any

_STEP = 2


def laid_out(value: Any, width: int) -> str:
    """Return JSON whose objects and lists stay on one line where they fit into `width` columns."""
    return _laid_out(value, width, indent=0, taken=0)


def _laid_out(value: Any, width: int, indent: int, taken: int) -> str:
    """Lay out a value that begins after `taken` columns of a line indented by `indent`."""
    flat = json.dumps(value, ensure_ascii=False)
    if taken + len(flat) <= width or not isinstance(value, (dict, list)) or not value:
        return flat
    inner = indent + _STEP
    comma = inner + 1
    if isinstance(value, dict):
        names = [json.dumps(key, ensure_ascii=False) + ": " for key in value]
        parts = [
            name + _laid_out(item, width, inner, comma + len(name))
            for name, item in zip(names, value.values(), strict=True)
        ]
    else:
        parts = [_laid_out(item, width, inner, comma) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    body = ",\n".join(" " * inner + part for part in parts)
    return f"{opening}\n{body}\n{' ' * indent}{closing}"
