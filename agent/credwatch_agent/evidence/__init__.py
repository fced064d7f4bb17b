"""Whether telemetry is enough to say that a grant is used or not, and who says so.

`join` places processes and calls in the snapshot, `coverage` asks who reports for a role and what
stands against "unused", `second` weighs CloudTrail and last-accessed data, `baselines` knows what no
recorder can see, `verdict` decides. Pure: time is an argument. How policies match calls is not known
here: see `compare`.
"""

from credwatch_agent.evidence.coverage import Carrier, Coverage, cover
from credwatch_agent.evidence.join import Joined, Place, Signed, Workload, join
from credwatch_agent.evidence.second import Scales, Weighed
from credwatch_agent.evidence.settings import Settings, begins, settings_of
from credwatch_agent.evidence.verdict import Emits, Gap, Reason, Seen, State, Verdict, judge

__all__ = [
    "Carrier",
    "Coverage",
    "Emits",
    "Gap",
    "Joined",
    "Place",
    "Reason",
    "Scales",
    "Seen",
    "Settings",
    "Signed",
    "State",
    "Verdict",
    "Weighed",
    "Workload",
    "begins",
    "cover",
    "join",
    "judge",
    "settings_of",
]
