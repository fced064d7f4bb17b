"""How much evidence is enough: defaults, and what a role's own tags say instead.

`credwatch:window=400d` lengthens (or shortens) the window of one role, `credwatch:no-aws=sidecar`
names containers of its tasks that never call AWS: several are separated by blanks, `family/container`
names one of one family. A tag that cannot be read is a doubt, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from credwatch_agent.snapshot import Index, Role

DAY_NS = 86_400 * 10**9
DEFAULT_WINDOW_DAYS = 90.0

WINDOW_TAG = "credwatch:window"
NO_AWS_TAG = "credwatch:no-aws"

_DAYS = re.compile(r"(\d{1,5}(?:\.\d{1,3})?)d")


@dataclass(frozen=True, slots=True)
class Settings:
    """How much evidence is enough. `slack_s`: silence that is no gap, twice the default export interval.

    `tested` are (role's name or ARN, action in lower case) that tests call: never unused, whatever was reported.
    `no_aws` and `problems` come from a role's tags: containers that never call AWS, and a sentence
    for each tag that says nothing.
    """

    window_days: float = DEFAULT_WINDOW_DAYS
    share: float = 0.95
    slack_s: float = 120.0
    tested: frozenset[tuple[str, str]] = frozenset()
    no_aws: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()

    @property
    def window_ns(self) -> int:
        return int(self.window_days * DAY_NS)


def settings_of(role: Role, settings: Settings) -> Settings:
    """Return the settings of one role: its tags before the defaults."""
    tags = dict(role.tags)
    text = tags.get(WINDOW_TAG)
    if text is not None:
        found = _DAYS.fullmatch(text.strip())
        if found and float(found[1]) > 0:
            settings = replace(settings, window_days=float(found[1]))
        else:
            problem = f"tag `{WINDOW_TAG}` of role `{role.name}` is `{text}`: write a number of days such as `400d`"
            settings = replace(settings, problems=(*settings.problems, problem))
    if NO_AWS_TAG in tags:
        settings = replace(settings, no_aws=settings.no_aws | set(tags[NO_AWS_TAG].split()))
    return settings


def begins(index: Index, now_ns: int, settings: Settings) -> Mapping[str, int]:
    """Return when the window of each role with a `credwatch:window` tag begins, by the role's ARN."""
    return {
        role.arn: now_ns - settings_of(role, settings).window_ns
        for role in index.snapshot.roles
        if any(key == WINDOW_TAG for key, _ in role.tags)
    }
