"""`credwatch-agent completion`: the script that lets a shell complete this command, as typer writes it."""

from __future__ import annotations

import os
from enum import Enum
from typing import Annotated, Any

import typer
import typer.completion

from credwatch_agent.cli.console import out
from credwatch_agent.cli.failure import CLEAN

PROGRAM = "credwatch-agent"
VARIABLE = "_CREDWATCH_AGENT_COMPLETE"
"""Set by the script when it asks this program what may follow."""

_typer: Any = typer.completion  # what it takes from its own rooms is not declared as its own


class Shell(str, Enum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell that is to complete.")]) -> int:
    """Print the completion script of a shell."""
    script = _typer.get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell.value)
    out.print(script, soft_wrap=True)
    return CLEAN


def answering() -> None:
    """Be ready to answer where a shell asks."""
    if VARIABLE in os.environ:
        _typer.completion_init()
