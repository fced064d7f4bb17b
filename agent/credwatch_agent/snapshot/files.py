"""A snapshot from files: the output of `aws iam get-account-authorization-details`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from credwatch_agent.snapshot import iam
from credwatch_agent.snapshot.codec import SnapshotError
from credwatch_agent.snapshot.model import INSTANCE_PROFILES, LAYERS, ROLES, Missing, Snapshot


def read_files(paths: Sequence[Path], taken_ns: int) -> Snapshot:
    """Return the snapshot of one or more pages that the AWS CLI wrote. Raises `SnapshotError`.

    The files say nothing of ECS, EC2 or access keys: those layers are missing.
    """
    pages = [_page(path) for path in paths]
    try:
        found = iam.parse(pages)
    except (KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(
            f"{', '.join(map(str, paths))}: not as `aws iam get-account-authorization-details` writes it ({error!r})"
        ) from None
    unread = [layer for layer in LAYERS if layer not in (ROLES, INSTANCE_PROFILES)]
    return Snapshot(
        taken_ns=taken_ns,
        origin="files",
        account_id=next((role.arn.split(":")[4] for role in found.roles), ""),
        roles=found.roles,
        instance_profiles=found.instance_profiles,
        missing=tuple(Missing(layer, f"the file has no {layer}: they are unknown") for layer in unread),
    )


def _page(path: Path) -> iam.Json:
    try:
        page = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SnapshotError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"{path} is not JSON: {error}") from None
    if not isinstance(page, dict) or "RoleDetailList" not in page:
        raise SnapshotError(
            f"{path} has no `RoleDetailList`: write it with `aws iam get-account-authorization-details > {path.name}`"
        )
    return page
