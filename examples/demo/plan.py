"""The demo world as one value: every service's part put together, under given names and with given faults.

Nothing here opens a socket or talks to an API: `seed` does that. A new service is a new function in
`parts`; a new fault is a row in `faults` and a branch in the part that bears it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from examples.demo import parts
from examples.demo.faults import PLANTED
from examples.demo.nouns import Host, Plan, Role, User
from examples.demo.parts import ACCOUNT, REGION, Names, Part
from examples.demo.policies import AUDIT, EXECUTION_DUTIES, HOST_DUTIES, allow, bucket, objects

PARTS: Mapping[str, Callable[[Names, Collection[str]], Part]] = {
    "orders": parts.orders,
    "thumbnailer": parts.thumbnailer,
    "reporting": parts.reporting,
    "legacy": parts.legacy,
    "batch": parts.batch,
    "web": parts.web,
    "async": parts.asynchronous,
    "cron": parts.cron,
}
FIRST = ("orders", "thumbnailer")
"""One service right and one wrong: the smallest world that shows the difference."""


def plan(
    rename: Mapping[str, str] | None = None,
    *,
    faults: Collection[str] = PLANTED,
    services: Iterable[str] = tuple(PARTS),
) -> Plan:
    """Return the demo's plan.

    `rename` gives other names to whatever has a name; `faults` says what is wrong (see `faults`);
    `services` chooses some of them, by their default names.
    """
    name = Names(rename or {})
    chosen = [PARTS[service](name, faults) for service in services]
    return Plan(
        account=ACCOUNT,
        region=REGION,
        cluster=name("shop"),
        roles=(_host_role(name, faults), _execution_role(name), *(role for part in chosen for role in part.roles)),
        hosts=(Host(name("ecs-host-1"), role=name("ecsInstanceRole")), *(h for part in chosen for h in part.hosts)),
        services=tuple(part.service for part in chosen),
        buckets=tuple(dict.fromkeys([bucket for part in chosen for bucket in part.buckets])),
        queues=tuple(queue for part in chosen for queue in part.queues),
        tables=tuple(table for part in chosen for table in part.tables),
        auditor=User(name("credwatch-agent"), AUDIT),
        users=tuple(user for part in chosen for user in part.users),
    )


def _host_role(name: Names, faults: Collection[str]) -> Role:
    """Return the host's own duties, and the grant that someone added to make an application work."""
    photos = name("example-shop-photos")
    tight = objects("Photos", photos, "GetObject", "PutObject", listed=True)
    wide = [allow("Photos", "s3:*", *bucket(photos))]
    return Role(
        name("ecsInstanceRole"),
        trust=("ec2.amazonaws.com",),
        managed={name("ecs-host-duties"): [allow("Host", HOST_DUTIES, "*")]},
        inline={"photos": wide if "host-role-too-wide" in faults else tight},
    )


def _execution_role(name: Names) -> Role:
    return Role(
        name("ecsTaskExecutionRole"),
        trust=("ecs-tasks.amazonaws.com",),
        inline={"pull-and-log": [allow("PullAndLog", EXECUTION_DUTIES, "*")]},
    )
