"""The four states of evidence, and the one place that decides between them.

Rule 1: `unused` is what is left when nothing stands against it. Every doubt is a `Gap` with its
reason, and a doubt makes `insufficient`, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from credwatch_agent.evidence.baselines import Forwarded, matches, unseen_by_all

Emits = Callable[[str], "bool | None"]
"""Whether some mapped SDK operation is authorised as an action; None where the map cannot tell."""


class State(str, Enum):
    USED = "used"
    UNUSED = "unused"
    UNOBSERVABLE = "unobservable"
    INSUFFICIENT = "insufficient"


class Reason(str, Enum):
    """Why an unseen action is not `unused`; the values are stable."""

    NO_CARRIER = "no-carrier"
    WINDOW = "window"
    COVERAGE = "coverage"
    UNINSTRUMENTED = "uninstrumented-container"
    TRUST = "trust-without-carrier"
    INSTANCE_PROFILE = "instance-profile"
    MISSING_LAYER = "missing-layer"
    UNATTRIBUTED = "unattributed-calls"
    SETTINGS = "settings"
    INEXACT = "inexact"
    LOST = "lost-calls"
    MAPPING = "mapping"
    OUTCOME = "outcome"
    UNREPORTED = "unreported-session"
    CONTRADICTION = "contradiction"
    TESTED = "tested"
    AMBIGUOUS = "ambiguous"
    BASELINE = "baseline"
    FORWARDED = "forwarded"
    NO_OPERATION = "no-operation"
    PASS_ROLE = "pass-role"  # noqa: S105  # a permission, no password


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that stands against `unused`, in one sentence."""

    reason: Reason
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    state: State
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one action under one statement: allowed by it for certain, or a doubt."""

    certain: bool = False
    doubt: Gap | None = None


UNSEEN = Seen()


def judge(  # all that is known of one action
    action: str,
    seen: Seen,
    gaps: tuple[Gap, ...],
    infrastructure: tuple[str, ...],
    emits: Emits,
    forwarded: Forwarded = (),
    contradicted: Gap | None = None,
) -> Verdict:
    """Return the state of one granted action.

    `gaps` is what stands against `unused` for the whole role, `infrastructure` the patterns of its
    baseline, `forwarded` what services may use on its behalf, `contradicted` what a second source says
    against this action alone.
    """
    if seen.certain:
        return Verdict(State.USED)
    if seen.doubt:
        return Verdict(State.INSUFFICIENT, (seen.doubt,))
    blind = _blind(action, infrastructure, forwarded)
    if blind:
        return Verdict(State.UNOBSERVABLE, (blind,))
    if contradicted:
        gaps = (contradicted, *gaps)
    if gaps:
        return Verdict(State.INSUFFICIENT, gaps)
    return _unmapped(action, emits(action))


def _blind(action: str, infrastructure: tuple[str, ...], forwarded: Forwarded) -> Gap | None:
    if action.lower() == "iam:passrole":
        return Gap(Reason.PASS_ROLE, "`iam:PassRole` is no API call: it is checked inside calls that take a role")
    if unseen_by_all(action):
        return Gap(Reason.NO_OPERATION, f"no SDK operation is authorised as `{action}`")
    return beside(action, infrastructure, forwarded)


def beside(action: str, infrastructure: tuple[str, ...], forwarded: Forwarded) -> Gap | None:
    """Return why an action may be used unseen beside the calls of applications, None if nothing says so."""
    if matches(action, infrastructure):
        return Gap(Reason.BASELINE, f"the infrastructure uses `{action}`, not an application")
    for call, patterns in forwarded:
        if "*" in patterns:
            return _anything(call)
        if matches(action, patterns):
            return Gap(Reason.FORWARDED, f"`{call}` was called, and its service may use `{action}` for the caller")
    return None


@lru_cache(maxsize=256)
def _anything(call: str) -> Gap:
    return Gap(Reason.FORWARDED, f"`{call}` was called, and its service may use any action for the caller")


def _unmapped(action: str, emitted: bool | None) -> Verdict:
    if emitted:
        return Verdict(State.UNUSED)
    if emitted is None:
        gap = Gap(Reason.MAPPING, "no rule of the operation map shows which calls need it")
        return Verdict(State.INSUFFICIENT, (gap,))
    return Verdict(State.UNOBSERVABLE, (Gap(Reason.NO_OPERATION, f"no SDK operation is authorised as `{action}`"),))
