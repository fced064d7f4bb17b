"""The report for a terminal: who signs with what, what is wrong, what is granted and used, what is not known.

Readable at 80 columns, without colour, and where it is piped into a file. Nothing that matters is
cut: names wrap. Knows rich and nothing of where the report came from.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from credwatch_agent.evidence import Carrier, State
from credwatch_agent.exports.json import moment
from credwatch_agent.exports.layout import laid_out
from credwatch_agent.findings import Finding, Fix, Severity, Subject
from credwatch_agent.findings.life import Status
from credwatch_agent.report import Report, RoleRow, ServiceRow, StatementRow

_COLOURS = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
    Severity.INFO: "dim",
}
_MOST_USED = 6
_INDENT = 8
_WIDE = 100


def render(report: Report, console: Console, *, statements: bool = False) -> None:
    """Print the report to a console; with `statements`, each role with its users and its statements."""
    for part in _parts(report, console.width, statements):
        console.print(part)


def _parts(report: Report, width: int, statements: bool) -> Iterator[RenderableType]:
    yield Text(f"account {report.account_id or '(unknown)'}  region {report.region or '(unknown)'}", style="bold")
    yield Text(f"{report.calls} calls by {len(report.services)} services in the last {_days(report.window_days)}")
    yield Text(f"policies as of {moment(report.snapshot_ns)}")
    if report.window_days < report.default_days:
        yield Text(
            f"The window was shortened from {_days(report.default_days)} to {_days(report.window_days)}: "
            "what it calls unused would not be enough to act on.",
            style="yellow",
        )
    yield from _section("Services: who signs with what")
    yield _services(report, width)
    yield from _notes(report)
    yield from _section(f"Findings: {len(report.open)}, worst first" if report.open else "Findings: none")
    for finding in report.open:
        yield _finding(finding, width)
    yield from _life(report)
    yield from _section("Roles: what is granted, what was used")
    if statements:
        for role in report.roles:
            yield _role(role)
    else:
        yield _roles(report)
    yield from _states_explained(report)
    yield from _silent(report)
    yield from _section("Not known" if report.unknown else "Not known: nothing was missing")
    for sentence in report.unknown:
        yield _item("-", sentence)


def _section(title: str) -> Iterator[RenderableType]:
    yield Text()
    yield Text(title, style="bold underline")


# --- services -------------------------------------------------------------------------------------


def _services(report: Report, width: int) -> Table:
    """A row a service. Where the terminal is narrow, long names break at their hyphens, never within a word."""
    longest = 20 if width < _WIDE else 40
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("service")
    table.add_column("signs with, as role", min_width=20)
    table.add_column("calls", justify="right", no_wrap=True)
    table.add_column("used", justify="right", no_wrap=True)
    table.add_column("worst finding")
    for row in report.services:
        table.add_row(*_service(row, longest))
    return table


def _notes(report: Report) -> Iterator[RenderableType]:
    """Say what the table's marks mean, where it has them."""
    yield _item("used:", "actions seen in use, of those that the role grants")
    if any(not row.exact for row in report.services):
        yield _item(">=:", "at least: a process has not ended, or was killed")
    if any(row.granted is None for row in report.services):
        yield _item("?:", "it signs with no role of this account, so there is no grant to compare with")


def _service(row: ServiceRow, longest: int) -> tuple[RenderableType, ...]:
    family, _, container = row.name.partition("/")
    names = [family if family == container else row.name]
    signs = [*row.sources, *(role.rpartition("/")[2] for role in row.roles)] or ["(no AWS calls)"]
    worst = Text("-")
    if row.worst:
        worst = Text(_broken([row.worst.id], longest), style=_COLOURS[row.worst.severity])
    return (
        _broken(names, longest),
        _broken(signs, longest),
        f"{row.calls}" if row.exact else f">= {row.calls}",
        f"{row.used} of {row.granted}" if row.granted is not None else "?",
        worst,
    )


def _broken(names: list[str], longest: int) -> str:
    return "\n".join(textwrap.fill(name, longest, break_long_words=False) for name in names)


# --- roles ----------------------------------------------------------------------------------------

_EXPLAINED = {
    State.UNOBSERVABLE: "no SDK call needs the action, so no recorder can see its use",
    State.INSUFFICIENT: "not seen, but the evidence is not enough to call it unused: see `Not known`",
}


