"""botocore event -> `Call`: opened with the parameters, signed by a key, closed with an outcome.

The state of a call lives in botocore's own request context and nowhere else; where no end event
comes, its finalizer counts the call as abandoned. Knows events and their keyword arguments, and
nothing of OpenTelemetry: a finished call is handed to `finished`, a callable given from outside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from credwatch import callsite, signature
from credwatch.callsite import CallSite
from credwatch.ledger import Ledger
from credwatch.operations import Resolution, resolve
from credwatch.outcome import ABANDONED, ALLOWED, FAILED, SIGNED, Outcome, classify, missing
from credwatch.provenance import Key, Origin, Registry
from credwatch.semconv import DETAILS, Usage
from credwatch.signature import Signature

CONTEXT = "credwatch"
"""Our key in botocore's request context."""

ACCOUNT = "{account}"
"""Stands in an ARN for the caller's account until it is known (or `*`)."""

# operation -> source of the credentials in its answer, by service
ISSUERS: Mapping[tuple[str, str], str] = {
    ("sts", "AssumeRole"): "assumed-role",
    ("sts", "AssumeRoleWithSAML"): "assumed-role",
    ("sts", "AssumeRoleWithWebIdentity"): "web-identity",
    ("sts", "AssumeRoot"): "assumed-role",
    ("sts", "GetSessionToken"): "federation",
    ("sts", "GetFederationToken"): "federation",
    ("sso", "GetRoleCredentials"): "sso",
    ("s3", "CreateSession"): "s3-express-session",
    ("cognito-identity", "GetCredentialsForIdentity"): "federation",
}
_UNMAPPED = Resolution((), (), "unknown", "", "service")
_ISSUING = frozenset(operation for _, operation in ISSUERS)
_PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("us-iso-", "aws-iso"), ("us-isob-", "aws-iso-b"))


class UsageKey(NamedTuple):
    """What the ledger counts by. The origin stands for the identity, which may be confirmed later."""

    origin: Origin
    service: str
    operation: str
    resolution: Resolution
    region: str
    outcome: Outcome
    site: CallSite

    @property
    def group(self) -> tuple[str, str]:
        return (self.service, self.operation)

    def coarser(self) -> UsageKey | None:
        """One step up the ladder: without resources and without call site; then there is none."""
        if self.resolution.detail == "service":
            return None
        actions = tuple((action, ()) for action, _ in self.resolution.authorizations)
        coarse = self.resolution._replace(authorizations=actions, facets=(), detail="service")
        return self._replace(resolution=coarse, site=callsite.NOWHERE)

    def usage(self) -> Usage:
        """Return the record that is sent, with the identity as far as it is known now."""
        identity, resolution = self.origin.identity, self.resolution
        account = identity.account_id or "*"
        return Usage(
            source=identity.source,
            provider=identity.provider,
            credential_type=identity.credential_type,
            laundered=identity.laundered,
            chain=identity.chain,
            principal_arn=identity.principal_arn,
            principal_name=identity.principal_name,
            account_id=identity.account_id,
            instance_profile_arn=identity.instance_profile_arn,
            service=self.service,
            operation=self.operation,
            facets=resolution.facets,
            authorizations=tuple(
                (action, tuple(arn.replace(ACCOUNT, account) for arn in arns))
                for action, arns in resolution.authorizations
            ),
            mapping=resolution.mapping,
            mapping_version=resolution.version,
            detail=resolution.detail,
            region=self.region,
            outcome=self.outcome.name,
            denied_layer=self.outcome.layer,
            code_function=self.site.function,
            code_file=self.site.file,
            code_line=self.site.line,
        )


