"""The demo's check of its own claim: three independent counts of the same calls.

Each is a counter by (principal's name, service, operation): as the recorders counted, as the
applications counted themselves, and as the server recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from credwatch.signature import pseudonym
from credwatch_agent.records import Telemetry
from examples.demo.launch import Finished
from examples.demo.nouns import Plan, Service
from examples.demo.recording import Count, Use

Calls = Counter[tuple[str, str, str]]


def by_credwatch(telemetry: Telemetry, owners: Mapping[str, str]) -> Calls:
    """Calls as the recorders counted them; what was only presigned never reached a service.

    `owners` maps the pseudonym of a key to the ARN of its role or user, as `owners` below does: a long-lived
    key tells nobody in the process whose it is.
    """
    holders = {
        (key.process_id, key.source): owners.get(key.pseudonym, "") for key in telemetry.keys if not key.principal
    }
    calls: Calls = Counter()
    for row in telemetry.usage:
        usage = row.usage
        if usage.outcome != "signed":
            principal = usage.principal or holders.get((row.process_id, usage.source), "")
            calls[_name(principal), usage.service, usage.operation] += row.calls
    return calls


def owners(principals: Mapping[str, str]) -> dict[str, str]:
    """Return pseudonym -> ARN from key id -> ARN."""
    return {pseudonym(key_id): arn for key_id, arn in principals.items()}


def by_applications(plan: Plan, finished: Mapping[str, Finished]) -> Calls:
    """Calls as the applications counted them, by the principal that the plan has each sign as."""
    calls: Calls = Counter()
    for name, one in finished.items():
        for (service, operation), count in one.calls.items():
            calls[signs_as(plan, plan.service(name), service), service, operation] += count
    return calls


def by_moto(counts: Mapping[Use, Count], principals: Iterable[str]) -> Calls:
    """Calls of the principals with these names, as the server recorded them."""
    wanted = set(principals)
    calls: Calls = Counter()
    for use, count in counts.items():
        if (name := _name(use.principal)) in wanted:
            calls[name, use.service, use.operation] += count.calls
    return calls


def signs_as(plan: Plan, service: Service, aws_service: str = "") -> str:
    """Return the name of the role or user with whose keys a service calls one of AWS's (any, if empty)."""
    if aws_service in service.assumes:
        return service.assumes[aws_service]
    host = plan.host_of(service)
    return {"task-role": service.task_role, "user-key": service.user}.get(service.credentials, host.role)


def signers(plan: Plan) -> set[str]:
    """Return the names of all roles and users that the services of a plan sign as."""
    return {signs_as(plan, service, aws_service) for service in plan.services for aws_service in ("", *service.assumes)}


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]
