"""What every provider shares: the context that it reads, and the words for what it found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

from credwatch.identity.metadata import Instance, ask_instance, ask_task
from credwatch.identity.model import Finding, Problem, Task, World
from credwatch.identity.profiles import Profiles


class Context:
    """A world and its profiles; what the endpoints answer is asked once and kept."""

    def __init__(self, world: World, profiles: Profiles) -> None:
        self.world = world
        self.profiles = profiles

    @property
    def environ(self) -> Mapping[str, str]:
        return self.world.environ

    @cached_property
    def task(self) -> Task | None:
        return ask_task(self.world)

    @cached_property
    def instance(self) -> Instance:
        return ask_instance(self.world, self.profiles)

    def use(self, profile: str) -> Context:
        """Return the context in which a `source_profile` is read."""
        return Context(self.world, self.profiles.use(profile))


def nothing(text: str) -> Finding:
    return Finding("nothing", text)


def stops(text: str, problem: Problem) -> Finding:
    return Finding("stops", text, problems=(problem,))


def misconfigured(text: str, fix: str, id_: str = "config-invalid") -> Finding:
    heading = "PARTIAL CREDENTIALS" if id_ == "partial-credentials" else "BROKEN CONFIGURATION"
    return stops(f"{text}: botocore raises", Problem(id_, "high", heading, f"{text}; botocore raises here.", fix))


def account(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"\d{12}", value) else ""


def timestamp(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[\d:.TZ+-]{10,40}", value) else ""


def unreadable(path: str, error: Exception) -> Problem:
    phrase = "may not be read by this user" if isinstance(error, PermissionError) else "cannot be read"
    phrase = "does not exist" if isinstance(error, FileNotFoundError) else phrase
    sentence = f"The token file `{path}` {phrase}: the first call will fail."
    fix = "Check the volume that should mount it, and the user (fsGroup in Kubernetes) that runs this process."
    return Problem("token-file-unreadable", "high", "TOKEN FILE UNREADABLE", sentence, fix)
