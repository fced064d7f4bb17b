"""Key id -> where the key came from: the registry that botocore throws away.

Facts arrive as they become known: an endpoint answered with a key (`container`, `imds`), a response
issued one (`issued`), a request was signed with one (`sighted`). The first fact about a key wins,
because botocore hands the same key on under other names. What can only be confirmed by asking the
endpoint again is a `Question`, answered off the application's path. Pure: no I/O, no clock; the
environment is an argument. Bounded: old keys leave, identities stay.
"""

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from credwatch.semconv import Hop
from credwatch.signature import Signature, key_type, pseudonym

MAX_KEYS = 4_096
MAX_ORIGINS = 1_024
MAX_NOTED = 1_024
MAX_HOPS = 8

# botocore's word (`Credentials.method`) -> source, for methods whose source needs no confirmation
_METHODS: Mapping[str, str] = {
    "env": "environment",
    "shared-credentials-file": "shared-credentials-file",
    "config-file": "config-file",
    "boto-config": "config-file",
    "custom-process": "process",
    "sso": "sso",
    "login": "login",
    "assume-role": "assumed-role",
    "assume-role-with-web-identity": "web-identity",
    "explicit": "explicit",
}
# these give temporary keys only: a long-lived key behind them is impossible, so the word is not believed
_ROLE_METHODS = frozenset(
    {"iam-role", "container-role", "assume-role", "assume-role-with-web-identity", "sso", "login"}
)
NAMED_METHODS = frozenset({"sso", "login"})
"""Methods of which the holder of a key may know the principal, although no endpoint tells it (`holder`)."""
_LITERAL_METHODS = frozenset({"explicit", "env", "shared-credentials-file", "config-file"})
_ROLE_SOURCES = frozenset(
    {
        "ec2-instance-profile",
        "ecs-task-role",
        "eks-pod-identity",
        "imds-other",
        "container-other",
        "assumed-role",
        "web-identity",
        "sso",
        "login",
    }
)
# compiled where they are used: few processes have such a source, each would wait for it at its start
_PERMISSION_SET = r"[\w+=,.@-]{1,32}"
_SIGNED_IN = r"arn:aws[\w-]*:(iam::\d{12}:(root|user/[\w+=,.@/-]{1,575})|sts::\d{12}:assumed-role/[\w+=,.@/-]{1,129})"
_POD_IDENTITY_HOSTS = frozenset({"169.254.170.23", "fd00:ec2::23"})


class Identity(NamedTuple):
    """Whose permissions signed, and by which way the keys came. Unknown parts are empty."""

    source: str
    provider: str = ""
    credential_type: str = ""
    laundered: bool = False
    chain: tuple[Hop, ...] = ()
    principal_arn: str = ""
    principal_name: str = ""
    account_id: str = ""
    instance_profile_arn: str = ""

    @property
    def hop(self) -> Hop:
        return Hop(self.source, self.principal_arn or self.principal_name)


class Told(NamedTuple):
    """What whoever holds a key knows of the principal; "" where it knows nothing."""

    principal_arn: str = ""
    principal_name: str = ""
    account_id: str = ""


NOBODY = Told()


class Question(NamedTuple):
    """What only the endpoint can tell: is `url` what it looks like? `kind` is `imds` or `container`."""

    kind: str
    url: str


class Answer(NamedTuple):
    """`genuine`: EC2's IMDS (with identity document and iam/info), or ECS (metadata v4 with a task)."""

    genuine: bool
    account_id: str = ""
    instance_profile_arn: str = ""


class Origin:
    """A distinct identity in this process; the same object for all its keys, so rotation adds nothing.

    While `question` is open, `identity` is what may be claimed without its answer.
    """

    __slots__ = ("identity", "question", "settled")

    def __init__(self, identity: Identity, question: Question | None) -> None:
        self.identity = identity
        self.question = question
        self.settled = question is None


class Key:
    """One key id seen signing: its origin, and how often (counted by the ledger)."""

    __slots__ = ("calls", "first_ns", "key_id", "last_ns", "origin", "pseudonym", "sent")

    def __init__(self, key_id: str, origin: Origin) -> None:
        self.key_id = key_id
        self.pseudonym = pseudonym(key_id)
        self.origin = origin
        self.calls = self.sent = 0
        self.first_ns = self.last_ns = 0


class Surroundings(NamedTuple):
    """What the environment says about where this process runs, as far as sources depend on it."""

    container_url: str = ""
    task_metadata: bool = False
    pod_identity: bool = False
    function: bool = False

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Surroundings":
        url = environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
        relative = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
        if relative:
            url = f"http://169.254.170.2{relative}"
        return cls(
            container_url=url,
            task_metadata=bool(environ.get("ECS_CONTAINER_METADATA_URI_V4")) and "CODEBUILD_BUILD_ID" not in environ,
            pod_identity=urlsplit(url).hostname in _POD_IDENTITY_HOSTS,
            function="AWS_LAMBDA_FUNCTION_NAME" in environ,
        )


