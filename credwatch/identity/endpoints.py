"""Providers that ask an endpoint: the container's credentials, the instance's metadata."""

from __future__ import annotations

from collections.abc import Mapping

from credwatch.identity.findings import Context, account, misconfigured, nothing, stops, timestamp, unreadable
from credwatch.identity.metadata import (
    POD_IDENTITY_HOSTS,
    NoAnswer,
    allowed_container_host,
    ask_container,
    container_url,
    host_of,
    keys_of,
)
from credwatch.identity.model import Finding, Keys, Problem, account_of, name_of, role_arn
from credwatch.signature import key_type

ROLE_SOURCES = frozenset({"ec2-instance-profile", "ecs-task-role"})
"""Sources that never give an IAM user's key."""


def container(context: Context) -> Finding:
    """The container credentials endpoint. Once configured it must answer: botocore never goes on."""
    environ = context.environ
    url = container_url(environ)
    if url is None:
        return nothing("AWS_CONTAINER_CREDENTIALS_*_URI not set")
    if not allowed_container_host(url):
        return misconfigured(
            f"AWS_CONTAINER_CREDENTIALS_FULL_URI names {host_of(url)}, a host that botocore refuses over HTTP",
            "Use https, a loopback address, or leave the variable to ECS or EKS.",
        )
    try:
        token = _container_token(context)
        answer = ask_container(context.world, url, token)
        keys = keys_of(answer)
    except _Foreign as error:
        return Finding("unsure", str(error))
    except _TokenFile as error:
        return stops("the token file cannot be read: botocore raises", error.problem)
    except NoAnswer as error:
        fix = "Check that the ECS or Pod Identity agent runs; botocore does not fall back to another source."
        sentence = f"The container credentials endpoint {host_of(url)} {_as_verb(str(error))}; botocore raises here."
        return stops(f"{host_of(url)}: {error}", Problem("endpoint-failed", "high", "NO CREDENTIALS", sentence, fix))
    arn = role_arn(answer.get("RoleArn"))
    source = _container_source(context, url)
    return Finding(
        "found",
        f"answers: role {name_of(arn)}" if arn else "answers (it names no role)",
        _unless_long_lived(source, keys),
        principal_arn=arn,
        account_id=account_of(arn) or account(answer.get("AccountId")),
        expires=timestamp(answer["Expiration"]),
        keys=keys,
    )


def _as_verb(reason: str) -> str:
    return reason if reason.startswith("answers") else f"gave no credentials ({reason})"


class _TokenFile(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class _Foreign(Exception):
    """The process is another user's: its token is not sent on its word."""


def _container_token(context: Context) -> str | None:
    environ = context.environ
    path = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    if path is None:
        token = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    elif context.world.foreign:
        raise _Foreign("not asked: the token file is named by another user's process; run as that user")
    else:
        try:
            token = context.world.text(path)
        except (OSError, UnicodeDecodeError) as error:
            raise _TokenFile(unreadable(path, error)) from None
    if token is not None and ("\r" in token or "\n" in token):
        raise NoAnswer("not asked: the authorization token holds a line break")
    return token


def _container_source(context: Context, url: str) -> str:
    token_file = context.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "")
    host = host_of(url).rpartition(":")[0] or host_of(url)
    if host in POD_IDENTITY_HOSTS or host_of(url) in POD_IDENTITY_HOSTS or "eks-pod-identity" in token_file:
        return "eks-pod-identity"
    return "ecs-task-role" if context.task and not in_codebuild(context.environ) else "container-other"


def in_codebuild(environ: Mapping[str, str]) -> bool:
    """Return whether this is a CodeBuild job, which looks like an ECS task but is none of yours."""
    return any(name.startswith("CODEBUILD_") for name in environ)


def _unless_long_lived(source: str, keys: Keys) -> str:
    return "unknown" if source in ROLE_SOURCES and key_type(keys.access_key) == "long-lived" else source


def instance_metadata(context: Context) -> Finding:
    instance = context.instance
    if instance.proxied:
        return Finding("unsure", instance.reason)
    if instance.forbidden:
        return misconfigured(
            "the instance metadata service gives no session token, and IMDSv1 is disabled",
            "In a container raise HttpPutResponseHopLimit to 2, or use the container's own role.",
        )
    if instance.keys is None:
        return nothing(instance.reason)
    source = "ec2-instance-profile" if instance.proved else "imds-other"
    return Finding(
        "found",
        f"answers: role {instance.role}",
        _unless_long_lived(source, instance.keys),
        principal_name=instance.role,
        account_id=account_of(instance.profile_arn) or account(instance.account_id),
        instance_profile_arn=instance.profile_arn,
        expires=timestamp(instance.expires),
        keys=instance.keys,
    )
