"""A report with everything in it for tests of exports, under names that try to break out of every format."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

from credwatch_agent import snapshot as s
from credwatch_agent.evidence import Settings
from credwatch_agent.findings.exemptions import Exemption
from credwatch_agent.findings.life import History, adopt, advance
from credwatch_agent.records import Telemetry
from credwatch_agent.report import Report, build, lived
from tests.agent import worlds as w

HOSTILE = 'x"<b>&|`*_\\@all</details>\n=cmd'
SHOP = w.role_arn("shop")
DAY = w.DAY


def world() -> tuple[s.Snapshot, Telemetry]:
    """Two services that share a role with unused and wide grants, one with a hostile name, a role for anyone."""
    storage = w.policy(
        "storage",
        w.allow("Objects", ["s3:GetObject", "s3:PutObject"], "arn:aws:s3:::*"),
        w.allow("Everything", "sqs:*"),
    )
    anyone = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
    snap = w.snapshot(
        w.role("shop", policies=(storage,)),
        s.Role(w.role_arn("open"), "open", trust=json.dumps(anyone)),
        w.role("host", w.allow("Pull", "ecr:GetAuthorizationToken"), trusts=w.HOST_TRUST),
        **w.ecs("orders", SHOP),
    )
    processes = (w.task_process("p", "orders"), w.host_process("q", HOSTILE))
    usage = (
        w.call("p", "ecs-task-role", SHOP, "s3:GetObject", resource="arn:aws:s3:::orders/*"),
        w.call("q", "assumed-role", SHOP, "sqs:SendMessage", resource=f"arn:aws:sqs:eu-west-1:{w.ACCOUNT}:jobs"),
        w.call("q", "explicit", "arn:aws:iam::123456789012:user/ci", "s3:PutObject", credential_type="long-lived"),
    )
    return snap, Telemetry({each.process_id: each for each in processes}, usage, ())


def made() -> tuple[Report, s.Snapshot]:
    """The report of that world: one finding exempted, one adopted, one resolved, the others open, and a trend."""
    snap, telemetry = world()
    bare = build(telemetry, snap, w.NOW, Settings(), lambda _action: True)
    gone = replace(bare.findings[0], subject=HOSTILE, sentence=f"`{HOSTILE}` was wrong")
    history = advance(History(), [*bare.findings, gone], w.NOW - DAY, complete=True)
    history = lived(replace(bare, now_ns=w.NOW - DAY), snap, adopt(history, bare.findings[1:2]), ())[1]
    exempted = bare.findings[2]
    exemption = Exemption("", "", exempted.fingerprint, "me", HOSTILE, date(2999, 1, 1), "exemption 1")
    return lived(bare, snap, history, (exemption,))[0], snap
