"""`--verify`: ask STS who the keys are. The one AWS call of whoami, made only on request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from credwatch.identity.model import Identity, Keys, Problem, account_of

_NOT_CALLED = {
    "assumed-role": "assume a role",
    "web-identity": "assume a role with a token",
    "process": "run a command",
    "sso": "call IAM Identity Center",
    "login": "read the login session",
}


class CannotVerify(Exception):
    """STS was not or could not be asked; the text is one sentence."""


def verify(identity: Identity, keys: Keys | None, environ: Mapping[str, str]) -> Identity:
    """Return the identity with what GetCallerIdentity says. Raises `CannotVerify`."""
    if keys is None or not keys.secret_key:
        what = _NOT_CALLED.get(identity.source)
        why = f"to get its keys whoami would have to {what}, which it never does" if what else "there are no keys"
        raise CannotVerify(f"not verified: {why}")
    arn = _caller(identity.region, keys, environ)
    kind, _, rest = arn.rpartition(":")[2].partition("/")
    found = replace(identity, verified=arn, account_id=account_of(arn))
    if kind == "assumed-role":
        return _as_role(found, identity, rest.partition("/")[0])
    problems = identity.problems
    if kind == "root":
        sentence = "The key belongs to the account's root user, which needs no key at all."
        problems += (Problem("root-key", "high", "ROOT KEY", sentence, "Delete it; give the workload a role."),)
    return replace(found, principal_arn=arn, principal_name="", problems=problems)


def _as_role(found: Identity, told: Identity, name: str) -> Identity:
    told_name = told.principal.rpartition("/")[2]
    if not told_name:
        return replace(found, principal_name=name)
    if told_name == name and told.account_id in ("", found.account_id):
        return found
    sentence = f"The endpoint says role `{told_name}`, STS says `{name}` in account {found.account_id}."
    problem = Problem("identity-mismatch", "high", "NOT THE ROLE IT SAYS", sentence, "Trust STS; check the endpoint.")
    return replace(found, principal_arn="", principal_name=name, problems=(problem, *told.problems))


def _caller(region: str, keys: Keys, environ: Mapping[str, str]) -> str:
    # no profile: it is another process's, and its settings are in `environ` and `region` already
    session = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    try:
        client = session.create_client(
            "sts",
            region_name=region or "us-east-1",
            endpoint_url=environ.get("AWS_ENDPOINT_URL_STS") or environ.get("AWS_ENDPOINT_URL") or None,
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            aws_session_token=keys.token or None,
            config=Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 2}),
        )
        return str(client.get_caller_identity()["Arn"])
    except ClientError as error:
        raise CannotVerify(f"not verified: STS answers {error.response['Error']['Code']}") from None
    except (BotoCoreError, ValueError) as error:
        raise CannotVerify(f"not verified: STS could not be asked ({type(error).__name__})") from None
