"""The policy engine: IAM's rules as pure functions; no network, disk, clock, and nothing of the agent."""
