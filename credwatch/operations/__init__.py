"""The operation map: from an SDK call to the IAM actions and resources it is checked for.

`resolve` is the one entrance. It knows the names of services, operations and parameters, and
nothing of credentials. It reads its own packaged data at the first use of a service and touches
nothing else. Contract and vocabulary in `docs/operations.md`.

Layers, first answer wins: rows of `data/<service>.json` (`table`), named functions of `rules`
(`derived`), the rule `prefix:Operation` (`identity`), and the admission that none fits (`unknown`).
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from credwatch.operations import answers, table
from credwatch.operations.answers import Answers
from credwatch.operations.naming import EVERYTHING, NOTHING, Facets, Named, Place, Shape
from credwatch.operations.naming import partition_of as partition_of
from credwatch.operations.table import Authorizations, Choice, Usual

VERSION = "6"
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


ANSWERS: Answers[Resolution] = Answers()


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
    given: Mapping[str, object] = params if isinstance(params, dict) else NOTHING
    usual = table.usual(service, operation)
    if usual is not None and usual.heads.isdisjoint(given):
        decision: Usual | Choice = usual
    else:
        chosen = table.choose(service, operation, given, missing)
        if chosen is None:
            return _without_action(service, operation)
        decision = chosen
    place = (partition, region, account, detail)
    key = answers.key(decision, given, place, missing)
    found = ANSWERS.get(key) if key is not None else None
    if found is None:
        choice = table.choose(service, operation, given, missing) if isinstance(decision, Usual) else decision
        found = _answer(choice, given, place) if choice is not None else _without_action(service, operation)
        if key is not None:
            ANSWERS.keep(key, found)
    return found


def decider(service: str, operation: str, names: Iterable[str], detail: str) -> str | None:
    """Return the one parameter that decides the answers to all calls of an operation with parameters of these names.

    That is beside partition, region, account and `missing`, and while its value is plain text. "" where nothing else
    decides, None where more may.
    """
    usual = table.usual(service, operation)
    given = frozenset(names)
    if usual is None or (usual.keyed and detail in answers.FINER) or not usual.heads.isdisjoint(given):
        return None
    read = given.intersection(usual.reads)
    return None if len(read) > 1 else next(iter(read), "")


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


def _answer(choice: Choice, given: Mapping[str, object], place: Place) -> Resolution:
    partition, region, account, detail = place
    plan = choice.plan
    if detail == "none" or not plan:
        return Resolution(tuple([(action, ()) for action, _ in plan]), choice.facets, choice.mapping, VERSION, "none")
    if detail == "service":
        given, region, account = EVERYTHING, "", ""
    place = (partition or "*", region or "*", account or "*", detail)
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


def _union(shapes: tuple[Shape, ...], given: Mapping[str, object], place: Place) -> Named:
    if not shapes:
        return ("*",), True
    named = [shape(given, place) for shape in shapes]
    return tuple(sorted({arn for arns, _ in named for arn in arns})), all(known for _, known in named)


def _without_action(service: str, operation: str) -> Resolution:
    from credwatch.operations import identity  # noqa: PLC0415 - as with all that a first answer needs

    # what takes no signature is not authorised by IAM: no action, and that is known
    mapping = "derived" if identity.unsigned(service, operation) else "unknown"
    return Resolution((), (), mapping, VERSION, "none")
