"""What tests of printed text share: text without its wrapping, and a folder with the files of the help's examples."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from credwatch.semconv import Usage
from credwatch_agent import snapshot as s
from credwatch_agent.records import Batch, UsagePoint
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent import scenario
from tests.agent import worlds as w

LONG = "a-path-that-somebody-made-for-their-department/and-another-one-within-it"
ROLE = f"arn:aws:iam::{w.ACCOUNT}:role/{LONG}/orders"
BUCKET = "arn:aws:s3:::example-with-a-name-that-is-as-long-as-the-name-of-a-bucket-may-be/*"
GET = {"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "*"}
PUT = {"Sid": "Write", "Effect": "Allow", "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": BUCKET}


def unwrapped(text: str) -> str:
    """Return a text without its line breaks and indents, wherever the width of the terminal put them."""
    return " ".join(text.split())


def _usage(action: str, **more: Any) -> Usage:
    return Usage(
        "ecs-task-role",
        principal_arn=ROLE,
        service="s3",
        operation=action.partition(":")[2],
        authorizations=((action, (BUCKET,)),),
        mapping="table",
        detail="container",
        **more,
    )


def prepare(folder: Path) -> None:
    """Write the files that the examples name: a role that is too wide, and what it was used for."""
    now = time.time_ns()
    role = s.Role(ROLE, "orders", path=f"/{LONG}/", trust=w.trust(w.TASK_TRUST), policies=(w.policy("store", GET),))
    after = s.Snapshot(now, "live", account_id=w.ACCOUNT, region="eu-west-1", roles=(role,), **w.ecs("orders", ROLE))
    s.save(after, folder / "account.json")
    wider = replace(role, policies=(w.policy("store", GET, PUT),))
    s.save(replace(after, taken_ns=now - w.DAY, roles=(wider,)), folder / "before.json")
    points = (
        UsagePoint("p", _usage("s3:GetObject"), 7, now - 100 * w.DAY, now),
        UsagePoint("p", _usage("s3:PutObject", outcome="denied"), 3, now - 100 * w.DAY, now),
    )
    resource = {**w.task_process("p", "orders").resource, "deployment.environment": "größer"}
    with closing(SqliteStore.open(folder / "telemetry.db")) as store:
        store.put([Batch(resource, usage=points)])
    seen = {"role": "orders", "session": "s", "call": "s3:GetObject", "with": {"bucketName": "b", "key": "k"}}
    put = {**scenario.event(seen, 0), "eventTime": datetime.now(timezone.utc).isoformat()}
    (folder / "trail").mkdir()
    (folder / "trail" / "log.json").write_bytes(scenario.log(put))
    request = {"action": "s3:GetObject", "resource": "arn:aws:s3:::b/k"}
    texts = {
        "old.json": w.document(GET, PUT),
        "new.json": w.document(GET),
        "requests.jsonl": json.dumps({"request": request, "identityPolicies": [json.loads(w.document(GET))]}),
        "calls.jsonl": json.dumps({"service": "s3", "operation": "PutObject", "params": {"Bucket": "b", "Key": "k"}}),
        "details.json": json.dumps({"RoleDetailList": [], "Policies": []}),
        "agent.toml": f'db = "{folder}/telemetry.db"\n',
    }
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
