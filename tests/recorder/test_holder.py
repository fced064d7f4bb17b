"""Whose keys botocore holds, where no endpoint says it: what its own providers know, and never a guess."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.credentials import Credentials, RefreshableCredentials, SSOCredentialFetcher
from botocore.utils import JSONFileCache

from credwatch.holder import told
from credwatch.provenance import NOBODY, Told, permission_set_role, signed_in
from credwatch.semconv import Hop
from tests.recorder.matrix import sources
from tests.recorder.matrix.cloud import ACCOUNT, ROLE
from tests.recorder.matrix.drivers import Driver
from tests.recorder.matrix.sources import PERMISSION_SET, USER, World
from tests.recorder.matrix.walk import Attach


def listed(made: Any) -> None:
    s3 = made.create_client("s3", region_name="eu-west-1")
    s3.list_buckets()
    s3.close()


def with_crt(world: World) -> None:
    # nothing is signed with it before a refresh
    world.monkeypatch.setattr("botocore.credentials.EC", object())


@pytest.mark.parametrize("prepare", [sources.sso, sources.sso_session, sources.login])
def test_of_keys_loaded_before_the_recorder_the_holder_knows_the_principal(
    world: World, attach: Attach, prepare: Callable[[World], sources.Expected]
) -> None:
    with_crt(world)
    expected = prepare(world)
    made = Driver().session()
    made.get_credentials().get_frozen_credentials()
    recording = attach(environ=world.environ)
    listed(made)
    (usage,) = recording.exported()
    assert (usage.source, usage.provider, usage.principal, usage.account_id) == expected[:2] + expected[3:5]


def test_keys_from_a_cache_on_disk_are_the_permission_sets_without_a_request(world: World, attach: Attach) -> None:
    sources.sso(world)

    def made() -> Any:
        fresh = Driver().session()
        fresh.get_component("credential_provider").get_provider("sso").cache = JSONFileCache(str(world.home / "keys"))
        return fresh

    made().get_credentials().get_frozen_credentials()
    recording = attach(environ=world.environ)
    listed(made())
    (usage,) = recording.exported()
    assert (usage.operation, usage.principal_name, usage.account_id) == ("ListBuckets", PERMISSION_SET, ACCOUNT)


def test_a_profiles_chain_begins_at_the_permission_set(world: World, attach: Attach) -> None:
    sources.sso(world)
    parser = (world.home / "config").read_text()
    world.file("config", f"{parser}\n[profile app]\nrole_arn = {ROLE}\nsource_profile = default\n")
    recording, driver = attach(environ=world.environ), Driver()
    driver.profile = "app"
    listed(driver.session())
    (usage,) = [usage for usage in recording.exported() if usage.operation == "ListBuckets"]
    assert usage.chain == (Hop("sso", PERMISSION_SET),)


def test_a_permission_sets_key_as_a_literal_is_still_the_permission_sets(world: World, attach: Attach) -> None:
    sources.sso(world)
    recording, driver = attach(environ=world.environ), Driver()
    keys = driver.session().get_credentials().get_frozen_credentials()
    other = Driver().session()
    other.set_credentials(keys.access_key, keys.secret_key, keys.token)
    listed(other)
    (usage,) = [usage for usage in recording.exported() if usage.operation == "ListBuckets"]
    assert (usage.source, usage.principal_name, usage.laundered) == ("sso", PERMISSION_SET, True)


def test_a_key_that_the_holder_does_not_hold_is_not_its_principals(world: World, attach: Attach) -> None:
    """A handler may sign with other keys than the client's."""
    sources.sso(world)
    made = Driver().session()
    credentials = made.get_credentials()
    credentials.get_frozen_credentials()
    recording = attach(environ=world.environ)

    def other(request: Any, **_: object) -> None:
        request.context.setdefault("signing", {})["request_credentials"] = Foreign("ASIAOTHER", "s", "t", "sso")

    s3 = made.create_client("s3", region_name="eu-west-1")
    s3.meta.events.register_first("before-sign", other)
    s3.list_buckets()
    s3.close()
    (usage,) = recording.exported()
    assert (usage.principal, usage.account_id) == ("", "")


class Foreign(Credentials):  # type: ignore[misc]  # botocore has no types
    """Credentials of another make: their refresh is no fetcher of botocore's."""

    @staticmethod
    def _refresh_using() -> None:
        raise AssertionError("credentials were refreshed")


def refreshable(refresh: Any, account: str | None = ACCOUNT, method: str = "login") -> RefreshableCredentials:
    expiry = datetime.now(timezone.utc) - timedelta(days=1)  # whoever asks for a key refreshes
    return RefreshableCredentials("ASIA", "s", "t", expiry, refresh, method, account_id=account)


class Fetcher:
    def __init__(self, **known: object) -> None:
        self.__dict__.update(known)

    def fetch(self) -> None:
        raise AssertionError("credentials were refreshed")


@pytest.mark.parametrize(
    ("credentials", "method", "expected"),
    [
        (refreshable(Fetcher(_session_name=USER).fetch), "login", Told(USER, "", ACCOUNT)),
        (refreshable(Fetcher(_session_name=USER).fetch, "210987654321"), "login", Told("", "", "210987654321")),
        (refreshable(Fetcher(_session_name="my session").fetch), "login", Told("", "", ACCOUNT)),
        (refreshable(Fetcher(_session_name=["rubbish"]).fetch, None), "login", NOBODY),
        (refreshable(Fetcher().fetch, None), "login", NOBODY),
        (refreshable(lambda: None, None), "sso", NOBODY),
        (refreshable(Fetcher(_role_name="a/b", _account_id=ACCOUNT).fetch), "sso", Told("", "", ACCOUNT)),
        (refreshable(Fetcher(_role_name="Read", _account_id=ACCOUNT).fetch), "process", NOBODY),
        (Credentials("ASIA", "s", "t"), "sso", NOBODY),
        (None, "login", NOBODY),
    ],
)
def test_what_is_not_known_is_not_guessed_and_nothing_is_refreshed(
    credentials: object, method: str, expected: Told
) -> None:
    assert told(credentials, method) == expected


@pytest.mark.parametrize("name", ["", "a b", "x" * 33, "*", "a/b", "ü", None, 7])
def test_what_is_no_permission_sets_name_is_no_role(name: object) -> None:
    assert permission_set_role(name) == ""


@pytest.mark.parametrize(
    ("session", "is_principal"),
    [
        (f"arn:aws:iam::{ACCOUNT}:root", True),
        (f"arn:aws-cn:iam::{ACCOUNT}:user/team/me", True),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/app/me@example.com", True),
        (f"arn:aws:iam::{ACCOUNT}:role/app", False),
        ("arn:aws:iam::1:user/me", False),
        (f"arn:aws:iam::{ACCOUNT}:user/me\nsecret", False),
        ("default", False),
        (None, False),
    ],
)
def test_a_login_is_a_principals_only_if_it_is_named_by_its_arn(session: object, is_principal: bool) -> None:
    assert signed_in(session) == (session if is_principal else "")


def test_botocore_still_keeps_what_is_read_here(world: World) -> None:
    sources.sso(world)
    fetcher = Driver().session().get_credentials()._refresh_using.__self__
    assert isinstance(fetcher, SSOCredentialFetcher)
    assert (fetcher._role_name, fetcher._account_id) == ("ReadOnly", ACCOUNT)