def account_of(arn: str) -> str:
    """Return the account of an ARN, or "" """
    parts = arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""


def permission_set_role(name: object) -> str:
    """Return the name of the role behind a permission set of IAM Identity Center, `*` for its suffix, or "".

    The suffix is random and nobody tells it to the process: IAM Identity Center user guide, "Referencing permission
    sets in resource policies, Amazon EKS Cluster config maps, and AWS KMS key policies".
    """
    return f"AWSReservedSSO_{name}_*" if isinstance(name, str) and re.fullmatch(_PERMISSION_SET, name, re.ASCII) else ""


def signed_in(session: object) -> str:
    """Return who signed in by `aws login`, which names its session by that principal's ARN; "" for another name."""
    return session if isinstance(session, str) and re.fullmatch(_SIGNED_IN, session, re.ASCII) else ""


class Registry:
    """Where the keys of this process came from. Methods may be called from any thread."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._answers: dict[Question, Answer] = {}
        self._origins: dict[tuple[Identity, Question | None], Origin] = {}
        self._facts: dict[str, Origin] = {}  # key id -> what was learnt where the key was issued
        self._keys: dict[tuple[str, str, bool], Key] = {}  # (key id, method, nested) -> sighting
        self.signers: dict[tuple[str, str], tuple[str, str, Key]] = {}
        """(Beginning of a signature, method) -> kind, region and key, as noted; to be read without a lock."""
        # reentrant: a signal handler may make a call while this thread holds it
        self._lock = threading.RLock()

    # --- facts from where keys are issued

    def container(self, key_id: str, url: str, role_arn: str = "", account_id: str = "") -> None:
        """A container credentials endpoint gave a key (ECS tells the role, Pod Identity the account)."""
        account = account_id or account_of(role_arn)
        identity = Identity("unknown", "container-role", key_type(key_id), principal_arn=role_arn, account_id=account)
        self._learn(key_id, *self._placed(identity, Question("container", url)))

    def imds(self, key_id: str, url: str, role_name: str) -> None:
        """An instance metadata endpoint gave a key: it names the role, not its ARN."""
        identity = Identity("unknown", "iam-role", key_type(key_id), principal_name=role_name)
        self._learn(key_id, *self._placed(identity, Question("imds", url)))

    def issued(
        self, key_id: str, source: str, principal_arn: str, account_id: str, parent: Origin | None, name: str = ""
    ) -> None:
        """A service issued a key to a caller that signed as `parent` (None: the request was unsigned)."""
        chain = () if parent is None else _shortened((parent.identity.hop, *parent.identity.chain))
        provider = {"assumed-role": "assume-role", "web-identity": "assume-role-with-web-identity"}.get(source, source)
        account = account_id or account_of(principal_arn)
        identity = Identity(source, provider, key_type(key_id), False, chain, principal_arn, name, account)
        self._learn(key_id, identity, None if parent is None or parent.settled else parent.question)

    def held(self, key_id: str, method: str, told: Told = NOBODY) -> None:
        """botocore holds a key by `method`, and knows this of it; its own STS client will call the key `explicit`."""
        if key_id and method not in ("", "explicit"):
            identity, question = self._by_method(key_id, method)
            if identity.source != "unknown":
                identity = identity._replace(**told._asdict())
            self._learn(key_id, identity, question)

    def _learn(self, key_id: str, identity: Identity, question: Question | None) -> None:
        with self._lock:
            if key_id not in self._facts:
                self._trim(self._facts)
                self._facts[key_id] = self._intern(identity, question)

    # --- a key signs

    def note(self, beginning: str, method: str, signature: Signature, key: Key | None) -> None:
        """Note who signs where a signature begins so, if the beginning tells (`signature.beginning`)."""
        if key is not None and key.key_id and f"Credential={key.key_id}/" in beginning:
            self._trim(self.signers, MAX_NOTED)
            self.signers[beginning, method] = (signature.kind, signature.region, key)

    def sighted(
        self, signature: Signature, method: str, current_key: str, nested: Callable[[], bool] = bool
    ) -> Key | None:
        """Return the sighting of the key that signed; None where no key can be read.

        `method` is botocore's word for the client's credentials and `current_key` their key id as
        far as known: where another key signed, the word is not about it. `nested` tells whether
        botocore's own code made the call (its STS client holds keys as `explicit`).
        """
        if signature.kind in ("unsigned", "unreadable"):
            return None
        inner = method == "explicit" and nested()
        seen = self._keys.get((signature.key_id, method, inner))
        if seen is not None:
            return seen
        with self._lock:
            return self._first_sighting(signature, method, current_key, inner)

    def _first_sighting(self, signature: Signature, method: str, current_key: str, inner: bool) -> Key:
        key_id = signature.key_id
        fact = self._facts.get(key_id)
        if signature.kind == "bearer":
            origin = self._intern(Identity("bearer-token", method), None)
        elif fact is not None:
            origin = self._known(fact, method, inner)
        else:
            foreign = bool(current_key) and current_key != key_id
            origin = self._intern(*self._by_method(key_id, "" if foreign else method))
        if len(self._keys) >= MAX_KEYS:
            self.signers.clear()  # what leaves must not come back
        self._trim(self._keys)
        return self._keys.setdefault((key_id, method, inner), Key(key_id, origin))

    def _known(self, fact: Origin, method: str, inner: bool) -> Origin:
        """A key of known origin: laundered if its holder has it as a literal."""
        laundered = method in _LITERAL_METHODS and not inner
        if not laundered or fact.identity.source not in _ROLE_SOURCES | {"unknown"}:
            return fact
        return self._intern(fact.identity._replace(laundered=True), fact.question)

    def _by_method(self, key_id: str, method: str) -> tuple[Identity, Question | None]:
        kind = key_type(key_id)
        if kind == "long-lived" and method in _ROLE_METHODS:
            return Identity("unknown", method, kind), None
        if method == "container-role":
            url = self._surroundings.container_url
            return self._placed(Identity("unknown", method, kind), Question("container", url))
        if method == "iam-role":
            return self._placed(Identity("unknown", method, kind), Question("imds", ""))
        if method == "env" and self._surroundings.function and kind == "temporary":
            return Identity("lambda-execution-role", method, kind), None
        return Identity(_METHODS.get(method, "unknown"), method, kind), None

    def keyless(self, *, anonymous: bool) -> Origin:
        """Return the origin of requests without a key: unsigned ones, or such that could not be read."""
        with self._lock:
            return self._intern(Identity("anonymous" if anonymous else "unknown"), None)

    # --- questions and answers

    def _placed(self, identity: Identity, question: Question) -> tuple[Identity, Question | None]:
        """Return the identity as far as its place is known, and the question if it is still open."""
        if identity.credential_type == "long-lived":  # no role has such a key, whatever the endpoint says
            return identity._replace(source="unknown"), None
        if question.kind == "container" and self._surroundings.pod_identity:
            return identity._replace(source="eks-pod-identity"), None
        if question.kind == "container" and not self._surroundings.task_metadata:
            return identity._replace(source="container-other"), None
        answer = self._answers.get(question)
        return (identity, question) if answer is None else (_apply(identity, question, answer), None)

    def questions(self) -> list[Question]:
        """Return what is still to be asked."""
        with self._lock:
            origins = list(self._origins.values())
        return list({o.question: None for o in origins if o.question is not None and o.question not in self._answers})

    def answer(self, question: Question, answer: Answer) -> None:
        """Settle what hung on a question. A later key from the same endpoint is settled at once."""
        with self._lock:
            self._answers[question] = answer
            for origin in list(self._origins.values()):
                if origin.question == question and not origin.settled:
                    origin.identity = _apply(origin.identity, question, answer)
                    origin.settled = True
            for key in self._keys.values():
                if key.origin.question == question:
                    key.origin = self._intern(_apply(key.origin.identity, question, answer), None)
            for key_id, origin in self._facts.items():
                if origin.question == question:
                    self._facts[key_id] = self._intern(_apply(origin.identity, question, answer), None)

    def settle(self, question: Question | None = None) -> None:
        """Let what is unanswered (or one question) be sent as unknown; calls after a later answer count under it."""
        with self._lock:
            for origin in self._origins.values():
                origin.settled = origin.settled or question in (None, origin.question)

    def sightings(self) -> list[Key]:
        """Return all sightings."""
        with self._lock:
            return list(self._keys.values())

    def forked(self) -> None:
        """In a child: forget who signed (the counts are the parent's), keep what is known about keys."""
        self._lock = threading.RLock()  # the old one may be held by a thread that is not here
        self._keys = {}
        self.signers.clear()

    # --- interning and bounds

    def _intern(self, identity: Identity, question: Question | None) -> Origin:
        origin = self._origins.get((identity, question))
        if origin is None:
            self._trim(self._origins, MAX_ORIGINS)
            origin = self._origins[identity, question] = Origin(identity, question)
        return origin

    @staticmethod
    def _trim(table: dict[Any, Any], limit: int = MAX_KEYS) -> None:
        while len(table) >= limit:
            del table[next(iter(table))]


def _shortened(chain: tuple[Hop, ...]) -> tuple[Hop, ...]:
    # a role that renews itself with its own session adds a hop each time; the nearest and the root tell all
    return chain if len(chain) <= MAX_HOPS else (*chain[: MAX_HOPS - 1], chain[-1])


_ANSWERED: Mapping[str, tuple[str, str]] = {
    "imds": ("ec2-instance-profile", "imds-other"),
    "container": ("ecs-task-role", "container-other"),
}


def _apply(identity: Identity, question: Question, answer: Answer) -> Identity:
    genuine, other = _ANSWERED[question.kind]
    source = genuine if answer.genuine else other
    if identity.chain:  # the question was about where the chain begins
        *hops, root = identity.chain
        return identity._replace(chain=(*hops, root._replace(source=source)))
    return identity._replace(
        source=source,
        account_id=identity.account_id or answer.account_id,
        instance_profile_arn=answer.instance_profile_arn,
    )
