"""botocore event -> `Call`: opened with the parameters, signed by a key, closed with an outcome.

The state of a call lives in botocore's own request context and nowhere else; where no end event
comes, its finalizer counts the call as abandoned. Knows events and their keyword arguments, and
nothing of OpenTelemetry: a finished call is handed to `finished`, a callable given from outside.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from credwatch import callsite
from credwatch.callsite import CallSite
from credwatch.guard import Guard
from credwatch.holder import told
from credwatch.ledger import Ledger
from credwatch.operations import Resolution, decider, partition_of, resolve
from credwatch.outcome import ABANDONED, ABSENT, ALLOWED, FAILED, SIGNED, Outcome, classify
from credwatch.provenance import NAMED_METHODS, Key, Origin, Registry, permission_set_role
from credwatch.semconv import DETAILS, Usage
from credwatch.signature import beginning, from_form, from_request

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
_MOST_USAGES = 2_048
_MOST_ROUTES = 1_024
_LONGEST = 256  # characters of a name that is remembered
_NO_MODEL = SimpleNamespace(name="", service_model=SimpleNamespace(service_name="", service_id=""))
_UNMAPPED = Resolution((), (), "unknown", "", "service")
_ISSUING = frozenset(operation for _, operation in ISSUERS)


class UsageKey(NamedTuple):
    """What the ledger counts by. The origin stands for the identity, which may be confirmed later.

    There may be thousands: hence the fields of a `Resolution` in place of one, with its authorizations laid flat.
    """

    origin: Origin
    service: str
    operation: str
    checked: tuple[str | None, ...]  # an action and its ARNs, None, the next action and its ARNs
    facets: tuple[tuple[str, str], ...]
    mapping: str
    mapping_version: str
    detail: str
    region: str
    outcome: Outcome
    site: CallSite

    @classmethod
    def of(
        cls,
        origin: Origin,
        service: str,
        operation: str,
        resolution: Resolution,
        region: str,
        outcome: Outcome,
        site: CallSite,
    ) -> UsageKey:
        """Return the key of a call that ended."""
        checked = _flat(resolution.authorizations)
        return cls(origin, service, operation, checked, *resolution[1:], region, outcome, site)

    @property
    def group(self) -> tuple[str, str]:
        return (self.service, self.operation)

    @property
    def authorizations(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each action with the ARNs that it was checked on."""
        groups: list[list[str]] = [[]]
        for text in self.checked:
            if text is None:
                groups.append([])
            else:
                groups[-1].append(text)
        return tuple((action, tuple(arns)) for action, *arns in groups) if self.checked else ()

    def coarser(self) -> UsageKey | None:
        """One step up the ladder: without resources and without call site; then there is none."""
        if self.detail == "service":
            return None
        actions = _flat((action, ()) for action, _ in self.authorizations)
        return self._replace(checked=actions, facets=(), detail="service", site=callsite.NOWHERE)

    def usage(self) -> Usage:
        """Return the record that is sent, with the identity as far as it is known now."""
        identity = self.origin.identity
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
            facets=self.facets,
            authorizations=tuple(
                (action, tuple(arn.replace(ACCOUNT, account) for arn in arns)) for action, arns in self.authorizations
            ),
            mapping=self.mapping,
            mapping_version=self.mapping_version,
            detail=self.detail,
            region=self.region,
            outcome=self.outcome.name,
            denied_layer=self.outcome.layer,
            code_function=self.site.function,
            code_file=self.site.file,
            code_line=self.site.line,
        )


class Call:
    """One call of the application that has ended. Times are nanoseconds since the epoch."""

    __slots__ = (
        "__dict__",
        "abandoned",
        "attempts",
        "key",
        "kind",
        "operation",
        "params",
        "region",
        "service",
        "site",
        "usage",
    )
    abandoned: deque[Call]
    service: str
    operation: str
    region: str
    params: Mapping[str, object] | None
    site: CallSite
    kind: str  # of the signature
    key: Key | None
    attempts: int
    usage: UsageKey
    # for spans and refusals alone
    parent: object = None
    code = request_id = service_id = url = ""
    start_ns = end_ns = status = 0

    def __copy__(self) -> Call:
        """Copied with its request: botocore does so to sign it for another region, and an application may.

        What becomes of the original counts once: the copy counts for what is done with it, and nothing if that is
        nothing. What the call refers to, a span among it, is not copied.
        """
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        for name in Call.__slots__[1:]:
            if hasattr(self, name):
                setattr(twin, name, getattr(self, name))
        twin.abandoned = deque(maxlen=0)
        return twin

    def __deepcopy__(self, _: object) -> Call:
        return self.__copy__()

    def __reduce__(self) -> tuple[Callable[[], Call], tuple[()]]:
        return Call, ()  # in another process nobody waits for its end


