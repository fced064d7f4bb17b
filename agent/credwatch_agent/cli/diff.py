"""`credwatch-agent diff`: whether two policies grant the same, and what only one of them grants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from credwatch_agent.cli.console import document, say
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, FINDINGS
from credwatch_agent.cli.policies import read_policies
from credwatch_agent.cli.stored import AsJson
from credwatch_agent.iam.contain import Containment, NotProved, Proved, Refuted, contain


def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="Policy document, or a JSON list of them.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The one to compare with it.")],
    as_json: AsJson = False,
) -> int:
    """Compare what two policies grant."""
    one, other = read_policies(a), read_policies(b)
    new, gone = contain(other, one), contain(one, other)
    if as_json:
        document([described(str(b), str(a), new), described(str(a), str(b), gone)])
    else:
        say(sentence(str(b), str(a), new), later="  ")
        say(sentence(str(a), str(b), gone), later="  ")
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


def described(inner: str, outer: str, found: Containment) -> dict[str, object]:
    """Return the same as JSON values."""
    result = {Proved: "proved", Refuted: "refuted"}.get(type(found), "not-proved")
    told: dict[str, object] = {"inner": inner, "outer": outer, "grants_nothing_more": result}
    if isinstance(found, NotProved):
        told["reason"] = found.reason
    if isinstance(found, Refuted):
        one = found.witness
        context = {key: list(value) if isinstance(value, tuple | list) else value for key, value in one.context.items()}
        told["witness"] = {"action": one.action, "resource": one.resource, "context": context}
    return told


def _text(values: object) -> str:
    return "|".join(map(str, values)) if isinstance(values, tuple | list) else str(values)
