"""What tests called: each kind of call once, with the IAM actions that it needs and the tests that made it.

Account and region of a test world are not those of production, so they are `*` in every ARN. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from credwatch.operations import resolve

VERSION = 1
_VERSION_KEY = "credwatch_record"
MOST_TESTS = 5

Needs = tuple[tuple[str, tuple[str, ...]], ...]
"""Actions with the resources on which a call needs them."""


class BadRecord(ValueError):
    """A file is no record; the text says why."""


@dataclass(frozen=True, slots=True)
class Call:
    """A kind of call. `needs` is empty where IAM checks nothing or (`mapping` is `unknown`) nobody knows."""

    service: str
    operation: str
    needs: Needs
    mapping: str


@dataclass
class Seen:
    """How often one kind was made, and the first tests that made it."""

    count: int = 0
    tests: list[str] = field(default_factory=list)

    def add(self, count: int, tests: Iterable[str]) -> None:
        self.count += count
        self.tests += [test for test in tests if test and test not in self.tests]
        del self.tests[MOST_TESTS:]


@dataclass
class Record:
    """All that was called, for one role if it is named."""

    role: str = ""
    calls: dict[Call, Seen] = field(default_factory=dict)

    def add(self, call: Call, count: int = 1, tests: Iterable[str] = ()) -> None:
        self.calls.setdefault(call, Seen()).add(count, tests)

    def merge(self, other: Record) -> None:
        for call, seen in other.calls.items():
            self.add(call, seen.count, seen.tests)

    def needs(self) -> Iterator[tuple[str, str, Seen]]:
        """Yield each action and resource that some call needs; one without a resource needs it on `*`."""
        for call, seen in self.calls.items():
            for action, resources in call.needs:
                for resource in resources or ("*",):
                    yield action, resource, seen

    @property
    def actions(self) -> frozenset[str]:
        """The actions that were needed, in lower case."""
        return frozenset(action.lower() for action, _, _ in self.needs())


def call_of(service: str, operation: str, params: Mapping[str, object], partition: str) -> Call:
    """Return the kind of a call by its boto3 client, its operation and its parameters."""
    found = resolve(service, operation, params, partition=partition, detail="full")
    needs = tuple((action, tuple(sorted({_anywhere(arn) for arn in arns}))) for action, arns in found.authorizations)
    return Call(service, operation, needs, found.mapping)


def _anywhere(arn: str) -> str:
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return arn
    parts[3:5] = ["*" if part else "" for part in parts[3:5]]
    return ":".join(parts)


def dumps(record: Record) -> str:
    """Return a record as JSON text."""
    calls = [
        {
            "service": call.service,
            "operation": call.operation,
            "needs": {action: list(resources) for action, resources in call.needs},
            "mapping": call.mapping,
            "count": seen.count,
            "tests": seen.tests,
        }
        for call, seen in sorted(
            record.calls.items(), key=lambda each: (each[0].service, each[0].operation, each[0].needs)
        )
    ]
    return json.dumps({_VERSION_KEY: VERSION, "role": record.role, "calls": calls}, indent=1, ensure_ascii=False) + "\n"


def loads(text: str) -> Record:
    """Return the record of a text; raises `BadRecord`."""
    try:
        document = json.loads(text)
        version = document[_VERSION_KEY]
        record = Record(_text(document["role"]))
        for each in document["calls"]:
            record.add(_call(each), int(each["count"]), map(_text, each["tests"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadRecord(f"is no record of `pytest --credwatch-record`: {error!r}") from None
    if version != VERSION:
        raise BadRecord(f"has version {version}, this agent reads {VERSION}: record it again")
    return record


def _call(each: Mapping[str, Any]) -> Call:
    needs = tuple((_text(action), tuple(map(_text, arns))) for action, arns in each["needs"].items())
    return Call(_text(each["service"]), _text(each["operation"]), needs, _text(each["mapping"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
