"""The report for a terminal: who signs with what, what is wrong, what is granted and used, what is not known.

Readable at 80 columns, without colour, and where it is piped into a file. Nothing is cut, hidden characters are
written out, and names and commands can be copied: sentences break between words, commands where a shell lets them,
and a table that does not fit becomes a paragraph a row. Knows rich and nothing of where the report came from.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from credwatch_agent.evidence import Carrier, State
from credwatch_agent.exports.json import moment
from credwatch_agent.exports.layout import laid_out, shell_lines, visible
from credwatch_agent.findings import Finding, Fix, Severity, Subject
from credwatch_agent.findings.life import Status
from credwatch_agent.findings.words import count
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
_LEAST = 20
_WIDE = 1_000
_WHOLE = (_WIDE, _WIDE)
_SHORTER = ((_WIDE, 20), (40, 20), (26, 20), (20, 20), (20, 14))
"""Columns that the names and the finding of a table's row may have, tried in this order."""


def render(report: Report, console: Console, *, statements: bool = False) -> None:
    """Print the report to a console; with `statements`, each role with its users and its statements."""
    for part in _parts(report, console, statements):
        if not isinstance(part, Table):
            console.print(part, soft_wrap=True)
            continue
        for line in console.render_lines(part, pad=False):
            console.print(Segments([*_trimmed(line), Segment.line()]), soft_wrap=True, end="")


def _trimmed(line: Sequence[Segment]) -> list[Segment]:
    """Return a line without the blanks that fill it: they would be copied, and kept by what reads a pipe."""
    kept = list(line)
    while kept and not kept[-1].text.strip():
        kept.pop()
    if kept:
        kept[-1] = Segment(kept[-1].text.rstrip(), kept[-1].style)
    return kept


def _parts(report: Report, console: Console, statements: bool) -> Iterator[RenderableType]:
    width = console.width
    yield _shown(f"account {report.account_id or '(unknown)'}  region {report.region or '(unknown)'}", "bold")
    yield Text(
        f"{count(report.calls, 'call')} by {count(len(report.services), 'service')} "
        f"in the last {_days(report.window_days)}"
    )
    yield Text(f"policies as of {moment(report.snapshot_ns)}")
    if report.window_days < report.default_days:
        yield Text(
            _wrapped(
                f"The window was shortened from {_days(report.default_days)} to {_days(report.window_days)}: "
                "what it calls unused would not be enough to act on.",
                width,
            ),
            style="yellow",
        )
    yield from _section("Services: who signs with what")
    yield _services(report, console)
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
        yield _roles(report, console)
    yield from _states_explained(report)
    yield from _silent(report)
    yield from _section("Not known" if report.unknown else "Not known: nothing was missing")
    for sentence in report.unknown:
        yield _Item("-", sentence)


def _section(title: str) -> Iterator[RenderableType]:
    yield Text()
    yield Text(title, style="bold underline")


# --- services -------------------------------------------------------------------------------------


def _services(report: Report, console: Console) -> RenderableType:
    """A row a service. Names break only at their hyphens, and only where there is no room for them whole."""
    for longest in (_WHOLE, *_SHORTER):
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("service", no_wrap=True)
        table.add_column("signs with, as role", no_wrap=True)
        table.add_column("calls", justify="right", no_wrap=True)
        table.add_column("used", justify="right", no_wrap=True)
        table.add_column("worst finding", no_wrap=True)
        for row in report.services:
            table.add_row(*_service(row, longest))
        if _fits(table, console):
            return table
    return Group(*(_narrow(row) for row in report.services))


def _fits(table: Table, console: Console) -> bool:
    """Tell whether nothing of a table would be cut."""
    return Measurement.get(console, console.options.update(max_width=_WIDE), table).maximum <= console.width


def _narrow(row: ServiceRow) -> RenderableType:
    """The same as a paragraph."""
    name, signs, calls, used, _ = _service(row, (_WIDE, _WIDE))
    worst = _shown(row.worst.id, _COLOURS[row.worst.severity]) if row.worst else Text("none")
    return Group(
        _shown(str(name), "bold"),
        _Item("  signs:", ", ".join(str(signs).splitlines())),
        _Item("  calls:", f"{calls}; used: {used}"),
        _Item("  worst:", worst),
    )


