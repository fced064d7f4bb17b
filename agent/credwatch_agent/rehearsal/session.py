"""The edge: botocore's and pytest's hooks. Records each call of a client before its parameters are used.

A call is recorded where botocore prepares its parameters, so calls that a Stubber or moto answers count, and so
does what is only presigned. Nothing of a call is changed; recording ends with the test session.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import botocore.client
import pytest

from credwatch_agent.findings.words import count, listed
from credwatch_agent.iam.document import Policy, PolicyError, parse
from credwatch_agent.rehearsal.calls import Record, call_of, dumps, loads
from credwatch_agent.rehearsal.verdict import Beyond, Missing, Verdict, verdict

_SEAM = "_emit_api_params"
_OUTPUT = "credwatch"
_MOST = 12
_TRANSFER = f"{os.sep}s3transfer{os.sep}"
_INSTALLED = f"{os.sep}site-packages{os.sep}"
"""An environment often lies within the project: what is installed there is not its code."""


class Rehearsal:
    """One test session's record. A worker of pytest-xdist hands its record to the controller, which judges."""

    def __init__(self, config: pytest.Config) -> None:
        """Read the policies and begin to record; raises `pytest.UsageError`."""
        self._config = config
        self._policies = [policy for path in config.getoption("credwatch_policy") or () for policy in _read(path)]
        self._sources = tuple(
            str(Path(path).resolve()) + ("" if Path(path).is_file() else os.sep)
            for path in config.getoption("credwatch_source") or ()
        )
        self._record = Record(config.getoption("credwatch_role"))
        self._lock = threading.Lock()
        self._verdict: Verdict | None = None
        self._undo = list(_wrapped(self._seen))

    # --- recording ---

    def _seen(self, client: Any, params: Any, operation: Any) -> None:
        if self._sources and not _made_under(self._sources):
            return
        meta = client.meta
        given = params if isinstance(params, dict) else {}
        call = call_of(meta.service_model.service_name, operation.name, given, meta.partition)
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
        with self._lock:
            self._record.add(call, tests=[test])

    # --- pytest ---

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        text = getattr(node, "workeroutput", {}).get(_OUTPUT)
        if text:
            self._record.merge(loads(text))

    # before the terminal reporter's, which prints the summary
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_OUTPUT] = dumps(self._record)
            return
        file = self._config.getoption("credwatch_record")
        if file:
            _write(Path(file), dumps(self._record))
        if self._policies:
            by_resource = self._config.getoption("credwatch_match") == "resource"
            self._verdict = verdict(self._record, self._policies, resources=by_resource)
            if self._verdict.missing and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._verdict is not None:
            terminalreporter.section("credwatch: the policy and the tests")
            for line in lines(self._verdict, sum(seen.count for seen in self._record.calls.values())):
                terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        for undo in self._undo:
            undo()


def _wrapped(seen: Callable[[Any, Any, Any], None]) -> Iterator[Callable[[], None]]:
    """Wrap the seam of each client class; yield what takes it off again. Raises `pytest.UsageError`."""
    classes: list[Any] = [botocore.client.BaseClient]
    if importlib.util.find_spec("aiobotocore"):
        classes.append(importlib.import_module("aiobotocore.client").AioBaseClient)
    for kind in classes:
        original = vars(kind).get(_SEAM)
        if original is None:
            raise pytest.UsageError(
                f"credwatch: this botocore has no `{kind.__name__}.{_SEAM}`: nothing can be recorded"
            )
        # of the asynchronous class this is a coroutine function: its coroutine is passed on
        setattr(kind, _SEAM, _recording(original, seen))
        yield partial(setattr, kind, _SEAM, original)


def _recording(original: Callable[..., Any], seen: Callable[[Any, Any, Any], None]) -> Callable[..., Any]:
    def emit(self: Any, api_params: Any, operation_model: Any, context: Any) -> Any:
        seen(self, api_params, operation_model)
        return original(self, api_params, operation_model, context)

    return emit


def _made_under(sources: tuple[str, ...]) -> bool:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        # a thread of s3transfer has no frame of who asked for the transfer: better one call too many
        if _TRANSFER in name or (name.startswith(sources) and _INSTALLED not in name):
            return True
        frame = frame.f_back
    return False


def _read(path: str) -> Iterator[Policy]:
    try:
        yield parse(path, Path(path).read_bytes().decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise pytest.UsageError(f"credwatch: cannot read the policy {path}: {error}") from None
    except PolicyError as error:
        raise pytest.UsageError(f"credwatch: {error}") from None


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise pytest.UsageError(f"credwatch: cannot write the record {path}: {error.strerror or error}") from None


# --- what is told -----------------------------------------------------------------------------------


def lines(found: Verdict, calls: int) -> Iterator[str]:
    """Yield the summary: what is missing with the statement to add, what is not known, what is granted beyond."""
    yield f"{count(calls, 'call')} of AWS recorded"
    for missing in found.missing:
        yield _missing(missing)
    if found.statements:
        yield "add to the policy:"
        yield from json.dumps(list(found.statements), indent=2).splitlines()
    if not found.missing:
        yield "the policy allows every call that the tests made"
    for name in found.unknown:
        yield f"not known: which actions {name} needs"
    for beyond in found.beyond:
        yield _beyond(beyond)


def _missing(each: Missing) -> str:
    why = f"denied by {each.denied_by}" if each.denied_by else "not allowed"
    tests = f", needed by {listed(each.tests)}" if each.tests else ""
    return f"MISSING {each.action} on {each.resource}: {why}{tests}"


def _beyond(each: Beyond) -> str:
    return f"{each.policy} {each.statement} grants beyond: {listed(each.actions, _MOST)}"
