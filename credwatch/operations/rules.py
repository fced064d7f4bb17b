"""What the table's vocabulary cannot say: named functions, each with the reason it is needed.

`SHAPES` build the ARNs of resources whose names are no plain template, `FACETS` test parameters,
`RULES` derive a whole operation, `VARIANTS` tell which kind of resource turns a service into
another. All are pure, take whatever the caller passed, and never raise.
"""

from __future__ import annotations

from collections.abc import Mapping

from credwatch.operations import glue, infrastructure, resources, s3, ssm
from credwatch.operations.naming import (
    Derivation,
    Named,
    Place,
    Rule,
    Shape,
    Test,
    Variant,
    is_account,
    is_arn_of,
    reads,
    text,
)

# --- SQS ----------------------------------------------------------------------------------------


@reads("QueueUrl")
def sqs_queue(params: Mapping[str, object], place: Place) -> Named:
    """Queue: account and name are in the URL's path, the region in its host, if the host is AWS's."""
    url = text(params.get("QueueUrl"))
    parts = url.rsplit("/", 2)
    name = parts[-1]
    if not name:
        return (f"arn:{place[0]}:sqs:{place[1]}:{place[2]}:*",), False
    if len(parts) < 3:
        return (f"arn:{place[0]}:sqs:{place[1]}:{place[2]}:{name}",), True
    region, account = _host_region(parts[0]) or place[1], parts[1]
    owned = is_account(account)
    return (f"arn:{place[0]}:sqs:{region}:{account if owned else '*'}:{name}",), True


def _host_region(origin: str) -> str:
    """Return the region that a queue URL's host names, "" where it names none."""
    labels = origin.rpartition("/")[2].partition(":")[0].split(".")
    for index, label in enumerate(labels):
        if label in {"sqs", "sqs-fips"} and index + 1 < len(labels):
            return labels[index + 1] if _is_region(labels[index + 1]) else ""
        if label == "queue" and index and _is_region(labels[index - 1]):
            return labels[index - 1]
    return "us-east-1" if labels[:2] == ["queue", "amazonaws"] else ""


def _is_region(label: str) -> bool:
    return label.count("-") >= 2 and label[-1:].isdigit()


@reads("QueueName", "QueueOwnerAWSAccountId")
def sqs_named(params: Mapping[str, object], place: Place) -> Named:
    """Queue by its name: that of another account where the request names its owner."""
    name, owner = text(params.get("QueueName")), text(params.get("QueueOwnerAWSAccountId")) or place[2]
    owned = is_account(owner)
    return (f"arn:{place[0]}:sqs:{place[1]}:{owner if owned else '*'}:{name or '*'}",), bool(name)


# --- other services -----------------------------------------------------------------------------


@reads("FunctionName", "Qualifier")
def lambda_function(params: Mapping[str, object], place: Place) -> Named:
    """Function: a name, a partial or full ARN, each with a version or alias, or that in Qualifier."""
    name = text(params.get("FunctionName"))
    base = f"arn:{place[0]}:lambda:{place[1]}:{place[2]}"
    if name[:4] == "arn:":
        parts = name.split(":")
        if len(parts) not in {7, 8} or parts[2] != "lambda" or parts[5] != "function":
            return (f"arn:{place[0]}:lambda:*:*:function:*",), False
        base, name = ":".join(parts[:5]), ":".join(parts[6:])
    elif ":function:" in name:
        owner, _, name = name.partition(":function:")
        region, _, account = owner.rpartition(":")
        base = f"arn:{place[0]}:lambda:{region or place[1]}:{account}"
    name = name.removeprefix("function:")
    if not name:
        return (f"{base}:function:*",), False
    qualifier = text(params.get("Qualifier"))
    return (
        f"{base}:function:{name}:{qualifier}" if qualifier and ":" not in name else f"{base}:function:{name}",
    ), True


@reads("FunctionName", "Qualifier")
def lambda_qualified(params: Mapping[str, object], place: Place) -> Named:
    """Version or alias of a function, where the function itself is no resource of the action."""
    (arn,), known = lambda_function(params, place)
    return ((arn,), known) if arn.count(":") == 7 else ((f"{arn}:*",), False)


@reads("LayerName", "VersionNumber")
def lambda_layer_version(params: Mapping[str, object], place: Place) -> Named:
    """Version of a layer: the layer's name or ARN, and a number, which is no text."""
    name, number = text(params.get("LayerName")), params.get("VersionNumber")
    base = f"arn:{place[0]}:lambda:{place[1]}:{place[2]}:layer"
    if name[:4] == "arn:":
        parts = name.split(":")
        if len(parts) not in {7, 8} or parts[2] != "lambda" or parts[5] != "layer":
            return (f"arn:{place[0]}:lambda:*:*:layer:*:*",), False
        base, name = ":".join(parts[:6]), parts[6]
    known = type(number) is int
    return (f"{base}:{name or '*'}:{number if known else '*'}",), known and bool(name)


