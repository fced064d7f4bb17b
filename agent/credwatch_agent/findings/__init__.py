"""What is wrong, with evidence and fix: a table of rules over one world.

`find` runs every rule and folds what follows from one cause into one finding. Pure: no clock, no
network, no store.
"""

from __future__ import annotations

from dataclasses import replace

from credwatch_agent.findings import (
    conditions,
    copies,
    denials,
    escalation,
    keys,
    layers,
    metadata,
    movement,
    sharing,
    trust,
    unused,
    wildcards,
)
from credwatch_agent.findings.grouping import fold
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World

RULES: tuple[Rule, ...] = (
    *escalation.RULES,
    *trust.RULES,
    *keys.RULES,
    *copies.RULES,
    *layers.RULES,
    *metadata.RULES,
    *wildcards.RULES,
    *movement.RULES,
    *sharing.RULES,
    *denials.RULES,
    *unused.RULES,
    *conditions.RULES,
)

__all__ = ["RULES", "Finding", "Fix", "Rule", "Severity", "Subject", "World", "find"]


def find(world: World, rules: tuple[Rule, ...] = RULES) -> tuple[Finding, ...]:
    """Return all findings, worst first, then in the order of the table and by subject."""
    found = [
        replace(finding, references=finding.references or rule.references)
        for rule in rules
        for finding in rule.check(world)
    ]
    position = {rule.id: number for number, rule in enumerate(rules)}
    return tuple(
        sorted(fold(found, rules), key=lambda f: (f.severity.rank, position[f.id], f.subject, f.cause, f.detail))
    )
