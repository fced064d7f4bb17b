"""A loopback HTTP server around a pure function: method, path and headers in, a reply out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple


class Reply(NamedTuple):
    """What goes back: an HTTP status, a text body, its type, further headers."""

    status: int
    body: str = ""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = {}


Answer = Callable[[str, str, Mapping[str, str]], Reply]
"""(method, path with its query, headers with lower-case names) -> reply."""


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve `answer` on a free port of 127.0.0.1; yields the base URL, without a slash at its end.

    On leaving, the port is closed and every thread has ended.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10  # a client that connects and says nothing must not hold the server's end

        def do_GET(self) -> None:
            reply = answer(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            body = reply.body.encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(body)))
            # no idle connection outlives its request, so that the server can end at once
            self.send_header("Connection", "close")
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
            """Say nothing: a demo's terminal shows the demo."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="demo-httpd")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
