"""`credwatch-agent config check`: what `serve` would be told, by whom, and whether that can be done."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from credwatch_agent.cli import toml
from credwatch_agent.cli.console import out
from credwatch_agent.cli.failure import CLEAN
from credwatch_agent.cli.settings import PREFIX, SETTINGS, Given, Settings, given, settings, without_password
from credwatch_agent.cli.token_file import read

Config = Annotated[Path | None, typer.Option(metavar="FILE", help=f"TOML file of settings; or set {PREFIX}CONFIG.")]

app = typer.Typer(help="Look at the configuration of `serve`.", add_completion=False, no_args_is_help=False)


def gathered(config: Path | None, flags: Mapping[str, str | None]) -> tuple[dict[str, Given], Settings]:
    """Return what file, environment and flags say, and mean; raises `UsageError`."""
    path = config or (Path(os.environ[f"{PREFIX}CONFIG"]) if os.environ.get(f"{PREFIX}CONFIG") else None)
    texts = given(toml.read(path) if path else {}, os.environ, flags, str(path))
    return texts, settings(texts)


@app.command("check")
def check(config: Config = None) -> int:
    """Print each setting and where it comes from; check the file of tokens. Exit code 2 where `serve` would refuse."""
    texts, made = gathered(config, {})
    for setting in SETTINGS:
        text, origin, _ = texts[setting.name]
        shown = without_password(text) if setting.name == "db" else text
        out.print(f"{setting.name:<12}{shown or '-':<40} {origin}", soft_wrap=True)
    if made.tokens is not None:
        out.print(f"tokens are valid: {len(read(made.tokens))}", soft_wrap=True)
    return CLEAN


@app.callback()
def _group() -> None:
    # with a callback, `check` stays a command of its own although it is the only one
    pass
