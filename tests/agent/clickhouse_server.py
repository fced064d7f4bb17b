"""`python -m tests.agent.clickhouse_server PORT DIRECTORY`: the real engine behind as much of ClickHouse's HTTP
interface as its client speaks: a query a POST, an insert's data behind its query. A POST to `/cut` breaks all other
connections, whatever is under way on them.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import lz4.frame  # type: ignore[import-untyped]  # no stubs are published
from chdb.session import Session

_INSERT = b"FORMAT Native\n"


class _Server(ThreadingHTTPServer):
    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut(self, but: socket.socket) -> None:
        for connection in self._open - {but}:
            with suppress(OSError):  # it ended by itself meanwhile
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # what was cut cannot be answered


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    session: Any  # chdb publishes no types
    lock = threading.Lock()

    def do_POST(self) -> None:
        content, asked = self._content(), parse_qs(urlsplit(self.path).query)
        try:
            if self.path == "/cut":
                self.server.cut(self.connection)
                status, answer = 200, b""
            else:
                with self.lock:
                    status, answer = 200, self._answer(content, asked.get("database", ["default"])[0])
        except RuntimeError as error:
            status, answer = 500, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _answer(self, content: bytes, database: str) -> bytes:
        self.session.query(f"USE {database}")
        query, is_insert, data = content.partition(_INSERT)
        if not (query.startswith(b"INSERT") and is_insert):
            return bytes(self.session.query(content.decode(), "TabSeparated").bytes() or b"")
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(data)
            self.session.query(f"{query.decode()} FROM INFILE '{file.name}' FORMAT Native")
        return b""

    def _content(self) -> bytes:
        content = bytearray()
        if "Content-Length" in self.headers:
            content += self.rfile.read(int(self.headers["Content-Length"]))
        else:
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return bytes(lz4.frame.decompress(content) if self.headers["Content-Encoding"] == "lz4" else content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def main() -> None:
    """Serve until killed; the port, which may be 0, is printed once it is open."""
    port, directory = sys.argv[1:]
    _Handler.session = Session(directory)  # type: ignore[no-untyped-call]
    server = _Server(int(port))
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
