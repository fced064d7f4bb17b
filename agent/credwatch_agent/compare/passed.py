"""`iam:PassedToService`: the service that a call passed a role to.

The recorder knows it of operations of which AWS documents it. Owns when that is believed: of AWS's own
partition, since in others some services have other names, and never against what was observed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from credwatch.operations import passing
from credwatch_agent.iam.context import OneOf, Scalar

ACTION, PASSED_TO = passing.ACTION, passing.PASSED_TO


def passed_to(action: str, resources: Sequence[str], facets: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the services to one of which each of the roles was passed; empty where that is not known."""
    if action != ACTION or not all(arn.startswith("arn:aws:") for arn in resources):
        return ()
    return next((tuple(value.split(",")) for name, value in facets if name == PASSED_TO and value), ())


def may_be_none(action: str, resource: str) -> bool:
    """Tell whether a role is meant that the call did not name: the template or task that it named may hold none."""
    return action == ACTION and resource.endswith(":role/*")


def context(services: tuple[str, ...]) -> Mapping[str, Scalar | Sequence[Scalar]]:
    """Return what is known of a request's context keys where a role was passed to one of `services`."""
    if not services:
        return {}
    return {PASSED_TO: services[0] if len(services) == 1 else OneOf(services)}
