"""Verify what credwatch assumes about AWS, in an account of your own: one line, pass or fail, for each assumption.

    python check.py --list                           every assumption, and where credwatch relies on it
    python check.py --stack credwatch-check          what can be asked from anywhere (needs boto3 and credwatch)
    python check.py --where ec2 | --where ecs        on an instance, in a task (needs boto3 alone)

Every call is refused, reads what is not there, or asks who it is: nothing is created. Exit codes: 0 all
pass, 1 some fail, 2 usage, 3 some could not be asked. Prints ARNs of the stack's roles, and no secret.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

CREDENTIALS = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
ABSENT = "credwatch-check/no-such-object"
SESSION = "credwatch-check"


class Verdict(NamedTuple):
    """Whether the assumption holds, and what was seen. No secret may be in it."""

    holds: bool
    seen: str


@dataclass(frozen=True)
class Check:
    """An assumption: its sentence, where credwatch relies on it, how to ask; `moto`: where moto is not AWS."""

    id: str
    where: str
    assumption: str
    used_in: str
    ask: Callable[[Account], Verdict]
    moto: str = ""


@dataclass
class Account:
    """What the checks ask through: the stack's outputs, the caller's session, sessions of the stack's roles."""

    outputs: Mapping[str, str]
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    session: Any = field(default_factory=boto3.Session)
    express_bucket: str = ""
    _assumed: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def assumed(self, role: str) -> Mapping[str, Any]:
        """Return the answer of AssumeRole for `Nothing`, `Reader` or `Lister`."""
        if role not in self._assumed:
            arn = self.outputs[f"{role}Role"]
            self._assumed[role] = self.session.client("sts").assume_role(RoleArn=arn, RoleSessionName=SESSION)
        return self._assumed[role]

    def client(self, role: str, service: str) -> Any:
        """Return a client that signs as one of the stack's roles."""
        return _client(self.session, service, self.assumed(role)["Credentials"])


def _client(session: Any, service: str, keys: Mapping[str, str]) -> Any:
    return session.client(
        service,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys.get("SessionToken"),
        config=Config(retries={"total_max_attempts": 2}),
    )


class Answer(NamedTuple):
    """How AWS answered: status, error code and message; the latter two "" where it succeeded."""

    status: int
    code: str
    message: str


def answer(call: Callable[..., Any], **parameters: Any) -> Answer:
    try:
        call(**parameters)
    except ClientError as error:
        told = error.response.get("Error", {})
        status = int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return Answer(status, str(told.get("Code", "")), str(told.get("Message", "")))
    return Answer(200, "", "")


# --- STS ----------------------------------------------------------------------------------------


def caller_identity_needs_nothing(account: Account) -> Verdict:
    told = account.client("Nothing", "sts").get_caller_identity()
    return Verdict(bool(told["Arn"]), told["Arn"])


def caller_identity_names_role(account: Account) -> Verdict:
    arn = account.client("Nothing", "sts").get_caller_identity()["Arn"]
    role = account.outputs["NothingRole"]
    expected = role.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + f"/{SESSION}"
    return Verdict(arn == expected, arn)


def assume_role_names_key_and_role(account: Account) -> Verdict:
    told = account.assumed("Nothing")
    arn, key = told["AssumedRoleUser"]["Arn"], told["Credentials"]["AccessKeyId"]
    name = account.outputs["NothingRole"].rpartition("/")[2]
    return Verdict(f":assumed-role/{name}/{SESSION}" in arn and len(key) >= 16, arn)


def temporary_keys_begin_with_asia(account: Account) -> Verdict:
    prefix = account.assumed("Nothing")["Credentials"]["AccessKeyId"][:4]
    return Verdict(prefix == "ASIA", prefix)


# --- refusals -----------------------------------------------------------------------------------


