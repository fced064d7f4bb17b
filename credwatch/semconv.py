"""The wire contract: every attribute and metric name, and the one record that both sides share.

The recorder encodes a `Usage` with `encode`, the agent decodes it with `decode`;
`decode(encode(u)) == u` is a law held by a property test. `docs/telemetry.md` is generated from
the tables below. Nothing else of credwatch may be imported here.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

SCHEMA = 1
"""Version of this contract, sent as `credwatch.schema`. An agent accepts N and N-1."""

ACCEPTED_SCHEMAS = frozenset({SCHEMA})

SCOPE = "credwatch"
"""Name of the OpenTelemetry instrumentation scope of spans and points."""

# --- vocabularies -------------------------------------------------------------------------------

SOURCES: Mapping[str, str] = {
    "ec2-instance-profile": "the host's role, from the EC2 instance metadata service",
    "ecs-task-role": "the task's role, from the ECS credentials endpoint",
    "eks-pod-identity": "the pod's role, from the EKS Pod Identity agent",
    "web-identity": "a role assumed with an OIDC token (IRSA, CI)",
    "lambda-execution-role": "the function's role, set by Lambda in the environment",
    "imds-other": "something that answers like the instance metadata service but is not shown to be EC2",
    "container-other": "a container credentials endpoint that is not shown to be ECS or EKS",
    "assumed-role": "a role assumed with other credentials: see the chain",
    "sso": "IAM Identity Center",
    "login": "`aws login`",
    "environment": "keys in environment variables",
    "shared-credentials-file": "keys in the shared credentials file",
    "config-file": "keys in the AWS config file",
    "process": "a `credential_process` command",
    "explicit": "keys given in code whose origin is not known",
    "s3-express-session": "an S3 Express session key: see the chain",
    "federation": "GetFederationToken, GetSessionToken or a Cognito identity",
    "bearer-token": "a bearer token, no AWS key",
    "anonymous": "an unsigned request",
    "unknown": "not known, and not guessed",
}

OUTCOMES: Mapping[str, str] = {
    "allowed": "the service authorised the call",
    "denied": "AccessDenied family",
    "denied-or-missing": "403 on a read that S3 answers alike for a missing object",
    "auth-failed": "the credentials were expired, invalid or did not match",
    "answered": "another 4xx: proves nothing, since validation may precede authorisation",
    "failed": "throttled, 5xx or network",
    "signed": "presigned: someone else uses it",
    "abandoned": "no end was seen (cancelled, interrupted, another handler raised)",
}

MAPPINGS: Mapping[str, str] = {
    "table": "a sourced row of the operation map",
    "derived": "derived from the request by a named rule",
    "identity": "the rule `prefix:Operation`, checked against the list of IAM actions",
    "unknown": "no rule",
}

DETAILS = ("full", "prefix", "container", "service", "none")
"""How exact a resource is, finest first. Evidence coarser than the setting never narrows a policy."""

# --- the record ---------------------------------------------------------------------------------


class Hop(NamedTuple):
    """One step of a credential chain: its source and the principal's ARN or name ("" if unknown)."""

    source: str
    principal: str


class Usage(NamedTuple):
    """One distinct use of credentials; the ledger counts how often it happened.

    Not known is always the empty string or tuple, never a guess. `chain` lists hops nearest first
    and is empty unless the credentials were obtained with other credentials; its last hop is the
    root. `authorizations` pairs each IAM action with the ARNs it was checked on.
    """

    source: str
    provider: str = ""
    credential_type: str = ""
    laundered: bool = False
    chain: tuple[Hop, ...] = ()
    principal_arn: str = ""
    principal_name: str = ""
    account_id: str = ""
    instance_profile_arn: str = ""
    service: str = ""
    operation: str = ""
    facets: tuple[tuple[str, str], ...] = ()
    authorizations: tuple[tuple[str, tuple[str, ...]], ...] = ()
    mapping: str = "unknown"
    mapping_version: str = ""
    detail: str = "container"
    region: str = ""
    outcome: str = "allowed"
    denied_layer: str = ""
    code_function: str = ""
    code_file: str = ""
    code_line: int = 0

    @property
    def root(self) -> Hop:
        """Where the chain begins: the identity that rules about layers look at."""
        return self.chain[-1] if self.chain else Hop(self.source, self.principal)

    @property
    def principal(self) -> str:
        """The most exact name of the principal that is known, or ""."""
        return self.principal_arn or self.principal_name

    @property
    def actions(self) -> tuple[str, ...]:
        return tuple(action for action, _ in self.authorizations)

    @property
    def resources(self) -> tuple[str, ...]:
        return tuple(sorted({arn for _, arns in self.authorizations for arn in arns}))


