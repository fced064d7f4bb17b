"""`credwatch-agent report`: what is granted, what is used, what is wrong, and what is not known."""

from __future__ import annotations

import io
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from credwatch_agent import __version__
from credwatch_agent.cli.compared import Asked, compared, read_exemptions, tested_by
from credwatch_agent.cli.console import data, out
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS, UsageError
from credwatch_agent.cli.progress import Quiet
from credwatch_agent.cli.second import Documents, Trails
from credwatch_agent.cli.stored import Db, Taken, one_of
from credwatch_agent.evidence import Settings
from credwatch_agent.evidence.settings import DEFAULT_WINDOW_DAYS
from credwatch_agent.exports import asff, csv, html, markdown, prometheus, sarif, table
from credwatch_agent.exports import json as as_json
from credwatch_agent.report import Report
from credwatch_agent.snapshot import Snapshot


class Format(str, Enum):
    TABLE = "table"
    JSON = "json"
    SARIF = "sarif"
    ASFF = "asff"
    MARKDOWN = "markdown"
    HTML = "html"
    CSV = "csv"
    PROMETHEUS = "prometheus"


Window = Annotated[
    float,
    typer.Option(metavar="DAYS", min=1e-6, help="Days in which an action must not have been seen to be called unused."),
]
Records = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="What tests call, as the pytest plugin records it: never called unused."),
]


def report(  # noqa: PLR0913, PLR0917 - an option each
    db: Db,
    snapshot: Taken,
    window: Window = DEFAULT_WINDOW_DAYS,
    earlier: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Snapshot of an earlier day: what was in use and is no longer granted is named."
        ),
    ] = None,
    cloudtrail: Trails = None,
    last_accessed: Documents = None,
    statements: Annotated[
        bool, typer.Option("--statements", help="Show each role with its users and its statements.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
    form: Annotated[Format, typer.Option("--format", metavar="FORMAT", help=one_of(Format))] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to a file, replaced as a whole.")
    ] = None,
    policies: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="SARIF: policy documents of this repository, files or folders; repeatable."),
    ] = None,
    exemptions: Annotated[Path | None, typer.Option(metavar="FILE", help="TOML file of exempted findings.")] = None,
    record: Records = None,
    remember: Annotated[
        bool, typer.Option("--remember", help="Keep this report in the history: first and last seen, resolved, trend.")
    ] = False,
    quiet: Quiet = False,
) -> int:
    """Compare what is granted with what was used."""
    settings = Settings(window_days=window, tested=tested_by(record or ()))
    asked = Asked(
        db, snapshot, settings, read_exemptions(exemptions), earlier, cloudtrail or (), last_accessed or (), quiet
    )
    made, attached = compared(asked, remember=remember)
    form = Format.JSON if json else form
    if form is Format.TABLE and output is None:
        table.render(made, out, statements=statements)
    else:
        text = _text(form, made, attached, policies or (), statements)
        _print(text) if output is None else write(output, text)
    return exit_code(made)


def _text(form: Format, made: Report, attached: Snapshot, policies: Sequence[Path], statements: bool) -> str:
    renderers = {
        Format.TABLE: lambda: _table(made, statements),
        Format.JSON: lambda: as_json.render(made),
        Format.SARIF: lambda: sarif.render(made, attached, policy_files(policies), __version__),
        Format.ASFF: lambda: asff.render(made),
        Format.MARKDOWN: lambda: markdown.render(made),
        Format.HTML: lambda: html.render(made, __version__),
        Format.CSV: lambda: csv.render(made),
        Format.PROMETHEUS: lambda: prometheus.render(made),
    }
    return renderers[form]()


def _table(made: Report, statements: bool) -> str:
    text = io.StringIO()
    table.render(made, Console(file=text, width=120, highlight=False, markup=False, emoji=False), statements=statements)
    return text.getvalue()


def _print(text: str) -> None:
    data(text.rstrip("\n"))


def write(path: Path, text: str) -> None:
    """Write a file as a whole: a reader sees the old one or the new one. Raises `UsageError`."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        temporary.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8", newline="")
        temporary.replace(path)
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise UsageError(f"`{path}` cannot be written: {what}; give a path that you may write") from None


def policy_files(paths: Sequence[Path]) -> dict[str, str]:
    """Return the text of each policy file by its path as given; of a folder all `*.json`. Raises `UsageError`."""
    found: dict[str, str] = {}
    for path in paths:
        if not path.exists():
            raise UsageError(f"`--policies {path}` does not exist: give a JSON file or a folder of them")
        files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        found |= {file.as_posix(): _read(file) for file in files}
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"`{file}` cannot be read as text: {error}") from None


def exit_code(made: Report) -> int:
    """Return the exit code: an open finding or an expired exemption comes before what could not be known."""
    if made.open or made.life.expired:
        return FINDINGS
    return COULD_NOT_KNOW if made.incomplete or not made.services else CLEAN
