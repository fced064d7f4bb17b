"""Exemptions: findings that somebody answers for, each with owner, reason and expiry.

They come from a reviewed file, already parsed, or from a role's tags. One that lacks a part is refused:
of a file that is an error, of a tag a sentence in the report. Pure: today is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

from credwatch_agent.findings.model import Finding
from credwatch_agent.snapshot import Role

TAG = "credwatch:exempt:"
"""A role's tag `credwatch:exempt:FINDING-ID`; its value is `owner=WHO expires=YYYY-MM-DD reason=WHY`."""

_FIELDS = {"finding", "subject", "fingerprint", "owner", "reason", "expires"}
_TAG_VALUE = re.compile(r"owner=(\S+)\s+expires=(\d{4}-\d\d-\d\d)\s+reason=(.*\S)")


class BadExemption(ValueError):
    """An exemption is not one; the text says which, what is wrong and what to write."""


@dataclass(frozen=True, slots=True)
class Exemption:
    """One exemption: what it covers (`fingerprint`, or a finding's id and a pattern of subjects), and who answers.

    `expires` is the last day on which it holds. `where` names it in sentences.
    """

    finding: str
    subject: str
    fingerprint: str
    owner: str
    reason: str
    expires: date
    where: str

    def covers(self, found: Finding) -> bool:
        if self.fingerprint:
            return self.fingerprint == found.fingerprint
        subjects = {found.subject, *([found.role_arn] if found.role_arn else ())}
        return self.finding == found.id and any(fnmatchcase(each, self.subject) for each in subjects)

    def expired(self, today: date) -> bool:
        return today > self.expires


def parse(document: Mapping[str, Any], ids: Iterable[str]) -> tuple[Exemption, ...]:
    """Return the exemptions of a file's document `{"exemption": [...]}`; raises `BadExemption`.

    `ids` are the findings that there are, so that a misspelt one is refused.
    """
    if not isinstance(document.get("exemption", []), list) or set(document) - {"exemption"}:
        raise BadExemption("only tables `[[exemption]]` belong into it")
    known = frozenset(ids)
    return tuple(_one(table, f"exemption {n}", known) for n, table in enumerate(document.get("exemption", []), 1))


def _one(table: Any, where: str, known: frozenset[str]) -> Exemption:
    if not isinstance(table, dict):
        raise BadExemption(f"{where} is no table")
    strange = sorted(set(table) - _FIELDS)
    if strange:
        raise BadExemption(f"{where} has `{strange[0]}`; there are {', '.join(sorted(_FIELDS))}")
    text = {name: _text(table, name, where) for name in sorted(_FIELDS - {"expires"})}
    if text["fingerprint"]:
        if text["finding"] or text["subject"]:
            raise BadExemption(f"{where} has a `fingerprint` and more: write either that or `finding` and `subject`")
    elif not text["finding"] or not text["subject"]:
        raise BadExemption(f"{where} names nothing: write `finding` and `subject`, or `fingerprint`")
    elif text["finding"] not in known:
        raise BadExemption(f"{where} names `{text['finding']}`, which is no finding: see docs/findings.md")
    for name, example in (("owner", "payments@example.com"), ("reason", "why it is right as it is")):
        if not text[name]:
            raise BadExemption(f'{where} has no {name}: write `{name} = "{example}"`')
    expires = table.get("expires")
    if type(expires) is not date:
        raise BadExemption(f"{where} has no expiry: write a day without quotes, such as `expires = 2030-01-31`")
    return Exemption(**text, expires=expires, where=where)


def _text(table: Mapping[str, Any], name: str, where: str) -> str:
    value = table.get(name, "")
    if not isinstance(value, str):
        raise BadExemption(f"{where} has a `{name}` that is no text: put it in quotes")
    return value.strip()


def tagged(roles: Iterable[Role], ids: Iterable[str]) -> tuple[tuple[Exemption, ...], tuple[str, ...]]:
    """Return the exemptions of roles' tags, and a sentence for each tag that is none."""
    known = frozenset(ids)
    found: list[Exemption] = []
    problems: list[str] = []
    for role, key, value in _tags(roles):
        where = f"tag `{key}` of role `{role.name}`"
        try:
            found.append(_of_tag(role, key.removeprefix(TAG), value, where, known))
        except BadExemption as error:
            problems.append(str(error))
    return tuple(found), tuple(problems)


def _tags(roles: Iterable[Role]) -> Iterator[tuple[Role, str, str]]:
    return ((role, key, value) for role in roles for key, value in role.tags if key.startswith(TAG))


def _of_tag(role: Role, name: str, value: str, where: str, known: frozenset[str]) -> Exemption:
    if name not in known:
        raise BadExemption(f"{where} exempts nothing: `{name}` is no finding")
    parts = _TAG_VALUE.fullmatch(value.strip())
    if not parts:
        raise BadExemption(f"{where} exempts nothing: write `owner=WHO expires=YYYY-MM-DD reason=WHY`")
    owner, day, reason = parts.groups()
    try:
        expires = date.fromisoformat(day)
    except ValueError:
        raise BadExemption(f"{where} exempts nothing: `{day}` is no day") from None
    # a statement's subject begins with its role's ARN; another finding of the role names it as `role_arn`
    return Exemption(name, role.arn, "", owner, reason, expires, where)
