"""Temporary credentials as AWS's endpoints hand them out, and when they are replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock


@dataclass(frozen=True)
class Issued:
    """One set of temporary credentials of a role; times are UTC."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    issued: datetime
    expires: datetime

    def document(self) -> dict[str, str]:
        """Return the four fields that every AWS credentials endpoint has in common."""
        return {
            "AccessKeyId": self.key_id,
            "SecretAccessKey": self.secret,
            "Token": self.token,
            "Expiration": timestamp(self.expires),
        }


def timestamp(moment: datetime) -> str:
    """Return a UTC time as AWS writes it: 2026-01-31T12:00:00Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Rotating:
    """The current credentials of one role: issued when first asked for, again before they expire, or on demand."""

    # AWS makes new credentials available at least five minutes before the old ones expire
    # (EC2 user guide, "retrieve security credentials from instance metadata").
    EARLY = timedelta(minutes=5)

    def __init__(self, issue: Callable[[], Issued], now: Callable[[], datetime]) -> None:
        self._issue = issue
        self._now = now
        self._lock = Lock()
        self._current: Issued | None = None

    def current(self) -> Issued:
        with self._lock:
            if self._current is None or self._current.expires - self._now() <= self.EARLY:
                self._current = self._issue()
            return self._current

    def rotate(self) -> Issued:
        """Issue new credentials now, as if the old ones were about to expire."""
        with self._lock:
            self._current = self._issue()
            return self._current
