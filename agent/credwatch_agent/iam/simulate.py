"""A local `simulate-custom-policy`: one record in, one answer out.

Owns the two formats and the sentences about what is wrong in a record. Decides nothing itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from credwatch_agent.iam.context import EVERY_OTHER, Every
from credwatch_agent.iam.document import Policy, PolicyError, parse_text, unreadable
from credwatch_agent.iam.evaluate import Request, StatementRef, evaluate

_FIELDS = (
    "id", "request", "context", "unknownKeys", "identityPolicies", "boundary", "sessionPolicy", "scps", "rcps",
    "resourcePolicy",
)  # fmt: skip
_REQUEST_FIELDS = ("action", "resource", "principal", "resourceAccount")


class BadRecord(ValueError):
    """A record that cannot be answered: which field, what is wrong, what to write."""


Complain = Callable[[str], None]
"""Takes a sentence on a policy that could not be parsed; the record is answered all the same."""


def _refuse(sentence: str) -> None:
    raise BadRecord(sentence)


def answer_line(line: str, complain: Complain = _refuse) -> str:
    """Answer one line of JSON with one line of JSON. Raises BadRecord."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(key for at, (key, _) in enumerate(pairs) if key in dict(pairs[:at]))
            raise BadRecord(f"`{twice}` occurs twice in one object; keep one")
        return found

    try:
        record = json.loads(line.removeprefix("\ufeff"), object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise BadRecord(f"not valid JSON at column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise BadRecord("nested too deeply to be a record") from None
    return json.dumps(answer(record, complain), ensure_ascii=False, separators=(",", ":"))


def answer(record: Any, complain: Complain = _refuse) -> dict[str, Any]:
    """Return `{id, decision, statements, unknown}` for a record. Raises BadRecord.

    A key that is not in `context` is not in the request, unless `unknownKeys` names it (`"*"`: every other key).
    A layer that is not there does not exist; but a role's trust policy and a KMS key's policy always do.
    A policy that does not parse hides no other: it may say anything, and `complain` gets the sentence.
    """
    layers = _Layers(complain)
    fields = _object("", record, _FIELDS)
    request = _object("request", fields.get("request"), _REQUEST_FIELDS)
    result = evaluate(
        Request(
            action=_action(request),
            resource=_text("request.resource", request.get("resource"), "*"),
            principal=_text("request.principal", request.get("principal"), ""),
            resource_account=_text("request.resourceAccount", request.get("resourceAccount"), ""),
            context=_context(fields.get("context")),
            unknown_keys=_unknown_keys(fields.get("unknownKeys")),
        ),
        identity=layers.policies("identityPolicies", fields.get("identityPolicies")),
        boundary=layers.optional("boundary", fields.get("boundary")),
        session=layers.policies("sessionPolicy", fields.get("sessionPolicy")),
        scps=layers.levels("scps", fields.get("scps")),
        rcps=layers.levels("rcps", fields.get("rcps")),
        resource_policy=layers.optional("resourcePolicy", fields.get("resourcePolicy")),
    )
    return {
        "id": fields.get("id"),
        "decision": result.decision.value,
        "statements": [_statement(each) for each in result.statements],
        "unknown": list(result.unknown),
    }


def _statement(ref: StatementRef) -> dict[str, Any]:
    return {"layer": ref.layer, "policy": ref.policy, "statement": ref.index, "sid": ref.sid}


# --- fields ---------------------------------------------------------------------------------------


def _object(path: str, value: Any, known: Sequence[str]) -> Mapping[str, Any]:
    what = f"`{path}`" if path else "a record"
    if not isinstance(value, dict):
        raise BadRecord(f"{what} must be an object with the fields {', '.join(known)}")
    for key in value:
        if key not in known:
            where = f"{path}.{key}" if path else key
            raise BadRecord(f"`{where}` is no field; the fields are {', '.join(known)}")
    return value


def _text(path: str, value: Any, default: str) -> str:
    if value is None:
        return default
    if not isinstance(value, str):
        raise BadRecord(f"`{path}` must be a string")
    return value


def _action(request: Mapping[str, Any]) -> str:
    action = _text("request.action", request.get("action"), "")
    service, colon, name = action.partition(":")
    if not (service and colon and name) or "*" in action or "?" in action:
        raise BadRecord("`request.action` must be one action, such as `s3:GetObject`")
    return action


def _context(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRecord("`context` must be an object of condition keys and their values")
    seen: dict[str, str] = {}
    for key, values in value.items():
        listed = values if isinstance(values, list) else [values]
        if not all(isinstance(each, str | bool | int | float) for each in listed):
            raise BadRecord(f"`context.{key}` must be a string, a number, a boolean or a list of these")
        if seen.setdefault(key.lower(), key) != key:
            raise BadRecord(f"`context.{key}` is the same key as `{seen[key.lower()]}`: case does not count; keep one")
    return value


def _unknown_keys(value: Any) -> frozenset[str] | Every:
    if value == "*":
        return EVERY_OTHER
    if value is None:
        return frozenset()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadRecord('`unknownKeys` must be a list of condition keys, or `"*"`')
    return frozenset(value)


# --- policies -------------------------------------------------------------------------------------


class _Layers:
    """Reads the fields that hold policies."""

    def __init__(self, complain: Complain) -> None:
        self._complain = complain

    def policy(self, path: str, value: Any) -> Policy:
        if not isinstance(value, dict | str):
            raise BadRecord(f"`{path}` must be a policy document")
        try:
            return parse_text(path, value if isinstance(value, str) else json.dumps(value))
        except PolicyError as error:
            self._complain(str(error))
            return unreadable(path, error)

    def optional(self, path: str, value: Any) -> Policy | None:
        return None if value is None else self.policy(path, value)

    def policies(self, path: str, value: Any) -> list[Policy]:
        """Read a list of documents, or one."""
        if value is None:
            return []
        return _listed(path, value, self.policy) if isinstance(value, list) else [self.policy(path, value)]

    def levels(self, path: str, value: Any) -> list[list[Policy]] | None:
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(each, list) for each in value):
            raise BadRecord(f"`{path}` must be a list of levels, root first, each a list of policy documents")
        return _listed(path, value, self.policies)


def _listed(path: str, value: Any, one: Callable[[str, Any], Any]) -> list[Any]:
    return [one(f"{path}[{at}]", each) for at, each in enumerate(value)]
