"""`credwatch-agent config check`: what `serve` would be told, by whom, and whether that can be done."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from credwatch_agent.cli import toml
from credwatch_agent.cli.console import document, say
from credwatch_agent.cli.failure import CLEAN
from credwatch_agent.cli.manual import PAGES
from credwatch_agent.cli.settings import PREFIX, SETTINGS, Given, Settings, given, settings, without_password
from credwatch_agent.cli.tls import Tls
from credwatch_agent.cli.token_file import read

_LONGEST = 40
_IN_DAYS = frozenset({"fold_after", "keep", "window"})

Config = Annotated[Path | None, typer.Option(metavar="FILE", help=f"TOML file of settings; or set {PREFIX}CONFIG.")]

app = typer.Typer(
    help="Look at the configuration of `serve`.",
    add_completion=False,
    no_args_is_help=False,
    rich_markup_mode=None,
)


def gathered(config: Path | None, flags: Mapping[str, str | None]) -> tuple[dict[str, Given], Settings]:
    """Return what file, environment and flags say, and mean; raises `UsageError`."""
    path = config or (Path(os.environ[f"{PREFIX}CONFIG"]) if os.environ.get(f"{PREFIX}CONFIG") else None)
    texts = given(toml.read(path) if path else {}, os.environ, flags, str(path))
    return texts, settings(texts)


@app.command("check", epilog=PAGES["config check"].epilog())
def check(config: Config = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> int:
    """Print each setting and where it comes from.

    Checks the file of tokens and the certificates too.
    """
    texts, made = gathered(config, {})
    shown = {setting.name: _shown(setting.name, texts[setting.name].text) for setting in SETTINGS}
    checked = list(_checked(made))
    if as_json:
        rows = [{"name": name, "value": text, "from": texts[name].origin} for name, text in shown.items()]
        document({"settings": rows, "checked": checked})
        return CLEAN
    longest = min(max(map(len, shown.values())), _LONGEST)
    for name, text in shown.items():
        # a path longer than its column takes a line, where it can be copied
        say(f"{text or '-':<{longest}} {texts[name].origin}", first=f"{name:<16}")
    for sentence in checked:
        say(sentence)
    return CLEAN


def _shown(name: str, text: str) -> str:
    if name in _IN_DAYS:
        return f"{text} days"
    return without_password(text) if name == "db" else text


def _checked(made: Settings) -> Iterator[str]:
    """Yield what was found of the files that the settings name; raises `UsageError`."""
    if made.tokens is not None:
        known = read(made.tokens)
        expired = known.expired(time.time_ns())
        told = f"tokens are valid: {len(known) - len(expired)}"
        yield f"{told}; expired: {', '.join(expired)}" if expired else told
    if made.tls_certificate and made.tls_key:
        Tls(made.tls_certificate, made.tls_key, made.client_ca)
        yield "certificates are valid PEM, and the key fits"


@app.callback()
def _group() -> None:
    # with a callback, `check` stays a command of its own although it is the only one
    pass
