"""The page's HTTP edge: each view as HTML and as JSON, behind one door, with one set of headers.

Read-only: nothing here writes to the store. No inline script, no inline style, nothing from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from credwatch_agent.records import Span
from credwatch_agent.snapshot import SnapshotError
from credwatch_agent.store import StoreError
from credwatch_agent.web import door, looks, openapi, traces
from credwatch_agent.web.asking import BadQuestion, NotFound, Parameter, asked
from credwatch_agent.web.change import FORMATS
from credwatch_agent.web.door import Door, Shut
from credwatch_agent.web.role import ARN, find
from credwatch_agent.web.source import NotYet
from credwatch_agent.web.state import Moment
from credwatch_agent.web.views import NAVIGATION, VIEWS, View

_MAX_FORM = 4_096
_FORMAT = Parameter("format", "the form of the policies", choices=tuple(FORMATS), default="json")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""What every answer carries."""

_PATHS = {view.path for view in VIEWS}
_FAILED: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": 'Bearer realm="credwatch-agent"'},
    # a browser looks again by itself
    503: {"Retry-After": "3", "Refresh": "3"},
}
_LASTING = {"Cache-Control": "public, max-age=31536000, immutable"}


def create_page(
    current: Callable[[], Moment], entry: Door, trace_url: str = "", beside: Mapping[str, Any] | None = None
) -> Starlette:
    """Return the page as an ASGI application.

    `current` gives the moment to show and may block; `trace_url` is a template, see `traces`; `beside` are the paths,
    as OpenAPI describes them, that are served on the same address.
    """
    page = _Page(current, entry, trace_url, beside)
    routes = [
        *(Route(view.path, page.html(view), name=view.path) for view in VIEWS),
        *(Route(view.api, page.json(view), name=view.api) for view in VIEWS),
        Route("/api/openapi.json", page.description),
        Route("/role/policy", page.policy),
        Route("/sign-in", page.sign_in, methods=["GET", "POST"]),
        Route("/sign-out", page.sign_out, methods=["POST"]),
        *(Route(f"/static/{name}", _static(name, kind)) for name, kind in looks.STATIC.items()),
    ]
    said = (BadQuestion, NotFound, Shut, NotYet, StoreError, SnapshotError, HTTPException)
    return Starlette(
        routes=routes,
        exception_handlers=dict.fromkeys(said, page.problem),
        middleware=[Middleware(GZipMiddleware, minimum_size=1_024)],
    )


def beside(page: ASGIApp, other: ASGIApp) -> ASGIApp:
    """Return one application of two on one address: the page's paths go to the page, all else to the other."""
    own = _PATHS | {"/sign-in", "/sign-out", "/role/policy"}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_page = scope["type"] == "http" and (path in own or path.startswith(("/api/", "/static/")))
        await (page if is_page else other)(scope, receive, send)

    return serve


Endpoint = Callable[[Request], Awaitable[Response]]


