"""What is granted against what was used: which statement of a role's policies allowed each call.

Pure. `attribute` lays every observed use at the statements that allow it, `grants` asks `evidence` for the
state of each granted action, `role` joins both. Says nothing of what is wrong: see `findings`.
"""

from credwatch_agent.compare.grants import granted
from credwatch_agent.compare.model import Grant, RoleView, StatementView, Use, uses_of
from credwatch_agent.compare.role import compare

__all__ = ["Grant", "RoleView", "StatementView", "Use", "compare", "granted", "uses_of"]
