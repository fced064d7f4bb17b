"""What can be wrong in the demo world, and what credwatch must then say: fault -> findings.

Written from the taxonomy of findings, not from what the agent prints. One cause is one finding; what
follows from the same cause is in `also`. Subjects are `service/NAME`, `role/NAME` and, for a
statement, `role/NAME#POLICY/SID`; names in braces are default names, see `plan`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from examples.demo.parts import Names


@dataclass(frozen=True, order=True)
class Finding:
    """A finding that a report must hold: its id, its subject, its cause where the taxonomy names causes."""

    id: str
    subject: str
    cause: str = ""
    also: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return the JSON shape of `expected.json`; what is empty is left out."""
        return {name: list(v) if name == "also" else v for name, v in asdict(self).items() if v}


@dataclass(frozen=True)
class Fault:
    """A fault, the service that bears it, and its findings. `planted`: the default world has it.

    One that is not `removable` is part of every world in which its service runs.
    """

    service: str
    findings: tuple[Finding, ...]
    planted: bool = True
    removable: bool = True


_WIDE = ("unused-action",)
_WIDER = ("resource-wider-than-used", "unused-action")
_HOST = "infra-role-used-for-app-calls"

FAULTS: Mapping[str, Fault] = {
    "orders-storage-too-wide": Fault(
        "orders",
        (Finding("admin-or-wildcard-statement", "role/{orders-task-role}#{orders-storage}/Invoices", also=_WIDE),),
    ),
    "orders-events-too-wide": Fault(
        "orders",
        (
            Finding("admin-or-wildcard-statement", "role/{orders-task-role}#orders-events/Events", also=_WIDER),
            Finding("admin-or-wildcard-statement", "role/{orders-task-role}#orders-events/Orders", also=_WIDER),
        ),
        removable=False,
    ),
    "orders-grant-without-use": Fault(
        "orders", (Finding("unused-statement", "role/{orders-task-role}#orders-events/Notify"),)
    ),
    "thumbnailer-without-task-role": Fault(
        "thumbnailer",
        (
            Finding(
                "task-using-instance-profile",
                "service/{thumbnailer}",
                "no-task-role",
                (_HOST, "task-without-task-role"),
            ),
        ),
    ),
    # an instance profile's grants are never called unused: any process of the host may sign with it
    "host-role-too-wide": Fault(
        "thumbnailer", (Finding("admin-or-wildcard-statement", "role/{ecsInstanceRole}#photos/Photos"),)
    ),
    "reporting-role-in-two-steps": Fault("reporting", (Finding("role-chain", "service/{reporting}"),), removable=False),
    "reporting-passes-literal-keys": Fault(
        "reporting", (Finding("role-credentials-laundered", "service/{reporting}"),), removable=False
    ),
    "legacy-user-key": Fault(
        "legacy",
        (Finding("static-key-shadowing-role", "service/{legacy}", also=("root-or-user-key-on-compute",)),),
    ),
    "batch-may-not-delete": Fault("batch", (Finding("denied-call", "service/{batch}"),)),
    # the role that the job should have found is unused for the same cause
    "cron-environment-stripped": Fault(
        "cron",
        (Finding("task-using-instance-profile", "service/{cron}", "environment-stripped", (_HOST, "unused-role")),),
    ),
    # --- not in the default world
    "reporting-trust-without-condition": Fault(
        "reporting", (Finding("trust-missing-source-condition", "role/{reporting-task-role}"),), planted=False
    ),
    "web-may-escalate": Fault(
        "web",
        (Finding("privilege-escalation-unused", "role/{web-task-role}#pages/Deploy", also=("unused-statement",)),),
        planted=False,
    ),
    "async-trust-mixed": Fault("async", (Finding("trust-mixed-compute", "role/{async-task-role}"),), planted=False),
    "async-trusts-everyone": Fault(
        "async", (Finding("trust-wildcard-principal", "role/{async-task-role}"),), planted=False
    ),
}

PLANTED: frozenset[str] = frozenset(name for name, fault in FAULTS.items() if fault.planted)


def expected(
    faults: Collection[str] = PLANTED,
    rename: Mapping[str, str] | None = None,
    services: Iterable[str] | None = None,
) -> tuple[Finding, ...]:
    """Return the findings of a world with these faults and names, in which these services run (all, if None)."""
    name = Names(rename or {})
    running = None if services is None else set(services)
    return tuple(
        sorted(
            replace(finding, subject=_named(finding.subject, name))
            for fault in faults
            if running is None or FAULTS[fault].service in running
            for finding in FAULTS[fault].findings
        )
    )


def written() -> str:
    """Return `expected.json`: the default world's list for people. `make docs` writes it."""
    about = (
        "What a report on the default world must hold: exactly these. Generated by `make docs` from faults.py. "
        "Subjects: service/NAME, role/NAME, role/NAME#POLICY/SID. `also`: what follows from the same cause."
    )
    document = {"about": about, "findings": [finding.as_dict() for finding in expected()]}
    return json.dumps(document, indent=2) + "\n"


def _named(subject: str, name: Names) -> str:
    literal, *rest = subject.split("{")
    return literal + "".join(name(default) + tail for default, _, tail in (part.partition("}") for part in rest))
