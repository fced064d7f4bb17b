"""The decision: what all layers of policies together say of one request.

Three-valued throughout: what hangs on a missing key or layer is Unknown, never Allowed, and a decision
holds whatever the unknowns turn out to be. Owns how layers combine; knows no pattern and no operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from credwatch_agent.iam.context import EVERY_OTHER, Every, Scalar, Truth, both, either
from credwatch_agent.iam.document import Policy
from credwatch_agent.iam.judge import MISSING, Layer, Missing, Verdict, applies, judge
from credwatch_agent.iam.principal import Grade, carries_policies, is_root
from credwatch_agent.iam.request import Request, StatementRef

__all__ = [
    "EVERY_OTHER", "MISSING", "Decision", "Layer", "Missing", "Reason", "Request", "Result", "StatementRef",
    "allowing", "evaluate",
]  # fmt: skip


class Decision(Enum):
    """The answer. ImplicitlyDenied: nothing allows it, whatever the unknowns are."""

    ALLOWED = "Allowed"
    EXPLICITLY_DENIED = "ExplicitlyDenied"
    IMPLICITLY_DENIED = "ImplicitlyDenied"
    UNKNOWN = "Unknown"


class Reason(Enum):
    """Why: each value is the sentence that people read."""

    EXPLICIT_DENY = "a Deny statement applies"
    IDENTITY_ALLOWS = "a statement of an identity policy allows it"
    RESOURCE_ALLOWS = "a statement of the resource's policy allows it"
    ROOT_USER = "the account's root user needs no policy"
    NO_IDENTITY_ALLOW = "no statement of an identity policy allows it"
    NO_BOUNDARY_ALLOW = "the permissions boundary does not allow it"
    NO_SESSION_ALLOW = "the session policy does not allow it"
    NO_SCP_ALLOW = "a level of service control policies does not allow it"
    NO_RESOURCE_ALLOW = "the resource's policy does not allow it"
    MAYBE_DENIED = "a Deny statement may apply"
    MAYBE_ALLOWED = "an Allow statement may apply"
    MISSING_LAYER = "a layer of policies could not be read"
    UNREADABLE_POLICY = "a policy could not be parsed"
    MISSING_KEY = "it hangs on a condition key that is not known"
    UNSUPPORTED = "it hangs on an element that this engine does not evaluate"
    PARTIAL_RESOURCE = "it hangs on the part of the resource that is not known"
    NO_PRINCIPAL = "it hangs on the exact principal, which is not known"
    ANYONE_PAST_CEILING = "whether a grant to everyone passes a boundary or session policy is not documented"


class Result(NamedTuple):
    """The decision, the statements it rests on, the reasons, and what it hangs on if Unknown.

    `unknown` holds condition keys, and `resource`, `principal`, `layer: NAME`, `policy: NAME`,
    `unsupported: OPERATOR` and the like.
    """

    decision: Decision
    statements: tuple[StatementRef, ...] = ()
    reasons: tuple[Reason, ...] = ()
    unknown: tuple[str, ...] = ()


def evaluate(
    request: Request,
    *,
    identity: Layer,
    boundary: Policy | Missing | None = None,
    session: Layer = (),
    scps: Sequence[Layer] | Missing | None = None,
    rcps: Sequence[Layer] | Missing | None = None,
    resource_policy: Policy | Missing | None = None,
) -> Result:
    """Decide one request.

    None (for `session` an empty sequence): there is no such layer. MISSING: it could not be read.
    `scps` and `rcps` are lists of levels, root first; a level allows if one of its policies does.
    An RCP never grants: only its denies count. A role's trust and a KMS key's policy must allow by
    themselves, so for these a `resource_policy` of None counts as MISSING.
    """
    if resource_policy is None and request.needs_resource_policy:
        resource_policy = MISSING
    verdicts = [judge("identity", identity, request)]
    # most requests are decided by identity policies alone, so the others cost nothing where there are none
    if boundary or session or scps or rcps or resource_policy:
        others = (
            *_one("boundary", boundary),
            *([("session", session)] if session else []),
            *_levels("scp", scps),
            *_levels("rcp", rcps),
            *_one("resource", resource_policy),
        )
        verdicts += [judge(name, policies, request) for name, policies in others]
    denied: Truth = False
    for verdict in verdicts:
        denied = either(denied, verdict.denied)
    if denied:
        refs = tuple(ref for verdict in verdicts for ref in verdict.denies)
        return Result(Decision.EXPLICITLY_DENIED, refs, (Reason.EXPLICIT_DENY,))
    allows = _allows(verdicts, request)
    granted = _granted(request, allows)
    if granted is False:
        return Result(Decision.IMPLICITLY_DENIED, (), _why_not(request, allows))
    if granted and denied is False:
        refs = tuple(ref for verdict in verdicts if verdict.layer != "rcp" for ref in verdict.allows)
        return Result(Decision.ALLOWED, refs, _why(request, allows))
    return _undecided(verdicts, hidden_grant=_passes_ceiling(request, allows) is None)


def _one(name: str, policy: Policy | Missing | None) -> Iterator[tuple[str, Layer]]:
    if policy is not None:
        yield name, policy if isinstance(policy, Missing) else (policy,)


def _levels(name: str, levels: Sequence[Layer] | Missing | None) -> Iterator[tuple[str, Layer]]:
    if isinstance(levels, Missing):
        yield name, levels
    else:
        yield from ((name, level) for level in levels or ())


# --- how allows combine ---------------------------------------------------------------------------


class _Allows(NamedTuple):
    """Which layers allow; a layer that is not there limits nothing and grants nothing."""

    identity: Truth
    boundary: Truth
    session: Truth
    scp: Truth
    resource: Verdict

    @property
    def ceiling(self) -> Truth:
        return both(self.boundary, self.session)


_NO_RESOURCE = Verdict("resource")
"""Of a resource without a policy; never written to."""


def _allows(verdicts: Sequence[Verdict], request: Request) -> _Allows:
    every: dict[str, Truth] = {"boundary": True, "session": True, "scp": True}
    identity: Truth = is_root(request.principal)
    resource = _NO_RESOURCE
    for verdict in verdicts:
        if verdict.layer == "identity":
            identity = either(identity, verdict.allowed)
        elif verdict.layer == "resource":
            resource = verdict
        elif verdict.layer != "rcp":
            every[verdict.layer] = both(every[verdict.layer], verdict.allowed)
    return _Allows(identity, every["boundary"], every["session"], every["scp"], resource)


def _granted(request: Request, allows: _Allows) -> Truth:
    """Within an account a union with the resource's policy, across accounts an intersection."""
    if not carries_policies(request.principal):
        return allows.resource.allowed
    if request.crosses_accounts:
        granted = both(both(allows.identity, allows.ceiling), allows.resource.allowed)
    else:
        direct = allows.resource.grant(Grade.DIRECT)
        granted = either(direct, both(_within(request, allows), allows.ceiling))
        granted = either(granted, _passes_ceiling(request, allows))
    return both(granted, allows.scp)


