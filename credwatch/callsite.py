"""The line of the application that made a call: the first frame outside the SDK and its wrappers.

The outcome is a tuple (function, file, line), empty where the call was made in a thread of the SDK
itself (s3transfer), whose frames do not reach back to the application.
"""

import sys
from types import CodeType, FrameType
from typing import Any, NamedTuple

_PACKAGES = frozenset(
    {"botocore", "boto3", "aiobotocore", "aioboto3", "s3transfer", "credwatch"}
    # wrappers that other instrumentations put around the SDK
    | {"opentelemetry", "wrapt", "ddtrace", "aws_xray_sdk", "sentry_sdk"}
)
_PLUMBING = frozenset({"threading", "concurrent", "asyncio", "contextlib"})
_CACHE_LIMIT = 4_096


class CallSite(NamedTuple):
    """Function (qualified), file path and line; empty strings and 0 where there is none."""

    function: str = ""
    file: str = ""
    line: int = 0


NOWHERE = CallSite()

# by id: code objects of equal text compare equal, whatever file they are from. The value keeps the id taken
_of_library: dict[int, tuple[CodeType, bool]] = {}
# by instruction: a frame's line is searched for anew each time that it is asked
_sites: dict[tuple[int, int], tuple[CodeType, CallSite]] = {}


_getframe = sys._getframe
# Where the SDK's outermost frame was last time, if it was a client's method. Looking there first costs a fraction of
# walking: each frame that is walked over becomes an object.
_depth = 1
_entry: CodeType | None = None


def find() -> CallSite:
    """Return the application's frame nearest to the caller."""
    try:
        last = _getframe(_depth)  # inspect.stack() reads source files
        # the same way in: the SDK's frames end where the application's begin
        if last.f_code is _entry:
            frame: Any = last.f_back
            known = _sites.get((id(frame.f_code), frame.f_lasti))
            if known is not None:
                return known[1]
    except (ValueError, AttributeError):  # not that deep, or a thread that begins in the SDK
        pass
    return _walk()


def _walk() -> CallSite:
    global _depth, _entry  # a guess that any thread may overwrite
    last = _getframe(1)
    frame: FrameType | None = last
    depth = 0
    while frame is not None:
        if not _library(frame):
            # a client's method: all that it calls is the SDK's, so no frame of the application is nearer
            if last.f_code.co_name == "_api_call":
                _depth, _entry = depth - 1, last.f_code
            return _site(frame)
        last, frame = frame, frame.f_back
        depth += 1
    return NOWHERE


def _library(frame: FrameType) -> bool:
    code = frame.f_code
    known = _of_library.get(id(code))
    return known[1] if known is not None else _remember(code, str(frame.f_globals.get("__name__", "")))


def _site(frame: FrameType) -> CallSite:
    site = _sites.get((id(frame.f_code), frame.f_lasti))
    return site[1] if site is not None else _name(frame)


def within(module: str) -> bool:
    """Return whether the current call was made from inside `module` (dotted name)."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") == module:
            return True
        frame = frame.f_back
    return False


def _remember(code: CodeType, module: str) -> bool:
    if len(_of_library) > _CACHE_LIMIT:
        _of_library.clear()
    package = module.partition(".")[0]
    library = package in _PACKAGES or package in _PLUMBING
    _of_library[id(code)] = (code, library)
    return library


def _name(frame: FrameType) -> CallSite:
    if len(_sites) > _CACHE_LIMIT:
        _sites.clear()
    code = frame.f_code
    # co_qualname came with Python 3.11
    name = getattr(code, "co_qualname", code.co_name)
    site = CallSite(f"{frame.f_globals.get('__name__', '')}.{name}", code.co_filename, frame.f_lineno)
    _sites[id(code), frame.f_lasti] = (code, site)
    return site
