"""`--expect ROLE`: is it this role? Yes, no, or cannot be known. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase

from credwatch.identity.model import Identity


def matches(identity: Identity, expected: str) -> bool | None:
    """Return whether the identity is the role expected (name, ARN or glob), None if that is not known.

    Where only name and account are known they decide: a role's name is unique in its account,
    whatever the path in its ARN.
    """
    if not identity.principal:
        return None if _may_be_a_role(identity) else False
    if not expected.startswith("arn:"):
        is_role = not identity.principal_arn or ":role/" in identity.principal_arn
        return is_role and _named(identity.principal.rpartition("/")[2], expected)
    if identity.principal_arn:
        return fnmatchcase(identity.principal_arn, expected)
    return _named_in_account(identity, expected)


def _named(name: str, expected: str) -> bool | None:
    if fnmatchcase(name, expected):
        return True
    # of a role of IAM Identity Center the end of the name is not known
    return None if name.endswith("*") and fnmatchcase(expected, name) else False


def _named_in_account(identity: Identity, expected: str) -> bool | None:
    named = _named(identity.principal_name, expected.rpartition("/")[2])
    if not named:
        return named
    account = expected.split(":")[4] if expected.count(":") >= 5 else "*"
    if identity.account_id:
        return fnmatchcase(identity.account_id, account)
    return True if account == "*" else None


def _may_be_a_role(identity: Identity) -> bool:
    stopped = any(step.state == "unsure" for step in identity.steps)
    return stopped or bool(identity.provider and identity.credential_type != "long-lived")
