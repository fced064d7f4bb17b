"""The EC2 instance metadata service of one instance, version 2 (and 1 where the instance allows it).

A pure function of method, path and headers; `httpd.serving` puts it on a port. Formats: EC2 user
guide, "Instance metadata and user data". It names the role, never the role's ARN.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from examples.demo.credentials import Rotating, timestamp
from examples.demo.httpd import Reply

TOKEN_PATH = "/latest/api/token"
TOKEN_HEADER = "x-aws-ec2-metadata-token"
TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
LONGEST_TTL = 21_600
ROLES = "/latest/meta-data/iam/security-credentials"


@dataclass(frozen=True)
class Instance:
    """An EC2 instance as the EC2 and IAM APIs describe it."""

    instance_id: str
    account: str
    region: str
    zone: str
    image: str
    instance_type: str
    private_ip: str
    launched: datetime
    role: str
    profile_arn: str
    profile_id: str
    v1_allowed: bool = False


class Imds:
    """What one instance answers under /latest."""

    def __init__(self, instance: Instance, credentials: Rotating, now: Callable[[], datetime]) -> None:
        self.instance = instance
        self.credentials = credentials
        self._now = now
        self._tokens: dict[str, datetime] = {}
        self._pages: dict[str, Callable[[], Reply]] = {
            "/latest/meta-data/instance-id": lambda: Reply(200, instance.instance_id),
            "/latest/meta-data/placement/region": lambda: Reply(200, instance.region),
            "/latest/meta-data/placement/availability-zone": lambda: Reply(200, instance.zone),
            "/latest/meta-data/iam/info": self._info,
            "/latest/dynamic/instance-identity/document": self._identity,
            ROLES: lambda: Reply(200, instance.role),
            f"{ROLES}/{instance.role}": self._credentials,
        }

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        if method == "PUT" and path == TOKEN_PATH:
            return self._new_token(headers)
        if method != "GET":
            return Reply(405)
        if not self._authorised(headers):
            return Reply(401)
        page = self._pages.get(path.rstrip("/"))
        return page() if page else Reply(404)

    def _new_token(self, headers: Mapping[str, str]) -> Reply:
        if "x-forwarded-for" in headers:  # a request that came through a proxy gets no token
            return Reply(403)
        ttl = headers.get(TTL_HEADER, "")
        if not ttl.isdecimal() or not 1 <= int(ttl) <= LONGEST_TTL:
            return Reply(400)
        token = uuid4().hex
        self._tokens[token] = self._now() + timedelta(seconds=int(ttl))
        return Reply(200, token, headers={TTL_HEADER: ttl})

    def _authorised(self, headers: Mapping[str, str]) -> bool:
        token = headers.get(TOKEN_HEADER)
        if token is None:
            return self.instance.v1_allowed
        expires = self._tokens.get(token)
        return expires is not None and self._now() < expires

    def _info(self) -> Reply:
        return _document(
            {
                "Code": "Success",
                "LastUpdated": timestamp(self.credentials.current().issued),
                "InstanceProfileArn": self.instance.profile_arn,
                "InstanceProfileId": self.instance.profile_id,
            }
        )

    def _credentials(self) -> Reply:
        current = self.credentials.current()
        head = {"Code": "Success", "LastUpdated": timestamp(current.issued), "Type": "AWS-HMAC"}
        return _document({**head, **current.document()})

    def _identity(self) -> Reply:
        return _document(identity_document(self.instance))


def identity_document(instance: Instance) -> dict[str, object]:
    """Return the instance identity document: what the host proves itself with when it registers."""
    return {
        "accountId": instance.account,
        "architecture": "x86_64",
        "availabilityZone": instance.zone,
        "imageId": instance.image,
        "instanceId": instance.instance_id,
        "instanceType": instance.instance_type,
        "pendingTime": timestamp(instance.launched),
        "privateIp": instance.private_ip,
        "region": instance.region,
        "version": "2017-09-30",
    }


def _document(value: Mapping[str, object]) -> Reply:
    # IMDS serves these documents as text
    return Reply(200, json.dumps(value, indent=2))
