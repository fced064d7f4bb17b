"""The page of the command lines: what both parsers know, and the examples of their help, which tests run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import typer

from credwatch import cli as recorder
from credwatch_agent import cli as agent
from credwatch_agent.cli.manual import CODES, PAGES

Table = Callable[[Sequence[str], Iterable[Sequence[str]]], str]

_HEAD = f"""\
Each command has `--help`, with the same words and examples. Exit codes: {CODES}.

On a terminal sentences break between words at its width, 80 columns where there is none; a name, an ARN or a path is
never cut, and a shell command breaks where it can still be copied. What is piped is the same text. Colours repeat what
words say, and are left out in a pipe, with `NO_COLOR` and with `TERM=dumb`; a stream that cannot write a character
writes its number. `--json` holds all that the text says.

What takes long shows one line on stderr, where that is a terminal: what, how far, for how long. `--quiet` (`-q`) shows
none, and so does a pipe.

## Completion

The agent completes by [typer](https://typer.tiangolo.com/), with nothing more to install; `credwatch`, which services
have too, by [argcomplete](https://kislyuk.github.io/argcomplete/), an extra:

```sh
eval "$(credwatch-agent completion bash)"
pip install 'credwatch[completion]'
eval "$(credwatch completion bash)"
```

`zsh` and `fish` get theirs in place of `bash`. Put the lines into the shell's own file to keep them.
"""


def page(note: str, table: Table) -> str:
    """Return the page; `table` writes Markdown tables."""
    parts = [f"# Command line\n\n{note}", _HEAD]
    subcommands = next(each for each in recorder.parser()._actions if isinstance(each, argparse._SubParsersAction))
    for name, parser in subcommands.choices.items():
        text, _, examples = (parser.epilog or "").partition("examples:\n")
        rows = [_of_action(action) for action in parser._actions if not isinstance(action, argparse._HelpAction)]
        purpose = " ".join(f"{parser.description} {_sentence(text)}".split())
        shown = "\n".join(line.removeprefix("  ") for line in examples.rstrip().splitlines())
        parts += _command(f"credwatch {name}", purpose, rows, shown, table)
    for name, command in _commands(typer.main.get_command(agent.app), ""):
        purpose = " ".join(f"{command.help} Exit codes: {PAGES[name].codes}.".split())
        rows = [_of_parameter(each) for each in command.params if each.name != "help"]
        parts += _command(f"credwatch-agent {name}", purpose, rows, "\n".join(PAGES[name].examples), table)
    return "\n".join(parts)


def _command(title: str, purpose: str, rows: Sequence[Sequence[str]], examples: str, table: Table) -> list[str]:
    return [f"## {title}\n\n{purpose}\n", table(("option", "meaning"), rows), f"```sh\n{examples}\n```\n"]


def _sentence(text: str) -> str:
    """Return the text of an epilog as a sentence of a page."""
    words = " ".join(text.split())
    return f"{words[:1].upper()}{words[1:]}"


def _of_action(action: argparse.Action) -> tuple[str, str]:
    value = str(action.metavar or "|".join(map(str, action.choices or ())))
    names = ", ".join(action.option_strings)
    return f"`{f'{names} {value}'.strip()}`", (action.help or "")


def _of_parameter(parameter: Any) -> tuple[str, str]:
    positional = parameter.param_type_name == "argument"
    flag = getattr(parameter, "is_flag", False)
    value = "" if flag else str(parameter.metavar or parameter.name).strip("[]" if positional else "")
    names = "" if positional else ", ".join(sorted(parameter.opts, key=len))
    default = parameter.default
    shown = getattr(default, "value", default)
    known = not flag and not parameter.required and isinstance(shown, str | int | float) and str(shown)
    text = f"{parameter.help} Default: `{shown}`." if known else str(parameter.help)
    return f"`{f'{names} {value}'.strip()}`", f"{text} Required." if parameter.required else text


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} ")
        else:
            yield prefix + name, command
