"""What runs inside moto's own process: moto for everyone, and a second door for the world alone.

`POST /assume` issues a role's keys as EC2 and ECS do for their own (no AssumeRole call, no caller; moto
checks no service principals), `GET /keys` says to which role or user moto gave each key. Prints one line
of JSON with both addresses and ends when standard input closes, so that it cannot outlive its parent.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

from moto.iam.models import iam_backends
from moto.moto_api import state_manager
from moto.server import ThreadedMotoServer
from moto.sts.models import sts_backends

from examples.demo.httpd import Reply, serving

LIFETIME_SECONDS = 6 * 3600  # what EC2 and ECS issue


def assume(role_arn: str, session: str) -> Reply:
    account = role_arn.split(":")[4]
    no_policy: Any = None
    role = sts_backends[account]["aws"].assume_role(
        region_name="aws-global",
        role_session_name=session,
        role_arn=role_arn,
        policy=no_policy,
        duration=LIFETIME_SECONDS,
        external_id="",
    )
    return _json(
        {
            "key_id": role.access_key_id,
            "secret": role.secret_access_key,
            "token": role.session_token,
            "issued": datetime.now(timezone.utc).isoformat(),
            "expires": role.expiration.replace(tzinfo=timezone.utc).isoformat(),
        }
    )


def keys() -> Reply:
    # copies: moto's own threads add to these while they are read
    found = {
        role.access_key_id: role.role_arn
        for account in list(sts_backends.values())
        for sts in list(account.values())
        for role in list(sts.assumed_roles)
    }
    for account in list(iam_backends.values()):
        for iam in list(account.values()):
            for user in list(iam.users.values()):
                found.update({key.access_key_id: user.arn for key in list(user.access_keys)})
    return _json(found)


def answer(method: str, path: str, headers: Mapping[str, str]) -> Reply:
    del headers
    parts = urlsplit(path)
    if (method, parts.path) == ("POST", "/assume"):
        query = parse_qs(parts.query)
        return assume(query["role"][0], query["session"][0])
    return keys() if (method, parts.path) == ("GET", "/keys") else Reply(404)


def main() -> None:
    # by default moto moves a task towards STOPPED each time that someone describes it; ours keep running
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": sys.maxsize})
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with serving(answer) as control:
        print(json.dumps({"url": f"http://{host}:{port}", "control": control}), flush=True)
        sys.stdin.buffer.read()
    server.stop()


def _json(value: Mapping[str, str]) -> Reply:
    return Reply(200, json.dumps(value), "application/json")


if __name__ == "__main__":
    main()
