"""A smaller policy that keeps its word: each policy of a role, narrowed statement by statement to what was seen.

`model` holds the records, `narrow` one statement, `role` a role's policies and the claim, `size` IAM's limits.
Pure: no clock, no file. Whether an action that was not seen may go is the caller's to say.
"""

from credwatch_agent.recommend.keep import Lost, lost
from credwatch_agent.recommend.model import (
    WHAT_TO_DO,
    Attached,
    Call,
    Claim,
    Note,
    Recommendation,
    Recommended,
    Settings,
)
from credwatch_agent.recommend.role import recommend

__all__ = [
    "WHAT_TO_DO",
    "Attached",
    "Call",
    "Claim",
    "Lost",
    "Note",
    "Recommendation",
    "Recommended",
    "Settings",
    "lost",
    "recommend",
]
