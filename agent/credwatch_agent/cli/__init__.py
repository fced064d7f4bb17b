"""The command line `credwatch-agent`: a command a file, and the one place where errors become exit codes.

To add a command: import its module, add a line below and a page to `manual.PAGES`; its errors get a row in
`failure.EXIT_CODES`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from credwatch_agent import __version__
from credwatch_agent.cli import (
    actions,
    baseline,
    completion,
    config,
    diff,
    explain,
    manual,
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
from credwatch_agent.cli.console import err, never_unwritable, out, say
from credwatch_agent.cli.failure import BROKEN_PIPE, CLEAN, COULD_NOT_KNOW, EXIT_CODES, INTERRUPTED, NO_ROOM, USAGE
from credwatch_agent.exports.layout import visible

# typer's own class for a wrong command line; where it lives differs between the versions of typer
_WrongCommandLine: type[Exception] = typer.BadParameter.__mro__[2]

COMMANDS: dict[str, Callable[..., int]] = {
    "serve": serve.serve,
    "snapshot": snapshot.snapshot,
    "report": report.report,
    "baseline": baseline.baseline,
    "simulate": simulate.simulate,
    "recommend": recommend.recommend,
    "explain": explain.explain,
    "diff": diff.diff,
    "policy-check": policy_check.policy_check,
    "watch": watch.watch,
    "actions": actions.actions,
    "operations": operations.operations,
    "export": transfer.export,
    "import": transfer.import_,
    "token": token.token,
    "completion": completion.completion,
}

app = typer.Typer(
    name=completion.PROGRAM,
    help="Compares the AWS permissions that are granted with those that are used, with evidence.",
    epilog=f"Exit codes: {manual.CODES}. `credwatch-agent COMMAND --help` has examples.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # no boxes: their columns cut names, and a pipe gets the same text as a terminal
)
for _name, _command in COMMANDS.items():
    app.command(_name, epilog=manual.PAGES[_name].epilog())(_command)
app.add_typer(config.app, name="config", epilog=manual.PAGES["config"].epilog())


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
    never_unwritable()
    completion.answering()
    try:
        code = app(args=arguments, prog_name=completion.PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except tuple(EXIT_CODES) as error:
        return _fail(str(error), next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))
    except _WrongCommandLine as error:
        return _fail(_wrong(error), USAGE)
    except (BrokenPipeError, SystemExit) as ended:
        # typer ends the program itself where a reader has gone, with the code of findings
        if not isinstance(ended.__context__ or ended, BrokenPipeError):
            raise
        _write_nowhere()
        return BROKEN_PIPE
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        _write_nowhere()
        return _fail(f"cannot write: {os.strerror(error.errno or 0).lower()}", COULD_NOT_KNOW)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED  # an old typer raises, a newer one returns the code
    if code == INTERRUPTED:
        return _fail("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else CLEAN


def _wrong(error: Any) -> str:
    """Return what is wrong with a command line, and whose help tells more."""
    sentence: str = error.format_message()
    place = getattr(error, "ctx", None)
    asked = place.command_path if place else completion.PROGRAM
    return f"{' '.join(sentence.split()).rstrip('.')}; try `{asked} --help`"


def _fail(sentence: str, code: int) -> int:
    said = f"{completion.PROGRAM}: {sentence}"
    if err.is_terminal:
        say(said, later="  ", console=err)
    else:
        err.print(visible(said), soft_wrap=True)  # an event is one line of a log
    return code


def _write_nowhere() -> None:
    """Keep the interpreter, which flushes at its end, from telling that the reader has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
