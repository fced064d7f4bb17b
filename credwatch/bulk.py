"""Puts many attributes on another's recording span at the price of one.

`set_attributes` checks and copies each value anew, at each call; ours were checked when their usage was first met. So
they go into the SDK's own store at once, under its own locks, where such a store is seen to keep them as if they had
come through its front door (one of our own is tried first). Anywhere else the public method is used: a span of another
make, a subclass, a method that someone patched, limits on the length of values, a store that is nearly full. Knows the
SDK's spans, and no attribute by name. See docs/decisions/0006.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SDK = "opentelemetry.sdk.trace"
_SAMPLE: Mapping[str, Any] = {"text": "a", "number": 1, "flag": True, "texts": ("a", "b")}
_MOST_TYPES = 16

# type of a span -> its `set_attributes` as it was tried, None where it did not do
_tried: dict[type, object] = {}


def put(span: Any, attributes: Mapping[str, Any]) -> None:
    """Set attributes on a span that records: texts, numbers, flags, tuples of texts (the SDK keeps these as they are).

    The result is that of `span.set_attributes(attributes)`.
    """
    kind = type(span)
    if kind not in _tried:
        _try(span, kind)
    if _tried.get(kind) is kind.set_attributes:
        store = span._attributes
        with span._lock:
            if span._end_time is None and store.max_value_len is None and not store._immutable:
                with store._lock:
                    kept = store._dict
                    if store.maxlen is None or len(kept) + len(attributes) <= store.maxlen:
                        for name in kept.keys() & attributes.keys():
                            del kept[name]  # a name that is set again is the newest, as the SDK has it
                        kept.update(attributes)
                        return
    span.set_attributes(attributes)


def _try(span: Any, kind: type) -> None:
    if len(_tried) >= _MOST_TYPES:  # types made at run time
        _tried.clear()
    method = getattr(kind, "set_attributes", None)
    own = getattr(method, "__module__", "") == _SDK and kind.__module__ == _SDK
    _tried[kind] = method if own and _keeps(span) else None


def _keeps(span: Any) -> bool:
    """Return whether a store like this span's keeps what is put into it from below as what is set from above."""
    try:
        make = type(span._attributes)
        above, below = (make(maxlen=len(_SAMPLE), immutable=False) for _ in range(2))
        for name, value in _SAMPLE.items():
            above[name] = value
        with span._lock, below._lock:
            below._dict.update(_SAMPLE)
        expected = {"_dict", "_lock", "maxlen", "max_value_len", "_immutable", "dropped"}
        return (
            vars(above).keys() <= expected | {"_extended_attributes"}
            and span._end_time is None
            and dict(above) == dict(below) == _SAMPLE
            and above._dict == below._dict
        )
    except Exception:  # noqa: BLE001 - an SDK that we do not know: its front door is open
        return False
