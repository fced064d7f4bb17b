"""Runtimes that change what a thread, a process or a wait is: counts equal the application's own tally."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.recorder.test_coexistence import BIN
from tests.recorder.test_processes import PRELUDE, Receiver, environment, receiver

pytestmark = pytest.mark.slow

__all__ = ["receiver"]

PYTHON = str(BIN / "python")
PATIENT = {"CREDWATCH_ENABLED": "1", "CREDWATCH_EXIT_TIMEOUT": "30"}  # the machine may be busy

GREENLETS = """
import gevent
def work(number):
    gevent.sleep(0)
    calls(number % 3 + 1)
jobs = [gevent.spawn(work, number) for number in range(6)]
gevent.joinall(jobs, raise_error=True)
print(sum(number % 3 + 1 for number in range(6)))
"""
PATCH = "from gevent import monkey; monkey.patch_all()\n"

COROUTINES = """
import asyncio, aioboto3
async def work(number):
    async with aioboto3.Session().client("s3", region_name="eu-west-1") as s3:
        for _ in range(number):
            await s3.list_buckets()
async def main():
    await asyncio.gather(*(work(number % 3 + 1) for number in range(6)))
asyncio.run(main())
print(sum(number % 3 + 1 for number in range(6)))
"""


def told(tmp_path: Path, code: str, receiver: Receiver) -> int:
    """Run a script that prints how many calls it made; return that number."""
    script = tmp_path / "app.py"
    script.write_text(code)
    done = subprocess.run(
        [PYTHON, str(script)],
        cwd=tmp_path,
        env=environment(receiver, PATIENT),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(PATCH + PRELUDE + GREENLETS, id="gevent"),
        pytest.param(COROUTINES, id="aioboto3"),
    ],
)
def test_a_process_tells_what_it_did(tmp_path: Path, receiver: Receiver, code: str) -> None:
    made = told(tmp_path, code, receiver)
    assert list(receiver.counts().values()) == [made]
    assert receiver.closed() == receiver.counts()


POOL = """
import billiard, billiard.pool
def work(number):
    calls(number % 3 + 1)
    return number % 3 + 1
if __name__ == "__main__":
    context = billiard.get_context("{method}")
    calls(1)
    pool = billiard.pool.Pool(2, maxtasksperchild=2, context=context{on_exit})
    made = sum(pool.map(work, range(6)))
    pool.close()
    pool.join()
    child = context.Process(target=work, args=(0,))
    child.start()
    child.join()
    print(1 + made + 1{more})
"""
LAST = """
def last(pid, code):
    calls(1)
    with open("left", "a") as file:
        file.write("x")
"""


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(POOL.format(method="spawn", on_exit="", more=""), id="spawn"),
        pytest.param(
            LAST + POOL.format(method="fork", on_exit=", on_process_exit=last", more=' + len(open("left").read())'),
            id="fork, and a call as the last act of a worker",
        ),
    ],
)
def test_workers_of_billiards_pools_tell_their_counts(tmp_path: Path, receiver: Receiver, code: str) -> None:
    """They leave by `os._exit`, without a finalizer: Celery's prefork pool is one of these."""
    made = told(tmp_path, PRELUDE + code, receiver)
    assert sum(receiver.counts().values()) == made
    assert len(receiver.counts()) > 3  # of two workers, one was replaced
    assert receiver.closed() == receiver.counts()


WORKER = """
import os
import boto3
from celery import Celery

app = Celery("app", broker="filesystem://")
app.conf.update(
    broker_transport_options={"data_folder_in": "queue", "data_folder_out": "queue", "processed_folder": "done",
                              "control_folder": "control"},
    worker_max_tasks_per_child=3, worker_concurrency=2, worker_prefetch_multiplier=1, task_ignore_result=True,
)

@app.task
def work():
    boto3.client("s3", region_name="eu-west-1").list_buckets()
    tally = os.open("tally", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(tally, f"{os.getpid()}\\n".encode())
    os.close(tally)
"""
TASKS = 8
SEND = f"from app import work\nfor _ in range({TASKS}): work.delay()\n"


def test_celery_workers_that_are_replaced_tell_their_counts(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "app.py").write_text(WORKER)
    for folder in ("queue", "done", "control"):
        (tmp_path / folder).mkdir()
    environ = environment(receiver, {**PATIENT, "PYTHONPATH": str(tmp_path)})
    subprocess.run([PYTHON, "-c", SEND], cwd=tmp_path, env=environ, check=True)
    options = ("--pool", "prefork", "--without-mingle", "--without-gossip", "--without-heartbeat")
    with subprocess.Popen(
        [PYTHON, "-m", "celery", "-A", "app", "worker", "--loglevel", "WARNING", *options],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as worker:
        tally = tmp_path / "tally"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and worker.poll() is None:
            if tally.exists() and len(tally.read_text().split()) == TASKS:
                break
            threading.Event().wait(0.05)
        worker.terminate()  # warm: children end when they have done their task
        printed, _ = worker.communicate(timeout=120)
    assert tally.exists(), printed
    made = Counter(tally.read_text().split())
    assert (worker.returncode, sum(made.values())) == (0, TASKS), printed
    assert len(made) > 2  # of two children, one was replaced
    told = Counter(receiver.counts().values())
    # Celery binds the life of a child to the thread that forked it: one that replaced another is killed when the worker
    # ends, which may be before it has told its count. What was told is true, and the first two tell theirs in any case
    assert told <= Counter(made.values())
    assert sum(told.values()) >= 2
    assert receiver.closed() == receiver.counts()
