"""Records to canonical texts and back: what stores write into their columns.

Equal records give equal texts, since the texts are identities; the inverse is exact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

from credwatch.semconv import Usage, decode, encode
from credwatch_agent.records import KeySighting, Span


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def from_mapping(mapping: Mapping[str, str]) -> str:
    return _canonical(dict(mapping))


def member(name: str, value: str) -> str:
    """Return what the text of a mapping holds if, and only if, the mapping has this entry.

    Within a value a quotation mark has a backslash before it, so that no other entry looks alike.
    """
    return _canonical({name: value})[1:-1]


def to_mapping(text: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(text)
    return found


@lru_cache(maxsize=4_096)  # ingest writes the same usages again and again
def from_usage(usage: Usage) -> str:
    return _canonical(encode(usage))


@lru_cache(maxsize=4_096)  # and many processes did the same: their rows share it
def to_usage(text: str) -> Usage:
    return decode(json.loads(text))


def from_key(key: KeySighting) -> str:
    """Return the identity of a key's sightings in one process: all but its counts and times."""
    return _canonical(
        [key.pseudonym, key.source, key.provider, key.credential_type, key.laundered, key.principal, key.account_id]
    )


def to_key(process_id: str, text: str, value: int, first_ns: int, last_ns: int) -> KeySighting:
    pseudonym, source, provider, credential_type, laundered, principal, account_id = json.loads(text)
    return KeySighting(
        process_id,
        pseudonym,
        source,
        provider,
        credential_type,
        laundered,
        principal,
        account_id,
        value,
        first_ns,
        last_ns,
    )


def from_span(span: Span) -> str:
    return _canonical(
        [
            span.trace_id,
            span.span_id,
            span.parent_span_id,
            span.name,
            span.start_ns,
            span.end_ns,
            dict(span.attributes),
            dict(span.resource),
        ]
    )


def to_span(text: str) -> Span:
    trace_id, span_id, parent, name, start_ns, end_ns, attributes, resource = json.loads(text)
    restored = {name: tuple(value) if isinstance(value, list) else value for name, value in attributes.items()}
    return Span(trace_id, span_id, parent, name, start_ns, end_ns, restored, resource)
