"""Who may look: the role `read`, by a bearer token, or by a cookie for browsers, which cannot send one.

Where there are no tokens everyone who reaches the loopback address may look, but only under a
loopback name: a web page that makes its own name point here (DNS rebinding) is turned away.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from credwatch_agent.access import ANYONE, Caller, Tokens
from credwatch_agent.web.state import Moment

COOKIE = "credwatch_token"
_SECONDS = 12 * 3_600


class Shut(Exception):
    """The request may not see this: an HTTP status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Door:
    """Lets callers in. `tokens` gives those that are valid now; None: there are none.

    `now_ns` is the clock by which they expire; `peer` gives the alternative names of a client's verified certificate.
    """

    def __init__(
        self,
        tokens: Callable[[], Tokens] | None,
        now_ns: Callable[[], int] = lambda: 0,
        peer: Callable[[Request], Sequence[str]] = lambda _request: (),
    ) -> None:
        self._tokens = tokens
        self._now_ns = now_ns
        self._peer = peer

    @property
    def guarded(self) -> bool:
        return self._tokens is not None

    def enter(self, request: Request) -> Caller:
        """Return who asks; raises `Shut`."""
        if self._tokens is None:
            if not _loopback(request.headers.get("host", "")):
                raise Shut(421, "this agent answers under a loopback name only, such as `localhost` or 127.0.0.1")
            return ANYONE
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")
        names = self._peer(request)
        if not given and names and "authorization" not in request.headers:
            return self._reader(self._tokens().of_certificate(names), "the certificate is not one of this agent's")
        return self.known(given)

    def known(self, token: str) -> Caller:
        """Return whose token it is; raises `Shut`."""
        found = self._tokens().find(token) if self._tokens and token else None
        return self._reader(found, "the token is not one of this agent's" if token else "a token is needed")

    def _reader(self, caller: Caller | None, what_is_wrong: str) -> Caller:
        if caller is None:
            raise Shut(401, f"{what_is_wrong}: send `Authorization: Bearer TOKEN`, or sign in")
        if caller.expired(self._now_ns()):
            raise Shut(401, f"the time of `{caller.name}` is over: it `expires` in the agent's file of tokens")
        if not caller.may("read"):
            raise Shut(403, f"`{caller.name}` has the role `{caller.role}`, which may not read")
        return caller


def check(caller: Caller, now: Moment) -> None:
    """Raise `Shut` where something that is shown belongs to an account that the caller may not speak for."""
    if caller.accounts and not now.accounts <= caller.accounts:
        raise Shut(403, f"`{caller.name}` is bound to accounts, and more than these are shown here")


def remember(response: Response, token: str, request: Request) -> None:
    """Have a browser send a token from now on, to this agent only and never to its scripts."""
    response.set_cookie(
        COOKIE, token, max_age=_SECONDS, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )


def _loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
