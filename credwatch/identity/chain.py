"""The walk down the chain: each provider in botocore's order until one ends it.

What comes after the end is looked at without asking any endpoint, so that a reader sees what was
shadowed; only an instance's role is asked for behind a long-lived key, where there may be one.
"""

from __future__ import annotations

from dataclasses import replace

from credwatch.identity.findings import Context
from credwatch.identity.metadata import container_url
from credwatch.identity.model import Finding, Step
from credwatch.identity.providers import PROVIDERS, is_assume_role
from credwatch.signature import key_type

STATIC_METHODS = frozenset({"env", "shared-credentials-file", "config-file", "ec2-credentials-file", "boto-config"})

NOT_REACHED = "not reached"
"""What a step found that botocore does not come to, and that would have nothing to give."""


def walk(context: Context) -> tuple[Finding | None, tuple[Step, ...]]:
    """Return what ended the chain, or None if nothing did, and every step in order."""
    ended: Finding | None = None
    steps: list[Step] = []
    for method in context.world.order:
        if ended is not None:
            steps.append(Step(method, "not-reached", _glance(context, method, ended)))
            continue
        finding = find(context, method)
        steps.append(Step(method, "used" if finding.state == "found" else finding.state, finding.text))
        if finding.state != "nothing":
            ended = replace(finding, method=method)
    return ended, tuple(steps)


def find(context: Context, method: str) -> Finding:
    """Return what one provider finds; one that this version of credwatch does not know ends the walk."""
    provider = PROVIDERS.get(method)
    return provider(context) if provider else Finding("unsure", "credwatch does not know this provider")


def unreached(context: Context) -> tuple[Step, ...]:
    """Return the steps of a chain that botocore never begins, since the configuration is broken."""
    return tuple(Step(method, "not-reached", NOT_REACHED) for method in context.world.order)


def may_have_instance_role(context: Context, ended: Finding) -> bool:
    """Return whether to ask an instance for its role though the chain ended with `ended`."""
    key = ended.keys.access_key if ended.keys else ""
    if ended.method not in STATIC_METHODS or key_type(key) != "long-lived":
        return False
    environ = context.environ
    on_aws = context.world.on_ec2 or environ.get("AWS_EXECUTION_ENV") == "AWS_ECS_EC2"
    return on_aws or "AWS_EC2_METADATA_SERVICE_ENDPOINT" in environ


def _glance(context: Context, method: str, ended: Finding) -> str:
    if method == "container-role":
        return NOT_REACHED if container_url(context.environ) is None else "configured"
    if method == "iam-role":
        if not may_have_instance_role(context, ended):
            return NOT_REACHED
        instance = context.instance
        return f"would answer: role {instance.role}" if instance.keys else NOT_REACHED
    if method == "assume-role" and is_assume_role(context.profiles.own):
        return f"profile `{context.profiles.name}` has role_arn"
    finding = find(context, method)
    return finding.text if finding.state == "found" else NOT_REACHED
