"""The command line `credwatch-agent`: a command a file, and the one place where errors become exit codes.

To add a command: import its module, add a line below; its errors get a row in `failure.EXIT_CODES`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from credwatch_agent import __version__
from credwatch_agent.cli import (
    actions,
    baseline,
    config,
    diff,
    explain,
    operations,
    policy_check,
    recommend,
    report,
    serve,
    simulate,
    snapshot,
    token,
    transfer,
    watch,
)
from credwatch_agent.cli.console import err, out
from credwatch_agent.cli.failure import CLEAN, EXIT_CODES, USAGE

# typer's own class for a wrong command line; where it lives differs between the versions of typer
_WrongCommandLine: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="credwatch-agent",
    help="Compares the AWS permissions that are granted with those that are used, with evidence.",
    epilog="Exit codes: 0 clean, 1 findings, 2 usage, 3 could not know.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("snapshot")(snapshot.snapshot)
app.command("report")(report.report)
app.command("baseline")(baseline.baseline)
app.command("simulate")(simulate.simulate)
app.command("recommend")(recommend.recommend)
app.command("explain")(explain.explain)
app.command("diff")(diff.diff)
app.command("policy-check")(policy_check.policy_check)
app.command("watch")(watch.watch)
app.command("actions")(actions.actions)
app.command("operations")(operations.operations)
app.command("export")(transfer.export)
app.command("import")(transfer.import_)
app.command("token")(token.token)
app.add_typer(config.app, name="config")


def _version(asked: bool) -> None:
    if asked:
        out.print(f"credwatch-agent {__version__}")
        raise typer.Exit(CLEAN)


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: what it returns, or the code of its error."""
    try:
        code = app(args=arguments, prog_name="credwatch-agent", standalone_mode=False)
    except tuple(EXIT_CODES) as error:
        return _fail(str(error), next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))
    except _WrongCommandLine as error:
        sentence: str = error.format_message()  # type: ignore[attr-defined]
        return _fail(f"{sentence.rstrip('.')}; try `credwatch-agent --help`", USAGE)
    return code if isinstance(code, int) else CLEAN


def _fail(sentence: str, code: int) -> int:
    err.print(f"credwatch-agent: {sentence}", soft_wrap=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
