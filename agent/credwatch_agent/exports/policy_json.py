"""A recommendation as JSON: the policies whole, the claim, and why what stays stays."""

from __future__ import annotations

import json
from typing import Any

from credwatch_agent.recommend import Recommendation

SCHEMA = 1
NS_PER_DAY = 86_400 * 10**9


def render(found: Recommendation) -> str:
    """Return one JSON document."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "role": found.role,
        "skipped": found.skipped,
        "claim": {
            "text": found.claim.text,
            "proved": found.claim.holds,
            "why_not": found.claim.why_not,
            "calls": found.claim.calls,
            "calls_not_proved": found.claim.broken,
            "days": round(found.claim.observed_ns / NS_PER_DAY, 3),
            "statements_missed": found.claim.missed,
        },
        "policies": [
            {
                "name": each.name,
                "original": each.original,
                "arn": each.arn,
                "change": each.change,
                "document": each.document,
            }
            for each in found.policies
        ],
        "notes": [
            {"policy": each.policy, "statement": each.statement, "sid": each.sid, "text": each.text}
            for each in found.notes
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
