"""What is wrong, with evidence and fix: a table of rules over one world.

`find` runs every rule and folds what follows from one cause into one finding. Pure: no clock, no
network, no store.
"""

from __future__ import annotations

from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World

RULES: tuple[Rule, ...] = ()

__all__ = ["RULES", "Finding", "Fix", "Rule", "Severity", "Subject", "World", "find"]


def find(world: World, rules: tuple[Rule, ...] = RULES) -> tuple[Finding, ...]:
    """Return all findings, worst first, then by subject."""
    found = [finding for rule in rules for finding in rule.check(world)]
    return tuple(sorted(found, key=lambda f: (f.severity.rank, f.id, f.subject)))
