"""From what was compared to what is recommended: a role's calls and the reasons why an unseen action stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from credwatch_agent.compare import RoleView
from credwatch_agent.compare.passed import ACTION, passed_to
from credwatch_agent.evidence import Gap, Reason, Signed, State, verdict
from credwatch_agent.evidence import Settings as Window
from credwatch_agent.recommend.model import Attached, Call, Recommendation, Settings
from credwatch_agent.recommend.role import recommend
from credwatch_agent.snapshot import Role

REFUSED = frozenset({"denied", "denied-or-missing", "auth-failed"})
"""Outcomes of calls that no policy has to keep: they did not succeed."""


def calls(signed: Iterable[Signed], *, documented: bool = False) -> Iterator[Call]:
    """Return each use of each action, refused ones left out; `documented` as in `Settings`."""
    for number, one in enumerate(signed):
        if one.usage.outcome in REFUSED:
            continue
        for action, resources in one.usage.authorizations:
            row = one.row
            to = passed_to(action, resources, one.usage.facets) if documented else ()
            yield Call(action, resources, one.usage.detail, row.calls, row.first_ns, row.last_ns, number, to)


def trail_calls(signed: Iterable[Signed], view: RoleView, *, documented: bool = False) -> Iterator[Call]:
    """Return what CloudTrail alone saw: uses of an action on resources that no recorder reported.

    Where it counts which service a role was passed to, which CloudTrail does not say, none of its uses is another's.
    """
    reported = {(action, resource) for one in signed for action, arns in one.usage.authorizations for resource in arns}
    for use in view.coverage.second.uses:
        for action, resources in use.authorizations if use.outcome not in REFUSED else ():
            apart = documented and action == ACTION
            if apart or not all((action, resource) in reported for resource in resources):
                yield Call(action, resources, use.detail, use.calls, use.first_ns, use.last_ns)


def attached(view: RoleView) -> list[Attached]:
    """Return the role's policies, parsed where they parse."""
    return attached_to(view.role)


def attached_to(role: Role) -> list[Attached]:
    """Return a role's policies, parsed where they parse."""
    return [Attached.read(each.name, each.document, each.arn, each.attachments) for each in role.policies]


def keep(view: RoleView) -> Callable[[str], str]:
    """Return what says why an action that was not seen has to stay, or "" if evidence calls it unused."""
    reasons: dict[str, str] = {}
    for statement in view.statements:
        for grant in statement.grants:
            if grant.verdict.state in {State.UNOBSERVABLE, State.INSUFFICIENT}:
                why = "; ".join(map(_sentence, grant.verdict.gaps[:1]))
                reasons.setdefault(grant.action.lower(), f"{grant.verdict.state.value}: {why}")
    return lambda action: reasons.get(action.lower(), "")


def beside(view: RoleView) -> Callable[[str], str]:
    """Return what says why an action that was seen may be used unseen as well, or "" if nothing says so."""

    def why(action: str) -> str:
        gap = verdict.beside(action, view.infrastructure, view.forwarded)
        return gap.sentence if gap else ""

    return why


def _sentence(gap: Gap) -> str:
    """Say a gap of one action so that all actions with the same gap can be listed before it."""
    return "no SDK operation is authorised as it" if gap.reason is Reason.NO_OPERATION else gap.sentence


def of_role(
    view: RoleView,
    signed: Iterable[Signed],
    now_ns: int,
    window: Window,
    detail: str = "container",
    *,
    documented: bool = False,
) -> Recommendation:
    """Narrow a role's policies by what was seen of it in the window that ends at `now_ns`.

    What was observed may be less than the window: from the first report of a process to the last.
    """
    carriers = view.coverage.carriers
    start_ns = max(now_ns - window.window_ns, min((each.first_ns for each in carriers), default=0))
    end_ns = min(now_ns, max((each.last_ns for each in carriers), default=now_ns))
    doubt = next((gap.sentence for gap in view.coverage.gaps), "")
    signed = tuple(signed)
    why_not = doubt and f"insufficient: {doubt}"
    settings = Settings(
        start_ns, max(start_ns, end_ns), keep(view), beside(view), detail, why_not, documented=documented
    )
    seen = (*calls(signed, documented=documented), *trail_calls(signed, view, documented=documented))
    return recommend(view.role.arn, attached(view), seen, settings)
