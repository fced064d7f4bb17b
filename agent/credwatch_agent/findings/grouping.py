"""One cause, one finding: what follows from a cause is folded into the finding that names it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from credwatch_agent.findings.model import Finding, Rule


def fold(found: Iterable[Finding], rules: Iterable[Rule]) -> tuple[Finding, ...]:
    """Return the findings that stand for themselves, each with the ids of those that it absorbed.

    What an absorbed finding had absorbed goes with it.
    """
    every = tuple(found)
    absorbs = {rule.id: rule.absorbs for rule in rules}
    at = _by_subject(every)
    swallowed: dict[int, set[int]] = {}
    for position, finding in enumerate(every):
        subjects = (finding.subject, *finding.related)
        swallowed[position] = {
            other
            for subject in subjects
            for other in at[subject]
            if other != position
            and every[other].id in absorbs.get(finding.id, ())
            and (not finding.detail or not every[other].detail or finding.detail == every[other].detail)
        }
    gone = set().union(*swallowed.values()) if swallowed else set()
    return tuple(
        _with(finding, [every[i] for i in _reach(position, swallowed)])
        for position, finding in enumerate(every)
        if position not in gone
    )


def _with(finding: Finding, absorbed: Sequence[Finding]) -> Finding:
    worst = min((finding, *absorbed), key=lambda each: each.severity.rank).severity
    return replace(finding, also=tuple(sorted({each.id for each in absorbed} - {finding.id})), severity=worst)


def _by_subject(every: Iterable[Finding]) -> Mapping[str, list[int]]:
    at: defaultdict[str, list[int]] = defaultdict(list)
    for position, finding in enumerate(every):
        at[finding.subject].append(position)
    return at


def _reach(start: int, edges: Mapping[int, set[int]]) -> set[int]:
    found: set[int] = set()
    queue = list(edges[start])
    while queue:
        each = queue.pop()
        if each not in found:
            found.add(each)
            queue.extend(edges[each])
    return found
