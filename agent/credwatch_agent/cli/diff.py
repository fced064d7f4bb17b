"""`credwatch-agent diff`: whether two policies grant the same, and what only one of them grants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from credwatch_agent.cli.console import out
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS
from credwatch_agent.cli.policies import read_policies
from credwatch_agent.iam.contain import Containment, NotProved, Proved, Refuted, contain


def diff(
    a: Annotated[Path, typer.Argument(help="Policy document, or a JSON list of them.")],
    b: Annotated[Path, typer.Argument(help="The one to compare with it.")],
) -> int:
    """Compare what two policies grant. Exit code 0: the same, 1: not the same, 3: not proved."""
    one, other = read_policies(a), read_policies(b)
    new, gone = contain(other, one), contain(one, other)
    out.print(sentence(str(b), str(a), new), soft_wrap=True)
    out.print(sentence(str(a), str(b), gone), soft_wrap=True)
    if isinstance(new, Refuted) or isinstance(gone, Refuted):
        return FINDINGS
    return CLEAN if isinstance(new, Proved) and isinstance(gone, Proved) else COULD_NOT_KNOW


def sentence(inner: str, outer: str, found: Containment) -> str:
    """Say what was found of whether `inner` grants nothing that `outer` does not."""
    if isinstance(found, Proved):
        return f"{inner} grants nothing that {outer} does not (proved)"
    if isinstance(found, NotProved):
        return f"{inner} may grant what {outer} does not (not proved): {found.reason}"
    context = ", ".join(f"{key}={_text(value)}" for key, value in found.witness.context.items())
    condition = f" with {context}" if context else ""
    return f"{inner} grants {found.witness.action} on {found.witness.resource}{condition}, {outer} does not"


def _text(values: object) -> str:
    return "|".join(map(str, values)) if isinstance(values, tuple | list) else str(values)
