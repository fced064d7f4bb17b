"""Calls that were refused, and calls that were allowed although no statement of the role allows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from credwatch_agent.compare import RoleView, Use
from credwatch_agent.evidence import Signed
from credwatch_agent.findings import grants, words
from credwatch_agent.findings.model import Finding, Fix, Rule, Severity, Subject, World
from credwatch_agent.findings.sight import grouped, places

_LAYERS = {
    "service control": "a service control policy of the organisation",
    "resource control": "a resource control policy of the organisation",
    "permissions boundary": "the role's permissions boundary",
    "permissions": "the role's permissions boundary",
    "session": "the session policy that the role was assumed with",
    "resource-based": "the resource's own policy",
    "identity-based": "the policies of the role",
}


def denied_call(world: World) -> Iterator[Finding]:
    """One finding for each action that a workload was refused under one principal."""

    def refused(item: Signed) -> tuple[str, str] | None:
        # a 403 that may only mean "not there" proves nothing
        if item.usage.outcome != "denied" or not item.usage.authorizations:
            return None
        return item.place.workload.where, item.role_arn or item.usage.principal

    for (where, principal), signed in sorted(grouped(world.joined.signed, refused).items()):
        for action in sorted({action for item in signed for action in item.usage.actions}):
            yield _denied(world, where, principal, action, [s for s in signed if action in s.usage.actions])


def _denied(world: World, where: str, principal: str, action: str, signed: Sequence[Signed]) -> Finding:
    resources = sorted({arn for s in signed for name, arns in s.usage.authorizations if name == action for arn in arns})
    layers = sorted({item.usage.denied_layer for item in signed} - {""})
    first_ns, last_ns = words.seen(signed)
    named = f", by {' and '.join(_LAYERS.get(layer, f'a {layer} policy') for layer in layers)}" if layers else ""
    return Finding(
        id="denied-call",
        severity=Severity.MEDIUM,
        kind=Subject.WORKLOAD,
        subject=where,
        sentence=(
            f"`{where}` was refused `{action}` on {words.listed(resources, 3) or '`*`'} as"
            f" `{words.name(principal) or 'an unknown principal'}`{named}"
        ),
        evidence=(
            words.calls(signed),
            words.reporters(places(signed)),
            *_layer_evidence(world, principal, action, resources, layers),
            words.mapping(signed),
        ),
        fixes=tuple(_denied_fixes(world, principal, action, resources, layers)),
        detail=action,
        role_arn=signed[0].role_arn,
        first_ns=first_ns,
        last_ns=last_ns,
    )


def _layer_evidence(
    world: World, principal: str, action: str, resources: Sequence[str], layers: Sequence[str]
) -> Iterator[str]:
    if not layers:
        yield "the answer does not say which policy refused"
    view = next((view for view in world.roles if view.role.arn == principal), None)
    if view is None:
        yield f"the snapshot holds no role `{words.name(principal)}`"
    elif not _granted(view, action):
        yield f"no statement of `{view.role.name}` grants `{action}`"
    else:
        yield f"a statement of `{view.role.name}` grants `{action}`, but not for this resource or condition"


def _granted(view: RoleView, action: str) -> bool:
    return any(grant.action.lower() == action.lower() for s in view.statements for grant in s.grants)


def _denied_fixes(
    world: World, principal: str, action: str, resources: Sequence[str], layers: Sequence[str]
) -> Iterator[Fix]:
    elsewhere = [layer for layer in layers if layer != "identity-based"]
    if elsewhere:
        yield Fix(f"Change {' and '.join(_LAYERS.get(each, f'the {each} policy') for each in elsewhere)}.")
    else:
        yield Fix(
            f"If the call is meant, grant it to `{words.name(principal)}`.",
            grants.document(grants.statements({action: resources or ["*"]})),
            "json",
        )
    yield Fix("If it is not, take the call out of the application, so that a denial means something again.")


def granted_elsewhere(world: World) -> Iterator[Finding]:
    for view in world.roles:
        # a policy that could not be read may be the one that allows it
        if view.problems or view.role.service_linked:
            continue
        ordered = sorted(view.unexplained, key=lambda use: use.action)
        for action, found in groupby(ordered, key=lambda use: use.action):
            yield _elsewhere(view, action, list(found))


def _elsewhere(view: RoleView, action: str, found: Sequence[Use]) -> Finding:
    return Finding(
        id="granted-elsewhere",
        severity=Severity.INFO,
        kind=Subject.ROLE,
        subject=view.role.arn,
        sentence=(
            f"`{view.role.name}` was allowed `{action}` on {words.listed((use.resource for use in found), 3)}, and no"
            " statement of its policies allows it"
        ),
        evidence=(words.uses(found), f"{words.count(len(view.role.policies), 'policy')} of the role were read"),
        fixes=(
            Fix(
                "Look at the resource's own policy, at a KMS grant, and whether the role's policies were changed since:"
                " who narrows the role does not take this away."
            ),
        ),
        detail=action,
        role_arn=view.role.arn,
        first_ns=min(use.first_ns for use in found),
        last_ns=max(use.last_ns for use in found),
    )


def used_not_granted(world: World) -> Iterator[Finding]:
    """A use that the role's earlier policies allowed and the present ones do not."""
    earlier = {view.role.arn: view for view in world.earlier}
    for view in world.roles:
        before = earlier.get(view.role.arn)
        if before is None or view.problems or before.problems:
            continue
        # a call that the earlier policies did not explain either was allowed elsewhere
        also = {(use.action, use.resource) for use in before.unexplained}
        lost = [use for use in view.unexplained if (use.action, use.resource) not in also]
        for action, found in groupby(sorted(lost, key=lambda use: use.action), key=lambda use: use.action):
            yield _lost(view, action, list(found))


