"""The metadata endpoints: what the instance, the container and the task say when they are asked.

The same requests as the SDK's, through the `Fetch` of the world; answers become records at once,
and of an answer's text only identifiers are ever kept outside `Keys`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from botocore.utils import is_valid_uri

from credwatch.identity.model import Answer, Keys, Problem, Task, Unreachable, World
from credwatch.identity.profiles import Profiles, setting

CONTAINER_HOSTS = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost"})
"""Hosts that botocore accepts over plain HTTP, beside loopback addresses."""

POD_IDENTITY_HOSTS = frozenset({"169.254.170.23", "fd00:ec2::23"})

_CONTAINER_TIMEOUT = 2.0
_LONGEST_TIMEOUT = 5.0
_ROLE_NAME = re.compile(r"[\w+=,.@-]{1,128}")
_ACCOUNT = re.compile(r"\d{12}")
_PROFILE_ARN = re.compile(r"arn:[\w-]+:iam::\d{12}:instance-profile/[\w+=,.@/-]+")
_REQUIRED = ("AccessKeyId", "SecretAccessKey", "Token", "Expiration")


class NoAnswer(Exception):
    """An endpoint did not give what was asked; the text is a phrase, free of what it answered."""


def host_of(url: str) -> str:
    """Return `host` or `host:port` of a URL: its path and user may be secrets, these are not."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an invalid URL"
    return f"{parts.hostname or 'no host'}{port}"


