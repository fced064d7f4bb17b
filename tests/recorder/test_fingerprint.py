"""The fingerprint of a process: from inside and outside the same, and another for every other process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from credwatch.fingerprint import fingerprint
from credwatch.guard import Guard
from tests.recorder.support import Recording, client

Attach = Callable[..., Recording]
_SHOW = "from credwatch.fingerprint import fingerprint; print(fingerprint(), flush=True); input()"


def test_inside_and_outside_give_the_same_and_others_another() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _SHOW], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        shown = other.stdout.readline().strip()
        assert shown == fingerprint(other.pid)
        other.communicate("\n")
    assert len(shown) == 32
    assert fingerprint() == fingerprint(os.getpid()) != shown


def test_it_stays_when_another_program_is_executed() -> None:
    show = _SHOW.removesuffix("; input()")
    twice = f"import os, sys; {show}; os.execv(sys.executable, [sys.executable, '-c', {show!r}])"
    done = subprocess.run([sys.executable, "-c", twice], capture_output=True, text=True, check=True)
    first, second = done.stdout.split()
    assert first == second


def proc(path: Path, **files: str) -> Path:
    own = path / "7"
    (own / "ns").mkdir(parents=True)
    (path / "sys/kernel/random").mkdir(parents=True)
    (path / "sys/kernel/random/boot_id").write_text(files.get("boot", "b\n"))
    (own / "ns/pid").symlink_to(files.get("namespace", "pid:[1]"))
    (own / "status").write_text(files.get("status", "Name:\tx\nNSpid:\t7\t1\n"))
    (own / "stat").write_text(files.get("stat", f"7 (a ) b) S {' '.join(map(str, range(4, 30)))}"))
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"boot": "c"},
        {"namespace": "pid:[2]"},
        {"status": "NSpid:\t7\t2\n"},
        {"stat": f"7 (x) S {' '.join(map(str, range(5, 30)))}"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_boot_namespace_number_and_start_each_make_another_process(changed: dict[str, str], tmp_path: Path) -> None:
    was = fingerprint(7, proc(tmp_path / "was"))
    assert was == fingerprint(7, proc(tmp_path / "again", status="NSpid:\t99\t1\n")), "seen from another namespace"
    assert was != fingerprint(7, proc(tmp_path / "now", **changed))


@pytest.mark.parametrize("broken", [{"boot": ""}, {"status": "Name:\tx\n"}, {"stat": "7 (x) S 1"}])
def test_what_cannot_be_read_gives_none(broken: dict[str, str], tmp_path: Path) -> None:
    assert fingerprint(7, proc(tmp_path, **broken)) == ""
    assert fingerprint(8, tmp_path) == ""


def test_neither_it_nor_the_probe_imports_anything() -> None:
    """A child that was forked within an import can import nothing more: not even the codec of a text file."""
    blocked = """
import sys
from credwatch.fingerprint import fingerprint
from credwatch.probe import expects_imds
class Blocked:
    def find_spec(self, name, path=None, target=None):
        raise ImportError(name)
sys.meta_path.insert(0, Blocked())
for name in set(sys.modules) - {"encodings.utf_8", "encodings.aliases"}:
    if name.startswith("encodings."):
        del sys.modules[name]
assert len(fingerprint()) == 32
expects_imds({})
"""
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_recorder_counts_although_it_cannot_look_around(monkeypatch: pytest.MonkeyPatch, attach: Attach) -> None:
    recording = attach(guard=Guard())

    def fault(*_: object) -> None:
        raise LookupError

    monkeypatch.setattr(recording.instrumentation.worker, "_place", fault)
    client("s3").list_buckets()
    assert sum(recording.exported().values()) == 1
