"""An export request opened one layer at a time: what is inside stays bytes until it is looked at.

A whole request as message objects takes up to forty times its size: these layers bound the memory of
a hostile body, and count it before it is built. The bytes of a point's attributes are also what
decoding remembers them by. Field numbers are those of OTLP 1.x, which never change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from credwatch_agent.otlp.wire import Malformed, printable

MAX_ENTRIES = 100_000
"""Resources, scopes, metrics and points (or spans) of one request; a Collector's batch has some 10,000."""

MAX_ITEM = 1024 * 1024
"""Bytes of one point or span; recorders send some thousand."""

_FIELD = descriptor_pb2.FieldDescriptorProto
_BYTES, _STRING, _FIXED64 = _FIELD.TYPE_BYTES, _FIELD.TYPE_STRING, _FIELD.TYPE_FIXED64

# layer -> (field, number, type, repeated); requests of metrics and traces have the same outer layers
_LAYERS: dict[str, tuple[tuple[str, int, _FIELD.Type.ValueType, bool], ...]] = {
    "Request": (("entries", 1, _BYTES, True),),
    "Entry": (("resource", 1, _BYTES, False), ("scopes", 2, _BYTES, True)),
    "Scope": (("items", 2, _BYTES, True),),
    "Metric": (
        ("name", 1, _STRING, False),
        ("gauge", 5, _BYTES, False),
        ("sum", 7, _BYTES, False),
        ("histogram", 9, _BYTES, False),
        ("exponential_histogram", 10, _BYTES, False),
        ("summary", 11, _BYTES, False),
    ),
    "Data": (
        ("points", 1, _BYTES, True),
        ("temporality", 2, _FIELD.TYPE_INT32, False),
        ("monotonic", 3, _FIELD.TYPE_BOOL, False),
    ),
    "Point": (
        ("start_ns", 2, _FIXED64, False),
        ("time_ns", 3, _FIXED64, False),
        ("as_double", 4, _FIELD.TYPE_DOUBLE, False),
        ("as_int", 6, _FIELD.TYPE_SFIXED64, False),
        ("attributes", 7, _BYTES, True),
        ("flags", 8, _FIELD.TYPE_UINT32, False),
    ),
}
KINDS = tuple(name for name, *_ in _LAYERS["Metric"][1:])


def _classes() -> dict[str, Any]:
    package = "credwatch_agent.otlp"
    file = descriptor_pb2.FileDescriptorProto(name="credwatch_agent/otlp/layers.proto", package=package)
    for layer, fields in _LAYERS.items():
        message = file.message_type.add(name=layer)
        for name, number, kind, repeated in fields:
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            message.field.add(name=name, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        layer: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{layer}")) for layer in _LAYERS
    }


_CLASSES = _classes()


def opened(layer: str, content: bytes) -> Any:
    """Return one layer of a request; raises `Malformed` where the bytes are none."""
    return filled(_CLASSES[layer](), content)


def filled(message: Any, content: bytes) -> Any:
    """Return `message`, filled from bytes; raises `Malformed` where they are none."""
    try:
        message.ParseFromString(content)
    except DecodeError as error:
        raise Malformed(f"the body is no OTLP request in protobuf: {printable(str(error)[:200])}") from None
    return message


class Budget:
    """Counts the entries of one request; raises `Malformed` as soon as they pass the limit."""

    def __init__(self) -> None:
        self._left = MAX_ENTRIES

    def take(self, entries: Sequence[bytes]) -> Sequence[bytes]:
        self._left -= len(entries)
        if self._left < 0:
            raise Malformed(f"the body has more than {MAX_ENTRIES} entries; send smaller batches")
        return entries


class Entry(NamedTuple):
    """One resource of a request, and its metrics or spans as bytes."""

    resource: bytes
    items: list[bytes]


def entries(body: bytes, budget: Budget) -> Iterator[Entry]:
    """Yield the resources of a request; raises `Malformed`."""
    for content in budget.take(opened("Request", body).entries):
        entry = opened("Entry", content)
        scopes = (opened("Scope", scope).items for scope in budget.take(entry.scopes))
        yield Entry(entry.resource, [item for items in scopes for item in budget.take(items)])
