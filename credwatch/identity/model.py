"""The records of whoami: what is asked of the world, what each step found, and who the process is.

Everything that is printed or returned is an `Identity`; secrets live in `Keys` alone, which no
record refers to but `Finding`, and that one never leaves the package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from credwatch.semconv import Hop

JSON_VERSION = 1
"""Version of `Identity.as_json`, sent as `version`. Fields may be added without a new one."""

# --- the world ----------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What an HTTP endpoint answered."""

    status: int
    body: bytes


class Unreachable(Exception):
    """An endpoint gave no answer; the text says how: "connection refused", "timed out"."""


Fetch = Callable[[str, str, Mapping[str, str], float], Answer]
"""(method, URL, headers, timeout in seconds) -> Answer, or raises `Unreachable`."""


@dataclass(frozen=True)
class World:
    """All that whoami sees of the outside; tests build one, `edges` builds the real ones.

    `root` is a prefix for every file (another process's root directory). `foreign`: the process
    belongs to another user, so its environment must not make us send a file anywhere.
    `ancestors` are (name, environment) of the parent and PID 1, read only on request.
    `order` is the installed botocore's chain.
    """

    environ: Mapping[str, str]
    home: str
    now: datetime
    fetch: Fetch
    order: tuple[str, ...]
    root: str = ""
    cwd: str = ""
    foreign: bool = False
    on_ec2: bool = False
    has_crt: bool = False
    ancestors: tuple[tuple[str, Mapping[str, str]], ...] = ()
    notes: tuple[str, ...] = ()

    def path(self, name: str) -> Path:
        """Return where a file named by the process really lies: its home, directory and root applied."""
        if name == "~" or name.startswith("~/"):
            name = self.home + name[1:]
        name = re.sub(r"\$(\w+)|\$\{(\w+)\}", lambda m: self.environ.get(m[1] or m[2], m[0]), name)
        if not Path(name).is_absolute():
            name = f"{self.cwd}/{name}"
        return Path(self.root + name)

    def text(self, name: str) -> str:
        """Return a file's text; raises OSError or UnicodeDecodeError."""
        return self.path(name).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials in memory. Not shown by `repr`, in no record that is printed."""

    access_key: str = field(repr=False)
    secret_key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


# --- what was found -----------------------------------------------------------------------------


class Problem(NamedTuple):
    """Something wrong, and what to do. `severity` is `high`, `medium`, `low` or `info` (a remark)."""

    id: str
    severity: str
    heading: str
    sentence: str
    fix: str
    cause: str = ""


@dataclass(frozen=True)
class Finding:
    """What one provider of the chain does in this world.

    `state`: `nothing` (botocore goes on), `found` (the chain ends here), `stops` (botocore raises)
    or `unsure` (we cannot know which). `text` says what was seen.
    """

    state: str
    text: str
    source: str = "unknown"
    principal_arn: str = ""
    principal_name: str = ""
    account_id: str = ""
    instance_profile_arn: str = ""
    expires: str = ""
    chain: tuple[Hop, ...] = ()
    method: str = ""
    keys: Keys | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def principal(self) -> str:
        return self.principal_arn or self.principal_name


class Step(NamedTuple):
    """A row of the chain. `state`: `used`, `nothing`, `stops`, `unsure` or `not-reached`."""

    method: str
    state: str
    found: str


class Task(NamedTuple):
    """An ECS task, as its metadata endpoint (version 4) describes it; "" where it does not."""

    arn: str
    cluster: str = ""
    family: str = ""
    revision: str = ""
    launch_type: str = ""


@dataclass(frozen=True)
class Identity:
    """Who a process would be to AWS. What is not known is the empty string, never a guess.

    `source` is a word of `semconv.SOURCES`, `provider` is botocore's (`Credentials.method`).
    `expires` is what the endpoint or the environment says, in ISO 8601.
    """

    source: str
    provider: str = ""
    principal_arn: str = ""
    principal_name: str = ""
    account_id: str = ""
    instance_profile_arn: str = ""
    region: str = ""
    profile: str = ""
    pseudonym: str = ""
    credential_type: str = ""
    expires: str = ""
    chain: tuple[Hop, ...] = ()
    task: Task | None = None
    verified: str = ""
    steps: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def principal(self) -> str:
        """The most exact name of the principal that is known, or ""."""
        return self.principal_arn or self.principal_name

    @property
    def root(self) -> Hop:
        """Where the chain of credentials begins."""
        return self.chain[-1] if self.chain else Hop(self.source, self.principal)

    @property
    def wrong(self) -> tuple[Problem, ...]:
        """The problems that are more than a remark."""
        return tuple(problem for problem in self.problems if problem.severity != "info")

    def as_json(self) -> dict[str, object]:
        """Return what `--json` prints: every field, `version` first."""
        return {
            "version": JSON_VERSION,
            **asdict(self),
            "chain": [hop._asdict() for hop in self.chain],
            "task": self.task._asdict() if self.task else None,
            "steps": [step._asdict() for step in self.steps],
            "problems": [problem._asdict() for problem in self.problems],
        }


def account_of(arn: str) -> str:
    """Return the account of an ARN, or ""."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 and parts[0] == "arn" else ""


def name_of(arn: str) -> str:
    """Return the last segment of an ARN: a role's name without its path."""
    return arn.rpartition("/")[2] if arn.startswith("arn:") else ""


_ROLE_ARN = re.compile(r"arn:[\w-]+:iam::\d{12}:role/[\w+=,.@/-]+")


def role_arn(text: object) -> str:
    """Return `text` if it is the ARN of a role, else "": what is not one may be anything, a secret too."""
    return text if isinstance(text, str) and _ROLE_ARN.fullmatch(text) else ""
