"""What several tests of the agent's commands start from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from credwatch.semconv import Usage
from credwatch_agent import snapshot as s
from credwatch_agent.records import Batch, UsagePoint
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent import worlds as w


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    """An account with one finding, a role that anyone may assume, as options of a command."""
    trust = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
    role = s.Role(w.role_arn("open"), "open", trust=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    s.save(w.snapshot(role), tmp_path / "account.json")
    usage = Usage("ecs-task-role", principal_arn=role.arn, service="s3", operation="ListBuckets")
    store = SqliteStore.open(tmp_path / "usage.db")
    store.put([Batch({"service.name": "orders"}, (UsagePoint("p", usage, 1, 1, 2 * 10**18),))])
    store.close()
    return ["--db", str(tmp_path / "usage.db"), "--snapshot", str(tmp_path / "account.json")]
