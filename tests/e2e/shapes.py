"""The shapes that a Python service takes: threads, forks, multiprocessing, a pre-forking server.

An ordinary boto3 program: it knows nothing of credwatch. In each shape the process that starts makes one
call with a client that everyone then shares, and each of two helpers makes two.

    python -m tests.e2e.shapes thread|fork|multiprocessing-fork|multiprocessing-spawn
    gunicorn --preload tests.e2e.shapes:serve
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

import boto3

HELPERS = 2
CALLS = 2


def client() -> Any:
    return boto3.client("s3")


def call(s3: Any, times: int) -> None:
    for _ in range(times):
        s3.list_objects_v2(Bucket=os.environ["ORDERS_BUCKET"])


def in_threads(s3: Any) -> None:
    threads = [threading.Thread(target=call, args=(s3, CALLS)) for _ in range(HELPERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_forks(s3: Any) -> None:
    for _ in range(HELPERS):
        pid = os.fork()
        if pid == 0:
            call(s3, CALLS)
            sys.exit(0)
        if os.waitpid(pid, 0)[1]:
            sys.exit("a forked child failed")


def helper(s3: Any) -> None:
    call(s3 or client(), CALLS)


def in_processes(s3: Any, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    # a spawned child is a new interpreter: no client reaches it
    processes = [context.Process(target=helper, args=(s3 if method == "fork" else None,)) for _ in range(HELPERS)]
    for process in processes:
        process.start()
        process.join()
        if process.exitcode:
            sys.exit("a child process failed")


SHAPES: dict[str, Callable[[Any], None]] = {
    "thread": in_threads,
    "fork": in_forks,
    "multiprocessing-fork": lambda s3: in_processes(s3, "fork"),
    "multiprocessing-spawn": lambda s3: in_processes(s3, "spawn"),
}


def main() -> None:
    s3 = client()
    call(s3, 1)
    SHAPES[sys.argv[1]](s3)


shared: list[Any] = []


def preload() -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """Return the WSGI application; under --preload this runs once, in the process that forks the workers."""
    s3 = client()
    call(s3, 1)
    shared.append(s3)
    return serve


def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Make one call for one request."""
    del environ
    call(shared[0], 1)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [str(os.getpid()).encode()]


if __name__ == "__main__":
    main()
