"""The records of a recommendation: what it is made from, what it says and what it claims."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from credwatch_agent.evidence.coverage import duration
from credwatch_agent.iam.contain import Containment, NotProved, Proved
from credwatch_agent.iam.document import Policy, PolicyError, parse_text, unreadable


@dataclass(frozen=True, slots=True)
class Attached:
    """A policy of a role: parsed, and as written. An inline one has no `arn`; `attachments` counts a managed one's."""

    policy: Policy
    document: Mapping[str, Any] = field(compare=False)
    arn: str = ""
    attachments: int = 0

    @classmethod
    def read(cls, name: str, document: str, arn: str = "", attachments: int = 0) -> Attached:
        """Parse a document; one that IAM would refuse becomes a policy that may say anything and stays as it is."""
        try:
            return cls(parse_text(name, document), json.loads(document.removeprefix("\ufeff")), arn, attachments)
        except PolicyError as error:
            return cls(unreadable(name, error), {}, arn, attachments)

    @property
    def statements(self) -> Sequence[Mapping[str, Any]]:
        """The statements as written."""
        written = self.document.get("Statement", ())
        return [written] if isinstance(written, Mapping) else list(written)


@dataclass(frozen=True, slots=True)
class Call:
    """An observed use of one action: how often, when first and last, on what ARNs and how exactly these are known.

    `request` is shared by the actions of the same requests (a copy reads and writes): a person counts
    these once. None: nothing else was checked with it. `passed_to` are the services to one of which each of
    these roles was passed; empty where that is not known.
    """

    action: str
    resources: tuple[str, ...]
    detail: str
    calls: int
    first_ns: int
    last_ns: int
    request: int | None = None
    passed_to: tuple[str, ...] = ()


def requests(calls: Iterable[Call]) -> int:
    """Return how many requests of an application these calls are."""
    shared: dict[int, int] = {}
    alone = 0
    for call in calls:
        if call.request is None:
            alone += call.calls
        else:
            shared[call.request] = call.calls
    return alone + sum(shared.values())


def _nothing(_action: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to narrow.

    Observed was from `start_ns` to `end_ns`, in nanoseconds since the epoch. `keep` says why an action
    that was not seen has to stay (unobservable, insufficient evidence), or "" if it may go; `keep_resources`
    says the same of resources, and `beside` of the resources of one action that was seen: a service or a host
    may use it too, on others. `detail` is `container`, or `full` to narrow objects as finely as they were
    reported. `documented` narrows by what AWS documents of a call beside what was seen of it: the service that a
    role is passed to, which no request names.
    """

    start_ns: int
    end_ns: int
    keep: Callable[[str], str] = _nothing
    beside: Callable[[str], str] = _nothing
    detail: str = "container"
    keep_resources: str = ""
    learned_share: float = 0.8
    documented: bool = False

    @property
    def split_ns(self) -> int:
        """Where learning ends and the hold-out begins."""
        return self.start_ns + int(self.observed_ns * self.learned_share)

    @property
    def observed_ns(self) -> int:
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class Note:
    """Why something stayed or went. `statement` is the position in the original policy, None for the whole."""

    policy: str
    statement: int | None
    text: str
    sid: str = ""

    @property
    def where(self) -> str:
        """The policy and, by Sid or position, the statement; "" for the role."""
        return f"{self.policy}, {self.place}" if self.place else self.policy

    @property
    def place(self) -> str:
        """The statement by Sid or position; "" for the whole policy."""
        return "" if self.statement is None else self.sid or f"statement {self.statement}"


EDIT, FORK, COPY, SAME, REMOVE = "edit", "fork", "copy", "same", "remove"
WHAT_TO_DO = {
    EDIT: "edit it in place",
    FORK: "others have it too: attach this to the role instead of it",
    COPY: "it is AWS's own: attach this to the role instead of it",
    SAME: "stays as it is",
    REMOVE: "remove it, nothing of it was used",
}
"""What each change of a policy asks for."""


@dataclass(frozen=True, slots=True)
class Recommended:
    """One policy to have in place of `original`.

    `change`: `same`; `edit` in place; `fork`, since others have the policy attached too; `copy` of an
    AWS-managed one; `remove`, since nothing of it was used. `part` counts from 1 where one was split.
    """

    name: str
    original: str
    change: str
    document: Mapping[str, Any]
    arn: str = ""
    part: int = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """What the recommendation guarantees, and on what grounds.

    `broken` counts observed calls that are not shown to be kept; `observed_ns` is for how long calls were observed.
    """

    grants_nothing_new: Containment
    calls: int
    broken: int
    observed_ns: int
    missed: int = 0

    @property
    def holds(self) -> bool:
        """Whether both halves are proved."""
        return isinstance(self.grants_nothing_new, Proved) and not self.broken

    @property
    def text(self) -> str:
        """The claim, in the words that are documented."""
        calls = "call" if self.calls == 1 else "calls"
        proved = "proved" if isinstance(self.grants_nothing_new, Proved) else "not proved"
        breaks = "breaks no observed call" if not self.broken else f"{self.broken} observed calls: not proved"
        held = "no miss on the last 20 %"
        if self.missed:
            stay = (
                "1 statement that missed stays as it was"
                if self.missed == 1
                else (f"{self.missed} statements that missed stay as they were")
            )
            held = f"on the last 20 % {stay}"
        return (
            f"grants nothing new ({proved}); {breaks} ({self.calls:,} {calls}, {duration(self.observed_ns)}); "
            f"learned on the first 80 % of the window, {held}."
        )

    @property
    def why_not(self) -> str:
        """Why containment is not proved, or ""."""
        return self.grants_nothing_new.reason if isinstance(self.grants_nothing_new, NotProved) else ""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A role's policies as they could be, with the claim and the reasons."""

    role: str
    policies: tuple[Recommended, ...]
    notes: tuple[Note, ...]
    claim: Claim
    skipped: str = ""
    """Why nothing is recommended for this role, or ""."""

    def notes_of(self, policy: Recommended) -> tuple[str, ...]:
        """Return why things of a policy stayed or went, each by its statement; of one that was split, once."""
        said = (note for note in self.notes if note.policy in {policy.original, policy.name} and policy.part == 1)
        return tuple(f"{note.place}: {note.text}" if note.place else note.text for note in said)
