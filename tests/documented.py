"""The code blocks of the documentation, as a reader's eye and a reader's shell take them apart. Runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
SHELLS = frozenset({"console", "sh", "shell", "bash", "indented"})

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block: its page from the root of the repository, its language (`indented` for one without a fence)."""

    page: str
    language: str
    text: str

    @property
    def begins(self) -> str:
        """The first line, by which a table names the block."""
        return self.text.strip().partition("\n")[0].strip()


@dataclass(frozen=True)
class Step:
    """One command of a shell's block, and the lines that are shown below it."""

    command: str
    shown: tuple[str, ...] = ()


def blocks(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page, the fenced ones first."""
    text, name = page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix()
    yield from (Block(name, language, body) for language, body in _FENCED.findall(text))
    for body in _INDENTED.findall(_FENCED.sub("", text)):
        yield Block(name, "indented", re.sub(r"^ {4}", "", body, flags=re.MULTILINE))


def steps(block: Block) -> Iterator[Step]:
    """Yield what a reader types, a command each; a `\\` at the end of a line joins the next one to it.

    In a `console` block a command begins with `$ ` and the other lines are what is printed; in the others
    each line is a command.
    """
    command, shown = "", []
    for line in block.text.splitlines():
        if command.endswith("\\"):
            command = f"{command[:-1].rstrip()} {line.strip()}"
        elif block.language == "console" and not line.startswith("$ "):
            shown.append(line)
        else:
            if command:
                yield Step(command, tuple(shown))
            command, shown = line.removeprefix("$ ").strip(), []
    if command:
        yield Step(command, tuple(shown))