def loads(body: bytes) -> dict[str, Any]:
    """Return the JSON object of an answer; raises `NoAnswer` for anything else."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise NoAnswer("answers, but not with JSON") from None
    if not isinstance(parsed, dict):
        raise NoAnswer("answers, but not with a JSON object")
    return parsed


def keys_of(answer: Mapping[str, Any]) -> Keys:
    """Return the credentials of an answer; raises `NoAnswer` if a field is missing."""
    missing = [name for name in _REQUIRED if not isinstance(answer.get(name), str)]
    if missing:
        raise NoAnswer(f"answers without {', '.join(missing)}")
    return Keys(answer["AccessKeyId"], answer["SecretAccessKey"], answer["Token"])


# --- the instance metadata service --------------------------------------------------------------


@dataclass(frozen=True)
class Instance:
    """What the instance metadata service says.

    `reason` is why there are no credentials, "" if there are. `proved`: it also gave an instance
    identity and `iam/info`, which things that merely imitate it do not. `tokenless`: it gave
    credentials without a session token (IMDSv1). `token_timed_out`: only the PUT got no answer.
    `forbidden`: botocore raises. `proxied`: botocore would ask a proxy, so we asked nothing.
    """

    reason: str = ""
    role: str = ""
    keys: Keys | None = None
    expires: str = ""
    account_id: str = ""
    profile_arn: str = ""
    proved: bool = False
    tokenless: bool = False
    token_timed_out: bool = False
    forbidden: bool = False
    proxied: bool = False


def ask_instance(world: World, profiles: Profiles) -> Instance:
    """Ask the instance metadata service as botocore would, and whether it really is one."""
    if world.environ.get("AWS_EC2_METADATA_DISABLED", "false").lower() == "true":
        return Instance("switched off by AWS_EC2_METADATA_DISABLED")
    base = _instance_url(world, profiles)
    if _proxied(world, base):
        return Instance("a proxy would be asked: NO_PROXY lacks its address (not asked)", proxied=True)
    session = _Session(world, base, _timeout(world, profiles))
    try:
        session.open()
    except NoAnswer as error:
        return Instance(str(error), token_timed_out=session.token_timed_out)
    v1_disabled = setting(world, profiles, "AWS_EC2_METADATA_V1_DISABLED").lower() == "true"
    if not session.token and v1_disabled:
        return Instance("gives no session token, and IMDSv1 is disabled: botocore raises", forbidden=True)
    try:
        return _instance_role(session)
    except NoAnswer as error:
        return Instance(str(error), token_timed_out=session.token_timed_out)


def misconfigured_endpoint(world: World, profiles: Profiles) -> Problem | None:
    """Return what makes botocore raise before it tries any step, since it builds this one first; or None."""
    mode = setting(world, profiles, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").lower()
    if mode and mode not in ("ipv4", "ipv6"):
        what, fix = (
            "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is neither `ipv4` nor `ipv6`",
            "Set one of them, or unset it.",
        )
    elif not is_valid_uri(_instance_url(world, profiles)):
        what, fix = "AWS_EC2_METADATA_SERVICE_ENDPOINT is no URL", "Write it with http://, or unset it."
    else:
        return None
    sentence = f"{what}, so botocore raises, whatever else is set."
    return Problem("config-invalid", "high", "BROKEN CONFIGURATION", sentence, fix)


class _Session:
    """A session with the instance metadata service: the token first, then questions."""

    def __init__(self, world: World, base: str, timeout: float) -> None:
        self._fetch, self._base, self._timeout = world.fetch, base.rstrip("/"), timeout
        self.token = ""
        self.token_timed_out = False

    def open(self) -> None:
        headers = {"x-aws-ec2-metadata-token-ttl-seconds": "60"}
        try:
            answer = self._fetch("PUT", f"{self._base}/latest/api/token", headers, self._timeout)
        except Unreachable as error:
            if str(error) != "no answer in time":
                raise NoAnswer(str(error)) from None
            self.token_timed_out = True
            return
        if answer.status == 200:
            self.token = answer.body.decode("latin-1").strip()
        elif answer.status not in (403, 404, 405):
            raise NoAnswer(f"answers {answer.status} to the request for a session token")

    def get(self, path: str) -> bytes:
        headers = {"x-aws-ec2-metadata-token": self.token} if self.token else {}
        try:
            answer: Answer = self._fetch("GET", f"{self._base}/latest/{path}", headers, self._timeout)
        except Unreachable as error:
            raise NoAnswer(str(error)) from None
        if answer.status != 200 or not answer.body:
            raise NoAnswer(f"answers {answer.status}" if answer.status != 200 else "answers nothing")
        return answer.body

    def object(self, path: str) -> dict[str, Any]:
        """Return a JSON object, {} where there is none: for what only confirms."""
        try:
            return loads(self.get(path))
        except NoAnswer:
            return {}


def _instance_role(session: _Session) -> Instance:
    try:
        role = session.get("meta-data/iam/security-credentials/").decode("latin-1")
    except NoAnswer as error:
        if str(error) == "answers 404":
            raise NoAnswer("answers, but the instance has no instance profile") from None
        raise
    if not _ROLE_NAME.fullmatch(role):
        raise NoAnswer("answers, but not with the name of a role")
    answer = loads(session.get(f"meta-data/iam/security-credentials/{role}"))
    keys = keys_of(answer)
    info = session.object("meta-data/iam/info")
    identity = session.object("dynamic/instance-identity/document")
    profile_arn = _matching(_PROFILE_ARN, info.get("InstanceProfileArn"))
    return Instance(
        role=role,
        keys=keys,
        expires=answer["Expiration"],
        account_id=_matching(_ACCOUNT, identity.get("accountId")),
        profile_arn=profile_arn,
        proved=bool(profile_arn) and isinstance(identity.get("instanceId"), str),
        tokenless=not session.token,
    )


def _matching(pattern: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _instance_url(world: World, profiles: Profiles) -> str:
    chosen = setting(world, profiles, "AWS_EC2_METADATA_SERVICE_ENDPOINT")
    if chosen:
        return chosen
    mode = setting(world, profiles, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").lower()
    ipv6 = mode == "ipv6" or (not mode and setting(world, profiles, "AWS_IMDS_USE_IPV6").lower() == "true")
    return "http://[fd00:ec2::254]" if ipv6 else "http://169.254.169.254"


def _timeout(world: World, profiles: Profiles) -> float:
    text = setting(world, profiles, "AWS_METADATA_SERVICE_TIMEOUT")
    return min(float(text), _LONGEST_TIMEOUT) if text.isdigit() and int(text) > 0 else 1.0


def _proxied(world: World, base: str) -> bool:
    environ = {name.lower(): value for name, value in world.environ.items() if value}
    if not environ.get(f"{urlsplit(base).scheme}_proxy"):
        return False
    names = {host_of(base), urlsplit(base).hostname or ""}
    entries = [entry.strip().lstrip(".") for entry in environ.get("no_proxy", "").lower().split(",")]
    return not any(e == "*" or (e and (n == e or n.endswith(f".{e}"))) for e in entries for n in names)


# --- the container credentials endpoint ---------------------------------------------------------


def container_url(environ: Mapping[str, str]) -> str | None:
    """Return the URL of the container credentials endpoint, or None if none is configured."""
    if "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in environ:
        return f"http://169.254.170.2{environ['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI']}"
    return environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")


def allowed_container_host(url: str) -> bool:
    """Return whether botocore asks this URL: HTTPS, loopback, or one of AWS's addresses."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme == "https" or host in CONTAINER_HOSTS or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def ask_container(world: World, url: str, token: str | None) -> dict[str, Any]:
    """Return the answer of the container credentials endpoint; raises `NoAnswer`."""
    headers = {"Accept": "application/json"} | ({"Authorization": token} if token is not None else {})
    try:
        answer = world.fetch("GET", url, headers, _CONTAINER_TIMEOUT)
    except Unreachable as error:
        raise NoAnswer(str(error)) from None
    if answer.status != 200:
        raise NoAnswer(f"answers {answer.status}")
    return loads(answer.body)


# --- the task metadata endpoint -----------------------------------------------------------------


def ask_task(world: World) -> Task | None:
    """Return the ECS task of this process, or None. Asks nothing but loopback and link-local addresses."""
    every = (world.environ, *(environ for _, environ in world.ancestors))
    base = next((url for environ in every if (url := environ.get("ECS_CONTAINER_METADATA_URI_V4"))), "")
    if not base or not _is_local(base):
        return None
    try:
        answer = world.fetch("GET", f"{base.rstrip('/')}/task", {}, _CONTAINER_TIMEOUT)
        task = loads(answer.body) if answer.status == 200 else {}
    except (Unreachable, NoAnswer):
        return None
    fields = (task.get(name) for name in ("TaskARN", "Cluster", "Family", "Revision", "LaunchType"))
    found = Task(*(field if isinstance(field, str) else "" for field in fields))
    return found if found.arn.startswith("arn:") and ":ecs:" in found.arn else None


def _is_local(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        address = ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local