class Call:
    """One call of the application, while it is under way. Times are nanoseconds since the epoch.

    What a call does not need is never set: the defaults below are the class's.
    """

    abandoned: deque[Call] | None
    start_ns: int
    end_ns = 0
    service = operation = region = ""
    model: Any = None
    params: Mapping[str, object] | None = None
    site = callsite.NOWHERE
    parent: object = None
    signature = signature.UNSIGNED
    key: Key | None = None
    attempts = 0
    status = 0
    code = request_id = url = ""
    usage: UsageKey | None = None

    def __init__(self, abandoned: deque[Call], start_ns: int) -> None:
        self.abandoned = abandoned
        self.start_ns = start_ns

    @property
    def service_id(self) -> str:
        """Return AWS's own name of the service, "" where no event told it."""
        return str(self.model.service_model.service_id) if self.model is not None else ""

    def __del__(self) -> None:
        # may run anywhere, even inside our own lock: an append, nothing else
        abandoned = self.abandoned
        if abandoned is not None and self.attempts:
            self.abandoned = None
            abandoned.append(self)


class Recorder:
    """Follows calls through botocore's events. All collaborators are given; `clock` gives nanoseconds.

    `finished`, to be set from outside, receives each closed call; `capture` returns what is to be kept of the caller's
    context (the parent of a span), as an opaque value.
    """

    def __init__(
        self,
        registry: Registry,
        ledger: Ledger[UsageKey],
        clock: Callable[[], int],
        capture: Callable[[], object],
        *,
        detail: str = "container",
        call_site: bool = True,
        resolve: Callable[..., Resolution | None] = resolve,
    ) -> None:
        self.registry = registry
        self._ledger = ledger
        self._clock = clock
        self.finished: Callable[[Call], None] = _ignore
        self._capture = capture
        self._detail = detail if detail in DETAILS else "container"
        self._call_site = call_site
        self._resolve_operation = resolve
        self._abandoned: deque[Call] = deque(maxlen=10_000)

    # --- the events of a call

    def opened(self, params: Mapping[str, object], model: Any, context: dict[str, Any], **_: object) -> None:
        """`before-parameter-build`: the last moment at which parameters are what the caller gave."""
        call = self._open(context)
        call.model, call.service, call.operation = model, model.service_model.service_name, model.name
        # botocore's handlers change parameters in place later on
        call.params = dict(params) if isinstance(params, (dict, Mapping)) else None

    def _open(self, context: dict[str, Any]) -> Call:
        call = context[CONTEXT] = Call(self._abandoned, self._clock())
        call.region = context.get("client_region") or ""
        call.parent = self._capture()
        if self._call_site:
            call.site = callsite.find()
        if self._abandoned:
            self.reap()
        return call

    def signed(
        self,
        context: dict[str, Any],
        found: Signature,
        url: str,
        method: str,
        current_key: Callable[[], str],
        presigned_as: tuple[str, str] | None = None,
    ) -> None:
        """A request was signed (each attempt is): the key in the signature tells who it was.

        `method` is botocore's word for the client's credentials, `current_key` reads their key id.
        `presigned_as` is the signer's (signing name, operation) where the request is given away.
        """
        call: Call | None = context.get(CONTEXT)
        if call is None:  # the client is older than we are: only this first call lacks its parameters
            call = self._open(context)
        call.attempts += 1
        call.signature = found
        if self._detail != "none":  # the host of a request names the bucket
            call.url = url
        if call.service == "sts":  # the only client of botocore's own that holds the keys of others as `explicit`
            call.key = self.registry.sighted(found, method, current_key(), _nested)
        else:
            call.key = self.registry.seen(found.key_id, method) or self.registry.sighted(found, method, current_key())
        if presigned_as is not None:
            if not call.service or found.kind == "post":  # botocore announces a form as CreateBucket
                call.service, call.operation = call.service or found.signing_name or presigned_as[0], presigned_as[1]
            self._close(call, SIGNED)

    def answered(self, http_response: Any, parsed: Any, model: Any, context: dict[str, Any], **_: object) -> None:
        """`after-call`: the service answered, with success or with an error."""
        call: Call | None = context.get(CONTEXT)
        if call is None or call.abandoned is None:
            return
        if not call.service:
            call.model, call.service, call.operation = model, model.service_model.service_name, model.name
        if not call.attempts:
            call.abandoned = None  # answered by a stub: nothing was signed
            return
        call.status = status = int(getattr(http_response, "status_code", 0) or 0)
        answer = parsed if isinstance(parsed, (dict, Mapping)) else {}
        outcome = ALLOWED if 200 <= status < 300 else _refused(call, answer.get("Error") or {})
        call.request_id = str(answer.get("ResponseMetadata", {}).get("RequestId", ""))
        params = call.params
        self._close(call, outcome)
        if outcome is ALLOWED and call.operation in _ISSUING:
            self._issued(call, params or {}, answer)

    def failed(self, exception: BaseException, context: dict[str, Any], **_: object) -> None:
        """`after-call-error`: no answer came. A request that was never signed is not a use of credentials."""
        call: Call | None = context.get(CONTEXT)
        if call is None or call.abandoned is None:
            return
        call.code = type(exception).__name__
        if call.attempts:
            self._close(call, FAILED)
        else:
            call.abandoned = None

    def reap(self) -> None:
        """Count the calls whose end was never seen."""
        while True:
            try:
                call = self._abandoned.popleft()
            except IndexError:  # asking first would race with another thread
                return
            self._close(call, ABANDONED)

    def forked(self) -> None:
        """In a child: what was under way in the parent is the parent's."""
        self._abandoned.clear()

    # --- closing

    def _close(self, call: Call, outcome: Outcome) -> None:
        call.abandoned = None
        call.end_ns = end_ns = self._clock()
        region = call.signature.region or call.region
        resolution = self._resolve(call, region)
        if outcome.action:
            resolution, outcome = _named(resolution, outcome)
        key = call.key
        origin = key.origin if key is not None else self.registry.keyless(anonymous=call.signature.kind == "unsigned")
        call.usage = usage = UsageKey(origin, call.service, call.operation, resolution, region, outcome, call.site)
        call.params = None
        self._ledger.add(usage, key, end_ns)
        self.finished(call)

    def _resolve(self, call: Call, region: str) -> Resolution:
        params = call.params
        found = self._resolve_operation(
            call.service,
            call.operation,
            params or {},
            partition=partition(region),
            region=region,
            account=ACCOUNT,
            detail=self._detail if params is not None else "service",
            missing=call.status == 404 and missing(call.service, call.operation, call.status, call.code),
        )
        # a fault of the map costs the mapping, never the count
        return found if found is not None else _UNMAPPED

    def _issued(self, call: Call, params: Mapping[str, object], answer: Mapping[str, Any]) -> None:
        """A service gave out credentials: whoever signs with them is at the end of a chain."""
        source = ISSUERS.get((call.service, call.operation))
        if source is None:
            return
        credentials = answer.get("Credentials") or answer.get("roleCredentials") or {}
        key_id = credentials.get("AccessKeyId") or credentials.get("accessKeyId")
        if not key_id:
            return
        user = answer.get("AssumedRoleUser") or answer.get("FederatedUser") or {}
        # the parameter has the role's path, which the session's ARN has not
        arn = str(params.get("RoleArn") or user.get("Arn") or "")
        parent = call.key.origin if call.key is not None else None
        account = str(params.get("accountId") or "")
        self.registry.issued(str(key_id), source, arn, account, parent)


def _ignore(_: Call) -> None:
    """What happens with a closed call until someone wants it."""


def _refused(call: Call, error: Mapping[str, Any]) -> Outcome:
    call.code = str(error.get("Code", "")) if call.status >= 300 else ""
    return classify(call.service, call.operation, call.status, call.code, str(error.get("Message", "")))


def _named(resolution: Resolution, outcome: Outcome) -> tuple[Resolution, Outcome]:
    """The message of a denial names what was checked: it beats the map, and is part of the resolution then."""
    arns = dict(resolution.authorizations).get(outcome.action, ())
    if outcome.resource and resolution.authorizations:
        arns = (outcome.resource,)
    return resolution._replace(authorizations=((outcome.action, arns),)), Outcome(outcome.name, outcome.layer)


def _nested() -> bool:
    return callsite.within("botocore.credentials") or callsite.within("aiobotocore.credentials")


@lru_cache(maxsize=256)  # few regions, asked at each call
def partition(region: str) -> str:
    """Return the partition of a region, by its prefix (AWS general reference, ARN format)."""
    for prefix, name in _PARTITIONS:
        if region.startswith(prefix):
            return name
    return "aws"
