"""What a finding is, and the world that rules look at. Both are plain and immutable.

Severity is ours and a user may change it; ids and fingerprints are stable and public.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum

from credwatch_agent.compare import RoleView
from credwatch_agent.evidence import Joined
from credwatch_agent.records import Telemetry
from credwatch_agent.snapshot import Index


class Severity(str, Enum):
    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Return the order of severities: 0 is the worst."""
        return list(Severity).index(self)


class Subject(str, Enum):
    """What a finding is about: kinds of subject."""

    WORKLOAD = "workload"
    ROLE = "role"
    STATEMENT = "statement"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Fix:
    """One thing to do: a sentence, and the exact text to use (a command, JSON, a line), if any.

    `language` names the text's syntax for a renderer: `json`, `shell`, `text`, `hcl`.
    """

    sentence: str
    text: str = ""
    language: str = "text"


@dataclass(frozen=True, slots=True)
class Finding:
    """One cause, one finding: what follows from the same cause is listed under `also`.

    `subject` is the public name of what it is about: `family/container` or service name for a
    workload, ARN for a role, `ROLE-ARN policy NAME statement` for a statement. `evidence` are
    sentences with figures. `first_ns` and `last_ns` span what was seen, 0 where nothing was.
    `related` are other subjects at which the same cause shows. `policy` and `statement` (its
    position, -1 if none) say where in the role's policies the finding lies. `detail` tells findings
    of one subject apart, such as the action of a denied call.
    """

    id: str
    severity: Severity
    kind: Subject
    subject: str
    sentence: str
    evidence: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    references: tuple[str, ...] = ()
    cause: str = ""
    also: tuple[str, ...] = ()
    role_arn: str = ""
    first_ns: int = 0
    last_ns: int = 0
    related: tuple[str, ...] = ()
    policy: str = ""
    statement: int = -1
    detail: str = ""

    @property
    def fingerprint(self) -> str:
        """Return what stays the same as long as the same thing is wrong: 16 hex digits."""
        text = "\0".join((self.id, self.kind.value, self.subject, self.cause, self.detail))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class World:
    """All that a rule may look at. `earlier` compares the same telemetry with an earlier snapshot, if there is one."""

    index: Index
    telemetry: Telemetry
    joined: Joined
    roles: tuple[RoleView, ...]
    now_ns: int
    earlier: tuple[RoleView, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A row of the table: `check` yields findings of this id; `absorbs` are ids that follow from the same cause.

    A finding absorbs another with one of these ids whose subject is its own or one of its
    `related`, and whose detail, where both have one, is the same; the other is then listed under
    `also`, and the worse of the two severities stays. `references` are put into each finding. The
    texts are the rule's documentation; `docs/findings.md` is generated from them.
    """

    id: str
    severity: str
    check: Callable[[World], Iterable[Finding]]
    what: str
    why: str
    how_we_know: str
    how_to_fix: str
    references: tuple[str, ...] = ()
    causes: tuple[tuple[str, str], ...] = ()
    absorbs: frozenset[str] = field(default_factory=frozenset)
