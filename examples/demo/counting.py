"""The demo's check of its own claim: three independent counts of the same calls.

Each is a counter by (principal's name, service, operation): as the recorders counted, as the
applications counted themselves, and as the server recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from credwatch_agent.records import Telemetry
from examples.demo.launch import Finished
from examples.demo.plan import Plan, Service
from examples.demo.recording import Count, Use

Calls = Counter[tuple[str, str, str]]


def by_credwatch(telemetry: Telemetry) -> Calls:
    """Calls as the recorders counted them; what was only presigned never reached a service."""
    calls: Calls = Counter()
    for row in telemetry.usage:
        usage = row.usage
        if usage.outcome != "signed":
            calls[_name(usage.principal), usage.service, usage.operation] += row.calls
    return calls


def by_applications(plan: Plan, finished: Mapping[str, Finished]) -> Calls:
    """Calls as the applications counted them, by the principal that the plan has each sign as."""
    calls: Calls = Counter()
    for name, one in finished.items():
        for (service, operation), count in one.calls.items():
            calls[signs_as(plan, plan.service(name)), service, operation] += count
    return calls


def by_moto(counts: Mapping[Use, Count], principals: Iterable[str]) -> Calls:
    """Calls of the principals with these names, as the server recorded them."""
    wanted = set(principals)
    calls: Calls = Counter()
    for use, count in counts.items():
        if (name := _name(use.principal)) in wanted:
            calls[name, use.service, use.operation] += count.calls
    return calls


def signs_as(plan: Plan, service: Service) -> str:
    """Return the name of the role or user whose keys a service finds."""
    host = next(host for host in plan.hosts if host.name == service.host)
    return {"task-role": service.task_role, "user-key": service.user}.get(service.credentials, host.role)


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]
