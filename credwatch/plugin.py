"""The third way of activation: botocore's plugin variable, where neither of the other two can be set.

    BOTOCORE_EXPERIMENTAL__PLUGINS=credwatch=credwatch.plugin

A fallback only: the mechanism is private to botocore, a plugin is loaded when the first client is made
(credentials are resolved by then, so an ECS task's role stays without its ARN until they are refreshed),
and botocore keeps a plugin's errors to itself.
"""

from __future__ import annotations

from typing import Any

from credwatch import instrumentor


def initialize_client_plugin(client: Any) -> None:
    """Switch credwatch on, and follow this client, whose session is older than we are."""
    instrumentor.instrument()
    active = instrumentor.active()
    if active is not None:
        active.guard.wrap(active.hook)(client.meta.events)
