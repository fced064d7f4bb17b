"""Whole processes: activation by the environment alone, forks, dead and hanging endpoints, exits."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

pytestmark = pytest.mark.slow


class Receiver(ThreadingHTTPServer):
    """Both sides of a process: answers as S3, and takes OTLP over HTTP."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.points: list[tuple[str, dict[str, Any], int]] = []

    def counts(self) -> dict[str, int]:
        """Return process id -> calls, by the rule of the contract: the maximum of each usage."""
        held: dict[str, dict[str, int]] = {}
        for metric, attributes, value in self.points:
            if metric == "credwatch.calls":
                process = held.setdefault(attributes["credwatch.process.id"], {})
                key = json.dumps(attributes, sort_keys=True)
                process[key] = max(process.get(key, 0), value)
        return {process: sum(usages.values()) for process, usages in held.items()}

    def closed(self) -> dict[str, int]:
        return {a["credwatch.process.id"]: value for m, a, value in self.points if m == "credwatch.recorder.closed"}


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_GET(self) -> None:
        self._answer(b"<ListAllMyBucketsResult/>", "application/xml")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        for point in metric.sum.data_points:
                            attributes = {a.key: a.value.string_value for a in point.attributes}
                            self.server.points.append((metric.name, attributes, point.as_int))
        self._answer(b"", "application/x-protobuf")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


PRELUDE = """
import os, sys
import boto3
def calls(count):
    s3 = boto3.client("s3", region_name="eu-west-1")
    for _ in range(count):
        s3.list_buckets()
"""


