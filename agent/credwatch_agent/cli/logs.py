"""Events on stderr, a line each: for people, or as JSON for machines. Never more than a few of one kind a second."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone

_A_SECOND = 5


class _Limit(logging.Filter):
    """Lets a few records of one message pass each second, so that no sender fills a disk with refusals."""

    def __init__(self) -> None:
        super().__init__()
        self._second: dict[str, int] = {}
        self._passed: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        second, message = int(record.created), str(record.msg)
        if self._second.get(message) != second:
            self._second[message] = second
            suppressed = self._passed.get(message, 0) - _A_SECOND
            self._passed[message] = 0
            if suppressed > 0:
                record.suppressed = suppressed
        self._passed[message] += 1
        return self._passed[message] <= _A_SECOND


class _Line(logging.Formatter):
    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = dict(getattr(record, "fields", {}))
        if hasattr(record, "suppressed"):
            fields["suppressed"] = record.suppressed
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if not self._as_json:
            said = " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in fields.items())
            return f"credwatch-agent: {record.levelname.lower()}: {record.getMessage()} {said}".rstrip()
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        event = {"time": time, "level": record.levelname.lower(), "event": record.getMessage(), **fields}
        return json.dumps(event, ensure_ascii=False)


def start(log_format: str, level: str) -> None:
    """Write the events of this program, and warnings of its servers, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line(log_format == "json"))
    handler.addFilter(_Limit())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("credwatch_agent").setLevel(level.upper())
