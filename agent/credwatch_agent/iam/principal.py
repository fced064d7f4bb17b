"""Principals: who makes the request, and how exactly a statement names them.

How exactly matters: a grant to a session or user is not limited by implicit denies elsewhere, one
to a role is, one to an account only lets that account's own policies decide.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from credwatch_agent.iam.context import Truth
from credwatch_agent.iam.document import Principals, Statement


class Grade(str, Enum):
    """How a statement names the requester, most exact first. Text, so that it hashes as fast as text."""

    DIRECT = "the session, user or service itself"
    ROLE = "the role of the session"
    ANYONE = "everyone"
    ACCOUNT = "the account"


class Names(NamedTuple):
    """All names of a requester; `kinds` are the principal kinds that `exact` may stand under."""

    kinds: tuple[str, ...]
    exact: str
    role: str = ""
    account: str = ""


_FEDERATED = ("oidc-provider/", "saml-provider/")


@lru_cache(maxsize=16_384)
def names(principal: str) -> Names:
    """Read a principal: an IAM or STS ARN, an account id, or the name of a service or provider."""
    parts = principal.split(":", 5)
    if len(parts) < 6:
        if principal.isdigit():
            return Names(("AWS",), principal, account=principal)
        return Names(("Service", "Federated"), principal)
    partition, account, resource = parts[1], parts[4], parts[5]
    if resource.startswith(_FEDERATED):
        return Names(("Federated",), principal)
    role = principal if resource.startswith("role/") else ""
    if resource.startswith("assumed-role/"):
        role = f"arn:{partition}:iam::{account}:role/{resource.split('/')[1]}"
    return Names(("AWS",), principal, role, account)


def carries_policies(principal: str) -> bool:
    """Say whether identity policies can be attached to the requester; a service or provider has none."""
    return not principal or "AWS" in names(principal).kinds


def is_root(principal: str) -> bool:
    """Say whether the requester is an account's root user."""
    return principal.endswith(":root")


def grade(statement: Statement, principal: str) -> tuple[Grade | None, Truth]:
    """Say how a statement names the requester, and whether it does (None: not known).

    A statement without principals, as in an identity policy, speaks of whoever it is attached to.
    """
    if statement.not_principals:
        return Grade.ANYONE, _not_named(statement.not_principals, principal)
    if not statement.principals:
        return Grade.DIRECT, True
    who = names(principal)
    found = {_named(kind, value, who) for kind, value in statement.principals}
    for each in Grade:
        if each in found:
            return each, True
    if not principal or any(_names_a_session(value, who) for _, value in statement.principals):
        return Grade.DIRECT, None
    return None, False


def _named(kind: str, value: str, who: Names) -> Grade | None:
    if kind == "AWS" and value == "*":
        return Grade.ANYONE
    if not who.exact or kind not in who.kinds:
        return None
    if who.role and ":role/" in value and _role_key(value) == _role_key(who.role):
        return Grade.ROLE
    if value == who.exact:
        return Grade.DIRECT
    return Grade.ACCOUNT if who.account and _account(value) == who.account else None


def _role_key(arn: str) -> tuple[str, str]:
    """Account and name of a role: a session's ARN does not hold the role's path."""
    return arn.split(":", 5)[4], arn.rpartition("/")[2]


def _names_a_session(value: str, who: Names) -> bool:
    """Whether the statement names a session of the role, and only the role is known."""
    return bool(who.role) and who.exact == who.role and _role_key(names(value).role or ":::::") == _role_key(who.role)


def _account(value: str) -> str:
    """Return the account that an account principal names, else ""."""
    if value.isdigit():
        return value
    parts = value.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[5] == "root" else ""


def _not_named(excluded: Principals, principal: str) -> Truth:
    """NotPrincipal: surely applies if no name of the requester is excluded, surely not if all are.

    The guide asks to list the account and, for a session, its role too; of a list that holds only
    some it says that the policy might deny, so that is not known.
    """
    if any(value == "*" for _, value in excluded):
        return False
    if not principal:
        return None
    who = names(principal)
    hit = {_named(kind, value, who) for kind, value in excluded} - {None}
    if not hit:
        return None if any(_names_a_session(value, who) for _, value in excluded) else True
    wanted = {Grade.ROLE} if who.role == who.exact else {Grade.DIRECT}
    if who.account:
        wanted.add(Grade.ACCOUNT)
    if who.role:
        wanted.add(Grade.ROLE)
    return False if wanted <= hit else None
