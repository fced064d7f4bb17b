"""An application's own count of the AWS calls that it makes, written down as JSON when it ends.

Each call site counts itself; nothing here looks at boto3. The file has the shape
{service: {operation: {outcome: calls}}}, where an outcome is `ok`, AWS's error code or an exception's name.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TypeVar

Page = TypeVar("Page")


class Tally:
    """Counts calls; as a context manager it writes the file named by DEMO_TALLY, if any, at the end."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._lock = Lock()

    @classmethod
    def from_environment(cls) -> Tally:
        path = os.environ.get("DEMO_TALLY")
        return cls(Path(path) if path else None)

    @classmethod
    def of_worker(cls) -> Tally:
        """Return the tally of one of several processes: each writes a file of its own, named by its process id."""
        whole = cls.from_environment()
        return cls(whole._path and whole._path.with_name(f"{whole._path.stem}-{os.getpid()}.json"))

    @contextmanager
    def call(self, service: str, operation: str) -> Iterator[None]:
        """Count the one call made inside the block, whether it succeeds or raises."""
        outcome = "ok"
        try:
            yield
        except Exception as error:
            outcome = _code(error)
            raise
        finally:
            self._add(service, operation, outcome)

    def pages(self, service: str, operation: str, pages: Iterable[Page]) -> Iterator[Page]:
        """Pass a paginator's pages on and count each: a page is a call."""
        try:
            for page in pages:
                self._add(service, operation, "ok")
                yield page
        except Exception as error:
            self._add(service, operation, _code(error))
            raise

    def as_dict(self) -> dict[str, dict[str, dict[str, int]]]:
        table: dict[str, dict[str, dict[str, int]]] = {}
        for (service, operation, outcome), calls in sorted(self._counts.items()):
            table.setdefault(service, {}).setdefault(operation, {})[outcome] = calls
        return table

    def _add(self, service: str, operation: str, outcome: str) -> None:
        with self._lock:
            self._counts[service, operation, outcome] += 1

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._path:
            self._path.write_text(json.dumps(self.as_dict(), indent=2), encoding="utf-8")


def _code(error: Exception) -> str:
    response = getattr(error, "response", None)
    return str(response["Error"]["Code"]) if response else type(error).__name__
