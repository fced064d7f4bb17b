"""`credwatch-agent actions`: which IAM actions, on which resources, a call is checked for."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import botocore.session
import typer

from credwatch.operations import Resolution, coverage, partition_of, resolve
from credwatch.semconv import DETAILS
from credwatch_agent.cli.console import document, say
from credwatch_agent.cli.failure import CLEAN, COULD_NOT_KNOW, USAGE, UsageError

_PLACE = ("region", "account", "partition", "detail")
_FORMS = {
    "account": (re.compile(r"(\d{12})?"), "is no account: twelve digits"),
    "partition": (re.compile(r"(aws(-[a-z]+)*)?"), "is no partition: `aws`, `aws-cn`, `aws-us-gov`"),
    "detail": (re.compile("|".join(DETAILS)), f"is none of {', '.join(DETAILS)}"),
}


def actions(
    call: Annotated[str, typer.Argument(metavar="CALL", help="boto3 client and API operation: `s3:PutObject`.")] = "",
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter; a value may be JSON. Repeatable.")
    ] = None,
    region: Annotated[str, typer.Option(metavar="REGION", help="The call's region, for its ARNs.")] = "",
    account: Annotated[str, typer.Option(metavar="ID", help="The caller's account, for its ARNs.")] = "",
    partition: Annotated[str, typer.Option(metavar="NAME", help="The call's partition; by default its region's.")] = "",
    detail: Annotated[
        str, typer.Option(metavar="DETAIL", help="How exact: full, prefix, container, service, none.")
    ] = "container",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Read calls from standard input, answer a line each.")] = False,
) -> int:
    """Name the IAM actions that a call is checked for."""
    if jsonl:
        return _all(answer_lines(sys.stdin))
    service, _, operation = call.partition(":")
    if not service or not operation:
        raise UsageError(f"`{call}` is no call; write client and operation, such as `s3:PutObject`")
    given = parameters(param or [])
    place = {"region": region, "account": account, "partition": partition, "detail": detail}
    for name, (form, problem) in _FORMS.items():
        if not form.fullmatch(place[name]):
            raise UsageError(f"`--{name} {place[name]}` {problem}")
    found = _resolved(service, operation, given, place)
    if as_json:
        document(described(service, operation, found))
    else:
        for line in sentences(service, operation, found):
            say(line, later="    ")
    return COULD_NOT_KNOW if found.mapping == "unknown" else CLEAN


def _all(answers: Iterable[Mapping[str, Any]]) -> int:
    """Print each answer as it comes, and return the exit code of all."""
    code = CLEAN
    for answer in answers:
        document(answer, indent=None)
        sys.stdout.flush()
        if "error" in answer:
            code = USAGE
        elif answer["mapping"] == "unknown" and code == CLEAN:
            code = COULD_NOT_KNOW
    return code


def _resolved(service: str, operation: str, params: Mapping[str, object], place: Mapping[str, str]) -> Resolution:
    where = {**place, "partition": place.get("partition") or partition_of(place.get("region", ""))}
    return resolve(service, operation, params, **where)  # type: ignore[arg-type]  # each of these is a text


def parameters(given: Iterable[str]) -> dict[str, object]:
    """Return the parameters of `NAME=VALUE` texts; a value that is JSON is read as such, any other is text.

    A number stays text: it is some table's or bucket's name far more often than a number that decides.
    """
    found: dict[str, object] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise UsageError(f"`--param {each}` is no NAME=VALUE")
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        found[name] = value if type(read) in {int, float} else read
    return found


def answer_lines(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Answer each line `{service, operation, params, region, account}`; one that is wrong gets an `error`."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            call = json.loads(line.removeprefix("\ufeff"))
        except (ValueError, RecursionError) as error:
            yield {"error": f"line {number} is not JSON: {error}"}
            continue
        wrong = _wrong(call)
        if wrong:
            yield {"error": f"line {number} {wrong}"}
            continue
        asked = {name: call[name] for name in _PLACE if name in call}
        found = _resolved(call["service"], call["operation"], call.get("params", {}), asked)
        yield described(call["service"], call["operation"], found)


def _wrong(call: object) -> str:
    if not isinstance(call, dict):
        return "is no JSON object"
    for name in ("service", "operation"):
        if not isinstance(call.get(name), str):
            return f"has no text `{name}`"
    if not isinstance(call.get("params", {}), dict):
        return "has `params` that are no JSON object"
    for name in _PLACE:
        if not isinstance(call.get(name, ""), str):
            return f"has a `{name}` that is no text"
        form, problem = _FORMS.get(name, (None, ""))
        if form and name in call and not form.fullmatch(call[name]):
            return f"has a `{name}` that {problem}"
    return ""


def described(service: str, operation: str, found: Resolution) -> dict[str, Any]:
    """Return an answer as JSON values."""
    reason = _reason(service, operation, found)
    return {
        "service": service,
        "operation": operation,
        "authorizations": {action: list(arns) for action, arns in found.authorizations},
        "facets": dict(found.facets),
        "mapping": found.mapping,
        "version": found.version,
        "detail": found.detail,
        "forwarded": list(coverage.forwarded(service, operation)),
        **({"reason": reason} if reason else {}),
    }


def sentences(service: str, operation: str, found: Resolution) -> Iterator[str]:
    """Yield the lines for people: each action with its resources, then what decided it."""
    if found.mapping == "unknown":
        yield f"{service}:{operation} is unknown: {_reason(service, operation, found)}"
        return
    if not found.authorizations:
        yield f"{service}:{operation} takes no signature: IAM checks nothing"
    for action, arns in found.authorizations:
        yield f"{action}  on  {', '.join(arns) or 'resources that were not asked for'}"
    for name, value in sorted(found.facets):
        yield f"  because  {name}={value}"
    forwarded = coverage.forwarded(service, operation)
    if forwarded:
        yield f"  the service may use on your behalf: {', '.join(forwarded)}"
    yield f"  mapping {found.mapping}, version {found.version}, detail {found.detail}"
    if found.mapping == "identity" and not _installed(service, operation):
        yield f"  the botocore installed here has no operation `{operation}` in `{service}`"


def _installed(service: str, operation: str) -> bool:
    session = botocore.session.Session()
    known = service in session.get_available_services()
    return known and operation in session.get_service_model(service).operation_names


def _reason(service: str, operation: str, found: Resolution) -> str:
    if found.mapping != "unknown":
        return ""
    known: Mapping[str, str] = coverage.reasons().get(service, {})
    return known.get(operation) or _meant(service, operation)


def _meant(service: str, operation: str) -> str:
    """Say that there is no such call, and which one is written nearly so: boto3's methods have other names."""
    session = botocore.session.Session()
    clients = session.get_available_services()
    client = service.lower()
    if client not in clients:
        return f"boto3 has no client `{service}`"
    for each in session.get_service_model(client).operation_names:
        if each.lower() == operation.replace("_", "").lower() and (client, each) != (service, operation):
            return f"the map has no such operation; write `{client}:{each}`"
    return "the map has no such operation, or not with these parameters"
