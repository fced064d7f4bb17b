"""A real browser for tests of the page: Debian's Chromium, driven by Playwright; and the page on a real port."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from credwatch_agent import web
from credwatch_agent.web.state import Moment

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
_PATIENCE_MS = 300_000
expect.set_options(timeout=_PATIENCE_MS)  # a busy machine is slow, not wrong
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")


def chromium() -> str | None:
    """Return where Chromium is, None where it is not installed."""
    return shutil.which("chromium")


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """A browser that runs until the end."""
    path = chromium()
    assert path, "Chromium is not installed: apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield started
        started.close()


@contextlib.contextmanager
def opened(running: Browser, width: int, scheme: Any = "light", **more: Any) -> Iterator[Page]:
    """A page that is so wide; fails on whatever the browser complains of, such as a breach of the CSP."""
    context = running.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **more)
    page = context.new_page()
    page.set_default_timeout(_PATIENCE_MS)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if _matters(message) else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(f"dialog {dialog.message}"))
    page.on(
        "request", lambda request: None if request.url.startswith("http://127.0.0.1:") else said.append(request.url)
    )
    try:
        yield page
    finally:
        context.close()
    assert said == []


def _matters(message: ConsoleMessage) -> bool:
    # a status that is an error is told too, and is the test's to judge
    return message.type in {"error", "warning"} and "the server responded with a status of" not in message.text


@contextlib.contextmanager
def served(current: Callable[[], Moment], trace_url: str = "") -> Iterator[str]:
    """The page on a free port of loopback; gives its address."""
    application = web.create_page(current, web.Door(None), trace_url)
    server = uvicorn.Server(uvicorn.Config(application, log_config=None, lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        # the socket listens already: a request waits until the server takes it
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong on a page: rule, element, why."""
    # evaluated by the driver, so that the page's own CSP stays as it is
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("async () => JSON.stringify((await axe.run()).violations)")
    return [
        f"{rule['id']}: {node['html'][:160]}: {node['failureSummary'][:300]}"
        for rule in json.loads(found)
        for node in rule["nodes"]
    ]