def _roles(report: Report) -> Table:
    """A row a role that somebody reported with: its actions by state of evidence."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("role")
    for name in ("granted", *(state.value for state in State)):
        table.add_column(name, justify="right", no_wrap=True)
    for role in report.roles:
        counts = dict(role.states)
        cells = [str(counts.get(state) or "-") for state in State]
        table.add_row(role.name, str(sum(counts.values())), *cells)
    return table


def _states_explained(report: Report) -> Iterator[RenderableType]:
    present = {state for role in report.roles for state, count in role.states if count}
    yield from (_item(f"{state.value}:", meaning) for state, meaning in _EXPLAINED.items() if state in present)


def _role(role: RoleRow) -> RenderableType:
    lines: list[RenderableType] = [Text(role.name, style="bold")]
    granted = sum(count for _, count in role.states)
    lines.append(_item(" ", f"grants {granted} actions: {_states(role.states)}"))
    lines += [_item(" ", f"used by {_carrier(carrier)}") for carrier in role.carriers]
    lines += [_statement(statement) for statement in role.statements]
    return Group(*lines, Text())


def _states(states: tuple[tuple[State, int], ...]) -> str:
    return ", ".join(f"{count} {state.value}" for state, count in states if count) or "none"


def _carrier(carrier: Carrier) -> str:
    processes = "1 process" if carrier.processes == 1 else f"{carrier.processes} processes"
    exact = "exact" if carrier.closed else "a lower bound"
    entry = f", entry point {carrier.workload.entry_point}" if carrier.workload.entry_point else ""
    return f"{carrier.workload.where}: {carrier.calls} calls ({exact}) by {processes}{entry}"


def _statement(row: StatementRow) -> RenderableType:
    patterns = ", ".join(row.patterns[:4]) + (f" and {len(row.patterns) - 4} more" if len(row.patterns) > 4 else "")
    head = _item(" ", f"{row.policy} / {row.statement}: {patterns}: {_states(row.states)}")
    used = [f"{action} ({calls})" for action, calls, _ in row.used[:_MOST_USED]]
    if len(row.used) > _MOST_USED:
        used.append(f"and {len(row.used) - _MOST_USED} more")
    return Group(head, _item("   ", f"used: {', '.join(used)}")) if used else head


def _silent(report: Report) -> Iterator[RenderableType]:
    if report.silent_roles:
        names = ", ".join(role.name for role in report.silent_roles)
        yield _item("-", f"no process reported with: {names}")


# --- findings -------------------------------------------------------------------------------------


def _finding(finding: Finding, width: int) -> RenderableType:
    head = Text()
    head.append(f"{finding.severity.value:<8} ", style=_COLOURS[finding.severity])
    head.append(finding.id, style="bold")
    head.append(f"  {_subject(finding)}")
    lines: list[RenderableType] = [head, _item(" ", finding.sentence)]
    lines += [_item("   -", sentence) for sentence in finding.evidence]
    for fix in finding.fixes:
        lines.append(_item("   fix:", fix.sentence))
        if fix.text:
            lines.append(Padding(Text(_text(fix, width - _INDENT)), (0, 0, 0, _INDENT)))
    if finding.also:
        lines.append(_item("   also:", ", ".join(finding.also)))
    lines.append(_item("   see:", "; ".join(finding.references)))
    return Group(*lines, Text())


_MOST_RESOLVED = 10


def _life(report: Report) -> Iterator[RenderableType]:
    """Say what does not count and why, and how it went; nothing of it where nothing is remembered."""
    life = report.life
    for finding in report.standing(Status.EXEMPTED):
        by = life.of(finding).exemption
        if by:
            yield _item("exempted:", f"{finding.id}  {_subject(finding)}: {by.reason} ({by.owner}, until {by.expires})")
    for finding in report.standing(Status.ADOPTED):
        since = moment(life.of(finding).first_ns)[:10]
        yield _item("adopted:", f"{finding.id}  {_subject(finding)} (known since {since})")
    for each in life.resolved[:_MOST_RESOLVED]:
        yield _item("resolved:", f"{each.id}  {each.subject} ({moment(each.resolved_ns)[:10]})")
    yield from (_item("expired:", sentence) for sentence in life.expired)
    yield from (_item("idle:", sentence) for sentence in life.idle)
    if len(life.tallies) > 1:
        yield _item("trend:", ", ".join(f"{moment(t.time_ns)[:10]} {sum(t.open.values())}" for t in life.tallies[-8:]))


def _subject(finding: Finding) -> str:
    """Return the subject as people say it: a role's name in place of its ARN."""
    if finding.kind in (Subject.ROLE, Subject.STATEMENT):
        return re.sub(r"^arn:\S+/", "", finding.subject)
    return finding.subject


def _text(fix: Fix, width: int) -> str:
    if fix.language != "json":
        return fix.text
    try:
        return laid_out(json.loads(fix.text), width)
    except ValueError:  # a part of a document, to be put into another
        return fix.text


def _item(mark: str, sentence: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(mark), Text(sentence))
    return grid


def _days(days: float) -> str:
    if days >= 1:
        return f"{days:g} days"
    seconds = days * 86_400
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.1f} seconds"
