"""Granted against used: each use lies at the statement that allowed it, and a doubt stays a doubt."""

from __future__ import annotations

import json

from credwatch.semconv import Usage
from credwatch_agent import snapshot as s
from credwatch_agent.compare import compare
from credwatch_agent.evidence import Settings, join
from credwatch_agent.records import Process, Telemetry, UsageRow

ROLE = "arn:aws:iam::123456789012:role/orders"


def test_a_broken_policy_is_a_problem_and_the_others_are_still_compared() -> None:
    actions = ["s3:GetObject", "s3:PutObject", "iam:PassRole"]
    statement = {"Sid": "S", "Effect": "Allow", "Action": actions, "Resource": "*"}
    good = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role = s.Role(ROLE, "orders", policies=(s.Policy("good", good), s.Policy("bad", "{")))
    index = s.Index(s.Snapshot(0, "live", roles=(role,)))
    usage = Usage(
        "ecs-task-role",
        principal_arn=ROLE,
        service="s3",
        operation="GetObject",
        authorizations=(("s3:GetObject", ("arn:aws:s3:::b/*",)),),
        mapping="table",
    )
    telemetry = Telemetry({"p": Process("p", {}, 0, 10**9)}, (UsageRow("p", usage, 3, 0, 10**9),), ())
    (view,) = compare(index, join(telemetry, index, 0), 10**9, Settings(), lambda _action: True)
    states = {g.action: (g.verdict.state.value, g.calls) for v in view.statements for g in v.grants}
    assert states == {
        "s3:GetObject": ("used", 3),
        "s3:PutObject": ("insufficient", 0),
        "iam:PassRole": ("unobservable", 0),
    }
    assert ["`bad`" in problem for problem in view.problems] == [True]
