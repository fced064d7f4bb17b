"""What is wrong with the identity that a chain gives, why, and what to do about it.

One function a rule, in `RULES`; the ids of those that the agent reports too are the agent's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from credwatch.identity.chain import may_have_instance_role
from credwatch.identity.endpoints import in_codebuild
from credwatch.identity.findings import Context
from credwatch.identity.metadata import container_url
from credwatch.identity.model import Finding, Identity, Problem

_BLOCK = "Keep tasks off the host's role: ECS_AWSVPC_BLOCK_IMDS=true (awsvpc), hop limit 1 (bridge)."


@dataclass(frozen=True)
class Case:
    """What a rule looks at. `ended` is None where no step had credentials."""

    context: Context
    identity: Identity
    ended: Finding | None


def diagnose(case: Case) -> tuple[Problem, ...]:
    """Return what is wrong, the worst first."""
    found = [problem for rule in RULES if (problem := rule(case))]
    found += case.ended.problems if case.ended else ()
    order = ("high", "medium", "low", "info")
    return tuple(sorted(found, key=lambda problem: order.index(problem.severity)))


# --- the wrong layer ----------------------------------------------------------------------------


def task_using_instance_profile(case: Case) -> Problem | None:
    context = case.context
    if case.identity.root.source != "ec2-instance-profile" or not _in_task(context):
        return None
    cause, sentence, fix = _why_not_the_task_role(case)
    heading = "WRONG LAYER: this ECS task signs as its host"
    return Problem("task-using-instance-profile", "high", heading, sentence, fix, cause)


def _in_task(context: Context) -> bool:
    environs = (context.environ, *(environ for _, environ in context.world.ancestors))
    if any(in_codebuild(environ) for environ in environs):
        return False
    return context.task is not None or any(e.get("AWS_EXECUTION_ENV", "").startswith("AWS_ECS_") for e in environs)


def _why_not_the_task_role(case: Case) -> tuple[str, str, str]:
    context, profile = case.context, case.identity.profile
    definition = f"task definition `{context.task.family}`" if context.task else "the task definition"
    if case.identity.source == "assumed-role":
        sentence = f"Profile `{profile}` takes its source credentials from the instance."
        return "explicit-imds-profile", sentence, f"Set credential_source = EcsContainer in profile `{profile}`."
    holder = next((name for name, environ in context.world.ancestors if container_url(environ) is not None), "")
    variable = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
    if holder:
        sentence = f"{holder} has {variable}, this process has not: it was lost on the way."
        fix = "Pass it on: `sudo --preserve-env`, a cron line, supervisord, sshd and `env -i` drop variables."
        return "environment-stripped", sentence, fix
    if context.world.ancestors:
        sentence = f"No process above this one has {variable} either: the task has no role."
        return "no-task-role", sentence, f"Give {definition} a taskRoleArn. {_BLOCK}"
    sentence = f"{variable} is not set: no task role, or lost on the way (--parents tells)."
    return "undetermined", sentence, f"Give {definition} a taskRoleArn. {_BLOCK}"


def node_role_used_by_pod(case: Case) -> Problem | None:
    environ = case.context.environ
    if case.identity.root.source != "ec2-instance-profile" or not environ.get("KUBERNETES_SERVICE_HOST"):
        return None
    return Problem(
        "node-role-used-by-pod",
        "high",
        "WRONG LAYER: this pod signs as its node",
        "Neither Pod Identity nor IRSA is set in this process, so the node's instance profile answered.",
        "Associate the service account with a role (EKS Pod Identity), restart the pod, and set the nodes' "
        "HttpPutResponseHopLimit to 1.",
    )


# --- keys ---------------------------------------------------------------------------------------


def static_key_shadowing_role(case: Case) -> Problem | None:
    if case.ended is None or case.identity.credential_type != "long-lived" or case.ended.method == "iam-role":
        return None
    shadowed = _shadowed(case.context, case.ended)
    if not shadowed:
        return None
    step = next(step.found for step in case.identity.steps if step.state == "used")
    undo = "Unset AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" if case.ended.method == "env" else "Remove it there"
    return Problem(
        "static-key-shadowing-role",
        "high",
        "STATIC KEY: a user's key hides the role",
        f"A long-lived key signs ({step}), though {shadowed} is there.",
        f"{undo}; then deactivate and delete the key in IAM.",
    )


def _shadowed(context: Context, ended: Finding) -> str:
    environ = context.environ
    if container_url(environ) is not None:
        return "a container role (AWS_CONTAINER_CREDENTIALS_*_URI)"
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return "a web identity role (AWS_WEB_IDENTITY_TOKEN_FILE)"
    if may_have_instance_role(context, ended) and context.instance.keys:
        return f"the instance's role `{context.instance.role}`"
    return ""


def impossible_key(case: Case) -> Problem | None:
    role_methods = ("container-role", "iam-role")
    if case.identity.credential_type != "long-lived" or case.identity.provider not in role_methods:
        return None
    sentence = "A role's endpoint answered with a long-lived key, which no role has: something stands in its place."
    return Problem("long-lived-key-from-role", "high", "NOT A ROLE", sentence, "Find out what answers there.")


def expired(case: Case) -> Problem | None:
    when = _instant(case.identity.expires)
    if when is None or when > case.context.world.now:
        return None
    sentence = f"The credentials expired at {case.identity.expires}: calls will fail."
    fix = "Fetch new ones, or use a role or a profile: keys in the environment are never renewed."
    if case.identity.provider != "env":
        fix = "The endpoint has not renewed them: check what answers there, and this host's clock."
    return Problem("expired", "high", "EXPIRED", sentence, fix)


def _instant(text: str) -> datetime | None:
    try:
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return when if when.tzinfo else None


# --- endpoints ----------------------------------------------------------------------------------


def imdsv1(case: Case) -> Problem | None:
    if case.identity.root.source not in ("ec2-instance-profile", "imds-other") or not case.context.instance.tokenless:
        return None
    sentence = "The instance gave no session token and served the role's keys without one (IMDSv1)."
    fix = "Set HttpTokens to `required`; from a container a hop limit of 1 explains the missing token."
    return Problem("imdsv1-credentials", "medium", "IMDSv1", sentence, fix)


def no_credentials(case: Case) -> Problem | None:
    context = case.context
    if case.ended is not None:
        return None
    fix = "Name a profile (AWS_PROFILE), run `aws login` or `aws configure sso`, or give the workload a role."
    if _in_task(context):
        fix = "Give the task definition a taskRoleArn."
    elif context.instance.token_timed_out:
        fix = (
            "The instance metadata service accepted the connection but gave no session token in time: from a container "
            "that is a hop limit of 1. Give the container its own role, or raise HttpPutResponseHopLimit to 2."
        )
    elif context.instance.reason == "no connection in time":
        fix += " The instance metadata service cannot be reached from here (not EC2, or a firewall or network policy)."
    return Problem("no-credentials", "high", "NO CREDENTIALS", "No step of the chain has credentials.", fix)


# --- remarks ------------------------------------------------------------------------------------


def profile_ignored(case: Case) -> Problem | None:
    profiles = case.context.profiles
    if case.identity.provider != "env" or not profiles.named_by:
        return None
    sentence = f"{profiles.named_by} names `{profiles.name}`, but the keys of the environment win over it."
    fix = "Unset AWS_ACCESS_KEY_ID, or give the profile in code, which does win."
    return Problem("profile-ignored", "info", "", sentence, fix)


def two_profiles(case: Case) -> Problem | None:
    environ = case.context.environ
    one, other = environ.get("AWS_DEFAULT_PROFILE"), environ.get("AWS_PROFILE")
    if one is None or other is None or one == other:
        return None
    sentence = "AWS_DEFAULT_PROFILE and AWS_PROFILE differ: boto3 takes the first, other SDKs the second."
    return Problem("two-profiles", "info", "", sentence, "Unset AWS_DEFAULT_PROFILE.")


def region_ignored(case: Case) -> Problem | None:
    other = case.context.environ.get("AWS_REGION", "")
    if not other or other == case.identity.region:
        return None
    sentence = (
        f"AWS_REGION is `{other}`, but boto3 does not read it: its region is `{case.identity.region or 'not set'}`."
    )
    return Problem("region-ignored", "info", "", sentence, "Set AWS_DEFAULT_REGION too.")


Rule = Callable[[Case], "Problem | None"]

RULES: tuple[Rule, ...] = (
    task_using_instance_profile,
    node_role_used_by_pod,
    static_key_shadowing_role,
    impossible_key,
    expired,
    no_credentials,
    imdsv1,
    profile_ignored,
    two_profiles,
    region_ignored,
)
