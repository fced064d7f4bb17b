"""`credwatch-agent config check`: what `serve` would be told, by whom, and whether that can be done."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from credwatch_agent.cli import toml
from credwatch_agent.cli.console import out
from credwatch_agent.cli.failure import CLEAN
from credwatch_agent.cli.settings import PREFIX, SETTINGS, Given, Settings, given, settings, without_password
from credwatch_agent.cli.tls import Tls
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
        out.print(f"{setting.name:<16}{shown or '-':<40} {origin}", soft_wrap=True)
    if made.tokens is not None:
        known = read(made.tokens)
        expired = known.expired(time.time_ns())
        told = f"tokens are valid: {len(known) - len(expired)}"
        out.print(f"{told}; expired: {', '.join(expired)}" if expired else told, soft_wrap=True)
    if made.tls_certificate and made.tls_key:
        Tls(made.tls_certificate, made.tls_key, made.client_ca)
        out.print("certificates are valid PEM, and the key fits", soft_wrap=True)
    return CLEAN


@app.callback()
def _group() -> None:
    # with a callback, `check` stays a command of its own although it is the only one
    pass
