"""Who may do what: roles, accounts, and that of a token nothing but its hash is kept or said."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from credwatch import semconv
from credwatch.semconv import Usage
from credwatch_agent.access import ANYONE, BadTokens, Caller, Tokens, bound, hash_of, new_token, parse
from credwatch_agent.cli import main
from credwatch_agent.cli.failure import UsageError
from credwatch_agent.cli.token_file import TokenFile
from credwatch_agent.receiver import PROTOBUF, Ingest, Refused, create_app, create_server
from credwatch_agent.records import Batch, Health, UsagePoint
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent.wire import NOW, PROCESS, RESOURCE, USAGE, counter, metrics, point, span, traces

HOME, OTHER = "123456789012", "999999999999"
SECRETS = {"fleet": new_token(), "reader": new_token(), "boss": new_token(), "home": new_token()}
ROWS: list[dict[str, Any]] = [
    {"name": "fleet", "role": "ingest"},
    {"name": "reader", "role": "read"},
    {"name": "boss", "role": "admin"},
    {"name": "home", "role": "ingest", "accounts": [HOME]},
]
DOCUMENT = {"token": [{**row, "sha256": hash_of(SECRETS[row["name"]]).hex()} for row in ROWS]}
TOKENS = parse(DOCUMENT)
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
GOOD = metrics(counter([point()])).SerializeToString()


def toml(document: dict[str, Any]) -> str:
    rows = ("".join(f"{k} = {json.dumps(v)}\n" for k, v in row.items()) for row in document["token"])
    return "\n".join(f"[[token]]\n{row}" for row in rows)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "db", wait_s=0)
    yield opened
    opened.close()


def ingest(store: SqliteStore, tokens: Tokens | None = TOKENS) -> Ingest:
    return Ingest(store, now_ns=lambda: NOW, tokens=None if tokens is None else lambda: tokens)


def request(
    served: Ingest, method: str, path: str, authorization: str | None = None, content: bytes = GOOD
) -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(served)), base_url="http://agent"
        ) as client:
            headers = {"content-type": PROTOBUF, **({"authorization": authorization} if authorization else {})}
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(send())


def over_grpc(served: Callable[[], Ingest], scenario: Callable[[Any], Awaitable[Any]]) -> Any:
    async def within() -> Any:
        server = create_server(served())
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            try:
                return await scenario(channel.unary_unary(METRICS))
            finally:
                await server.stop(None)

    return asyncio.run(within())


ANSWERS = [
    # authorization, answer to ingest over HTTP, over gRPC, answer to GET /metrics
    (None, 401, grpc.StatusCode.UNAUTHENTICATED, 401),
    ("Bearer", 401, grpc.StatusCode.UNAUTHENTICATED, 401),
    ("Bearer wrong", 401, grpc.StatusCode.UNAUTHENTICATED, 401),
    (f"Bearer {SECRETS['fleet']}x", 401, grpc.StatusCode.UNAUTHENTICATED, 401),
    (f"Basic {SECRETS['fleet']}", 401, grpc.StatusCode.UNAUTHENTICATED, 401),
    (f"Bearer {SECRETS['reader']}", 403, grpc.StatusCode.PERMISSION_DENIED, 200),
    (f"Bearer {SECRETS['fleet']}", 200, None, 403),
    (f"bearer  {SECRETS['fleet']}", 200, None, 403),
    (f"Bearer {SECRETS['boss']}", 200, None, 200),
    (f"Bearer {SECRETS['home']}", 200, None, 403),
]


@pytest.mark.parametrize(("authorization", "http", "rpc", "read"), ANSWERS, ids=[str(n) for n in range(len(ANSWERS))])
def test_each_token_may_do_what_its_role_says(
    store: SqliteStore, authorization: str | None, http: int, rpc: grpc.StatusCode | None, read: int
) -> None:
    answer = request(ingest(store), "POST", "/v1/metrics", authorization)
    assert answer.status_code == http
    assert ("www-authenticate" in answer.headers) == (http == 401)
    assert (
        request(ingest(store), "POST", "/v1/traces", authorization, traces(span()).SerializeToString()).status_code
        == http
    )
    assert request(ingest(store), "GET", "/metrics", authorization).status_code == read
    assert request(ingest(store), "GET", "/healthz").status_code == 200

    async def scenario(export: Any) -> Any:
        try:
            await export(GOOD, metadata=(("authorization", authorization),) if authorization else ())
        except grpc.aio.AioRpcError as error:
            return error.code()

    assert over_grpc(lambda: ingest(store), scenario) == rpc
    assert bool(store.telemetry().usage) == (http == 200)


def test_without_tokens_everyone_may_and_what_is_said_is_claimed(store: SqliteStore) -> None:
    assert request(ingest(store, None), "POST", "/v1/metrics").status_code == 200
    assert request(ingest(store, None), "GET", "/metrics").status_code == 200
    assert store.telemetry().processes[PROCESS].claimed
    # once claimed stays claimed: a token does not vouch for what came before
    request(ingest(store), "POST", "/v1/metrics", f"Bearer {SECRETS['fleet']}")
    assert store.telemetry().processes[PROCESS].claimed


def values(usage: Usage, process: str = PROCESS) -> dict[str, object]:
    return {**semconv.encode(usage), semconv.PROCESS_ID: process}


def test_usage_of_another_account_is_rejected_alone(store: SqliteStore) -> None:
    foreign = Usage("ecs-task-role", principal_arn=f"arn:aws:iam::{OTHER}:role/orders")
    content = metrics(counter([point(), point(values(foreign, PROCESS[:-1] + "2"))])).SerializeToString()
    served = ingest(store)
    answer = ExportMetricsServiceResponse.FromString(
        request(served, "POST", "/v1/metrics", f"Bearer {SECRETS['home']}", content).content
    )
    assert answer.partial_success.rejected_data_points == 1
    assert "names an account that `home` may not speak for" in answer.partial_success.error_message
    assert [row.usage for row in store.telemetry().usage] == [USAGE]
    assert not store.telemetry().processes[PROCESS].claimed

    theirs = span(attributes=span().attributes[:0])
    theirs.attributes.add(key=semconv.PRINCIPAL_ACCOUNT).value.string_value = OTHER
    sent = traces(theirs).SerializeToString()
    spans = request(served, "POST", "/v1/traces", f"Bearer {SECRETS['home']}", sent)
    assert ExportTraceServiceResponse.FromString(spans.content).partial_success.rejected_spans == 1
    assert store.spans() == ()
    said = served.exposition()
    assert "credwatch_agent_points_rejected_total 1\n" in said
    assert "credwatch_agent_spans_rejected_total 1\n" in said


@pytest.mark.parametrize(
    ("usage", "resource", "kept", "claimed"),
    [
        (Usage("sso", account_id=HOME), {}, True, False),
        (Usage("sso", account_id=OTHER), {}, False, False),
        (Usage("sso", account_id=HOME, principal_arn=f"arn:aws:sts::{OTHER}:assumed-role/r/s"), {}, False, False),
        (Usage("sso", instance_profile_arn=f"arn:aws:iam::{OTHER}:instance-profile/p"), {}, False, False),
        (Usage("sso", principal_name="r"), {"cloud.account.id": HOME}, True, False),
        (Usage("sso", principal_name="r"), {"cloud.account.id": OTHER}, False, False),
        (Usage("sso", principal_name="r"), {}, True, True),
    ],
)
def test_accounts_are_taken_from_whatever_names_one(
    usage: Usage, resource: dict[str, str], kept: bool, claimed: bool
) -> None:
    health = Health("p", semconv.RECORDER_UP, 1, 1, 2)
    parts, rejected, _ = bound(
        Batch(resource, (UsagePoint("p", usage, 1, 1, 2),), health=(health,)), Caller("t", "ingest", frozenset({HOME}))
    )
    assert rejected == (not kept)
    assert [u.usage for part in parts for u in part.usage] == [usage] * kept
    assert {part.claimed for part in parts if part.usage or part.health} == {claimed}


@given(st.text())
def test_no_text_is_a_token_by_chance(text: str) -> None:
    assert TOKENS.find(text) is None
    assert TOKENS.find(SECRETS["boss"]) == Caller("boss", "admin")
    assert ANYONE.may("ingest")


GOOD_ROW = DOCUMENT["token"][0]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, "it must hold `[[token]]` and `[[certificate]]` tables"),
        ({"token": []}, "it must hold `[[token]]` and `[[certificate]]` tables"),
        ({"token": [GOOD_ROW], "tokens": 1}, "and nothing else"),
        ({"token": ["x"]}, "token 1 must be a table of"),
        ({"token": [{**GOOD_ROW, "secret": "SENTINEL"}]}, "token 1 must be a table of"),
        ({"token": [{**GOOD_ROW, "name": "a b"}]}, "token 1: `name` must be"),
        ({"token": [{**GOOD_ROW, "sha256": "SENTINEL"}]}, "the hash of a token, never a token"),
        ({"token": [{**GOOD_ROW, "role": "root"}]}, "`role` must be one of ingest, read, admin"),
        ({"token": [{**GOOD_ROW, "role": ["read"]}]}, "`role` must be one of ingest, read, admin"),
        ({"token": [{**GOOD_ROW, "accounts": []}]}, "`accounts` must be a list of AWS account ids"),
        ({"token": [{**GOOD_ROW, "accounts": [HOME[:-1]]}]}, "`accounts` must be a list"),
        ({"token": [{**GOOD_ROW, "expires": "2030-01-31"}]}, "token 1: `expires` must be a time with its offset"),
        ({"token": [{**GOOD_ROW, "expires": datetime(2030, 1, 31)}]}, "token 1: `expires` must be a time"),
        ({"token": [{**GOOD_ROW, "san": "dns:x"}]}, "token 1 must be a table of"),
        ({"certificate": [{"name": "c", "role": "read", "san": "CN=x"}]}, "certificate 1: `san` must be"),
        ({"certificate": [{"name": "c", "role": "read"}]}, "certificate 1: `san` must be"),
        ({**DOCUMENT, "certificate": [{"name": "boss", "role": "read", "san": "dns:x"}]}, "certificate 1 has the name"),
        ({"token": [GOOD_ROW, GOOD_ROW]}, "token 2 has the name or the `sha256` of another"),
    ],
)
def test_a_wrong_file_of_tokens_is_one_sentence_that_quotes_nothing(document: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadTokens) as caught:
        parse(document)
    assert sentence in str(caught.value)
    assert "SENTINEL" not in str(caught.value)
    assert GOOD_ROW["sha256"] not in str(caught.value)


def test_a_token_is_taken_until_its_time_is_over(store: SqliteStore) -> None:
    moment = datetime.fromtimestamp(NOW // 10**9, timezone.utc)
    row = {**GOOD_ROW, "expires": moment}
    other = {"name": "collector", "san": "uri:spiffe://example/collector", "role": "ingest", "expires": moment}
    tokens = parse({"token": [row], "certificate": [other]})
    bearer, peer = f"Bearer {SECRETS['fleet']}", ["dns:x", "uri:spiffe://example/collector"]
    before = Ingest(store, now_ns=lambda: NOW - NOW % 10**9 - 1, tokens=lambda: tokens)
    assert before.admit(bearer, (), "ingest").name == "fleet"
    assert before.admit(None, peer, "ingest").name == "collector"
    after = Ingest(store, now_ns=lambda: NOW, tokens=lambda: tokens)
    for authorization, names in ((bearer, ()), (None, peer)):
        with pytest.raises(Refused, match="is over") as caught:
            after.admit(authorization, names, "ingest")
        assert caught.value.status == 401
    assert tokens.expired(NOW) == ["collector", "fleet"]
    assert tokens.expired(0) == []


def test_a_certificate_stands_for_what_its_row_says_and_a_token_goes_before_it(store: SqliteStore) -> None:
    rows = [{"name": "collector", "san": "dns:collector.example", "role": "ingest", "accounts": [HOME]}]
    taking = ingest(store, parse({**DOCUMENT, "certificate": rows}))
    assert taking.admit(None, ["dns:collector.example"], "ingest") == Caller("collector", "ingest", frozenset({HOME}))
    assert taking.admit(f"Bearer {SECRETS['boss']}", ["dns:collector.example"], "read").name == "boss"
    for authorization, names, what, status in [
        (None, ["dns:collector.example"], "read", 403),
        (None, ["dns:other.example", "uri:dns:collector.example"], "ingest", 401),
        ("Bearer unknown", ["dns:collector.example"], "ingest", 401),
        (None, [], "ingest", 401),
    ]:
        with pytest.raises(Refused) as caught:
            taking.admit(authorization, names, what)  # type: ignore[arg-type]  # a table of literals
        assert caught.value.status == status


def test_tokens_come_and_go_without_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "tokens.toml"
    rows = DOCUMENT["token"]

    def write(text: str) -> None:
        # as a careful program does: a new file in the place of the old
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").chmod(0o600)
        (tmp_path / "new").replace(path)

    write(toml({"token": rows[:1]}))
    tokens = TokenFile(path)
    assert tokens().find(SECRETS["fleet"])
    assert not tokens().find(SECRETS["boss"])
    write(toml({"token": rows[1:]}))
    assert tokens().find(SECRETS["boss"])
    assert not tokens().find(SECRETS["fleet"])
    write("[[token]]\nname = SENTINEL")
    assert tokens().find(SECRETS["boss"])
    path.unlink()
    assert tokens().find(SECRETS["boss"])
    write(toml({"token": rows[:1]}))
    assert not tokens().find(SECRETS["boss"])
    assert [r.levelno for r in caplog.records] == [logging.ERROR] * 2
    assert "SENTINEL" not in repr([vars(r) for r in caplog.records])
    path.chmod(0o620)
    with pytest.raises(UsageError, match="may be written by others than its owner"):
        TokenFile(path)


def test_no_token_is_in_an_answer_a_log_or_the_store(
    store: SqliteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    for secret in ("SENTINEL-not-known", *SECRETS.values()):
        for method, path in [
            ("POST", "/v1/metrics"),
            ("POST", "/v1/traces"),
            ("GET", "/metrics"),
            ("POST", "/v1/logs"),
        ]:
            answer = request(ingest(store), method, path, f"Bearer {secret}")
            said.append(repr(answer.headers) + answer.text)

        async def scenario(export: Any, secret: str = secret) -> str:
            try:
                return repr(await export(b"garbage", metadata=(("authorization", f"Bearer {secret}"),)))
            except grpc.aio.AioRpcError as error:
                return repr(error)

        said.append(over_grpc(lambda: ingest(store), scenario))
    said += [repr(vars(record)) for record in caplog.records]
    said += [path.read_bytes().decode("latin-1") for path in tmp_path.glob("db*")]
    for secret in ("SENTINEL-not-known", *SECRETS.values(), *(row["sha256"] for row in DOCUMENT["token"])):
        assert not [text for text in said if secret in text]


def test_the_command_prints_a_row_with_the_hash_and_the_token_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "fleet", "--account", HOME, "--account", OTHER]) == 0
    row, secret = capsys.readouterr()
    assert secret.strip() not in row
    path = tmp_path / "tokens.toml"
    path.write_text(row)
    path.chmod(0o600)
    assert TokenFile(path)().find(secret.strip()) == Caller("fleet", "ingest", frozenset({HOME, OTHER}))
    assert main(["token", "a b"]) == 2
    assert "`name` must be" in capsys.readouterr().err


def test_resource_of_the_wire_names_no_account() -> None:
    # the tests above stand on it
    assert "cloud.account.id" not in RESOURCE