# --- attributes ---------------------------------------------------------------------------------


class Attribute(NamedTuple):
    """A row of the contract. `on` is a set of {"span", "point", "key", "resource"}."""

    name: str
    type: str
    on: str
    meaning: str


SOURCE = "credwatch.credential.source"
PROVIDER = "credwatch.credential.provider"
PSEUDONYM = "credwatch.credential.pseudonym"
TYPE = "credwatch.credential.type"
LAUNDERED = "credwatch.credential.laundered"
CHAIN = "credwatch.credential.chain"
PRINCIPAL_ARN = "credwatch.principal.arn"
PRINCIPAL_NAME = "credwatch.principal.name"
PRINCIPAL_ACCOUNT = "credwatch.principal.account_id"
INSTANCE_PROFILE = "credwatch.instance_profile.arn"
SERVICE = "credwatch.service"
OPERATION = "credwatch.operation"
FACETS = "credwatch.facets"
ACTIONS = "credwatch.iam.actions"
RESOURCES = "credwatch.iam.resources"
MAPPING = "credwatch.iam.mapping"
MAPPING_VERSION = "credwatch.iam.mapping.version"
DETAIL = "credwatch.iam.detail"
OUTCOME = "credwatch.outcome"
DENIED_LAYER = "credwatch.denied.layer"
PROCESS_ID = "credwatch.process.id"
PROCESS_FINGERPRINT = "credwatch.process.fingerprint"
SCHEMA_ATTRIBUTE = "credwatch.schema"
ENTRY_POINT = "credwatch.entry_point"
RECORDER_VERSION = "credwatch.version"
CREDENTIALS_URI = "credwatch.ecs.credentials_uri"
POD_IDENTITY = "credwatch.eks.identity"
IMDS_VERSION = "credwatch.imds.version"
IMDS_PROBE = "credwatch.imds.probe"
ATTEMPTS = "credwatch.attempts"

REGION = "cloud.region"
CODE_FUNCTION = "code.function.name"
CODE_FILE = "code.file.path"
CODE_LINE = "code.line.number"

ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute(SOURCE, "string", "span point key", "which credential source signed: one of the sources"),
    Attribute(PROVIDER, "string", "span point key", "botocore's own word for it (`Credentials.method`)"),
    Attribute(PSEUDONYM, "string", "span key", "truncated SHA-256 of the access key id; the id itself only by choice"),
    Attribute(TYPE, "string", "span point key", "`long-lived` or `temporary`"),
    Attribute(LAUNDERED, "boolean", "span point key", "the keys of a role, passed on as literals"),
    Attribute(CHAIN, "string (JSON)", "span point key", "hops `[source, principal]`, nearest first"),
    Attribute(PRINCIPAL_ARN, "string", "span point key", "ARN of the role or user"),
    Attribute(PRINCIPAL_NAME, "string", "span point key", "its name, where the endpoint tells no ARN"),
    Attribute(PRINCIPAL_ACCOUNT, "string", "span point key", "its account"),
    Attribute(INSTANCE_PROFILE, "string", "span point key", "the instance profile that IMDS names"),
    Attribute(SERVICE, "string", "span point", "boto3 client name"),
    Attribute(OPERATION, "string", "span point", "API operation name"),
    Attribute(FACETS, "string (JSON)", "span point", "what of the parameters decides the actions"),
    Attribute(ACTIONS, "string[]; point: string (JSON)", "span point", "IAM actions that the call is checked for"),
    Attribute(RESOURCES, "string[]; point: string (JSON)", "span point", "span: ARNs; point: object of action to ARNs"),
    Attribute(MAPPING, "string", "span point", "`table`, `derived`, `identity` or `unknown`"),
    Attribute(MAPPING_VERSION, "string", "span point", "version of the operation map"),
    Attribute(DETAIL, "string", "span point", "how exact the resources are"),
    Attribute(OUTCOME, "string", "span point", "one of the outcomes"),
    Attribute(DENIED_LAYER, "string", "span point", "the policy type that the denial's message names"),
    Attribute(REGION, "string", "span point", "region of the call"),
    Attribute(CODE_FUNCTION, "string", "span point", "call site: function"),
    Attribute(CODE_FILE, "string", "span point", "call site: file"),
    Attribute(CODE_LINE, "int", "span point", "call site: line"),
    Attribute(ATTEMPTS, "int", "span", "how often the request was signed: 1 and its retries"),
    Attribute(PROCESS_ID, "string", "point key health", "UUID of the process, new in a forked child"),
    Attribute(
        PROCESS_FINGERPRINT, "string", "resource", "which process of its host it is, as a digest of what /proc says"
    ),
    Attribute(SCHEMA_ATTRIBUTE, "int", "resource", "version of this contract"),
    Attribute(ENTRY_POINT, "string", "resource", "what the process runs: script or module name, no arguments"),
    Attribute(RECORDER_VERSION, "string", "resource", "version of the recorder"),
    Attribute(
        CREDENTIALS_URI,
        "string",
        "resource",
        "ECS: the variable of the task role is `present`, `absent`, or lost on the way (`stripped`)",
    ),
    Attribute(
        POD_IDENTITY,
        "string",
        "resource",
        "EKS: what the pod's environment leads to: `web-identity`, `eks-pod-identity`, `none`",
    ),
    Attribute(
        IMDS_VERSION,
        "string",
        "resource",
        "`2`: the metadata service gave a token; `1`: it refused one and answered without",
    ),
    Attribute(IMDS_PROBE, "string", "resource", "ECS, with `CREDWATCH_PROBE_IMDS`: `answered` or `blocked`"),
)