def _notes(report: Report) -> Iterator[RenderableType]:
    """Say what the table's marks mean, where it has them."""
    yield _Item("used:", "actions seen in use, of those that the role grants")
    if any(not row.exact for row in report.services):
        yield _Item(">=:", "at least: a process has not ended, or was killed")
    if any(row.granted is None for row in report.services):
        yield _Item("?:", "it signs with no role of this account, so there is no grant to compare with")


def _service(row: ServiceRow, longest: tuple[int, int]) -> tuple[RenderableType, ...]:
    """Return the cells; `longest` has the columns for names and for the finding."""
    family, _, container = row.name.partition("/")
    names = [family if family == container else row.name]
    signs = [*row.sources, *(role.rpartition("/")[2] for role in row.roles)] or ["(no AWS calls)"]
    worst = Text("-")
    if row.worst:
        worst = Text(_broken([row.worst.id], longest[1]), style=_COLOURS[row.worst.severity])
    return (
        _broken(names, longest[0]),
        _broken(signs, longest[0]),
        f"{row.calls}" if row.exact else f">= {row.calls}",
        f"{row.used} of {row.granted}" if row.granted is not None else "?",
        worst,
    )


def _broken(names: list[str], longest: int) -> str:
    return "\n".join(textwrap.fill(visible(name), longest, break_long_words=False) for name in names)


# --- roles ----------------------------------------------------------------------------------------

_EXPLAINED = {
    State.UNOBSERVABLE: "no SDK call needs the action, so no recorder can see its use",
    State.INSUFFICIENT: "not seen, but the evidence is not enough to call it unused: see `Not known`",
}


