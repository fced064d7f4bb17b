"""`credwatch-agent` without the second that its imports take: a process that has them forks one for each command.

A shell finds the client below under that name. Arguments, directory, environment and the three streams are the
caller's, the exit code comes back; SIGTERM is passed on.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CLIENT = """#!{python} -ISE
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect({path!r})
    asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(line, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    line.sendall(asked)
    answers = line.makefile()
    pid = int(answers.readline())
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    sys.exit(int(answers.readline() or 1))
"""


def serve(path: str) -> None:
    """Answer commands on a socket until the process is ended."""
    from credwatch_agent.cli import main

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        while True:
            line, _ = listening.accept()
            if not os.fork():
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                os._exit(_command(line, main))
            line.close()


def _command(line: socket.socket, main: object) -> int:
    size, streams, *_ = socket.recv_fds(line, 4, 3)
    asked = b""
    while len(asked) < int.from_bytes(size, "big"):
        asked += line.recv(1 << 16)
    arguments, directory, environment = json.loads(asked)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["credwatch-agent", *arguments]
    line.sendall(f"{os.getpid()}\n".encode())
    try:
        code = int(main())  # type: ignore[operator]  # imported late, so that this module costs nothing to import
    except SystemExit as ended:
        code = int(ended.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    line.sendall(f"{code}\n".encode())
    return code


@contextmanager
def agent(binaries: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Put a `credwatch-agent` into a directory of programs, for as long as the block runs."""
    path = str(binaries / "agent.socket")
    client = binaries / "credwatch-agent"
    client.write_text(CLIENT.format(python=sys.executable, path=path), encoding="utf-8")
    client.chmod(0o755)
    command = [sys.executable, "-m", "tests.e2e.warm", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(environment)) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise RuntimeError("the agent's process did not start; its reason is above")
            yield
        finally:
            process.terminate()


if __name__ == "__main__":
    serve(sys.argv[1])