class OpenCall(Call):
    """A call that is under way; at its end it becomes a `Call`, as even an idle finalizer costs."""

    __slots__ = ()

    def __del__(self) -> None:
        # may run anywhere, even inside our own lock: an append, nothing else
        if self.attempts:
            self.abandoned.append(self)


class Route:
    """Stands for the calls of one operation with parameters of the same names; `name` is `operations.decider`'s."""

    __slots__ = ("name",)

    def __init__(self, name: str | None) -> None:
        self.name = name


# one text decides what most calls are checked for: with the same route, text, origin, region and site, a call that was
# allowed is the same usage again
_Same = tuple[Route, str, Origin, str, CallSite]


class _Elsewhere:
    """Stands for the recorder of another process, whose handlers came here within a pickled emitter."""

    def opened(self, **_: object) -> None: ...

    answered = failed = opened


_recorders: WeakValueDictionary[str, Recorder] = WeakValueDictionary()


def _known(name: str) -> object:
    return _recorders.get(name) or _Elsewhere()


class Recorder:
    """Follows calls through botocore's events. All collaborators are given; `clock` gives nanoseconds.

    `capture` returns what is to be kept of the caller's context (the parent of a span), as an opaque value, and is None
    where no spans are made. To be set from outside: `finished` receives each closed call that someone may wait for (all
    where spans are made, else the first and those of which the source is not settled), `hook` an emitter of events
    that are not followed yet.
    """

    def __init__(
        self,
        registry: Registry,
        ledger: Ledger[UsageKey],
        clock: Callable[[], int],
        capture: Callable[[], object] | None,
        guard: Guard,
        *,
        detail: str = "container",
        call_site: bool = True,
        resolve: Callable[..., Resolution | None] = resolve,
    ) -> None:
        self.registry = registry
        self._ledger = ledger
        self._clock = clock
        self._guard = guard
        self.finished: Callable[[Call], object] = _ignore
        self.hook: Callable[[Any], object] = _ignore
        self._capture = capture
        self._detail = detail if detail in DETAILS else "container"
        self._urls = capture is not None and self._detail != "none"  # the host of a request names the bucket
        self._call_site = call_site
        self._resolve_operation = resolve
        self._decider = guard.wrap(decider)
        self._abandoned: deque[Call] = deque(maxlen=10_000)
        self._begun = False
        self._signers = registry.signers
        self.name = str(uuid.uuid4())
        _recorders[self.name] = self
        self._routes: dict[tuple[str, ...], Route] = {}
        self._usages: dict[_Same, UsageKey] = {}

    def __deepcopy__(self, _: object) -> Recorder:
        return self  # a session is copied with its handlers; whom they tell is one

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return _known, (self.name,)

    # --- the events of a call

    def opened(self, params: Any, model: Any, context: dict[str, Any], event_name: object = None, **_: object) -> None:
        """`before-parameter-build`: the last moment at which parameters are what the caller gave."""
        try:
            if self._guard.tripped:
                return
            call = OpenCall()
            call.attempts, call.key = 0, None
            call.service, call.operation = model.service_model.service_name, model.name
            call.abandoned = self._abandoned
            call.site = callsite.find() if self._call_site else callsite.NOWHERE
            # botocore's handlers change parameters in place later on
            call.params = params.copy() if type(params) is dict else _copied(params)
            if self._capture is not None:
                call.start_ns, call.parent = self._clock(), self._capture()
                call.service_id = model.service_model.service_id
            context[CONTEXT] = call  # whole, or not at all
            if self._abandoned:
                self.reap()
        except Exception as error:  # noqa: BLE001 - see `Guard`
            self._guard.failed("opened", error)

    def signed(self, signer: Any, operation: object, request: Any, signing_type: object) -> None:
        """A signer signed a request (each attempt is): the key in the signature tells who it was."""
        try:
            if self._guard.tripped:
                return
            context = request.context
            signing = context.get("signing")
            credentials = (signing.get("request_credentials") if signing else None) or signer._credentials
            method = getattr(credentials, "method", None) or ""
            call, known = context.get(CONTEXT), None
            try:  # `beginning`, without the call
                name, value = request.headers._headers[-1]
            except (AttributeError, IndexError):
                name = value = ""
            if name == "Authorization" and type(value) is str:
                known = self._signers.get((value.partition(",")[0], method))
            if known is None or call is None or signing_type != "standard":
                self._signed(signer, operation, request, signing_type, credentials)
                return
            call.kind, call.region, call.key = known
            call.attempts += 1
            if self._urls:
                call.url = request.url
        except Exception as error:  # noqa: BLE001 - see `Guard`
            self._guard.failed("signed", error)

    def _signed(self, signer: Any, operation: object, request: Any, signing_type: object, credentials: object) -> None:
        """As `signed`, where we have not met the like before."""
        context = request.context
        if signing_type == "presign-post":
            found = from_form(context.get("s3-presign-post-fields") or {})
        else:
            found = from_request(request.headers, request.url, getattr(request, "data", None))
        if found.kind == "bearer":  # the client may hold keys beside the token
            credentials = getattr(signer, "_auth_token", None)
        method = getattr(credentials, "method", None) or ""
        if CONTEXT not in context:
            if signing_type == "standard":
                self.hook(signer._event_emitter)
            # the client is older than we are (only this first call lacks its parameters), or makes no call
            self.opened(None, _NO_MODEL, context)
        call = context[CONTEXT]
        call.attempts += 1
        call.kind, call.region = found.kind, found.region or context.get("client_region") or ""
        if self._urls:
            call.url = request.url
        if method in NAMED_METHODS and key_of(credentials) == found.key_id:
            self.registry.held(found.key_id, method, told(credentials, method))
        if call.service == "sts":  # the only client of botocore's own that holds the keys of others as `explicit`
            call.key = self.registry.sighted(found, method, key_of(credentials), _nested)
        else:
            call.key = self.registry.sighted(found, method, key_of(credentials))
            self.registry.note(beginning(request.headers), method, found, call.key)
        if signing_type != "standard":  # the request is given away
            if not call.service or found.kind == "post":  # botocore announces a form as CreateBucket
                call.service = call.service or found.signing_name or str(getattr(signer, "_signing_name", "") or "")
                call.operation = str(operation or "")
            self._close(call, SIGNED)

    def answered(
        self, http_response: Any, parsed: Any, model: Any, context: Any, event_name: object = None, **_: object
    ) -> None:
        """`after-call`: the service answered, with success or with an error."""
        try:
            call = context.get(CONTEXT)
            if self._guard.tripped or call.__class__ is not OpenCall:
                return
            if not call.service:
                call.service, call.operation = model.service_model.service_name, model.name
                call.service_id = model.service_model.service_id
            if not call.attempts:
                _ended(call)  # answered by a stub: nothing was signed
                return
            status, params = http_response.status_code, call.params
            outcome = ALLOWED if 200 <= status < 300 else _refused(call, status, parsed.get("Error") or {})
            if self._capture is not None:
                call.status = int(status)
                call.request_id = str(parsed.get("ResponseMetadata", {}).get("RequestId", ""))
            self._close(call, outcome)
            if call.operation in _ISSUING and outcome is ALLOWED:
                self._issued(call, params or {}, parsed)
        except Exception as error:  # noqa: BLE001 - see `Guard`
            self._guard.failed("answered", error)

    def failed(self, exception: object, context: Any, **_: object) -> None:
        """`after-call-error`: no answer came. A request that was never signed is not a use of credentials."""
        try:
            call = context.get(CONTEXT)
            if self._guard.tripped or call.__class__ is not OpenCall:
                return
            call.code = type(exception).__name__
            if call.attempts:
                self._close(call, FAILED)
            else:
                _ended(call)
        except Exception as error:  # noqa: BLE001 - see `Guard`
            self._guard.failed("failed", error)

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
        self._begun = False
        self._abandoned.clear()

    # --- closing

    def _close(self, call: Call, outcome: Outcome) -> None:
        call.__class__ = Call
        now = self._clock()
        key, params, usage = call.key, call.params, None
        origin = key.origin if key is not None else self.registry.keyless(anonymous=call.kind == "unsigned")
        if outcome is ALLOWED and params is not None:
            route = self._routes.get((call.service, call.operation, *params))
            if route is None:
                self._explore(call, params)
            elif route.name is not None:
                value = params.get(route.name, "")
                if type(value) is str:
                    same = (route, value, origin, call.region, call.site)
                    usage = self._usages.get(same) or self._remember(same, call)
        if usage is None:
            usage = self._usage(call, origin, outcome)
        self._ledger.add(usage, key, now)
        if self._capture is not None or not (self._begun and origin.settled):
            call.usage, call.end_ns, call.params = usage, now, None
            self._begun = True
            self.finished(call)

    def _remember(self, same: _Same, call: Call) -> UsageKey:
        _, value, origin, *_ = same
        usage = self._usage(call, origin, ALLOWED)
        if len(value) <= _LONGEST:
            if len(self._usages) >= _MOST_USAGES:
                self._usages.clear()
            self._usages[same] = usage
        return usage

    def _explore(self, call: Call, params: Mapping[str, object]) -> None:
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        route = Route(self._decider(call.service, call.operation, params, self._detail))
        key = (call.service, call.operation, *params)
        self._routes[key] = route

    def _usage(self, call: Call, origin: Origin, outcome: Outcome) -> UsageKey:
        resolution = self._resolve(call, outcome)
        if outcome.action:
            resolution, outcome = _named(resolution, outcome, self._detail)
        return UsageKey.of(origin, call.service, call.operation, resolution, call.region, outcome, call.site)

    def _resolve(self, call: Call, outcome: Outcome) -> Resolution:
        params, region = call.params, call.region
        found = self._resolve_operation(
            call.service,
            call.operation,
            params or {},
            partition=partition_of(region),
            region=region,
            account=ACCOUNT,
            detail=self._detail if params is not None else "service",
            missing=outcome is ABSENT,
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
        self.registry.issued(str(key_id), source, arn, account, parent, permission_set_role(params.get("roleName")))


def _flat(authorizations: Iterable[tuple[str, tuple[str, ...]]]) -> tuple[str | None, ...]:
    parts: list[str | None] = []
    for action, arns in authorizations:
        parts += (None, action, *arns)
    return tuple(parts[1:])


def _copied(params: object) -> Mapping[str, object] | None:
    return dict(params) if isinstance(params, Mapping) else None


def _ended(call: Call) -> None:
    """Take a call as over, and as no use of credentials."""
    call.__class__ = Call


def _ignore(_: object) -> None:
    """What happens with a closed call, or an emitter, until someone wants it."""


def key_of(credentials: Any) -> str:
    """Return the key id that a client says it holds; reads no attribute that would refresh credentials."""
    frozen = getattr(credentials, "_frozen_credentials", None)
    if frozen is None and "access_key" in getattr(credentials, "__dict__", {}):
        frozen = credentials
    return str(getattr(frozen, "access_key", "") or "")


def _refused(call: Call, status: int, error: Mapping[str, Any]) -> Outcome:
    call.code = str(error.get("Code", "")) if status >= 300 else ""
    return classify(call.service, call.operation, status, call.code, str(error.get("Message", "")))


def _named(resolution: Resolution, outcome: Outcome, detail: str) -> tuple[Resolution, Outcome]:
    """The message of a denial names what was checked: it beats the map, and is part of the resolution then."""
    arns = dict(resolution.authorizations).get(outcome.action, ())
    if outcome.resource and resolution.authorizations and detail != "none":
        arns = (outcome.resource if detail == "full" else _container(outcome.resource),)
    return resolution._replace(authorizations=((outcome.action, arns),)), Outcome(outcome.name, outcome.layer)


def _container(arn: str) -> str:
    """Return the ARN without an object's key: of all resources that messages name, S3's objects alone are finer."""
    if not arn.startswith("s3", len("arn:") + len(arn.split(":", 2)[1]) + 1):
        return arn
    head, slash, _ = arn.partition("/object/" if ":accesspoint/" in arn else "/")
    return f"{head}{slash}*" if slash else arn


def _nested() -> bool:
    return callsite.within("botocore.credentials") or callsite.within("aiobotocore.credentials")