def run(
    tmp_path: Path, code: str, receiver: Receiver, *before: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own that is told nothing but its environment."""
    script = tmp_path / "app.py"
    script.write_text(code)
    return subprocess.run(
        [*before, sys.executable, str(script)] if not before else [*before, str(script)],
        env=environment(receiver, environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def environment(receiver: Receiver, more: dict[str, str]) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", ""),
        "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ENDPOINT_URL": receiver.url,
        "CREDWATCH_ENDPOINT": receiver.url,
        **more,
    }


def test_the_environment_alone_switches_it_on(tmp_path: Path, receiver: Receiver) -> None:
    done = run(tmp_path, PRELUDE + "calls(3); sys.exit(7)", receiver, CREDWATCH_ENABLED="1")
    assert (done.returncode, done.stderr) == (7, "")
    assert list(receiver.counts().values()) == [3]
    assert receiver.closed() == receiver.counts()


def test_opentelemetry_switches_it_on(tmp_path: Path, receiver: Receiver) -> None:
    command = str(Path(sys.executable).parent / "opentelemetry-instrument")
    none = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    done = run(tmp_path, PRELUDE + "calls(2)", receiver, command, sys.executable, **none)
    assert done.returncode == 0, done.stderr
    assert list(receiver.counts().values()) == [2]


@pytest.mark.parametrize("variable", ["CREDWATCH_DISABLED", "OTEL_SDK_DISABLED"])
def test_off_wins(tmp_path: Path, receiver: Receiver, variable: str) -> None:
    done = run(tmp_path, PRELUDE + "calls(1)", receiver, CREDWATCH_ENABLED="1", **{variable: "true"})
    assert (done.returncode, receiver.points) == (0, [])


def test_not_switched_on_nothing_is_imported(tmp_path: Path, receiver: Receiver) -> None:
    code = PRELUDE + "calls(1); print([n for n in sys.modules if n.split('.')[0] in ('credwatch', 'opentelemetry')])"
    assert run(tmp_path, code, receiver).stdout == "[]\n"


def test_switched_on_without_botocore_it_imports_one_module(tmp_path: Path, receiver: Receiver) -> None:
    code = "import sys; print(sorted(n for n in sys.modules if n.startswith(('credwatch', 'opentelemetry', 'boto'))))"
    assert run(tmp_path, code, receiver, CREDWATCH_ENABLED="1").stdout == "['credwatch', 'credwatch.bootstrap']\n"


def test_asking_for_the_spec_of_botocore_does_not_use_up_the_hook(tmp_path: Path, receiver: Receiver) -> None:
    code = "import importlib.util; importlib.util.find_spec('botocore.session')\n" + PRELUDE + "calls(1)\n"
    code += "import botocore.session; print(type(botocore.session.__loader__).__name__)"
    done = run(tmp_path, code, receiver, CREDWATCH_ENABLED="1")
    assert (list(receiver.counts().values()), done.stdout) == ([1], "SourceFileLoader\n")


def test_a_dead_endpoint_is_one_warning(tmp_path: Path, receiver: Receiver) -> None:
    with socket.socket() as unheard:  # bound and not listening: nobody else gets the port
        unheard.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        code = PRELUDE + "calls(2); sys.exit(3)"
        environ = {"CREDWATCH_ENABLED": "1", "CREDWATCH_ENDPOINT": endpoint, "CREDWATCH_EXPORT_INTERVAL": "0.05"}
        done = run(tmp_path, code, receiver, **environ)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1


def test_a_hanging_endpoint_delays_the_exit_by_a_second_at_most(tmp_path: Path, receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        endpoint = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        code = PRELUDE + "import atexit, time\ncalls(1)\nprint(time.time(), flush=True)"
        done = run(tmp_path, code, receiver, CREDWATCH_ENABLED="1", CREDWATCH_ENDPOINT=endpoint)
        ended = time.time()
    assert done.returncode == 0
    assert ended - float(done.stdout) < 4.0  # a request of ours may hang for 5 s, the endpoint for ever


CHILDREN = {
    "os.fork": """
calls(2)
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        calls(3)
        sys.exit(0)
    os.waitpid(pid, 0)
""",
    **{
        method: f"""
import multiprocessing
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    calls(2)
    children = [context.Process(target=calls, args=(3,)) for _ in range(2)]
    for child in children: child.start()
    for child in children: child.join()
"""
        for method in ("fork", "spawn", "forkserver")
    },
}


@pytest.mark.parametrize("method", CHILDREN)
def test_each_process_of_a_family_tells_its_own_counts(tmp_path: Path, receiver: Receiver, method: str) -> None:
    done = run(tmp_path, PRELUDE + CHILDREN[method], receiver, CREDWATCH_ENABLED="1")
    assert done.returncode == 0, done.stderr
    assert sorted(receiver.counts().values()) == [2, 3, 3]
    assert receiver.closed() == receiver.counts()


@pytest.mark.parametrize("when", ["before", "after_in_parent", "after_in_child"])
def test_the_first_session_may_be_made_by_a_fork_hook_of_the_application(
    tmp_path: Path, receiver: Receiver, when: str
) -> None:
    """The hook is older than ours, so that it runs while ours hold what they hold for a fork."""
    code = f"""
import os, signal
def hook():
    signal.alarm(45)  # what hangs is killed, in the parent or in the child
    calls(0)
    signal.alarm(0)
os.register_at_fork({when}=hook)
{PRELUDE}
pid = os.fork()
calls(1 if pid else 2)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else 0)
"""
    done = run(tmp_path, code, receiver, CREDWATCH_ENABLED="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(receiver.counts().values()) == [1, 2]


def test_a_killed_process_is_not_closed(tmp_path: Path, receiver: Receiver) -> None:
    script = tmp_path / "app.py"
    script.write_text(PRELUDE + "calls(2); print('done', flush=True); sys.stdin.read()")
    environ = environment(receiver, {"CREDWATCH_ENABLED": "1", "CREDWATCH_EXPORT_INTERVAL": "0.05"})
    with subprocess.Popen(
        [sys.executable, str(script)], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        deadline = time.monotonic() + 30
        while list(receiver.counts().values()) != [2] and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert list(receiver.counts().values()) == [2]
    assert receiver.closed() == {}


def test_a_headers_file_that_is_not_there_is_one_sentence(tmp_path: Path, receiver: Receiver) -> None:
    environ = {"CREDWATCH_ENABLED": "1", "CREDWATCH_HEADERS_FILE": "x-api-key: sentinel"}
    done = run(tmp_path, PRELUDE + "calls(1)", receiver, **environ)
    assert done.returncode == 0
    assert "CREDWATCH_HEADERS_FILE" in done.stderr
    assert "sentinel" not in done.stderr
    assert receiver.points == []


def test_the_map_is_loaded_with_the_first_session_and_not_in_a_call(tmp_path: Path, receiver: Receiver) -> None:
    code = "loaded = lambda: print('credwatch.operations.compiled' in sys.modules)\n"
    code = f"{PRELUDE}{code}loaded()\nboto3.client('s3', region_name='eu-west-1')\nloaded()"
    assert run(tmp_path, code, receiver, CREDWATCH_ENABLED="1").stdout == "False\nTrue\n"


@pytest.mark.parametrize("when", ["before credwatch", "after the first call"])
def test_a_call_at_the_exit_and_a_daemon_thread_leave_no_trace_on_stderr(
    tmp_path: Path, receiver: Receiver, when: str
) -> None:
    """A call of the application's own exit is never harmed; it is told only where it comes before ours."""
    last = "import atexit\natexit.register(lambda: calls(1))\n"
    forever = """
import threading
started = threading.Event()
def forever():
    while True:
        calls(1)
        started.set()
threading.Thread(target=forever, daemon=True).start()
started.wait()
"""
    code = last + PRELUDE + "calls(1)\n" if when == "before credwatch" else PRELUDE + "calls(1)\n" + last
    done = run(tmp_path, code + forever, receiver, CREDWATCH_ENABLED="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert sum(receiver.counts().values()) >= 2
