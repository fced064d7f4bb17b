"""Holds a report against the list that its world must yield: nothing missed, nothing more.

The one place that knows both names of a subject: the report's (ARNs, `family/container`) and the list's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from examples.demo.faults import Finding


@dataclass(frozen=True)
class Verdict:
    """What a report misses of its world's list, and what it says beyond it."""

    missed: tuple[Finding, ...]
    more: tuple[Finding, ...]

    @property
    def exact(self) -> bool:
        """Tell whether the report says what it must, and nothing else."""
        return not self.missed and not self.more


def verdict(must: Iterable[Finding], report: Mapping[str, Any]) -> Verdict:
    """Compare a world's list with `credwatch-agent report --json`; equal means id, subject, cause and `also`."""
    expected, said = Counter(must), Counter(reported(report))
    return Verdict(missed=_sorted(expected - said), more=_sorted(said - expected))


def _sorted(findings: Counter[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings.elements()))


def reported(report: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return the findings of `credwatch-agent report --json` in the words of the list, sorted."""
    return tuple(
        sorted(
            Finding(found["id"], subject(found["kind"], found["subject"]), found["cause"], tuple(found["also"]))
            for found in report["findings"]
        )
    )


def subject(kind: str, name: str) -> str:
    """Return the list's name of a report's subject.

    >>> subject("workload", "orders/orders"), subject("workload", "batch")
    ('service/orders', 'service/batch')
    >>> subject("role", "arn:aws:iam::123456789012:role/host")
    'role/host'
    >>> subject("statement", "arn:aws:iam::123456789012:role/host policy photos Photos")
    'role/host#photos/Photos'
    """
    if kind == "workload":  # a task is named FAMILY/CONTAINER, which are both the service's name here
        return f"service/{name.rpartition('/')[2]}"
    arn, _, statement = name.partition(" policy ")
    role = f"role/{arn.rpartition('/')[2]}"
    if kind == "role":
        return role
    if kind == "statement":
        return f"{role}#{statement.replace(' ', '/')}"
    return f"{kind}/{name}"
