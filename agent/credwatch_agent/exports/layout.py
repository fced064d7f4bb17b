"""Texts, JSON and shell commands laid out for reading, so that they can still be copied. Pure; knows no policies."""

from __future__ import annotations

import json
import re
from typing import Any

_STEP = 2
# a word of a shell command: a quoted part keeps its blanks
_WORD = re.compile(r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+""")

# control characters but line feed and tab, surrogates, and the marks that turn or hide text
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Return a text in which every hidden character is written out, as `\\u202e`."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def laid_out(value: Any, width: int) -> str:
    """Return JSON whose objects and lists stay on one line where they fit into `width` columns."""
    return _laid_out(value, width, indent=0, taken=0)


def _laid_out(value: Any, width: int, indent: int, taken: int) -> str:
    """Lay out a value that begins after `taken` columns of a line indented by `indent`."""
    flat = json.dumps(value, ensure_ascii=False)
    if taken + len(flat) <= width or not isinstance(value, (dict, list)) or not value:
        return flat
    inner = indent + _STEP
    comma = inner + 1
    if isinstance(value, dict):
        names = [json.dumps(key, ensure_ascii=False) + ": " for key in value]
        parts = [
            name + _laid_out(item, width, inner, comma + len(name))
            for name, item in zip(names, value.values(), strict=True)
        ]
    else:
        parts = [_laid_out(item, width, inner, comma) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    body = ",\n".join(" " * inner + part for part in parts)
    return f"{opening}\n{body}\n{' ' * indent}{closing}"


def shell_lines(command: str, width: int) -> list[str]:
    r"""Return the lines of shell commands; one that is longer than `width` goes on after ` \`, between two words.

    The shell reads the same words. A line whose quotes do not close, or with a comment, stays as it is.
    """
    return [piece for line in command.splitlines() for piece in _continued(line, width)]


def _continued(line: str, width: int) -> list[str]:
    words = _WORD.findall(line)
    # what the pattern did not take, such as an open quote, is not understood
    understood = not "".join(_WORD.split(line)).strip()
    if len(line) <= width or not understood or any(word.startswith("#") for word in words):
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    lines = [indent + words[0]]
    for word in words[1:]:
        if len(f"{lines[-1]} {word} \\") <= width:
            lines[-1] += f" {word}"
        else:
            lines[-1] += " \\"
            lines.append(f"{indent}{' ' * _STEP}{word}")
    return lines