def refusal(
    service: str, operation: str, code: str, action: str, parameters: Callable[[Account], dict[str, Any]]
) -> Check:
    """Return the check that a role without permissions is refused in the words that the recorder reads."""

    def ask(account: Account) -> Verdict:
        from credwatch.outcome import classify

        client = account.client("Nothing", service)
        method = next(name for name, api in client.meta.method_to_api_mapping.items() if api == operation)
        told = answer(getattr(client, method), **parameters(account))
        outcome = classify(service, operation, *told)
        seen = f"{told.status} {told.code}: {outcome.name}, action `{outcome.action}`, layer `{outcome.layer}`"
        named = outcome.action.lower() == action.lower()  # SNS and SQS write theirs in a case of their own
        return Verdict(outcome.name == "denied" and named and told.code in code.split("|"), seen)

    codes = code.replace("|", " or ")
    sentence = f"{service} refuses {operation} with the code {codes} and a message that names `{action}`"
    where = "credwatch/outcome.py: _DENIED, _MESSAGE"
    moto = "" if service == "sts" else "its codes and messages of a refusal are its own"
    return Check(f"denied-{service}-{operation}", "anywhere", sentence, where, ask, moto)


def explicit_deny_names_layer(account: Account) -> Verdict:
    from credwatch.outcome import classify

    item = {"id": {"S": "x"}}
    told = answer(account.client("Reader", "dynamodb").put_item, TableName=account.outputs["Table"], Item=item)
    layer = classify("dynamodb", "PutItem", *told).layer
    named = "explicit deny in an identity-based policy" in told.message
    return Verdict(named and layer == "identity-based", f"{told.code}, layer `{layer}`")


def implicit_deny_names_layer(account: Account) -> Verdict:
    from credwatch.outcome import classify

    told = answer(account.client("Nothing", "sqs").send_message, QueueUrl=account.outputs["Queue"], MessageBody="x")
    layer = classify("sqs", "SendMessage", *told).layer
    return Verdict(layer == "identity-based", f"{told.code}, layer `{layer}`")


def dry_run_says_it_would_succeed(account: Account) -> Verdict:
    from credwatch.outcome import classify

    told = answer(account.client("Reader", "ec2").describe_regions, DryRun=True)
    outcome = classify("ec2", "DescribeRegions", *told).name
    return Verdict(told.code == "DryRunOperation" and outcome == "allowed", f"{told.status} {told.code}: {outcome}")


def unknown_key(service: str, operation: str, code: str) -> Callable[[Account], Verdict]:
    def ask(account: Account) -> Verdict:
        from credwatch.outcome import classify

        keys = {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "not-a-secret"}
        client = _client(account.session, service, keys)
        told = answer(getattr(client, operation))
        outcome = classify(service, operation, *told).name
        return Verdict(told.code == code and outcome == "auth-failed", f"{told.status} {told.code}: {outcome}")

    return ask


def wrong_secret(account: Account) -> Verdict:
    from credwatch.outcome import classify

    keys = {**account.assumed("Nothing")["Credentials"], "SecretAccessKey": "not-a-secret"}
    told = answer(_client(account.session, "sts", keys).get_caller_identity)
    outcome = classify("sts", "GetCallerIdentity", *told).name
    return Verdict(told.code == "SignatureDoesNotMatch" and outcome == "auth-failed", f"{told.status} {told.code}")


# --- S3: a missing object -----------------------------------------------------------------------


def missing(role: str, method: str, status: int, code: str) -> Callable[[Account], Verdict]:
    def ask(account: Account) -> Verdict:
        call = getattr(account.client(role, "s3"), method)
        told = answer(call, Bucket=account.outputs["Bucket"], Key=ABSENT)
        return Verdict((told.status, told.code) == (status, code), f"{told.status} {told.code}")

    return ask


def express_signs_with_a_session_key(account: Account) -> Verdict:
    if not account.express_bucket:
        raise LookupError("give --express-bucket NAME of a directory bucket that you own")
    from credwatch.signature import from_request

    client, signed = account.session.client("s3"), []
    client.meta.events.register("before-send", lambda request, **_: signed.append(from_request(request.headers, "")))
    answer(client.head_object, Bucket=account.express_bucket, Key=ABSENT)
    own = account.session.get_credentials().get_frozen_credentials().access_key
    keys = {signature.key_id for signature in signed}
    return Verdict(
        len(keys - {"", own}) == 1, f"{len(keys)} keys signed, {'one' if keys - {own} else 'none'} not our own"
    )


# --- the recorder itself ------------------------------------------------------------------------


