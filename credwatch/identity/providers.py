"""One function for each provider of botocore's chain: what it would find in this world.

A provider reads the world and returns a `Finding`; it runs no command and calls no AWS service.
`PROVIDERS` names them by botocore's own words. The rules of botocore that they follow are tested
against the real one, environment by environment, in `tests/recorder/test_whoami_truth.py`.
Here are those that would assume a role or run something; `stored` and `endpoints` have the others.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from credwatch.identity.endpoints import container, instance_metadata
from credwatch.identity.findings import Context, account, misconfigured, nothing, unreadable
from credwatch.identity.model import Finding, Problem, account_of, role_arn
from credwatch.identity.profiles import Section
from credwatch.identity.stored import (
    boto_config,
    config_file,
    ec2_credentials_file,
    environment,
    shared_credentials_file,
)
from credwatch.provenance import permission_set_role, signed_in
from credwatch.semconv import Hop

PROFILE_METHODS = (
    "assume-role-with-web-identity", "sso", "shared-credentials-file", "login", "custom-process", "config-file",
)  # fmt: skip
"""Providers that read a profile: those that a `source_profile` goes through, in the chain's order."""


def is_assume_role(section: Section) -> bool:
    return "role_arn" in section and "web_identity_token_file" not in section


def assume_role(context: Context) -> Finding:
    """A profile with `role_arn`: the chain of profiles is followed to its root, nothing is called."""
    if not is_assume_role(context.profiles.own):
        return nothing(f"profile `{context.profiles.name}` has no role_arn")
    return _assumed(context, (context.profiles.name,))


def _assumed(context: Context, visited: tuple[str, ...]) -> Finding:
    section, name = context.profiles.own, context.profiles.name
    base, named = section.get("source_profile"), section.get("credential_source")
    if (base is None) == (named is None):
        what = "neither source_profile nor" if base is None else "both source_profile and"
        return misconfigured(f"profile `{name}` has {what} credential_source", "Give it exactly one of them.")
    root = _named_source(context, str(named)) if base is None else _source_profile(context, str(base), visited)
    if root.state != "found":
        return root
    arn = role_arn(section["role_arn"])
    via = f"credential_source {named}" if base is None else f"profile `{base}`"
    mfa = ", after asking for an MFA code" if "mfa_serial" in section else ""
    return Finding(
        "found",
        f"would call sts:AssumeRole with {via}{mfa} (not called)",
        "assumed-role",
        principal_arn=arn,
        account_id=account_of(arn),
        chain=(Hop(root.source, root.principal), *root.chain),
        problems=root.problems,
    )


def _named_source(context: Context, name: str) -> Finding:
    provider = _NAMED.get(name)
    if provider is None:
        return misconfigured(
            f"profile `{context.profiles.name}` has an unknown credential_source",
            f"Use one of {', '.join(_NAMED)}.",
        )
    # a named source is asked as if no profile had been given
    finding = provider(Context(context.world, replace(context.profiles, explicit=False)))
    if finding.state == "nothing":
        return misconfigured(
            f"credential_source {name} of profile `{context.profiles.name}` has no credentials ({finding.text})",
            "Run where that source exists, or use another.",
        )
    return finding


def _source_profile(context: Context, name: str, visited: tuple[str, ...]) -> Finding:
    section = context.profiles.merged.get(name)
    if section is None:
        return misconfigured(
            f"source_profile `{name}` of profile `{context.profiles.name}` does not exist",
            f"Add the profile `{name}`, or correct source_profile.",
        )
    static = "aws_access_key_id" in section or "aws_secret_access_key" in section
    if name in visited and not (name == context.profiles.name and static):
        path = " -> ".join((*visited, name))
        return misconfigured(
            f"the source profiles form a loop ({path})", "Break the loop with a profile that has keys."
        )
    inner = context.use(name)
    if not static and is_assume_role(section):
        return _assumed(inner, (*visited, name))
    for method in (m for m in context.world.order if m in PROFILE_METHODS):
        finding = PROVIDERS[method](inner)
        if finding.state != "nothing":
            return finding
    return misconfigured(f"source_profile `{name}` has no credentials", f"Give the profile `{name}` credentials.")