def _roles(report: Report, console: Console) -> RenderableType:
    """A row a role that somebody reported with: its actions by state of evidence."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("role", no_wrap=True)
    for name in ("granted", *(state.value for state in State)):
        table.add_column(name, justify="right", no_wrap=True)
    for role in report.roles:
        counts = dict(role.states)
        cells = [str(counts.get(state) or "-") for state in State]
        table.add_row(visible(role.name), str(sum(counts.values())), *cells)
    if _fits(table, console):
        return table
    lines: list[RenderableType] = []
    for role in report.roles:
        lines += [_shown(role.name, "bold"), _Item(" ", _granted(role))]
    return Group(*lines)


def _granted(role: RoleRow) -> str:
    return f"grants {count(sum(number for _, number in role.states), 'action')}: {_states(role.states)}"


def _states_explained(report: Report) -> Iterator[RenderableType]:
    present = {state for role in report.roles for state, number in role.states if number}
    yield from (_Item(f"{state.value}:", meaning) for state, meaning in _EXPLAINED.items() if state in present)


def _role(role: RoleRow) -> RenderableType:
    lines: list[RenderableType] = [_shown(role.name, "bold")]
    lines.append(_Item(" ", _granted(role)))
    lines += [_Item(" ", f"used by {_carrier(carrier)}") for carrier in role.carriers]
    lines += [_statement(statement) for statement in role.statements]
    return Group(*lines, Text())


def _states(states: tuple[tuple[State, int], ...]) -> str:
    return ", ".join(f"{number} {state.value}" for state, number in states if number) or "none"


def _carrier(carrier: Carrier) -> str:
    processes = count(carrier.processes, "process")
    exact = "exact" if carrier.closed else "a lower bound"
    entry = f", entry point {carrier.workload.entry_point}" if carrier.workload.entry_point else ""
    return f"{carrier.workload.where}: {count(carrier.calls, 'call')} ({exact}) by {processes}{entry}"


def _statement(row: StatementRow) -> RenderableType:
    patterns = ", ".join(row.patterns[:4]) + (f" and {len(row.patterns) - 4} more" if len(row.patterns) > 4 else "")
    head = _Item(" ", f"{row.policy} / {row.statement}: {patterns}: {_states(row.states)}")
    used = [f"{action} ({calls})" for action, calls, _ in row.used[:_MOST_USED]]
    if len(row.used) > _MOST_USED:
        used.append(f"and {len(row.used) - _MOST_USED} more")
    return Group(head, _Item("   ", f"used: {', '.join(used)}")) if used else head


def _silent(report: Report) -> Iterator[RenderableType]:
    if report.silent_roles:
        names = ", ".join(role.name for role in report.silent_roles)
        yield _Item("-", f"no process reported with: {names}")


# --- findings -------------------------------------------------------------------------------------


def _finding(finding: Finding, width: int) -> RenderableType:
    head = Text()
    head.append(f"{finding.severity.value:<8} ", style=_COLOURS[finding.severity])
    head.append(finding.id, style="bold")
    subject = visible(_subject(finding))
    lines: list[RenderableType] = [head]
    if len(head) + 2 + len(subject) <= width:
        head.append(f"  {subject}")
    else:
        lines.append(_Item(" ", subject))
    lines.append(_Item(" ", finding.sentence))
    lines += [_Item("   -", sentence) for sentence in finding.evidence]
    for fix in finding.fixes:
        lines.append(_Item("   fix:", fix.sentence))
        if fix.text:
            lines.append(_shown(textwrap.indent(_text(fix, width - _INDENT), " " * _INDENT)))
    if finding.also:
        lines.append(_Item("   also:", ", ".join(finding.also)))
    lines.append(_Item("   see:", "; ".join(finding.references)))
    return Group(*lines, Text())


_MOST_RESOLVED = 10


def _life(report: Report) -> Iterator[RenderableType]:
    """Say what does not count and why, and how it went; nothing of it where nothing is remembered."""
    life = report.life
    for finding in report.standing(Status.EXEMPTED):
        by = life.of(finding).exemption
        if by:
            yield _Item("exempted:", f"{finding.id}  {_subject(finding)}: {by.reason} ({by.owner}, until {by.expires})")
    for finding in report.standing(Status.ADOPTED):
        since = moment(life.of(finding).first_ns)[:10]
        yield _Item("adopted:", f"{finding.id}  {_subject(finding)} (known since {since})")
    for each in life.resolved[:_MOST_RESOLVED]:
        yield _Item("resolved:", f"{each.id}  {each.subject} ({moment(each.resolved_ns)[:10]})")
    yield from (_Item("expired:", sentence) for sentence in life.expired)
    yield from (_Item("idle:", sentence) for sentence in life.idle)
    if len(life.tallies) > 1:
        yield _Item("trend:", ", ".join(f"{moment(t.time_ns)[:10]} {sum(t.open.values())}" for t in life.tallies[-8:]))


def _subject(finding: Finding) -> str:
    """Return the subject as people say it: a role's name in place of its ARN."""
    if finding.kind in (Subject.ROLE, Subject.STATEMENT):
        return re.sub(r"^arn:\S+/", "", finding.subject)
    return finding.subject


def _text(fix: Fix, width: int) -> str:
    if fix.language == "shell":
        return "\n".join(shell_lines(fix.text, width))
    if fix.language != "json":
        return fix.text
    try:
        return laid_out(json.loads(fix.text), width)
    except ValueError:  # a part of a document, to be put into another
        return fix.text


class _Item(NamedTuple):
    """A mark and a sentence beside it, which breaks between words; one that is longer than a line stays whole."""

    mark: str
    sentence: str | Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if isinstance(self.sentence, Text):
            yield Text(f"{self.mark} ") + self.sentence
            return
        body = _wrapped(self.sentence, options.max_width - len(self.mark) - 1)
        yield Text(textwrap.indent(body, " " * (len(self.mark) + 1)).replace(" " * len(self.mark), self.mark, 1))


def _shown(text: str, style: str = "") -> Text:
    return Text(visible(text), style)


def _wrapped(sentence: str, width: int) -> str:
    return textwrap.fill(visible(sentence), max(width, _LEAST), break_long_words=False, break_on_hyphens=False)


def _days(days: float) -> str:
    if days >= 1:
        return "1 day" if days == 1 else f"{days:g} days"
    seconds = days * 86_400
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.1f} seconds"