def recorder_names_the_assumed_role(account: Account) -> Verdict:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    import credwatch
    from credwatch.semconv import PRINCIPAL_ARN, SOURCE

    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    credwatch.instrument(tracer_provider=provider)
    try:
        role = account.outputs["NothingRole"]
        keys = account.session.client("sts").assume_role(RoleArn=role, RoleSessionName=SESSION)["Credentials"]
        _client(account.session, "sts", keys).get_caller_identity()
    finally:
        credwatch.uninstrument()
    attributes = dict(kept.get_finished_spans()[-1].attributes or {})
    seen = f"{attributes.get(SOURCE)} {attributes.get(PRINCIPAL_ARN)}"
    named = f"/{role.rpartition('/')[2]}" in str(attributes.get(PRINCIPAL_ARN))
    return Verdict(attributes.get(SOURCE) == "assumed-role" and named, seen)


# --- on an EC2 instance -------------------------------------------------------------------------


def http(method: str, url: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, method=method, headers=dict(headers or {}))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=3) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


def _imds(account: Account, path: str, *, token: bool = True) -> tuple[int, str]:
    base = account.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254").rstrip("/")
    headers = {}
    if token:
        ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        headers["X-aws-ec2-metadata-token"] = http("PUT", f"{base}/latest/api/token", ttl)[1]
    return http("GET", f"{base}/latest/{path}", headers)


ROLES = "meta-data/iam/security-credentials/"


def imds_wants_a_token(account: Account) -> Verdict:
    without, with_ = _imds(account, ROLES, token=False)[0], _imds(account, ROLES)[0]
    return Verdict((without, with_) == (401, 200), f"{without} without a token, {with_} with one")


def imds_gives_the_name_of_a_role(account: Account) -> Verdict:
    name = _imds(account, ROLES)[1]
    return Verdict(bool(name) and not set(name) & set(":/{\n"), name)


def imds_credentials_name_no_role(account: Account) -> Verdict:
    told = json.loads(_imds(account, ROLES + _imds(account, ROLES)[1])[1])
    return Verdict(set(told) >= CREDENTIALS and "RoleArn" not in told, ", ".join(sorted(told)))


def imds_info_names_the_profile(account: Account) -> Verdict:
    told = json.loads(_imds(account, "meta-data/iam/info")[1])
    return Verdict(":instance-profile/" in told.get("InstanceProfileArn", ""), ", ".join(sorted(told)))


def imds_has_an_identity_document(account: Account) -> Verdict:
    told = json.loads(_imds(account, "dynamic/instance-identity/document")[1])
    return Verdict({"accountId", "instanceId", "region"} <= set(told), ", ".join(sorted(told)))


def instance_session_is_its_id(account: Account) -> Verdict:
    told = json.loads(_imds(account, "dynamic/instance-identity/document")[1])
    session = account.session.client("sts").get_caller_identity()["Arn"].rpartition("/")[2]
    return Verdict(session == told["instanceId"], f"session {session}")


# --- in an ECS task -----------------------------------------------------------------------------


def _task_credentials(account: Account) -> dict[str, Any]:
    relative = account.environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
    full = account.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    told: dict[str, Any] = json.loads(http("GET", f"http://169.254.170.2{relative}" if relative else full)[1])
    return told


def task_credentials_name_the_role(account: Account) -> Verdict:
    told = _task_credentials(account)
    return Verdict(told.keys() >= CREDENTIALS and ":role/" in told.get("RoleArn", ""), ", ".join(sorted(told)))


def task_metadata_names_no_role(account: Account) -> Verdict:
    told = json.loads(http("GET", account.environ["ECS_CONTAINER_METADATA_URI_V4"] + "/task")[1])
    known = {"TaskARN", "Cluster", "Family", "Revision", "LaunchType"}
    return Verdict(known <= set(told) and ":role/" not in json.dumps(told), ", ".join(sorted(told)))


def task_environment_says_ecs(account: Account) -> Verdict:
    word = account.environ.get("AWS_EXECUTION_ENV", "")
    return Verdict(word in ("AWS_ECS_EC2", "AWS_ECS_FARGATE"), word or "not set")


def task_role_is_the_caller(account: Account) -> Verdict:
    name = _task_credentials(account)["RoleArn"].rpartition("/")[2]
    arn = account.session.client("sts").get_caller_identity()["Arn"]
    return Verdict(f":assumed-role/{name}/" in arn, arn)


# --- the table ----------------------------------------------------------------------------------