# --- metrics ------------------------------------------------------------------------------------

CALLS = "credwatch.calls"
CREDENTIAL_SEEN = "credwatch.credential.seen"
RECORDER_UP = "credwatch.recorder.up"
RECORDER_CLOSED = "credwatch.recorder.closed"
RECORDER_ERRORS = "credwatch.recorder.errors"
RECORDER_COARSENED = "credwatch.recorder.coarsened"
SPANS_DROPPED = "credwatch.recorder.spans_dropped"
CALLS_BY_SOURCE = "credwatch.calls.by_source"

METRICS: Mapping[str, tuple[str, str]] = {
    CALLS: (
        "{call}",
        "calls of one distinct usage since the process began; cumulative, exact; time: that of the last one",
    ),
    CREDENTIAL_SEEN: ("{call}", "calls signed with one key: start time is its first sighting, time its last"),
    RECORDER_UP: ("{call}", "calls recorded so far, at each interval: the process reports"),
    RECORDER_CLOSED: ("{call}", "calls recorded in total: the process ended and its counts are exact"),
    RECORDER_ERRORS: ("{error}", "exceptions that the recorder kept from the application"),
    RECORDER_COARSENED: ("{call}", "calls counted with a coarser resource, past a limit of the ledger"),
    SPANS_DROPPED: ("{span}", "spans given up because the queue was full"),
    CALLS_BY_SOURCE: ("{call}", "in the application's own MeterProvider: calls by source, service, outcome"),
}

# --- encode and decode --------------------------------------------------------------------------

Scalar = str | bool | int
SpanValue = Scalar | tuple[str, ...]

_PLAIN: tuple[tuple[str, str], ...] = (
    ("source", SOURCE),
    ("provider", PROVIDER),
    ("credential_type", TYPE),
    ("laundered", LAUNDERED),
    ("principal_arn", PRINCIPAL_ARN),
    ("principal_name", PRINCIPAL_NAME),
    ("account_id", PRINCIPAL_ACCOUNT),
    ("instance_profile_arn", INSTANCE_PROFILE),
    ("service", SERVICE),
    ("operation", OPERATION),
    ("mapping", MAPPING),
    ("mapping_version", MAPPING_VERSION),
    ("detail", DETAIL),
    ("region", REGION),
    ("outcome", OUTCOME),
    ("denied_layer", DENIED_LAYER),
    ("code_function", CODE_FUNCTION),
    ("code_file", CODE_FILE),
    ("code_line", CODE_LINE),
)
"""Fields of `Usage` that are sent as they are; one that has its default empty value is left out."""

