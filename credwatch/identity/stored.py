"""Providers whose keys lie somewhere: in the environment, in a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from credwatch.identity.findings import Context, account, misconfigured, nothing, timestamp
from credwatch.identity.model import Finding, Keys, Problem
from credwatch.identity.profiles import IniFile, Section
from credwatch.signature import key_type


def environment(context: Context) -> Finding:
    """AWS_ACCESS_KEY_ID and its companions. An empty variable is an unset one."""
    environ = context.environ
    if context.profiles.explicit:
        return nothing("skipped: a profile was given explicitly")
    key_id = environ.get("AWS_ACCESS_KEY_ID", "")
    secret = environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not key_id:
        return nothing("AWS_ACCESS_KEY_ID not set, AWS_SECRET_ACCESS_KEY is" if secret else "not set")
    if not secret:
        return misconfigured(
            "AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY",
            "Set both, or unset AWS_ACCESS_KEY_ID to let the next source answer.",
            "partial-credentials",
        )
    token = environ.get("AWS_SECURITY_TOKEN", "") or environ.get("AWS_SESSION_TOKEN", "")
    in_lambda = _in_lambda(environ) and key_type(key_id) == "temporary"
    finding = Finding(
        "found",
        "the function's role, as Lambda set it" if in_lambda else "AWS_ACCESS_KEY_ID is set",
        "lambda-execution-role" if in_lambda else "environment",
        account_id=account(environ.get("AWS_ACCOUNT_ID", "")),
        expires=timestamp(environ.get("AWS_CREDENTIAL_EXPIRATION", "")),
        keys=Keys(key_id, secret, token),
    )
    return replace(finding, problems=_without_token(finding, "the environment", "AWS_SESSION_TOKEN"))


def _in_lambda(environ: Mapping[str, str]) -> bool:
    named = bool(environ.get("AWS_LAMBDA_FUNCTION_NAME"))
    # a custom runtime need not pass AWS_EXECUTION_ENV on
    return named and environ.get("AWS_EXECUTION_ENV", "AWS_Lambda_").startswith("AWS_Lambda_")


def _without_token(finding: Finding, where: str, name: str) -> tuple[Problem, ...]:
    keys = finding.keys
    if keys is None or keys.token or key_type(keys.access_key) != "temporary":
        return ()
    sentence = f"The key in {where} is temporary, yet there is no session token with it: AWS will refuse it."
    return (Problem("token-missing", "high", "NO SESSION TOKEN", sentence, f"Set {name} too."),)


def shared_credentials_file(context: Context) -> Finding:
    return _keys_in(context, context.profiles.credentials, context.profiles.credentials.sections)


def config_file(context: Context) -> Finding:
    return _keys_in(context, context.profiles.config, context.profiles.config_profiles)


def _keys_in(context: Context, file: IniFile, sections: Mapping[str, Section]) -> Finding:
    name = context.profiles.name
    if file.state:
        return nothing(f"{file.name} {file.state}")
    if name not in sections:
        return nothing(f"{file.name} has no profile `{name}`")
    section = sections[name]
    if "aws_access_key_id" not in section:
        return nothing(f"profile `{name}` of {file.name} has no key")
    where = f"{file.name}, profile `{name}`"
    if "aws_secret_access_key" not in section:
        return misconfigured(
            f"aws_access_key_id without aws_secret_access_key in {where}", "Set both.", "partial-credentials"
        )
    token = next((section[k] for k in ("aws_security_token", "aws_session_token") if k in section), "")
    source = "shared-credentials-file" if file is context.profiles.credentials else "config-file"
    keys = Keys(str(section["aws_access_key_id"]), str(section["aws_secret_access_key"]), str(token))
    owner = account(section.get("aws_account_id", ""))
    finding = Finding("found", f"key in {where}", source, account_id=owner, keys=keys)
    return replace(finding, problems=_without_token(finding, where, "aws_session_token"))


def ec2_credentials_file(context: Context) -> Finding:
    name = context.environ.get("AWS_CREDENTIAL_FILE")
    if name is None:
        return nothing("not set")
    try:
        lines = context.world.text(name).splitlines()
    except (OSError, UnicodeDecodeError):
        return misconfigured(f"AWS_CREDENTIAL_FILE names `{name}`, which cannot be read", "Unset it: it is obsolete.")
    values = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    if "AWSAccessKeyId" not in values:
        return nothing(f"no key in {name}")
    keys = Keys(values["AWSAccessKeyId"], values.get("AWSSecretKey", ""))
    return Finding("found", f"key in {name} (AWS_CREDENTIAL_FILE)", keys=keys)


def boto_config(context: Context) -> Finding:
    chosen = context.environ.get("BOTO_CONFIG")
    for name in ("/etc/boto.cfg", "~/.boto") if chosen is None else (chosen,):
        try:
            text = context.world.text(name)
        except (OSError, UnicodeDecodeError):
            continue
        found = re.search(r"(?ms)^\[Credentials\][^\[]*?^aws_access_key_id\s*[=:]\s*(\S+)", text)
        if found:
            return Finding("found", f"key in {name} (boto 2)", keys=Keys(found[1]))
    return nothing("not set")