STS, OUTCOME, METADATA = "credwatch/provenance.py: Registry", "credwatch/outcome.py", "credwatch/workload.py"
MISSING = f"{OUTCOME}: missing, _denial"
EVERY: tuple[Check, ...] = (
    Check("caller-identity-free", "anywhere", "sts:GetCallerIdentity needs no permission",
          "credwatch/identity/verify.py", caller_identity_needs_nothing),
    Check("caller-identity-arn", "anywhere", "GetCallerIdentity names an assumed role as assumed-role/ROLE/SESSION",
          "credwatch/identity/verify.py", caller_identity_names_role),
    Check("assume-role-response", "anywhere", "AssumeRole answers the new key id and the ARN of the assumed role",
          STS, assume_role_names_key_and_role),
    Check("temporary-key-prefix", "anywhere", "temporary key ids begin with ASIA", "credwatch/signature.py: key_type",
          temporary_keys_begin_with_asia),
    Check("recorder-names-role", "anywhere", "the recorder names the role of keys that AssumeRole gave",
          "credwatch/instrumentation.py", recorder_names_the_assumed_role),
    refusal("s3", "PutObject", "AccessDenied", "s3:PutObject",
            lambda a: {"Bucket": a.outputs["Bucket"], "Key": ABSENT, "Body": b""}),
    refusal("s3", "ListObjectsV2", "AccessDenied", "s3:ListBucket", lambda a: {"Bucket": a.outputs["Bucket"]}),
    refusal("dynamodb", "PutItem", "AccessDeniedException", "dynamodb:PutItem",
            lambda a: {"TableName": a.outputs["Table"], "Item": {"id": {"S": "x"}}}),
    refusal("sqs", "SendMessage", "AccessDenied|AccessDeniedException", "sqs:SendMessage",
            lambda a: {"QueueUrl": a.outputs["Queue"], "MessageBody": "x"}),
    refusal("ec2", "DescribeRegions", "UnauthorizedOperation", "ec2:DescribeRegions", lambda a: {"DryRun": True}),
    refusal("sns", "ListTopics", "AuthorizationError", "sns:ListTopics", lambda a: {}),
    refusal("kms", "ListKeys", "AccessDeniedException", "kms:ListKeys", lambda a: {}),
    refusal("lambda", "ListFunctions", "AccessDeniedException", "lambda:ListFunctions", lambda a: {}),
    refusal("sts", "AssumeRole", "AccessDenied", "sts:AssumeRole",
            lambda a: {"RoleArn": a.outputs["ListerRole"] + "-absent", "RoleSessionName": SESSION}),
    Check("implicit-deny-layer", "anywhere", "a missing grant is told as `no identity-based policy allows`",
          f"{OUTCOME}: _LAYER", implicit_deny_names_layer, moto="its messages name no type of policy"),
    Check("explicit-deny-layer", "anywhere", "a Deny is told as `explicit deny in an identity-based policy`",
          f"{OUTCOME}: _LAYER", explicit_deny_names_layer, moto="its messages name no type of policy"),
    Check("dry-run-allowed", "anywhere", "a permitted EC2 dry run answers the error DryRunOperation",
          f"{OUTCOME}: classify", dry_run_says_it_would_succeed),
    Check("unknown-key-s3", "anywhere", "S3 answers an unknown key id with InvalidAccessKeyId",
          f"{OUTCOME}: _AUTH_FAILED", unknown_key("s3", "list_buckets", "InvalidAccessKeyId")),
    Check("unknown-key-sts", "anywhere", "STS answers an unknown key id with InvalidClientTokenId",
          f"{OUTCOME}: _AUTH_FAILED", unknown_key("sts", "get_caller_identity", "InvalidClientTokenId")),
    Check("wrong-secret", "anywhere", "a wrong secret key is answered with SignatureDoesNotMatch",
          f"{OUTCOME}: _AUTH_FAILED", wrong_secret),
    Check("head-missing-listed", "anywhere", "HeadObject of a missing object is 404 with s3:ListBucket",
          MISSING, missing("Lister", "head_object", 404, "404")),
    Check("head-missing-unlisted", "anywhere", "HeadObject of a missing object is 403 without s3:ListBucket",
          MISSING, missing("Reader", "head_object", 403, "403"), moto="it answers 404 to whoever may read"),
    Check("get-missing-listed", "anywhere", "GetObject of a missing object is 404 NoSuchKey with s3:ListBucket",
          MISSING, missing("Lister", "get_object", 404, "NoSuchKey")),
    Check("get-missing-unlisted", "anywhere", "GetObject of a missing object is 403 AccessDenied without s3:ListBucket",
          MISSING, missing("Reader", "get_object", 403, "AccessDenied"), moto="it answers 404 to whoever may read"),
    Check("express-session-key", "anywhere", "S3 Express signs with a key of CreateSession, not the caller's",
          "credwatch/recorder.py: s3-express-session", express_signs_with_a_session_key),
    Check("imds-token", "ec2", "with HttpTokens=required a request without a token is 401", METADATA,
          imds_wants_a_token),
    Check("imds-role-name", "ec2", "security-credentials/ lists one role, by name", METADATA,
          imds_gives_the_name_of_a_role),
    Check("imds-credentials", "ec2", "its credentials carry no role ARN", STS, imds_credentials_name_no_role),
    Check("imds-info", "ec2", "iam/info names the instance profile", METADATA, imds_info_names_the_profile),
    Check("imds-identity", "ec2", "the instance identity document names account, instance and region", METADATA,
          imds_has_an_identity_document),
    Check("instance-session", "ec2", "a session of an instance profile is named after the instance, i-…",
          "the agent's rule credentials-away-from-home", instance_session_is_its_id),
    Check("task-credentials", "ecs", "the credentials endpoint of a task answers the task role's RoleArn", STS,
          task_credentials_name_the_role),
    Check("task-metadata", "ecs", "task metadata v4 names task, cluster and family, and no role", METADATA,
          task_metadata_names_no_role),
    Check("task-environment", "ecs", "AWS_EXECUTION_ENV is AWS_ECS_EC2 or AWS_ECS_FARGATE in a task",
          "credwatch/provenance.py: Surroundings", task_environment_says_ecs),
    Check("task-caller", "ecs", "what a task signs with is that role", STS, task_role_is_the_caller),
)  # fmt: skip