class _Page:
    def __init__(
        self, current: Callable[[], Moment], entry: Door, trace_url: str, beside: Mapping[str, Any] | None
    ) -> None:
        self._current = current
        self._door = entry
        self._trace_url = trace_url
        self._templates = looks.environment()
        self._description = openapi.describe([(v.api, v.summary, v.parameters, v.answer) for v in VIEWS], beside)

    def html(self, view: View) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            def render(now: Moment, query: Mapping[str, str]) -> str:
                answer = view.ask(now, query, self._trace)
                return self._render(view.template, request, view.nav, a=answer, asked=query)

            return _html(await self._ask(request, view.parameters, render))

        return endpoint

    def json(self, view: View) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            def render(now: Moment, query: Mapping[str, str]) -> str:
                return json.dumps(asdict(view.ask(now, query, self._trace)))

            return _respond(await self._ask(request, view.parameters, render), "application/json")

        return endpoint

    async def policy(self, request: Request) -> Response:
        """Give a role's recommended policies as a file."""

        def render(now: Moment, query: Mapping[str, str]) -> tuple[str, str]:
            view = find(now, query["arn"])
            return view.role.name, FORMATS[query["format"]].render(view, now.recommended(view.role.arn))

        name, text = await self._ask(request, (ARN, _FORMAT), render)
        form = FORMATS[asked((_FORMAT,), request.query_params)["format"]]
        safe = "".join(letter for letter in name if letter.isascii() and (letter.isalnum() or letter in "-_")) or "role"
        headers = {"Content-Disposition": f'attachment; filename="{safe}.{form.suffix}"'}
        return _respond(text, form.media_type, headers=headers)

    async def description(self, request: Request) -> Response:
        self._door.enter(request)
        return _respond(json.dumps(self._description), "application/json")

    async def sign_in(self, request: Request) -> Response:
        """Take a token once and have the browser send it from then on."""
        onward = _onward(request.query_params.get("next", "/"))
        if request.method != "POST":
            return _html(self._render("sign_in.html", request, "", next=onward, problem=""))
        token = await _form_token(request)
        try:
            self._door.known(token)
        except Shut as error:
            text = self._render("sign_in.html", request, "", next=onward, problem=str(error))
            return _html(text, error.status)
        response = RedirectResponse(onward, 303, HEADERS)
        door.remember(response, token, request)
        return response

    async def sign_out(self, _: Request) -> Response:
        response = RedirectResponse("/sign-in", 303, HEADERS)
        response.delete_cookie(door.COOKIE, httponly=True, samesite="strict")
        return response

    async def problem(self, request: Request, error: Exception) -> Response:
        """Say what is wrong in one sentence, in the form that was asked for."""
        status = _status(error)
        sentence = str(error.detail) if isinstance(error, HTTPException) else str(error)
        # a method that is not allowed names those that are
        own = error.headers if isinstance(error, HTTPException) else None
        headers = {**(own or {}), **_FAILED.get(status, {})}
        if request.url.path.startswith("/api/"):
            return _respond(json.dumps({"error": sentence}), "application/json", status, headers)
        if status == 401 and "authorization" not in request.headers and request.url.path in _PATHS:
            onward = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(looks.address("/sign-in", next=onward), 303, HEADERS)
        return _html(self._render("problem.html", request, "", status=status, sentence=sentence), status, headers)

    async def _ask(
        self, request: Request, parameters: tuple[Parameter, ...], render: Callable[[Moment, Mapping[str, str]], Any]
    ) -> Any:
        """Let the caller in, read what is asked, and answer off the event loop."""
        caller = self._door.enter(request)
        query = asked(parameters, request.query_params)

        def answer() -> Any:
            now = self._current()
            door.check(caller, now)
            return render(now, query)

        return await run_in_threadpool(answer)

    def _render(self, template: str, request: Request, nav: str, **more: Any) -> str:
        path = request.url.path
        api = next((view.api for view in VIEWS if view.path == path), "")
        return self._templates.get_template(template).render(
            navigation=NAVIGATION,
            nav=nav,
            path=path,
            api=f"{api}?{request.url.query}" if api and request.url.query else api,
            guarded=self._door.guarded,
            **more,
        )

    def _trace(self, span: Span) -> str:
        return traces.fill(self._trace_url, span) if self._trace_url else ""


def _status(error: Exception) -> int:
    match error:
        case Shut():
            return error.status
        case HTTPException():
            return error.status_code
        case BadQuestion():
            return 400
        case NotFound():
            return 404
    return 503


def _html(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return _respond(text, "text/html; charset=utf-8", status, headers)


def _respond(text: str, media_type: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    # a name from telemetry may hold what UTF-8 cannot
    body = text.encode("utf-8", "replace")
    return Response(body, status, {**HEADERS, **(headers or {})}, media_type)


def _static(name: str, media_type: str) -> Endpoint:
    content = (looks.HERE / "static" / name).read_bytes()

    async def endpoint(_: Request) -> Response:
        return Response(content, 200, {**HEADERS, **_LASTING}, media_type)

    return endpoint


def _onward(path: str) -> str:
    """Return a path of this page to go on to; whatever a browser may take for another host is the overview."""
    return path if path.partition("?")[0] in _PATHS and path.isprintable() else "/"


async def _form_token(request: Request) -> str:
    """Return the token of a form, read here since one field needs no parser of uploads."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MAX_FORM:
            raise BadQuestion("the form is too large")
    fields = parse_qs(content.decode("ascii", "replace"), max_num_fields=5)
    return fields.get("token", [""])[0].strip()
