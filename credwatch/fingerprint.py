"""Which process this is, such that who may look at it from outside finds the same answer: the edge to `/proc`.

The id of a recorder's process is random and known to nobody else. With the fingerprint, `credwatch doctor
--pid` asks the agent about a process that it sees, and never takes another's reports for its.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

PROC = Path("/proc")


def fingerprint(pid: int | None = None, proc: Path = PROC) -> str:
    """Return a digest of boot, PID namespace, process id in it and time of start; "" where they cannot be read.

    `pid` None is this process. Stays the same when the process executes another program.
    """
    directory = proc / ("self" if pid is None else str(pid))
    try:
        # bytes: in a child that was forked within an import, the codec that text needs cannot be imported
        boot = (proc / "sys/kernel/random/boot_id").read_bytes().decode().strip()
        namespace = str((directory / "ns/pid").readlink())
        status = (directory / "status").read_bytes()
        # after the command's name in parentheses, which may hold anything; field 22 of proc(5)
        began = (directory / "stat").read_bytes().rpartition(b")")[2].split()[19]
    except (OSError, ValueError, IndexError):
        return ""
    # one number for each namespace that the process is in: its own is the last
    numbers = re.search(rb"^NSpid:(?:\s+\d+)*\s+(\d+)$", status, re.MULTILINE)
    if not boot or numbers is None:
        return ""
    text = f"{boot} {namespace} {numbers[1].decode()} {began.decode()}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