def verdict(check: Check, account: Account) -> tuple[str, str]:
    """Return (`pass`, `fail` or `skip`, what was seen); a check that cannot be asked is skipped, never passed."""
    try:
        holds, seen = check.ask(account)
    except LookupError as error:
        return "skip", f"not asked: {error.args[0] if error.args else error}"
    except ClientError as error:
        return "skip", f"not asked: {error.operation_name} answered {error.response.get('Error', {}).get('Code')}"
    except Exception as error:  # noqa: BLE001 - one check that breaks must not hide the others
        return "skip", f"not asked: {type(error).__name__}"
    return "pass" if holds else "fail", seen


def outputs_of(stack: str, session: Any) -> dict[str, str]:
    told = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {row["OutputKey"]: row["OutputValue"] for row in told.get("Outputs", [])}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify what credwatch assumes about AWS, in an account of yours.")
    parser.add_argument("--list", action="store_true", help="print every assumption, ask nothing")
    parser.add_argument("--stack", help="name of the stack made from template.yaml")
    parser.add_argument("--where", choices=("anywhere", "ec2", "ecs"), default="anywhere", help="where this runs")
    parser.add_argument("--express-bucket", default="", help="a directory bucket of yours, read only")
    given = parser.parse_args(arguments)
    if given.list:
        for check in EVERY:
            print(f"{check.id:28} {check.where:9} {check.assumption}\n{'':38} used in {check.used_in}")
        return 0
    if given.where == "anywhere" and not given.stack:
        parser.error("--stack NAME is needed: the stack made from template.yaml")
    session = boto3.Session()
    try:
        outputs = outputs_of(given.stack, session) if given.stack else {}
    except (BotoCoreError, ClientError) as error:
        print(f"check.py: the stack `{given.stack}` cannot be read: {error}", file=sys.stderr)
        return 3
    account = Account(outputs, session=session, express_bucket=given.express_bucket)
    words = []
    for check in EVERY:
        if check.where == given.where:
            word, seen = verdict(check, account)
            words.append(word)
            print(f"{word}  {check.id:28} {seen}", flush=True)
    return 1 if "fail" in words else 3 if "skip" in words else 0


if __name__ == "__main__":
    sys.exit(main())
