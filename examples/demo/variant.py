"""Other worlds from a seed: everything renamed and shuffled, some faults mended, others planted.

Who recognises the default world by its names, or expects its list of findings, fails here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from examples.demo.faults import FAULTS, Finding, expected
from examples.demo.nouns import Plan
from examples.demo.plan import plan

T = TypeVar("T")

NAMES = (
    *("orders", "thumbnailer", "reporting", "legacy", "batch", "web", "async", "cron", "shop"),
    *("orders-task-role", "thumbnailer-task-role", "reporting-task-role", "reporting-archive-writer"),
    *("legacy-host-role", "batch-host-role", "web-task-role", "async-task-role", "cron-task-role"),
    *("ecsInstanceRole", "ecsTaskExecutionRole", "orders-storage", "ecs-host-duties"),
    *("ecs-host-1", "legacy-host", "batch-host", "legacy-backup", "credwatch-agent"),
    *("example-shop-invoices", "example-shop-photos", "example-archive", "example-shop-backups", "example-shop-inbox"),
    *("example-shop-pages", "example-shop-feed", "order-events", "orders-table"),
)
"""Every default name that a world can change."""

_WORDS = ("amber", "basalt", "cedar", "delta", "ember", "fjord", "granite", "harbor", "iris", "juniper", "kelp")


def variant(seed: int) -> tuple[Plan, tuple[Finding, ...]]:
    """Return a world and exactly the findings that it must yield; the same for the same seed, always."""
    random = Random(seed)
    rename = {name: f"{random.choice(_WORDS)}-{number:02}" for number, name in enumerate(_shuffled(random, NAMES))}
    faults = _faults(random)
    built = plan(rename, faults=faults)
    shuffled = replace(
        built,
        roles=_shuffled(random, built.roles),
        hosts=_shuffled(random, built.hosts),
        services=_shuffled(random, built.services),
        buckets=_shuffled(random, built.buckets),
    )
    return shuffled, expected(faults, rename)


def _faults(random: Random) -> frozenset[str]:
    removable = sorted(name for name, fault in FAULTS.items() if fault.planted and fault.removable)
    addable = sorted(name for name, fault in FAULTS.items() if not fault.planted)
    removed = set(random.sample(removable, random.randint(1, len(removable) - 1)))
    added = set(random.sample(addable, random.randint(1, len(addable))))
    planted = {name for name, fault in FAULTS.items() if fault.planted}
    return frozenset(planted - removed | added)


def _shuffled(random: Random, items: Sequence[T]) -> tuple[T, ...]:
    return tuple(random.sample(items, len(items)))
