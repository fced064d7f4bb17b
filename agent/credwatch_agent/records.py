"""The agent's nouns: what telemetry becomes once it is decoded, and what a store gives back.

Plain immutable records, shared by `otlp` (makes them), `store` (keeps them), `evidence` and
`findings` (read them). Times are nanoseconds since the epoch, as on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from credwatch.semconv import Usage


class UsagePoint(NamedTuple):
    """One cumulative point of `credwatch.calls`; a tuple, since a request holds ten thousand.

    `exact` is False where the sender's count is not cumulative and complete: delta points, an
    overflow attribute, spans without points.
    """

    process_id: str
    usage: Usage
    value: int
    start_ns: int
    time_ns: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class KeySighting:
    """One point of `credwatch.credential.seen`: calls signed with one key between two times."""

    process_id: str
    pseudonym: str
    source: str
    provider: str
    credential_type: str
    laundered: bool
    principal: str
    account_id: str
    value: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Health:
    """One health point: `metric` is one of the `credwatch.recorder.*` names."""

    process_id: str
    metric: str
    value: int
    start_ns: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Batch:
    """All that one resource of one export request said.

    `claimed`: nobody vouched for the sender. `folded`: processes whose counts the points of this batch
    contain from now on, so that what they sent, or send again, no longer counts by itself.
    """

    resource: Mapping[str, str]
    usage: tuple[UsagePoint, ...] = ()
    keys: tuple[KeySighting, ...] = ()
    health: tuple[Health, ...] = ()
    claimed: bool = False
    folded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Process:
    """A process that reported: where it runs and whether its counts are final.

    `closed` is the total that it named when it ended, or None: then its counts are a lower bound.
    `claimed`: some of what it reported came from a sender that nobody vouched for.
    """

    process_id: str
    resource: Mapping[str, str] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0
    closed: int | None = None
    claimed: bool = False


class Seen(NamedTuple):
    """What is held of one process in short. Of one that was folded into a total nothing but that is known."""

    process: Process
    calls: int
    folded: bool = False


@dataclass(frozen=True, slots=True)
class UsageRow:
    """How often one process used credentials in one way: the maximum per start, summed over starts."""

    process_id: str
    usage: Usage
    calls: int
    first_ns: int
    last_ns: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Telemetry:
    """All evidence that a store holds, as findings read it."""

    processes: Mapping[str, Process]
    usage: tuple[UsageRow, ...]
    keys: tuple[KeySighting, ...]


SpanValue = str | bool | int | float | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A span as far as it is kept: ids in lower-case hex, and of its attributes only ours and AWS's.

    `parent_span_id` is "" at the root of a trace.
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, SpanValue] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)


# --- second sources ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrailUse:
    """Events of CloudTrail that are alike: one principal and session, one call, one outcome.

    `principal_arn` is the role behind the session, as CloudTrail names its issuer. `hint` is what the
    SDK's user agent says of the credential source, "" if nothing: anyone can write a user agent.
    `invoked_by` is the AWS service that called on the principal's behalf. `call` is
    `eventSource:eventName`, in CloudTrail's words; `detail` tells how exact its resources are, "" where no
    rule tells which actions it needs.
    """

    principal_arn: str
    session: str
    call: str
    authorizations: tuple[tuple[str, tuple[str, ...]], ...]
    detail: str
    outcome: str
    region: str
    hint: str
    invoked_by: str
    calls: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Accessed:
    """What AWS's last-accessed data say: a principal tried an action, or `SERVICE:*`, last at this time."""

    principal_arn: str
    action: str
    last_ns: int


@dataclass(frozen=True, slots=True)
class Second:
    """What second sources say beside the recorders, and a sentence for each part that could not be read."""

    trail: tuple[TrailUse, ...] = ()
    accessed: tuple[Accessed, ...] = ()
    problems: tuple[str, ...] = ()


NO_SECOND = Second()