_FIELD_TYPES: Mapping[str, type] = Usage.__annotations__


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def encode(usage: Usage) -> dict[str, Scalar]:
    """Return the attributes of a point: scalars only, lists as canonical JSON, empty ones left out."""
    attributes: dict[str, Scalar] = {name: value for field, name in _PLAIN if (value := getattr(usage, field))}
    if usage.chain:
        attributes[CHAIN] = _canonical([list(hop) for hop in usage.chain])
    if usage.facets:
        attributes[FACETS] = _canonical(dict(usage.facets))
    if usage.authorizations:
        attributes[ACTIONS] = _canonical(sorted(usage.actions))
        attributes[RESOURCES] = _canonical({a: sorted(arns) for a, arns in usage.authorizations})
    return attributes


def encode_span(usage: Usage) -> dict[str, SpanValue]:
    """Return the attributes of a span: as `encode`, but actions and resources are searchable arrays."""
    attributes: dict[str, SpanValue] = {**encode(usage)}
    if usage.authorizations:
        attributes[ACTIONS] = tuple(sorted(usage.actions))
        attributes[RESOURCES] = usage.resources
    return attributes


class Undecodable(ValueError):
    """An attribute breaks the contract; the text names it and says how."""


def decode(attributes: Mapping[str, object]) -> Usage:
    """Return the usage of a point's attributes; attributes that are not ours are ignored.

    Raises `Undecodable` where one is missing, of the wrong type, or outside a closed vocabulary.
    """
    values: dict[str, object] = {}
    for field, name in _PLAIN:
        if name in attributes:
            values[field] = _typed(name, attributes[name], _FIELD_TYPES[field])
    _one_of(SOURCE, values.get("source"), SOURCES)
    _one_of(OUTCOME, values.setdefault("outcome", None), OUTCOMES)
    _one_of(MAPPING, values.setdefault("mapping", "unknown"), MAPPINGS)
    _one_of(DETAIL, values.setdefault("detail", None), DETAILS)
    if CHAIN in attributes:
        values["chain"] = _chain(attributes[CHAIN])
    if FACETS in attributes:
        facets = _table(FACETS, attributes[FACETS])
        values["facets"] = tuple(sorted((_text(FACETS, k), _text(FACETS, v)) for k, v in facets.items()))
    if RESOURCES in attributes:
        table = _table(RESOURCES, attributes[RESOURCES])
        values["authorizations"] = tuple(sorted((_text(RESOURCES, a), _arns(arns)) for a, arns in table.items()))
    return Usage(**values)  # type: ignore[arg-type]  # each value was checked against its field above


def _typed(name: str, value: object, expected: type) -> object:
    # bool is an int in Python, but not on the wire
    if type(value) is not expected:
        raise Undecodable(f"attribute `{name}` is {type(value).__name__}, expected {expected.__name__}")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise Undecodable(f"attribute `{name}` holds a {type(value).__name__} where text is expected")
    return value


def _one_of(name: str, value: object, vocabulary: Mapping[str, str] | tuple[str, ...]) -> None:
    if value not in vocabulary:
        what = "is missing" if value is None else f"has the unknown value `{str(value)[:80]}`"
        raise Undecodable(f"attribute `{name}` {what}")


def _json(name: str, value: object) -> object:
    try:
        parsed: object = json.loads(_text(name, value))
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"attribute `{name}` is not JSON: {error}") from None
    return parsed


def _table(name: str, value: object) -> dict[str, object]:
    table = _json(name, value)
    if not isinstance(table, dict):
        raise Undecodable(f"attribute `{name}` is not a JSON object")
    return table


def _arns(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Undecodable(f"attribute `{RESOURCES}` holds an action without a list of ARNs")
    return tuple(sorted(_text(RESOURCES, arn) for arn in value))


def _hop(value: object) -> Hop:
    if not isinstance(value, list) or len(value) != 2:
        raise Undecodable(f"attribute `{CHAIN}` holds a hop that is no pair of source and principal")
    source, principal = (_text(CHAIN, part) for part in value)
    _one_of(CHAIN, source, SOURCES)
    return Hop(source, principal)


def _chain(value: object) -> tuple[Hop, ...]:
    hops = _json(CHAIN, value)
    if not isinstance(hops, list):
        raise Undecodable(f"attribute `{CHAIN}` is not a JSON list")
    return tuple(_hop(hop) for hop in hops)
