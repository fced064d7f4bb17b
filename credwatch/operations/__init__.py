"""The operation map: from an SDK call to the IAM actions and resources it is checked for.

`resolve` is the one entrance. It knows the names of services, operations and parameters, and
nothing of credentials. It reads its own packaged data at the first use of a service and touches
nothing else. Contract and vocabulary in `docs/operations.md`.

Layers, first answer wins: rows of `data/<service>.json` (`table`), named functions of `rules`
(`derived`), the rule `prefix:Operation` (`identity`), and the admission that none fits (`unknown`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from credwatch.operations import identity, table
from credwatch.operations.naming import EVERYTHING, NOTHING, Facets, Named, Place, Shape
from credwatch.operations.table import Authorizations, Choice

VERSION = "2"
"""Version of the map, data and rules together; raised with every change of an answer."""


class Resolution(NamedTuple):
    """What one call is checked for.

    `authorizations` pairs each IAM action with the sorted ARNs it is checked on, sorted by action;
    an ARN segment that is not known is `*`. `facets` names what of the parameters (and `missing`)
    decided the actions, so that a newer map can derive them again. `detail` is never finer than
    what `resources` really tell.
    """

    authorizations: Authorizations
    facets: Facets
    mapping: str
    version: str
    detail: str


def resolve(  # one call's facts, each named by the caller
    service: str,
    operation: str,
    params: Mapping[str, object],
    *,
    partition: str = "aws",
    region: str = "",
    account: str = "",
    detail: str = "container",
    missing: bool = False,
) -> Resolution:
    """Return the IAM actions and resources of one call; never raises, whatever `params` hold.

    `service` is the boto3 client name, `operation` the API operation name, `params` the parameters
    as the caller gave them (before botocore validates them). `missing` says that the service
    answered 404 to a read, which S3 does only for callers that may list the bucket.
    """
    entry = table.find(service, operation, params)
    if entry is None:
        return _without_action(service, operation)
    given: Mapping[str, object] = params if isinstance(params, dict) else NOTHING
    choice = entry.choose(given, missing)
    if detail == "service":
        given, region, account = EVERYTHING, "", ""
    key = _key(choice, given, (partition, region, account, detail))
    if key is None:
        return _answer(choice, given, (partition or "*", region or "*", account or "*", detail))
    found = _answers.get(key)
    if found is None:
        found = _answer(choice, given, (partition or "*", region or "*", account or "*", detail))
        _remember(key, found)
    return found


# --- answers that were given before --------------------------------------------------------------

Key = tuple[object, ...]
"""A choice, a place, and the values of the parameters that the choice's resources depend on."""

_MOST_ANSWERS = 2_048
_LONGEST = 256
_answers: dict[Key, Resolution] = {}


def _key(choice: Choice, given: Mapping[str, object], place: Place) -> Key | None:
    """Return what decides a call's answer, None where that is not known, or is more than a few texts."""
    names = choice.reads
    if names is None or (choice.keyed and place[3] in {"prefix", "full"}):
        return None
    key: list[object] = [choice, place]
    for name in names:
        value = given.get(name)
        # `True` and 1 are equal, an unhashable raises, what a subclass does is not known: only plain text is compared
        if type(value) is not str and (value is not None or name in given):
            return None
        key.append(value)
    return tuple(key)


def _remember(key: Key, found: Resolution) -> None:
    """Keep an answer for the next call; what has no place any more is found anew."""
    texts = (*key[2:], *(key[1] if isinstance(key[1], tuple) else ()))
    if any(isinstance(each, str) and len(each) > _LONGEST for each in texts):
        return
    if len(_answers) >= _MOST_ANSWERS:
        _answers.clear()
    _answers[key] = found


def _answer(choice: Choice, given: Mapping[str, object], place: Place) -> Resolution:
    plan, detail = choice.plan, place[3]
    if detail == "none" or not plan:
        return Resolution(tuple([(action, ()) for action, _ in plan]), choice.facets, choice.mapping, VERSION, "none")
    exact = True
    authorizations = []
    for action, shapes in plan:
        if len(shapes) == 1:
            arns, known = shapes[0](given, place)
            if len(arns) > 1:
                arns = tuple(sorted(set(arns)))
        else:
            arns, known = _union(shapes, given, place)
        exact = exact and known
        authorizations.append((action, arns))
    return Resolution(tuple(authorizations), choice.facets, choice.mapping, VERSION, detail if exact else "service")


def rederive(  # what was stored of one usage, each part named by the caller
    service: str,
    operation: str,
    facets: Facets,
    authorizations: Authorizations,
    *,
    partition: str = "aws",
    detail: str = "container",
) -> Resolution:
    """Return what this version of the map makes of old telemetry; the parameters are gone, their facets are not.

    An action that was known keeps its ARNs, one that is checked on the same resources takes theirs, and of any
    other only the kind of resource is known. With the version that wrote the facets the answer is the old one.
    """
    entry = table.recall(service, operation, facets)
    if entry is None:
        return _without_action(service, operation)
    choice = entry.again(facets)
    held, plan, mapping = choice.facets, choice.plan, choice.mapping
    if detail == "none" or not plan:
        return Resolution(tuple([(action, ()) for action, _ in plan]), held, mapping, VERSION, "none")
    stored = {action: arns for action, arns in authorizations if arns and arns != ("*",)}
    same = {shapes: stored[action] for action, shapes in plan if shapes and action in stored}
    place = (partition or "*", "*", "*", "service")
    exact, found = True, []
    for action, shapes in plan:
        arns, known = stored.get(action) or same.get(shapes, ()), True
        if not arns or not shapes:
            arns, known = _union(shapes, EVERYTHING, place)
            known = known and not shapes
        exact = exact and known
        found.append((action, arns))
    return Resolution(tuple(found), held, mapping, VERSION, detail if exact else "service")


def _union(shapes: tuple[Shape, ...], given: Mapping[str, object], place: Place) -> Named:
    if not shapes:
        return ("*",), True
    named = [shape(given, place) for shape in shapes]
    return tuple(sorted({arn for arns, _ in named for arn in arns})), all(known for _, known in named)


def _without_action(service: str, operation: str) -> Resolution:
    # what takes no signature is not authorised by IAM: no action, and that is known
    mapping = "derived" if identity.unsigned(service, operation) else "unknown"
    return Resolution((), (), mapping, VERSION, "none")
