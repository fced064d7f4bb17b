"""Finds what of credwatch runs in the path of an application's calls, and makes it fail, one function at a time."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import pytest

import credwatch
from credwatch.guard import Guard
from credwatch.instrumentation import Instrumentation
from tests.recorder.matrix.walk import Attach

PACKAGE = str(Path(credwatch.__file__).parent)

GUARDS = frozenset(
    {
        # the seams' wrappers: they call the original and one guarded function, and nothing else
        "Instrumentation._around_sign.<locals>.sign",
        "_observed.<locals>.seam",
        "_awaited.<locals>.seam",
        "_observed",
        "_awaited",
        "_around_exit.<locals>._do_exit",
        # what guards: their first and only statement is `try`, or they wrap
        "Guard.wrap.<locals>.guarded",
        "Guard.wrap",
        "Guard.failed",
        "Recorder.opened",
        "Recorder.signed",
        "Recorder.answered",
        "Recorder.failed",
        "Instrumentation._session_made",
        # Python itself keeps what a finalizer raises
        "OpenCall.__del__",
    }
)
"""What may not be replaced, because it is what keeps faults from the application. Anything else may fail."""


# of the operation map the two entries are enough: both are wrapped by a guard; and what is called with the answers of
# a fault remembers them, in tables of the whole process
_MAP = frozenset({"resolve", "decider"})
_REMEMBERING = ("credwatch.callsite", "credwatch.operations")


class Function(NamedTuple):
    module: str
    name: str


def running(step: Callable[[], object]) -> set[Function]:
    """Return the functions of credwatch that a step runs in its own thread."""
    seen: set[CodeType] = set()

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            seen.add(frame.f_code)

    sys.setprofile(profile)
    try:
        step()
    finally:
        sys.setprofile(None)
    return {Function(_module(code), getattr(code, "co_qualname", "") or _name(code)) for code in seen}


def _module(code: CodeType) -> str:
    parts = Path(code.co_filename).relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("credwatch", *(part for part in parts if part != "__init__")))


def _name(code: CodeType) -> str:
    """As `co_qualname`, which Python 3.10 has not: by looking for the function."""
    module = importlib.import_module(_module(code))
    owners = [("", module), *((f"{n}.", v) for n, v in vars(module).items() if isinstance(v, type))]
    for prefix, owner in owners:
        for name, value in vars(owner).items():
            if getattr(getattr(value, "fget", value), "__code__", None) is code:
                return f"{prefix}{name}"
    return f"<locals>.{code.co_name}"


def replaceable(functions: set[Function]) -> list[tuple[Any, str, str]]:
    """Return (owner, attribute, name) of each function that has a name of its own to be replaced by."""
    found = []
    for module, name in sorted(functions):
        owner: Any = importlib.import_module(module)
        *outer, attribute = name.split(".")
        if name in GUARDS or "<" in name or "._around_" in name:
            continue  # a seam's maker runs before any call; what has no name fails with the one around it
        if module.startswith("credwatch.operations") and name not in _MAP:
            continue
        for part in outer:
            owner = getattr(owner, part)
        found.append((owner, attribute, f"{module}.{name}"))
    return found


@contextmanager
def failing(owner: Any, attribute: str, fault: Callable[..., object]) -> Iterator[None]:
    """Let a function, a method or a property fail wherever credwatch has a name for it."""
    original = vars(owner)[attribute]
    kind = type(original)
    fake: Any = kind(fault) if kind in (property, staticmethod, classmethod) else fault
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, attribute, fake)
        for module in [module for name, module in sys.modules.items() if name.startswith("credwatch.")]:
            for name, value in list(vars(module).items()):
                if value is original and not isinstance(owner, type):
                    patch.setattr(module, name, fake)
        yield


def raising(*_: object, **__: object) -> object:
    raise RuntimeError("a fault of credwatch")


def rubbish(*_: object, **__: object) -> object:
    return object()


Behaviour = Callable[[], object]
"""What an application does; returns all that it sees of it."""


def harm(behaviours: Sequence[Behaviour], attach: Attach, **options: Any) -> tuple[set[Function], dict[str, object]]:
    """Return the path of the behaviours, and by function that failed what was seen otherwise than without credwatch.

    Each function fails in the first behaviour that runs it, in every way. `options` are those of `attach`.
    """
    path: set[Function] = set()
    harmed: dict[str, object] = {}
    for behaviour in behaviours:
        expected = behaviour()
        for _ in range(2):  # what is loaded once is not the path
            recording = attach(guard=Guard(), **options)
            found = running(behaviour)
            recording.instrumentation.detach()
        for owner, attribute, name in replaceable(found - path):
            for fault in (raising, rubbish):
                if fault is rubbish and name.startswith(_REMEMBERING):
                    continue
                with failing(owner, attribute, fault):
                    seen = _seen(behaviour, attach, options)
                if seen != expected:
                    harmed[f"{name} {fault.__name__}"] = seen
        path |= found
    return path, harmed


def _seen(behaviour: Behaviour, attach: Attach, options: dict[str, Any]) -> object:
    with ExitStack() as stack:
        with suppress(Exception):  # then it is not switched on
            stack.callback(attach(guard=Guard(limit=10_000), **options).instrumentation.detach)
        try:
            return behaviour()
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            return error


def unexercised(instrumentation: Instrumentation, path: set[Function], *, asynchronous: bool) -> set[str]:
    """Return the handlers and seams that a behaviour did not run: each must be, or nobody knows what its fault does."""
    names = {name for _, name in path}
    rows = instrumentation._asyncio_seams() if asynchronous else instrumentation._seams()
    missing = {handler.__qualname__ for _, handler in instrumentation._events} - names
    for seam in rows:
        # what observes: each has a name of its own, the wrappers around it share one
        observes = seam.wrapper.args[0] if isinstance(seam.wrapper, partial) else instrumentation._observe_sign
        if observes.__qualname__ not in names:
            missing.add(str(seam))
    return missing
