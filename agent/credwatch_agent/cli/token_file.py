"""The file of tokens: read when it changed, so that tokens come and go without a restart."""

from __future__ import annotations

import logging
import os
import stat
import threading
from pathlib import Path

from credwatch_agent.access import BadTokens, Tokens, parse
from credwatch_agent.cli import toml
from credwatch_agent.cli.failure import UsageError

_log = logging.getLogger(__name__)


class TokenFile:
    """Gives the tokens that are valid now; reading fails at the start, later the last good ones stay valid."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises `UsageError`."""
        self._path = path
        self._lock = threading.Lock()
        self._seen = mark(path)
        self._tokens = read(path)

    def __call__(self) -> Tokens:
        with self._lock:
            seen = mark(self._path)
            if seen != self._seen:
                self._seen = seen
                self._reread()
            return self._tokens

    def _reread(self) -> None:
        try:
            self._tokens = read(self._path)
        except UsageError as error:
            _log.error("tokens not read again: the former ones stay valid", extra={"fields": {"reason": str(error)}})
        else:
            _log.info("tokens read again", extra={"fields": {"tokens": len(self._tokens)}})


def read(path: Path) -> Tokens:
    """Return the tokens of a file; raises `UsageError`."""
    document = toml.read(path)
    if stat.S_IMODE(path.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(f"`{path}` may be written by others than its owner, who could let themselves in: chmod 600 it")
    try:
        return parse(document)
    except BadTokens as error:
        raise UsageError(f"`{path}`: {error}") from None


def mark(path: Path) -> tuple[int, ...]:
    """Return what changes when a file does, also when another takes its place."""
    try:
        found: os.stat_result = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode
