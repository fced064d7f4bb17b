"""A recommendation for Terraform: one `aws_iam_policy_document` a policy.

Format: https://registry.terraform.io/providers/hashicorp/aws/latest/docs/data-sources/iam_policy_document
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from credwatch_agent.recommend import WHAT_TO_DO, Recommendation

_ELEMENTS = {
    "Action": "actions",
    "NotAction": "not_actions",
    "Resource": "resources",
    "NotResource": "not_resources",
}


def render(found: Recommendation) -> str:
    """Return HCL: the claim as a comment, then each policy that is to change and why things stayed; "" if none is."""
    if all(each.change == "same" for each in found.policies):
        return ""
    clauses = [*found.claim.text.split("; "), *([f"not proved: {found.claim.why_not}"] if found.claim.why_not else [])]
    clauses += [note.text for note in found.notes if not note.policy]
    lines = [line for clause in clauses for line in _comment(clause)]
    for each in found.policies:
        lines += ["", *_comment(f"{each.original}: {WHAT_TO_DO[each.change]}")]
        lines += [line for note in found.notes_of(each) for line in _comment(f"- {note}")]
        if each.change not in {"same", "remove"}:
            lines += _document(identifier(each.name), each.document)
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    """Return comment lines of at most 80 columns; names and ARNs stay whole."""
    return wrap(
        text,
        80,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def identifier(name: str) -> str:
    """Return a name that Terraform accepts."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return plain if plain[:1].isalpha() or plain.startswith("_") else f"_{plain}"


def _document(name: str, document: Mapping[str, Any]) -> Iterator[str]:
    yield f'data "aws_iam_policy_document" {_text(name)} {{'
    yield f"  version = {_text(str(document.get('Version', '2008-10-17')))}"
    statements = document["Statement"]
    for statement in [statements] if isinstance(statements, Mapping) else statements:
        yield ""
        yield from (f"  {line}" if line else "" for line in _statement(statement))
    yield "}"


def _statement(statement: Mapping[str, Any]) -> Iterator[str]:
    yield "statement {"
    if statement.get("Sid"):
        yield f"  sid    = {_text(statement['Sid'])}"
    yield f"  effect = {_text(statement['Effect'])}"
    for element, argument in _ELEMENTS.items():
        if element in statement:
            yield ""
            yield from _values(argument, _listed(statement[element]), "  ")
    for operator, clauses in statement.get("Condition", {}).items():
        for key, values in clauses.items():
            yield ""
            yield "  condition {"
            yield f"    test     = {_text(operator)}"
            yield f"    variable = {_text(key)}"
            yield ""
            yield from _values("values", _listed(values), "    ")
            yield "  }"
    yield "}"


def _values(argument: str, values: Sequence[str], indent: str) -> Iterator[str]:
    if len(values) == 1:
        yield f"{indent}{argument} = [{_text(values[0])}]"
        return
    yield f"{indent}{argument} = ["
    yield from (f"{indent}  {_text(value)}," for value in values)
    yield f"{indent}]"


def _listed(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [each if isinstance(each, str) else json.dumps(each) for each in values]


def _text(value: str) -> str:
    """Quote a string: the provider writes `&{...}` as a policy variable, `$${` and `%%{` are plain text."""
    quoted = json.dumps(value, ensure_ascii=False)
    return quoted.replace("${", "&{").replace("%{", "%%{")