def _lost(view: RoleView, action: str, found: Sequence[Use]) -> Finding:
    resources = [use.resource for use in found]
    return Finding(
        id="used-not-granted",
        severity=Severity.HIGH,
        kind=Subject.ROLE,
        subject=view.role.arn,
        sentence=(f"`{view.role.name}` lost the grant of `{action}` on {words.listed(resources, 3)}, which was in use"),
        evidence=(words.uses(found), "the earlier snapshot grants it, the present one does not"),
        fixes=(Fix("Grant it again.", grants.document(grants.statements({action: resources})), "json"),),
        detail=action,
        role_arn=view.role.arn,
        first_ns=min(use.first_ns for use in found),
        last_ns=max(use.last_ns for use in found),
    )


RULES = (
    Rule(
        id="used-not-granted",
        severity="high",
        check=used_not_granted,
        what="A grant that was in use was removed.",
        why="The next such call fails.",
        how_we_know="A call that the earlier snapshot's policies explain is not explained by the present ones.",
        how_to_fix="Grant it again, or take the call out of the application.",
        references=("IAM user guide, troubleshoot access denied error messages",),
        absorbs=frozenset({"granted-elsewhere"}),
    ),
    Rule(
        id="denied-call",
        severity="medium",
        check=denied_call,
        what="A workload was refused a call.",
        why="Something does not work, or somebody tries what is not theirs.",
        how_we_know=(
            "The service answered with the AccessDenied family. Action, resource and the policy type that refused come"
            " from its message where it has them, else from the operation map. A 403 on reading an S3 object that may"
            " only be missing is not counted."
        ),
        how_to_fix="Grant the call where it was refused, or take it out.",
        references=("IAM user guide, troubleshoot access denied error messages",),
    ),
    Rule(
        id="granted-elsewhere",
        severity="info",
        check=granted_elsewhere,
        what="A call was allowed although no statement of the role's policies allows it.",
        why="A resource policy, a KMS grant or a policy changed since decides it: narrowing the role does not.",
        how_we_know="The call succeeded, all policies of the role were read, and none of them explains it.",
        how_to_fix="Look at the resource's own policy.",
        references=("IAM user guide, policy evaluation logic",),
    ),
)
