"""IAM's limits of size, and splitting what exceeds them.

Limits: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html (white space is not counted).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MANAGED_LIMIT = 6_144
INLINE_LIMIT = 10_240
"""Of all inline policies of a role together."""

Document = Mapping[str, Any]


def size(document: Document) -> int:
    """Return a document's size as IAM counts it: characters without white space."""
    return sum(map(len, json.dumps(document, ensure_ascii=False, separators=(",", ":")).split()))


def split(document: Document, limit: int = MANAGED_LIMIT) -> tuple[Document, ...]:
    """Return documents of at most `limit` that together say the same; a Deny says it wherever it stands."""
    if size(document) <= limit:
        return (document,)
    parts: list[list[Mapping[str, Any]]] = [[]]
    for statement in _pieces(document, limit):
        if parts[-1] and size({**document, "Statement": [*parts[-1], statement]}) > limit:
            parts.append([])
        parts[-1].append(statement)
    return tuple({**document, "Statement": part} for part in parts)


def _pieces(document: Document, limit: int) -> Iterator[Mapping[str, Any]]:
    for statement in document["Statement"]:
        yield from _halved(document, statement, limit)


def _halved(document: Document, statement: Mapping[str, Any], limit: int) -> Iterator[Mapping[str, Any]]:
    """Cut a statement that is too large by itself in two, at the longer of its actions and its resources."""
    several = [each for each in ("Action", "Resource") if isinstance(statement.get(each), list | tuple)]
    several = [each for each in several if len(statement[each]) > 1]
    if size({**document, "Statement": [statement]}) <= limit or not several:
        yield statement
        return
    element = max(several, key=lambda each: sum(map(len, statement[each])))
    values: Sequence[str] = statement[element]
    middle = len(values) // 2
    sid = statement.get("Sid")
    for half, suffix in ((values[:middle], "a"), (values[middle:], "b")):
        named = {"Sid": f"{sid}{suffix}"} if sid else {}
        yield from _halved(document, {**statement, **named, element: list(half)}, limit)
