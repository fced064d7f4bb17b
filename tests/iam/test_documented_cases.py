"""Cases from AWS's documentation: each row names the page and the sentence that it rests on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from credwatch_agent.iam.document import parse
from credwatch_agent.iam.evaluate import Decision, Request, evaluate

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases" / "aws.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_the_guide_is_followed(case: dict[str, Any]) -> None:
    request = case["request"]
    session, boundary, resource = (case.get(key) for key in ("sessionPolicy", "boundary", "resourcePolicy"))
    result = evaluate(
        Request(
            action=request["action"],
            resource=request["resource"],
            principal=request.get("principal", ""),
            resource_account=request.get("resourceAccount", ""),
            context=case.get("context", {}),
        ),
        identity=[parse(f"identity{at}", each) for at, each in enumerate(case["identityPolicies"])],
        boundary=parse("boundary", boundary) if boundary else None,
        session=[parse("session", session)] if session else (),
        scps=[[parse("scp", each) for each in level] for level in case["scps"]] if "scps" in case else None,
        resource_policy=parse("resource", resource) if resource else None,
    )
    assert result.decision is Decision(case["expect"]), (case["source"], case["quote"], result)


def test_each_case_has_its_source_and_sentence() -> None:
    assert all(case["source"].startswith("https://docs.aws.amazon.com/") and case["quote"] for case in CASES)
    assert len({case["id"] for case in CASES}) == len(CASES)
