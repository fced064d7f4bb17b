"""The findings as Markdown: a comment on a pull request, short first and the details to open.

Text from telemetry and policies is escaped: a name can neither mention people nor add markup.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from credwatch_agent.findings import Finding, Severity
from credwatch_agent.findings.life import Status
from credwatch_agent.report import Report

MARK = "<!-- credwatch-agent report -->"
"""Begins the comment, so that a job finds its former one and replaces it."""

MOST = 60_000
"""Characters: GitHub takes 65,536 in a comment."""


def render(report: Report) -> str:
    """Return the comment. Findings that no longer fit are counted."""
    head = "\n".join(_head(report))
    tail = "\n".join(_tail(report))
    left = MOST - len(head) - len(tail)
    parts: list[str] = []
    for number, one in enumerate(report.open):
        part = "\n".join(_finding(one))
        left -= len(part) + 1
        if left < 0:
            parts.append(f"\n… and {len(report.open) - number} more: see the whole report.\n")
            break
        parts.append(part)
    return "\n".join([head, *parts, tail]) + "\n"


def _head(report: Report) -> Iterator[str]:
    yield MARK
    yield f"### credwatch: {_summary(report)}"
    yield ""
    yield (
        f"{report.calls:,} calls by {len(report.services)} services in {report.window_days:g} days, "
        f"account {_plain(report.account_id) or 'unknown'}."
    )
    yield ""
    if report.open:
        yield "| severity | finding | subject |\n| --- | --- | --- |"
        shown = report.open[:50]
        yield from (f"| {each.severity.value} | `{each.id}` | {_code(each.subject)} |" for each in shown)
        if len(report.open) > len(shown):
            yield f"| | | and {len(report.open) - len(shown)} more |"
        yield ""


def _summary(report: Report) -> str:
    counts = Counter(one.severity for one in report.open)
    return ", ".join(f"{counts[each]} {each.value}" for each in Severity if counts[each]) or "no open finding"


def _finding(one: Finding) -> Iterator[str]:
    yield f"<details><summary>{one.severity.value}: {_plain(one.sentence)}</summary>\n"
    yield from (f"- {_plain(sentence)}" for sentence in one.evidence)
    yield ""
    for fix in one.fixes:
        yield f"**Fix.** {_plain(fix.sentence)}\n"
        if fix.text:
            fence = _fence(fix.text)
            yield f"{fence}{fix.language}\n{fix.text}\n{fence}\n"
    yield f"Fingerprint `{one.fingerprint}`.\n</details>"


def _tail(report: Report) -> Iterator[str]:
    for status in (Status.ADOPTED, Status.EXEMPTED):
        count = len(report.standing(status))
        if count:
            yield f"\n{count} {status.value}."
    yield from (f"\n- expired: {_plain(sentence)}" for sentence in report.life.expired)
    if report.unknown:
        yield f"\n<details><summary>Not known: {len(report.unknown)}</summary>\n"
        yield from (f"- {_plain(sentence)}" for sentence in report.unknown[:50])
        if len(report.unknown) > 50:
            yield f"- and {len(report.unknown) - 50} more"
        yield "</details>"


def _plain(text: str) -> str:
    """Return text that means itself: our code marks stay, everything else is escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # not in pairs: none is ours
        return _escaped(text.replace("`", "'"))
    return "".join(_code(part) if at % 2 else _escaped(part) for at, part in enumerate(parts))


def _escaped(text: str) -> str:
    """Return text in entities, which hold within HTML too; a mention is broken, since GitHub looks for it last."""
    text = re.sub(r"\s+", " ", text)
    return re.sub(r"[&<>\\*_\[\]#|~!`]", lambda found: f"&#{ord(found[0])};", text).replace("@", "@\u200b")


def _code(text: str) -> str:
    """Return inline code, in HTML: within it no character is markup, and no mention is looked for."""
    return f"<code>{_escaped(text).replace(chr(0x200B), '')}</code>" if text else ""


def _fence(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)
