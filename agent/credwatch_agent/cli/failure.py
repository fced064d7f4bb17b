"""Exit codes, and which error of ours means which.

An error's text is one sentence for the user: what, where, what to do.
"""

from __future__ import annotations

import errno

from credwatch_agent.snapshot import SnapshotError
from credwatch_agent.store import StoreError

CLEAN = 0
FINDINGS = 1
USAGE = 2
COULD_NOT_KNOW = 3
INTERRUPTED = 130
BROKEN_PIPE = 141
"""The last two as a shell has them for a program that ends by SIGINT or SIGPIPE."""


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Numbers of an `OSError` of a device that takes no more."""


class UsageError(Exception):
    """The command line asks for something that cannot be asked for."""


class CannotServe(Exception):
    """Something outside the command line stands in the way, such as a port in use."""


EXIT_CODES: dict[type[Exception], int] = {
    UsageError: USAGE,
    CannotServe: COULD_NOT_KNOW,
    StoreError: COULD_NOT_KNOW,
    SnapshotError: COULD_NOT_KNOW,
}
"""A row for each error that a room raises for the user; any other exception is a bug and shows itself."""
