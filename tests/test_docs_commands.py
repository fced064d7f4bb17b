"""What the documentation shows can be typed: commands and options exist, snippets parse, the pages build."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from credwatch import cli as recorder
from credwatch_agent import cli as agent
from tests.documented import PAGES, ROOT, blocks

LANGUAGES: Mapping[str, Callable[[str], object]] = {
    # a line to be put into a document is one, too
    "json": lambda text: json.loads(f"{{{text}}}" if text.startswith('"') else text),
    "yaml": yaml.safe_load,
    "python": lambda text: compile(text, "snippet", "exec"),
}


def commands(page: Path) -> Iterator[list[str]]:
    """Yield our commands in a page's code blocks, as words; `\\` joins lines, brackets of a usage are left out."""
    for block in blocks(page):
        for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
            plain = line.strip().removeprefix("$ ").partition(" #")[0]
            for part in re.split(r"&&|\|\||[|;]", plain):
                words = re.sub(r"[\[\]]", " ", part)
                if re.match(r"\s*credwatch(-agent)? [a-z-]+(\s|$)", words):
                    yield shlex.split(words.replace("'", ""))


@cache
def options() -> Mapping[str, Mapping[str, frozenset[str]]]:
    """Return program -> command -> its options."""
    subcommands = argparse.ArgumentParser().add_subparsers()
    for register in recorder.COMMANDS:
        register(subcommands)
    of_recorder = {
        name: frozenset(option for action in parser._actions for option in action.option_strings)
        for name, parser in subcommands.choices.items()
    }
    return {"credwatch": of_recorder, "credwatch-agent": dict(_of_group(typer.main.get_command(agent.app), ""))}


def _of_group(group: Any, prefix: str) -> Iterator[tuple[str, frozenset[str]]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield prefix + name, frozenset()
            yield from _of_group(command, f"{prefix}{name} ")
        else:
            found = {
                option for row in command.params for option in (*row.opts, *row.secondary_opts) if option[0] == "-"
            }
            yield prefix + name, frozenset({*found, "--help"})


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_commands_that_are_shown_exist_with_their_options(page: Path) -> None:
    for program, command, *words in commands(page):
        known = options()[program]
        assert command in known, f"{program} {command}"
        name = f"{command} {words[0]}" if words and f"{command} {words[0]}" in known else command
        ours = words[: words.index("--")] if "--" in words else words
        given = {word.partition("=")[0] for word in ours if word.startswith("--")}
        assert given <= known[name], f"{program} {name}: {given - known[name]}"


def test_commands_are_found_in_the_pages() -> None:
    shown = {(words[0], words[1]) for page in PAGES for words in commands(page)}
    assert {("credwatch", "whoami"), ("credwatch-agent", "serve"), ("credwatch-agent", "recommend")} <= shown


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_snippets_parse(page: Path) -> None:
    for block in blocks(page):
        if block.language in LANGUAGES and "…" not in block.text and "..." not in block.text:
            LANGUAGES[block.language](block.text)


def test_every_option_of_a_command_is_documented() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    missing = {
        f"{program} {command} {option}"
        for program, of_program in options().items()
        for command, names in of_program.items()
        for option in names - {"--help", "-h", "--"}
        # an option of `serve` is also a setting, and may be documented under that name
        if option.startswith("--")
        and not re.search(re.escape(option) + r"(?![\w-])", text)
        and f"`{option[2:].replace('-', '_')}`" not in text
    }
    assert missing == set()


@pytest.mark.slow
def test_the_pages_build_strictly(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in (ROOT / "docs").glob("*.md"):
        assert (tmp_path / "site" / page.stem.replace("index", "") / "index.html").exists(), page.name
