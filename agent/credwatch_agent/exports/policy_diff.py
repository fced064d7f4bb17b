"""A recommendation as a unified diff of policy documents: what would change, policy by policy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import Any

from credwatch_agent.recommend import Attached, Recommendation


def render(attached: Sequence[Attached], found: Recommendation) -> str:
    """Return the diff; empty if nothing changes. A policy that was split is compared with its first part."""
    before = {each.policy.name: each for each in attached}
    parts: list[str] = []
    for each in found.policies:
        if each.change != "same":
            old = before[each.original].document if each.part == 1 else {}
            new = {} if each.change == "remove" else each.document
            parts += documents(old, new, each.original, each.name if each.change != "remove" else "(removed)")
    return "".join(parts)


def documents(old: Mapping[str, Any], new: Mapping[str, Any], old_name: str, new_name: str) -> Iterator[str]:
    """Return the lines of a unified diff of two documents, written alike first."""
    return unified_diff(_lines(old), _lines(new), old_name, new_name)


def _lines(document: Mapping[str, Any]) -> list[str]:
    return [f"{line}\n" for line in json.dumps(document, indent=2, ensure_ascii=False).splitlines()] if document else []
