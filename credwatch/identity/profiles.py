"""The two AWS files as botocore reads them for one process: which profile, which settings.

botocore's own parser reads the files; which files and which profile comes from the world given.
No message repeats a line of a file: it may hold a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import botocore.configloader
from botocore.exceptions import ConfigNotFound, ConfigParseError

from credwatch.identity.model import Problem, World

Section = Mapping[str, object]


@dataclass(frozen=True)
class IniFile:
    """One parsed file. `state` is "" when it was read, else why it was not: a phrase."""

    name: str
    sections: Mapping[str, Section]
    state: str = ""
    broken: bool = False


@dataclass(frozen=True)
class Profiles:
    """The profiles that a process has, and the one that it uses.

    `explicit`: given in code or by `--profile`, which takes the environment's keys out of the chain.
    """

    name: str
    explicit: bool
    named_by: str
    config: IniFile
    credentials: IniFile
    config_profiles: Mapping[str, Section]
    merged: Mapping[str, Section]
    sso_sessions: Mapping[str, Section]

    @property
    def own(self) -> Section:
        """The settings of the profile in use, of both files."""
        return self.merged.get(self.name, {})

    def use(self, name: str) -> Profiles:
        """Return the same files with another profile, as a `source_profile` is read."""
        return replace(self, name=name, explicit=True)

    def problem(self) -> Problem | None:
        """Return what makes botocore raise before any step is tried, or None."""
        for file in (self.config, self.credentials):
            if file.broken:
                sentence = f"`{file.name}` {file.state}, so botocore raises ConfigParseError."
                return Problem("config-invalid", "high", "BROKEN FILE", sentence, "Correct the file at that line.")
        if self.named_by and self.name not in self.merged:
            known = ", ".join(f"`{name}`" for name in sorted(self.merged)[:8]) or "no profile at all"
            sentence = (
                f"{self.named_by} names the profile `{self.name}`, which is in neither file, so botocore raises "
                f"ProfileNotFound, whatever else is set. The files have {known}."
            )
            fix = f"Correct or unset {self.named_by}."
            if self.named_by == "--profile":
                fix = f"Give a profile that exists, or add `[profile {self.name}]` to {self.config.name}."
            return Problem("profile-not-found", "high", "NO SUCH PROFILE", sentence, fix)
        return None


def load(world: World, explicit: str | None = None, named_by: str = "--profile") -> Profiles:
    """Read the files of a process; `explicit` is a profile given in code or on the command line."""
    environ = world.environ
    if explicit is None:
        # this order is botocore's, the reverse of the AWS CLI's
        variable = next((v for v in ("AWS_DEFAULT_PROFILE", "AWS_PROFILE") if v in environ), "")
        name, named_by = environ.get(variable, ""), variable
    else:
        name = explicit
    config = _ini(world, environ.get("AWS_CONFIG_FILE", "~/.aws/config"))
    credentials = _ini(world, environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"))
    mapped = botocore.configloader.build_profile_map(config.sections)
    merged: dict[str, dict[str, object]] = {key: dict(values) for key, values in mapped["profiles"].items()}
    for key, values in credentials.sections.items():
        merged.setdefault(key, {}).update(values)
    # an empty AWS_PROFILE means `default` to the chain, yet botocore looks it up as a name
    chosen = name if name or named_by else "default"
    return Profiles(
        chosen, explicit is not None, named_by, config, credentials, mapped["profiles"], merged, mapped["sso_sessions"]
    )


def _ini(world: World, name: str) -> IniFile:
    path = world.path(name)
    try:
        sections = botocore.configloader.raw_config_parse(str(path))
    except ConfigNotFound:
        return IniFile(name, {}, "does not exist")
    except ConfigParseError as error:
        return IniFile(name, {}, f"cannot be parsed{_line(error)}", broken=True)
    except PermissionError:
        return IniFile(name, {}, "cannot be read: permission denied")
    if not sections and not _readable(world, name):
        # configparser skips what it may not open, and botocore with it
        return IniFile(name, {}, "cannot be read: permission denied")
    return IniFile(name, sections)


def _readable(world: World, name: str) -> bool:
    try:
        world.text(name)
    except (OSError, UnicodeDecodeError):
        return False
    return True


def _line(error: ConfigParseError) -> str:
    cause: object = error.kwargs.get("error")
    errors: list[tuple[int, str]] = getattr(cause, "errors", [])
    line: int | None = getattr(cause, "lineno", None) or (errors[0][0] if errors else None)
    return f" (line {line})" if line else ""


def setting(world: World, profiles: Profiles, variable: str, key: str = "") -> str:
    """Return a setting as botocore looks it up: the environment, then the profile, else ""."""
    value: object = world.environ.get(variable)
    if value is None:
        value = profiles.own.get(key or variable.removeprefix("AWS_").lower(), "")
    return value if isinstance(value, str) else ""


def region(world: World, profiles: Profiles) -> str:
    """Return the region that boto3 takes: AWS_DEFAULT_REGION, then the profile; never AWS_REGION."""
    return setting(world, profiles, "AWS_DEFAULT_REGION", "region")