@reads("KeyId")
def kms_key(params: Mapping[str, object], place: Place, parameter: str = "KeyId") -> Named:
    """Key: an id or an ARN; an alias does not tell the key that the check is made on."""
    key = text(params.get(parameter))
    if key[:4] == "arn:":
        parts = key.split(":", 5)
        if len(parts) == 6 and parts[2] == "kms":
            known = parts[5].startswith("key/")
            return (":".join((*parts[:5], parts[5] if known else "key/*")),), known
        return (f"arn:{place[0]}:kms:*:*:key/*",), False
    if not key or key[:6] == "alias/":
        return (f"arn:{place[0]}:kms:{place[1]}:{place[2]}:key/*",), False
    return (f"arn:{place[0]}:kms:{place[1]}:{place[2]}:key/{key}",), True


@reads("SourceKeyId")
def kms_source_key(params: Mapping[str, object], place: Place) -> Named:
    """ReEncrypt's source key."""
    return kms_key(params, place, "SourceKeyId")


@reads("DestinationKeyId")
def kms_destination_key(params: Mapping[str, object], place: Place) -> Named:
    """ReEncrypt's destination key."""
    return kms_key(params, place, "DestinationKeyId")


@reads("TargetKeyId")
def kms_target_key(params: Mapping[str, object], place: Place) -> Named:
    """The key that an alias is given to."""
    return kms_key(params, place, "TargetKeyId")


@reads("KmsKeyIdentifier")
def events_key(params: Mapping[str, object], place: Place) -> Named:
    """The key of EventBridge's archive."""
    return kms_key(params, place, "KmsKeyIdentifier")


@reads("KeyId", "PrimaryRegion")
def kms_new_primary(params: Mapping[str, object], place: Place) -> Named:
    """The replica that becomes the primary key: of the same id, in the region that the request names."""
    (key,), known = kms_key(params, place)
    region = text(params.get("PrimaryRegion"))
    parts = key.split(":", 5)
    named = _is_region(region) and ":" not in region
    return (":".join((*parts[:3], region if named else "*", *parts[4:])),), known and named


@reads("SecretId", "Name")
def secret(params: Mapping[str, object], place: Place) -> Named:
    """Secret: an ARN as it is; a name lacks the six random characters that end the ARN."""
    value = text(params.get("SecretId")) or text(params.get("Name"))
    return _secret(value, place)


def _secret(value: str, place: Place) -> Named:
    base = f"arn:{place[0]}:secretsmanager:{place[1]}:{place[2]}:secret:"
    if value[:4] == "arn:":
        parts = value.split(":", 6)
        if len(parts) == 7 and parts[2] == "secretsmanager" and parts[5] == "secret":
            return (value if _suffixed(parts[6]) else f"{value}-??????",), True
        return (f"arn:{place[0]}:secretsmanager:*:*:secret:*",), False
    return ((f"{base}{value}-??????",), True) if value else ((f"{base}*",), False)


def _suffixed(name: str) -> bool:
    return len(name) > 7 and name[-7] == "-" and name[-6:].isalnum()


@reads("SecretIdList")
def secrets(params: Mapping[str, object], place: Place) -> Named:
    """The secrets of a batch."""
    listed = params.get("SecretIdList")
    if not isinstance(listed, (list, tuple)) or not listed:
        return _secret("", place)
    named = [_secret(text(value), place) for value in listed[:1000]]
    return tuple(sorted({arn for arns, _ in named for arn in arns})), all(known for _, known in named)


@reads("TargetPrincipal")
def sts_root(params: Mapping[str, object], place: Place) -> Named:
    """AssumeRoot's target: the account itself, or an ARN in it."""
    target = text(params.get("TargetPrincipal"))
    account = target.split(":", 5)[4] if target[:4] == "arn:" and target.count(":") >= 5 else target
    known = is_account(account)
    return (f"arn:{place[0]}:iam::{account if known else '*'}:root",), known


@reads("taskDefinition", "taskDefinitions")
def ecs_task_definition(params: Mapping[str, object], place: Place) -> Named:
    """Task definitions: an ARN, `family:revision`, or a family, which means its latest revision."""
    listed = params.get("taskDefinitions")
    values = [params.get("taskDefinition"), *(listed[:1000] if isinstance(listed, (list, tuple)) else ())]
    return _task_definitions(values, "task-definition/", place)


@reads("daemonTaskDefinition")
def ecs_daemon_task_definition(params: Mapping[str, object], place: Place) -> Named:
    """Daemon task definition: named as a task definition is."""
    return _task_definitions([params.get("daemonTaskDefinition")], "daemon-task-definition/", place)


