"""A port that a test was promised is its own until a server listens there, and after that server too."""

from __future__ import annotations

import socket
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest

from tests.e2e.collector import free_port


def test_a_port_is_given_to_one_alone_who_can_listen_on_it() -> None:
    port = free_port()
    for _ in range(2):  # a server that is started again finds it too
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with socket.socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect(("127.0.0.1", port))
        with ThreadingHTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler):
            socket.create_connection(("127.0.0.1", port)).close()


def test_grpc_can_listen_on_it() -> None:
    port = free_port()
    server = grpc.server(futures.ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    server.stop(None).wait()
