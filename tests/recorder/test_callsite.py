"""The application's frame nearest to the SDK."""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

import pytest

from credwatch import callsite
from credwatch.callsite import NOWHERE, CallSite


def module(name: str, code: str, **names: object) -> Any:
    """Return a module of the given name, as if imported."""
    made = ModuleType(name)
    made.__dict__.update(names)
    exec(compile(code, f"<{name}>", "exec"), made.__dict__)
    return made


PASS = "def through(f):\n    return f()\n"


@pytest.mark.parametrize(
    "package", ["botocore.client", "boto3.resources.action", "wrapt", "opentelemetry.x", "s3transfer"]
)
def test_frames_of_the_sdk_are_passed_over(package: str) -> None:
    library = module(package, PASS)
    assert library.through(callsite.find).function.endswith("test_frames_of_the_sdk_are_passed_over")


@pytest.mark.parametrize("package", ["botocore_helpers", "boto3x", "mybotocore.botocore"])
def test_a_package_with_a_similar_name_is_the_application(package: str) -> None:
    assert module(package, PASS).through(callsite.find).function == f"{package}.through"


def test_file_and_line_are_of_the_call() -> None:
    site = callsite.find()
    assert site.file == __file__
    assert site.line > 1


def test_two_lines_are_two_sites() -> None:
    first = callsite.find()
    second = callsite.find()
    assert first != second


def test_a_thread_of_the_sdk_is_nowhere() -> None:
    found: list[CallSite] = []
    worker = module("s3transfer.tasks", "def work():\n    found.append(find())\n", found=found, find=callsite.find)
    thread = threading.Thread(target=worker.work)
    thread.start()
    thread.join()
    assert found == [NOWHERE]


def test_a_frame_without_a_name_is_harmless() -> None:
    made = module("x", PASS)
    made.__dict__["__name__"] = None
    assert made.through(callsite.find).file == "<x>"


def test_within_tells_who_is_on_the_stack() -> None:
    assert module("botocore.credentials", PASS).through(lambda: callsite.within("botocore.credentials"))
    assert not callsite.within("botocore.credentials")


def test_the_memory_of_frames_is_bounded() -> None:
    for number in range(5_000):
        module(f"m{number}", PASS).through(callsite.find)
    assert len(callsite._sites) <= callsite._CACHE_LIMIT + 1
    assert len(callsite._of_library) <= callsite._CACHE_LIMIT + 1
