"""Who may do what with the agent: bearer tokens and client certificates, their roles, and the accounts they speak for.

Pure: knows no file and no protocol. Of a token only its SHA-256 is known here: tokens are 256 random
bits, so that a plain hash cannot be turned back.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from credwatch import semconv
from credwatch.semconv import Usage
from credwatch_agent.records import Batch, Span

ROLES: Mapping[str, frozenset[str]] = {
    "ingest": frozenset({"ingest"}),
    "read": frozenset({"read"}),
    "admin": frozenset({"ingest", "read"}),
}
"""What a token of each role may do: send telemetry, read what the agent knows."""

_FIELDS = {"name", "role", "accounts", "expires"}
_KINDS = {"token": "sha256", "certificate": "san"}
"""Table of the document -> its own field, by which its holder is known."""
_ACCOUNT_OF_RESOURCE = "cloud.account.id"


class BadTokens(Exception):
    """The document is no list of tokens; the text says where and what to write, never a hash."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request. `accounts` is what it may speak for: none means any.

    `vouched` is False where nobody was asked for a token: then what it says is only claimed. `expires_ns` is
    when its token or certificate is no longer taken, None for never.
    """

    name: str
    role: str
    accounts: frozenset[str] = frozenset()
    vouched: bool = True
    expires_ns: int | None = None

    def expired(self, now_ns: int) -> bool:
        return self.expires_ns is not None and now_ns >= self.expires_ns

    def may(self, what: str) -> bool:
        """Tell whether the role allows `ingest` or `read`."""
        return what in ROLES[self.role]


ANYONE = Caller("", "admin", vouched=False)
"""The caller of an agent that has no tokens: whoever reaches its loopback address."""


class Tokens:
    """The callers that are known now, by the hash of their token or by a name in their certificate."""

    def __init__(self, callers: Mapping[bytes, Caller], by_name: Mapping[str, Caller] | None = None) -> None:
        self._callers = dict(callers)
        self._by_name = dict(by_name or {})

    def __len__(self) -> int:
        return len(self._callers) + len(self._by_name)

    def expired(self, now_ns: int) -> list[str]:
        """Return the names of those whose time is over."""
        every = (*self._callers.values(), *self._by_name.values())
        return sorted(caller.name for caller in every if caller.expired(now_ns))

    def of_certificate(self, names: Iterable[str]) -> Caller | None:
        """Return whose certificate it is; `names` are its alternative names, as `dns:NAME` and `uri:URI`."""
        return next((self._by_name[name] for name in names if name in self._by_name), None)

    def find(self, token: str) -> Caller | None:
        """Return whose token it is. Takes equally long wherever, and however nearly, it matches."""
        digest = hash_of(token)
        found = None
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, digest):
                found = caller
        return found


def hash_of(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def new_token() -> str:
    """Return a fresh token of 256 random bits."""
    return f"cwt_{secrets.token_urlsafe(32)}"


def parse(document: Mapping[str, Any]) -> Tokens:
    """Return the callers of a document; raises `BadTokens`.

    `{"token": [{name, sha256, role, accounts, expires}, …], "certificate": [{name, san, role, accounts, expires}, …]}`
    """
    if not document or not set(document) <= set(_KINDS) or not all(_is_list(rows) for rows in document.values()):
        raise BadTokens(
            "it must hold `[[token]]` and `[[certificate]]` tables and nothing else; `credwatch-agent token NAME` "
            "prints one"
        )
    callers: dict[str, dict[str, Caller]] = {kind: {} for kind in _KINDS}
    names: set[str] = set()
    for kind, rows in document.items():
        for number, row in enumerate(rows, 1):
            known_by, caller = _row(kind, row, f"{kind} {number}")
            if known_by in callers[kind] or caller.name in names:
                raise BadTokens(
                    f"{kind} {number} has the name or the `{_KINDS[kind]}` of another: each must be its own"
                )
            names.add(caller.name)
            callers[kind][known_by] = caller
    return Tokens(
        {bytes.fromhex(digest): caller for digest, caller in callers["token"].items()}, callers["certificate"]
    )


def _is_list(rows: Any) -> bool:
    return isinstance(rows, list) and bool(rows)


def _row(kind: str, row: Any, where: str) -> tuple[str, Caller]:
    fields = {*_FIELDS, _KINDS[kind]}
    if not isinstance(row, dict) or not set(row) <= fields:
        raise BadTokens(f"{where} must be a table of {', '.join(sorted(fields))} and nothing else")
    name, role, accounts, expires = (row.get(key) for key in ("name", "role", "accounts", "expires"))
    if not isinstance(name, str) or not re.fullmatch(r"[\w.@-]{1,64}", name):
        raise BadTokens(f"{where}: `name` must be 1 to 64 letters, digits, `_`, `-`, `.` or `@`")
    known_by = row.get(_KINDS[kind])
    if kind == "token" and not _matches(r"[0-9a-f]{64}", known_by):
        raise BadTokens(f"{where}: `sha256` must be 64 hexadecimal digits: the hash of a token, never a token")
    if kind == "certificate" and not _matches(r"(dns|uri):\S+", known_by):
        raise BadTokens(
            f"{where}: `san` must be an alternative name, such as `dns:collector.example` or `uri:spiffe://…`"
        )
    if not isinstance(role, str) or role not in ROLES:
        raise BadTokens(f"{where}: `role` must be one of {', '.join(ROLES)}")
    if accounts is not None and not _are_accounts(accounts):
        raise BadTokens(f'{where}: `accounts` must be a list of AWS account ids, such as ["123456789012"]')
    if expires is not None and not (isinstance(expires, datetime) and expires.tzinfo):
        raise BadTokens(f"{where}: `expires` must be a time with its offset, not quoted, such as 2030-01-31T00:00:00Z")
    expires_ns = None if expires is None else int(expires.timestamp()) * 10**9
    return str(known_by), Caller(name, role, frozenset(accounts or ()), expires_ns=expires_ns)


def _matches(pattern: str, value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _are_accounts(value: Any) -> bool:
    # an empty list would mean "any", which is hardly what its author meant
    return isinstance(value, list) and bool(value) and all(re.fullmatch(r"[0-9]{12}", str(item)) for item in value)


# --- what a caller may say ------------------------------------------------------------------------


def bound(batch: Batch, caller: Caller) -> tuple[tuple[Batch, ...], int, str]:
    """Return what of a batch its sender may say, how many points it may not, and why.

    Usage that names another account is rejected; usage that names none is taken as a claim, since the
    token does not vouch for it.
    """
    if not caller.vouched:
        return (replace(batch, claimed=True),), 0, ""
    if not caller.accounts:
        return (batch,), 0, ""
    home = {batch.resource.get(_ACCOUNT_OF_RESOURCE, "")} - {""}
    said: dict[bool, set[str]] = {True: set(), False: set()}
    usage = []
    for point in batch.usage:
        named = _accounts_of(point.usage) or home
        if named <= caller.accounts:
            said[bool(named)].add(point.process_id)
            usage.append(point)
    keys = [k for k in batch.keys if ({k.account_id, _account(k.principal)} - {""} or home) <= caller.accounts]
    rejected = len(batch.usage) + len(batch.keys) - len(usage) - len(keys)
    kept = replace(batch, usage=tuple(usage), keys=tuple(keys))
    unnamed = said[False]
    parts = (_of(kept, unnamed, claimed=True), _of(kept, unnamed, claimed=False)) if unnamed else (kept,)
    return parts, rejected, _sentence("a point", caller) if rejected else ""


def bound_spans(spans: Iterable[Span], caller: Caller) -> tuple[list[Span], int, str]:
    """Return the spans that their sender may send, how many it may not, and why."""
    every = list(spans)
    if not caller.accounts:
        return every, 0, ""
    kept = [span for span in every if _accounts_of_span(span) <= caller.accounts]
    return kept, len(every) - len(kept), _sentence("a span", caller) if len(kept) < len(every) else ""


def _sentence(what: str, caller: Caller) -> str:
    return f"{what} was rejected: it names an account that `{caller.name}` may not speak for"


def _of(batch: Batch, processes: set[str], *, claimed: bool) -> Batch:
    return replace(
        batch,
        usage=tuple(p for p in batch.usage if (p.process_id in processes) == claimed),
        keys=tuple(k for k in batch.keys if (k.process_id in processes) == claimed),
        health=tuple(h for h in batch.health if (h.process_id in processes) == claimed),
        claimed=claimed,
    )


def _accounts_of(usage: Usage) -> set[str]:
    return {usage.account_id, _account(usage.principal_arn), _account(usage.instance_profile_arn)} - {""}


def _accounts_of_span(span: Span) -> set[str]:
    said = span.attributes
    arns = (str(said.get(name, "")) for name in (semconv.PRINCIPAL_ARN, semconv.INSTANCE_PROFILE))
    return {str(said.get(semconv.PRINCIPAL_ACCOUNT, "")), *map(_account, arns)} - {""}


def _account(arn: str) -> str:
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[0] == "arn" else ""
