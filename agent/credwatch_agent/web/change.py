"""What a role's policies could be, as a diff with its claim, and as files to download."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from credwatch_agent.compare import RoleView
from credwatch_agent.exports import cloudformation, policy_diff, policy_json, terraform
from credwatch_agent.recommend import WHAT_TO_DO, Recommendation
from credwatch_agent.recommend.view import attached

_LINES = 600


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a unified diff: `kind` is `file`, `hunk`, `add`, `del` or `same`."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of one policy."""

    original: str
    name: str
    change: str
    what_to_do: str


@dataclass(frozen=True, slots=True)
class Note:
    """Why something stayed or went; `where` is the policy and statement, "" for the role."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """A recommendation. `skipped` says why there is none; `more` lines of the diff are not shown."""

    skipped: str
    changes: bool
    claim: str
    proved: bool
    why_not: str
    policies: tuple[Policy, ...]
    notes: tuple[Note, ...]
    diff: tuple[Line, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Format:
    """A form in which a recommendation can be downloaded."""

    suffix: str
    media_type: str
    render: Callable[[RoleView, Recommendation], str]


FORMATS: Mapping[str, Format] = {
    "diff": Format("diff", "text/x-diff", lambda view, found: policy_diff.render(attached(view), found)),
    "json": Format("json", "application/json", lambda _, found: policy_json.render(found)),
    "terraform": Format("tf", "text/plain", lambda _, found: terraform.render(found)),
    "cloudformation": Format("template.json", "application/json", lambda _, found: cloudformation.render(found)),
}


def change(view: RoleView, found: Recommendation) -> Change:
    """Return a recommendation as the page shows it."""
    lines = policy_diff.render(attached(view), found).splitlines()
    return Change(
        skipped=found.skipped,
        changes=any(each.change != "same" for each in found.policies),
        claim=found.claim.text,
        proved=found.claim.holds,
        why_not=found.claim.why_not,
        policies=tuple(
            Policy(each.original, each.name, each.change, WHAT_TO_DO[each.change]) for each in found.policies
        ),
        notes=tuple(Note(note.where, note.text) for note in found.notes),
        diff=tuple(_lines(lines[:_LINES])),
        more=max(0, len(lines) - _LINES),
    )


_KINDS = (("---", "file"), ("+++", "file"), ("@@", "hunk"), ("+", "add"), ("-", "del"))


def _lines(lines: list[str]) -> Iterator[Line]:
    for line in lines:
        yield Line(next((kind for start, kind in _KINDS if line.startswith(start)), "same"), line)