def _task_definitions(values: list[object], kind: str, place: Place) -> Named:
    base = f"arn:{place[0]}:ecs:{place[1]}:{place[2]}:{kind}"
    arns, known = set(), True
    for name in map(text, values):
        if name[:4] == "arn:":
            given = is_arn_of(name, "ecs", kind)
            arns.add(name if given else f"arn:{place[0]}:ecs:*:*:{kind}*:*")
            known = known and given
        elif name:
            arns.add(base + (name if ":" in name else f"{name}:*"))
    return (tuple(sorted(arns)), known) if arns else ((f"{base}*:*",), False)


# --- PartiQL ------------------------------------------------------------------------------------

_VERBS = {"select": "Select", "insert": "Insert", "update": "Update", "delete": "Delete"}
_LONGEST_STATEMENT = 8192  # DynamoDB's limit
_BEFORE_TABLE = {"select": "from", "insert": "into", "update": "update", "delete": "from"}


def partiql(params: Mapping[str, object]) -> Derivation:
    """PartiQL: verb and table stand in the statement's text; the rest of it is never looked at."""
    statements: list[object] = [params["Statement"]] if "Statement" in params else []
    for parameter in ("Statements", "TransactStatements"):
        listed = params.get(parameter)
        if isinstance(listed, (list, tuple)):
            statements += [entry.get("Statement") for entry in listed[:1000] if isinstance(entry, dict)]
    tables: dict[str, list[str]] = {}
    for statement in statements:
        verb, table = _parse(statement)
        if not verb:
            return (), ()
        tables.setdefault(verb, []).append(table)
    facets = tuple((verb, "yes") for verb in sorted(tables))
    return facets, tuple((f"dynamodb:PartiQL{_VERBS[verb]}", (_tables(tables[verb]),)) for verb in sorted(tables))


def _parse(statement: object) -> tuple[str, str]:
    """Return verb and table, "" for the verb where it is none that is known; text in quotes is skipped."""
    if not isinstance(statement, str):
        return "", ""
    statement = "".join(str.__str__(statement)[:_LONGEST_STATEMENT].split("'")[::2])
    words = statement.split(None, 1)
    verb = words[0].lower() if words else ""
    if verb not in _VERBS:
        return "", ""
    rest = statement.replace(",", " , ").split()
    lowered = [word.lower() for word in rest]
    marker = _BEFORE_TABLE[verb]
    after = lowered.index(marker) + 1 if marker in lowered else len(rest)
    name = rest[after] if after < len(rest) else ""
    return verb, _unquoted(name)


def _unquoted(name: str) -> str:
    """Return `table` or `table/index/name` of `"table"."index"`, "" where it is no plain name."""
    if name.count('"') % 2:
        return ""
    pieces = [piece.strip('"') for piece in name.split('"."' if '"."' in name else "\0")]
    plain = all(p and p.replace("-", "").replace("_", "").replace(".", "").isalnum() for p in pieces)
    return "/index/".join(pieces[:2]) if plain else ""


def _tables(names: list[str]) -> Shape:
    def shape(params: Mapping[str, object], place: Place) -> Named:
        if place[3] == "service":
            return (f"arn:{place[0]}:dynamodb:*:*:table/*",), False
        base = f"arn:{place[0]}:dynamodb:{place[1]}:{place[2]}:table/"
        return tuple(sorted({base + (name or "*") for name in names})), all(names)

    return shape


SHAPES: Mapping[str, Shape] = {
    function.__name__: function
    for function in (
        s3.s3_bucket, s3.s3_object, s3.s3_source, s3.s3_source_directory, s3.s3_object_lambda, s3.s3_directory,
        s3.s3_table, s3.s3vectors_index,
        sqs_queue, sqs_named, lambda_function, lambda_layer_version, lambda_qualified, kms_key, kms_source_key,
        kms_destination_key, kms_target_key, kms_new_primary, events_key, secret, secrets, sts_root,
        ecs_daemon_task_definition, ecs_task_definition,
        *glue.SHAPES, *infrastructure.SHAPES, *resources.SHAPES, *ssm.SHAPES,
    )
}  # fmt: skip
FACETS: Mapping[str, Test] = {
    "bedrock_prompt": resources.bedrock_prompt,
    "s3_in_directory": s3.s3_in_directory,
    "s3_on_outposts": s3.s3_on_outposts,
    "s3_source_version": s3.s3_source_version,
    "s3_source_is_directory": s3.s3_source_is_directory,
    "s3_source_is_on_outposts": s3.s3_source_is_on_outposts,
}
RULES: Mapping[str, tuple[Rule, Mapping[str, tuple[str, Shape]]]] = {
    "s3_delete_objects": (s3.s3_delete_objects, s3.DELETE_OBJECTS),
    "partiql": (partiql, {verb: (f"dynamodb:PartiQL{name}", _tables([""])) for verb, name in _VERBS.items()}),
}
"""Each with the action that a facet of it stands for, and that action's resource where parameters are gone."""

VARIANTS: Mapping[str, Variant] = {"s3_variant": s3.s3_variant}