def web_identity(context: Context) -> Finding:
    """A role assumed with an OIDC token: IRSA, CI. The token is not read for long: only whether it can be."""
    token_file = _web_setting(context, "AWS_WEB_IDENTITY_TOKEN_FILE")
    if not token_file:
        return nothing("not set")
    role = _web_setting(context, "AWS_ROLE_ARN")
    if not role:
        return misconfigured(
            "a web identity token file without a role", "Set AWS_ROLE_ARN, or role_arn in the profile."
        )
    arn = role_arn(role)
    problems: tuple[Problem, ...] = ()
    try:
        context.world.text(token_file)
    except (OSError, UnicodeDecodeError) as error:
        problems = (unreadable(token_file, error),)
    if not arn:
        sentence = "AWS_ROLE_ARN (or role_arn of the profile) is not the ARN of a role: STS will refuse it."
        problems += (Problem("config-invalid", "high", "BROKEN CONFIGURATION", sentence, "Set the role's ARN."),)
    text = "would call sts:AssumeRoleWithWebIdentity (not called)"
    return Finding("found", text, "web-identity", arn, "", account_of(arn), problems=problems)


def _web_setting(context: Context, variable: str) -> str:
    value: object = None if context.profiles.explicit else context.environ.get(variable)
    if value is None:
        value = context.profiles.own.get(variable.removeprefix("AWS_").lower(), "")
    return str(value)


def sso(context: Context) -> Finding:
    section, name = context.profiles.own, context.profiles.name
    if "sso_role_name" not in section and "sso_account_id" not in section:
        return nothing(f"profile `{name}` has no sso_role_name")
    session_name = section.get("sso_session")
    resolved = dict(section)
    if session_name is not None:
        session = context.profiles.sso_sessions.get(str(session_name))
        if session is None:
            return misconfigured(f"sso_session `{session_name}` does not exist", f"Add [sso-session {session_name}].")
        differing = sorted(key for key, value in session.items() if resolved.get(key, value) != value)
        if differing:
            text = f"{', '.join(differing)} differs between profile `{name}` and its sso-session"
            return misconfigured(text, "Remove it from the profile.")
        resolved.update(session)
    needed = ("sso_role_name", "sso_account_id", "sso_start_url", "sso_region")
    missing = [key for key in needed if key not in resolved]
    if missing:
        return misconfigured(f"profile `{name}` lacks {', '.join(missing)}", "Run `aws configure sso`.")
    text = f"would ask IAM Identity Center for permission set {resolved['sso_role_name']} (not called)"
    name = permission_set_role(resolved["sso_role_name"])
    return Finding("found", text, "sso", "", name, account(resolved["sso_account_id"]))


def login(context: Context) -> Finding:
    name = context.profiles.name
    if "login_session" not in context.profiles.own:
        return nothing(f"profile `{name}` has no login_session")
    if not context.world.has_crt:
        return misconfigured(f"login_session of profile `{name}` needs awscrt", 'Install "botocore[crt]".')
    arn = signed_in(context.profiles.own["login_session"])
    return Finding("found", "the session of `aws login` (its cache is not read)", "login", arn, "", account_of(arn))


def process(context: Context) -> Finding:
    command = context.profiles.own.get("credential_process")
    if command is None:
        return nothing(f"profile `{context.profiles.name}` has no credential_process")
    program = _program(str(command))
    return Finding("found", f"would run {program} (not run)", "process")


def _program(command: str) -> str:
    """Return the name of a command's program; its arguments may be secrets."""
    try:
        first = PurePosixPath(shlex.split(command)[0]).name
    except (ValueError, IndexError):
        return "a command"
    return f"`{first}`" if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,30}", first) else "a command"


Provider = Callable[[Context], Finding]

PROVIDERS: Mapping[str, Provider] = {
    "env": environment,
    "assume-role": assume_role,
    "assume-role-with-web-identity": web_identity,
    "sso": sso,
    "shared-credentials-file": shared_credentials_file,
    "login": login,
    "custom-process": process,
    "config-file": config_file,
    "ec2-credentials-file": ec2_credentials_file,
    "boto-config": boto_config,
    "container-role": container,
    "iam-role": instance_metadata,
}
"""By `METHOD`, botocore's name of the provider."""

_NAMED: Mapping[str, Provider] = {
    "Environment": environment,
    "EcsContainer": container,
    "Ec2InstanceMetadata": instance_metadata,
}
"""The values of `credential_source`."""