def _within(request: Request, allows: _Allows) -> Truth:
    """Granted to the role or user, before boundary and session policy limit it."""
    identity = allows.identity
    if request.needs_resource_policy:
        identity = both(identity, allows.resource.grant(Grade.ACCOUNT))
    return either(identity, either(allows.resource.grant(Grade.ROLE), allows.resource.grant(Grade.ANYONE)))


def _passes_ceiling(request: Request, allows: _Allows) -> Truth:
    """Whether a grant to everyone passes a ceiling that does not allow: not documented, so not known."""
    if allows.ceiling is True or request.crosses_accounts or allows.resource.grant(Grade.ANYONE) is False:
        return False
    return None


def _why(request: Request, allows: _Allows) -> tuple[Reason, ...]:
    found = (
        (is_root(request.principal), Reason.ROOT_USER),
        (allows.identity and not is_root(request.principal), Reason.IDENTITY_ALLOWS),
        (allows.resource.allowed, Reason.RESOURCE_ALLOWS),
    )
    return tuple(reason for truth, reason in found if truth)


def _why_not(request: Request, allows: _Allows) -> tuple[Reason, ...]:
    """Name each layer that surely does not allow, where its allow was needed."""
    attached = carries_policies(request.principal)
    needs_resource = not attached or request.crosses_accounts or request.needs_resource_policy
    found = (
        (attached and allows.identity is False, Reason.NO_IDENTITY_ALLOW),
        (attached and allows.boundary is False, Reason.NO_BOUNDARY_ALLOW),
        (attached and allows.session is False, Reason.NO_SESSION_ALLOW),
        (attached and allows.scp is False, Reason.NO_SCP_ALLOW),
        (needs_resource and allows.resource.allowed is False, Reason.NO_RESOURCE_ALLOW),
    )
    return tuple(reason for truth, reason in found if truth)


def _undecided(verdicts: Sequence[Verdict], *, hidden_grant: bool) -> Result:
    unknown = {each for verdict in verdicts for each in verdict.unknown}
    found = {_hangs_on(each) for each in unknown}
    denies = tuple(ref for verdict in verdicts for ref in verdict.maybe_denies)
    allows = tuple(ref for verdict in verdicts for ref in verdict.maybe_allows)
    if denies:
        found.add(Reason.MAYBE_DENIED)
    if allows:
        found.add(Reason.MAYBE_ALLOWED)
    if hidden_grant:
        found.add(Reason.ANYONE_PAST_CEILING)
    ordered = tuple(reason for reason in Reason if reason in found)
    return Result(Decision.UNKNOWN, denies + allows, ordered, tuple(sorted(unknown)))


_HANGS_ON = {
    "resource": Reason.PARTIAL_RESOURCE,
    "principal": Reason.NO_PRINCIPAL,
    "layer": Reason.MISSING_LAYER,
    "policy": Reason.UNREADABLE_POLICY,
}


def _hangs_on(unknown: str) -> Reason:
    """Read an entry of `Result.unknown`; a condition key has no blank after its colon."""
    kind, separator, _ = unknown.partition(": ")
    return _HANGS_ON.get(kind, Reason.UNSUPPORTED if separator else Reason.MISSING_KEY)


# --- attribution ----------------------------------------------------------------------------------


def allowing(
    policies: Sequence[Policy],
    action: str,
    resource: str,
    context: Mapping[str, Scalar | Sequence[Scalar]] | None = None,
    *,
    unknown_keys: frozenset[str] | Every = EVERY_OTHER,
) -> tuple[tuple[StatementRef, Truth], ...]:
    """Return the Allow statements of identity policies that cover a call (True) or may cover it (None).

    As telemetry knows calls: a `*` in the resource and, by default, each key that is not in `context`
    are not known. Denies and other layers are left to `evaluate`.
    """
    request = Request(action, resource, context=context or {}, unknown_keys=unknown_keys, partial=True)
    found: list[tuple[StatementRef, Truth]] = []
    for policy in policies:
        for statement in policy.candidates(request.service):
            truth = applies(statement, request, set()) if statement.allows else False
            if truth is not False:
                found.append((StatementRef(policy.name, statement.index, statement.sid, "identity"), truth))
    return tuple(found)
