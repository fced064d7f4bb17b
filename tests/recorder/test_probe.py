"""The one request to a metadata endpoint: bounded in size and in total time, whatever answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from credwatch import probe
from examples.demo.httpd import Reply, serving


@contextmanager
def speaking(first: bytes, drop: bytes) -> Iterator[tuple[str, threading.Event]]:
    """Answer one connection with `first`, then with `drop` again and again until it is closed."""
    listener = socket.create_server(("127.0.0.1", 0))
    closed = threading.Event()

    def speak() -> None:
        made, _ = listener.accept()
        with made:
            try:
                made.sendall(first)
                while not closed.wait(0.01):
                    made.sendall(drop)
            except OSError:
                closed.set()

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", closed
    finally:
        thread.join()
        listener.close()


@pytest.mark.parametrize(
    ("first", "drop"),
    [(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b"x"), (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"), (b"", b"H")],
    ids=["body", "headers", "status"],
)
def test_an_endpoint_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch, first: bytes, drop: bytes) -> None:
    monkeypatch.setattr(probe, "TIMEOUT", 0.2)
    with speaking(first, drop) as (url, closed):
        assert probe.fetch("GET", url, {}) is None
        # the connection was closed by us: without a limit in total, the fetch would still be reading
        assert closed.wait(30)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda *_: Reply(200, "body"), b"body"),
        (lambda *_: Reply(404, "body"), b""),
        (lambda *_: Reply(302, "", headers={"Location": "http://127.0.0.1:1/"}), b""),
    ],
)
def test_only_a_200_is_an_answer(answer: Callable[..., Reply], expected: bytes) -> None:
    with serving(answer) as url:
        assert probe.fetch("GET", url, {}) == expected


@pytest.mark.parametrize("url", ["file:///etc/hostname", "http://127.0.0.1:port/", "http://[::1", "no url"])
def test_what_is_no_url_is_no_answer(url: str) -> None:
    assert probe.fetch("GET", url, {}) == b""


def test_where_nothing_listens_there_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert probe.fetch("GET", f"http://127.0.0.1:{port}/", {}) is None
