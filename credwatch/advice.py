"""What is wrong with how this process uses credentials, as one sentence each: the opt-in warnings.

Pure: looks at what was counted and at what the environment offers, and writes no log. The agent's
findings know more (policies, the fleet); these are the few that one process can tell by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from credwatch.provenance import Identity
from credwatch.recorder import UsageKey

# found by botocore's own search; what a program passes or assumes may differ from call to call
_FOUND = frozenset(
    {
        "ec2-instance-profile",
        "ecs-task-role",
        "eks-pod-identity",
        "web-identity",
        "lambda-execution-role",
        "imds-other",
        "container-other",
        "sso",
        "login",
        "environment",
        "shared-credentials-file",
        "config-file",
        "process",
    }
)
_STORED = frozenset({"environment", "shared-credentials-file", "config-file"})
_ROLE_VARIABLES = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


class Warned(NamedTuple):
    """`kind` names what is wrong, once a process; `sentence` says it, without any key or secret."""

    kind: str
    sentence: str


def advise(used: Iterable[UsageKey], environ: Mapping[str, str]) -> Iterator[Warned]:
    """Yield what is wrong with the settled usages, in the order in which they were first seen."""
    first = ""
    for usage in used:
        identity = usage.origin.identity
        root = identity.chain[-1].source if identity.chain else identity.source
        yield from _wrong_layer(identity, root, environ)
        yield from _shadowing(identity, root, environ)
        if usage.outcome.name == "auth-failed" and (identity.laundered or identity.source in _STORED):
            yield from _stale(identity)
        if root not in _FOUND or identity.laundered:
            continue
        if first and root != first:
            yield Warned(
                "source-changed",
                f"calls were signed by `{first}` and are now signed by `{root}`: look whether the first one failed",
            )
        first = first or root


def _wrong_layer(identity: Identity, root: str, environ: Mapping[str, str]) -> Iterator[Warned]:
    task = "ECS_CONTAINER_METADATA_URI_V4" in environ and "CODEBUILD_BUILD_ID" not in environ
    if task and root == "ec2-instance-profile":
        role = identity.chain[-1].principal if identity.chain else identity.principal_name
        yield Warned(
            "wrong-layer",
            f"this ECS task signs as its host (role `{role}` of the instance profile): give the task definition a "
            "task role, and see that this process gets AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        )


def _shadowing(identity: Identity, root: str, environ: Mapping[str, str]) -> Iterator[Warned]:
    offered = next((name for name in _ROLE_VARIABLES if environ.get(name)), "")
    long_lived = identity.credential_type == "long-lived" or bool(identity.chain)
    if offered and long_lived and root in _STORED:
        yield Warned(
            "shadowing-key",
            f"a key from `{root}` is used although {offered} offers a role: delete the key",
        )


def _stale(identity: Identity) -> Iterator[Warned]:
    if identity.credential_type == "temporary":
        yield Warned(
            "stale-keys",
            f"temporary keys held as `{identity.provider}` of `{identity.source}` were refused: they are not renewed; "
            "pass the session, not its keys",
        )
