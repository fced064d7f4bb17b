"""The operation map: from an SDK call to the IAM actions and resources it is checked for.

`resolve` is the one entrance. It knows the names of services, operations and parameters, and
nothing of credentials. Contract in `docs/operations.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Resolution(NamedTuple):
    authorizations: tuple[tuple[str, tuple[str, ...]], ...]
    facets: tuple[tuple[str, str], ...]
    mapping: str
    version: str
    detail: str


def resolve(
    service: str,
    operation: str,
    params: Mapping[str, object],
    *,
    partition: str = "aws",
    region: str = "",
    account: str = "",
    detail: str = "container",
    missing: bool = False,
) -> Resolution:
    return Resolution(((f"{service}:{operation}", ("*",)),), (), "identity", "0", detail)
