"""Findings: filtered and grouped, each with its evidence, its fix, and the text that would exempt it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from credwatch_agent.findings import RULES, Finding, Severity
from credwatch_agent.web.asking import PAGE_NUMBER, Asked, NotFound, Pages, Parameter, paged
from credwatch_agent.web.parts import Stand, brief, stand, when
from credwatch_agent.web.state import Moment

_SIZE = 25


@dataclass(frozen=True, slots=True)
class Fix:
    """One thing to do, and the exact text to use in `language`, if any."""

    sentence: str
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Detail:
    """A finding, whole. `exemption` is the TOML to commit where it is to be left as it is."""

    fingerprint: str
    id: str
    severity: str
    status: str
    kind: str
    subject: str
    sentence: str
    cause: str
    evidence: tuple[str, ...]
    fixes: tuple[Fix, ...]
    references: tuple[str, ...]
    also: tuple[str, ...]
    related: tuple[str, ...]
    first: str
    last: str
    role: str
    workload: str
    policy: str
    what: str
    why: str
    how_we_know: str
    exemption: str


@dataclass(frozen=True, slots=True)
class Group:
    """Findings of a page that belong together, under the id, the severity or the subject that they share."""

    title: str
    findings: tuple[Detail, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """How many findings there are of one kind, whatever is filtered."""

    name: str
    findings: int


@dataclass(frozen=True, slots=True)
class Findings:
    """A page of the findings."""

    stand: Stand
    groups: tuple[Group, ...]
    severities: tuple[Count, ...]
    ids: tuple[Count, ...]
    pages: Pages


@dataclass(frozen=True, slots=True)
class One:
    """One finding."""

    stand: Stand
    finding: Detail


_GROUPS: Mapping[str, Callable[[Finding], str]] = {
    "severity": lambda one: one.severity.value,
    "rule": lambda one: one.id,
    "subject": lambda one: one.subject,
}

PARAMETERS = (
    Parameter("q", "part of a finding's sentence or subject"),
    Parameter("severity", "only this severity", choices=tuple(severity.value for severity in Severity)),
    Parameter("status", "only those that stand so", choices=("open", "exempted", "adopted")),
    Parameter("rule", "only this rule", choices=tuple(rule.id for rule in RULES)),
    Parameter("role", "only what concerns the role with this ARN"),
    Parameter("workload", "only what concerns this workload"),
    Parameter("group", "what to group by", choices=tuple(_GROUPS), default="severity"),
    PAGE_NUMBER,
)
ONE = (Parameter("fingerprint", "the finding's fingerprint, 16 hexadecimal digits", required=True),)

_BY_ID = {rule.id: rule for rule in RULES}


def findings(now: Moment, asked: Asked) -> Findings:
    """Answer a page of the findings that a question names."""
    name = _GROUPS[asked["group"]]
    found = [one for one in _base(now, asked) if _matches(one, asked)]
    if asked["status"]:
        found = [one for one in found if now.status(one) == asked["status"]]
    if asked["group"] != "severity":
        worst: dict[str, int] = {}
        for one in found:
            worst.setdefault(name(one), len(worst))
        found.sort(key=lambda one: worst[name(one)])
    shown, pages = paged(found, asked["page"], _SIZE)
    groups: defaultdict[str, list[Finding]] = defaultdict(list)
    for one in shown:
        groups[name(one)].append(one)
    severities, ids = Counter(one.severity for one in now.findings), Counter(one.id for one in now.findings)
    return Findings(
        stand=stand(now),
        groups=tuple(Group(title, tuple(detail(one, now) for one in every)) for title, every in groups.items()),
        severities=tuple(Count(severity.value, severities[severity]) for severity in Severity),
        ids=tuple(Count(name, count) for name, count in sorted(ids.items())),
        pages=pages,
    )


def finding(now: Moment, asked: Asked) -> One:
    """Answer one finding; raises `NotFound`."""
    found = now.by_fingerprint.get(asked["fingerprint"])
    if found is None:
        raise NotFound(f"there is no finding `{asked['fingerprint']}`: it may have been resolved")
    return One(stand(now), detail(found, now))


def _base(now: Moment, asked: Asked) -> Sequence[Finding]:
    if asked["role"]:
        return now.findings_of_role.get(asked["role"], ())
    return now.findings_of_workload.get(asked["workload"], ()) if asked["workload"] else now.findings


def _matches(one: Finding, asked: Asked) -> bool:
    wanted = asked["q"].lower()
    return (
        (not asked["severity"] or one.severity.value == asked["severity"])
        and (not asked["rule"] or one.id == asked["rule"])
        and (not asked["workload"] or asked["workload"] in (one.subject, *one.related))
        and (not wanted or wanted in one.sentence.lower() or wanted in one.subject.lower() or wanted in one.id)
    )


def detail(one: Finding, now: Moment) -> Detail:
    """Return a finding, whole."""
    rule, short = _BY_ID[one.id], brief(one, now)
    return Detail(
        fingerprint=one.fingerprint,
        id=one.id,
        severity=one.severity.value,
        status=short.status,
        kind=one.kind.value,
        subject=one.subject,
        sentence=one.sentence,
        cause=one.cause,
        evidence=one.evidence,
        fixes=tuple(Fix(fix.sentence, fix.text, fix.language) for fix in one.fixes),
        references=one.references,
        also=one.also,
        related=one.related,
        first=when(one.first_ns),
        last=when(one.last_ns),
        role=short.role,
        workload=short.workload,
        policy=one.policy,
        what=rule.what,
        why=rule.why,
        how_we_know=rule.how_we_know,
        exemption=exemption(one),
    )


def exemption(one: Finding) -> str:
    """Return what to commit where a finding is to stay: owner, reason and expiry are the committer's to give."""
    rows = {"fingerprint": one.fingerprint, "owner": "", "reason": "", "expires": ""}
    about = f"# {one.id}: {_toml(one.subject)}\n"
    return f"{about}[[exemption]]\n" + "\n".join(f"{name} = {_toml(value)}" for name, value in rows.items()) + "\n"


def _toml(text: str) -> str:
    # a JSON string is a TOML string, but for this one letter
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
