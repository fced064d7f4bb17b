"""The page over real stores: what each view shows, that each is JSON too, and who may look."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator

from credwatch_agent import snapshot as s
from credwatch_agent import web
from credwatch_agent.access import Tokens, hash_of, parse
from credwatch_agent.findings import life
from credwatch_agent.store.sqlite import SqliteStore
from credwatch_agent.web import traces
from credwatch_agent.web.views import VIEWS
from tests.agent import pages
from tests.agent import worlds as w
from tests.agent.pages import Client

ORDERS, HOST = w.role_arn("orders"), w.role_arn("host")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pages.client_of(pages.shop(), tmp_path_factory.mktemp("shop")) as client:
        yield client


def address(path: str, client: Client) -> str:
    """The address of a view, with what it must be asked."""
    fingerprint = client.get("/api/findings").json()["groups"][0]["findings"][0]["fingerprint"]
    needed = {
        "/role": f"?arn={quote(ORDERS)}",
        "/workload": "?name=thumbs%2Fapp",
        "/finding": f"?fingerprint={fingerprint}",
    }
    return path + needed.get(path, "")


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# --- views --------------------------------------------------------------------------------------------


def test_the_overview_counts_and_says_what_is_not_known(shop: Client) -> None:
    text = text_of(shop.get("/").text)
    assert "43 calls" in text
    assert "3 roles" in text
    assert "roles with which a process reported 3 of 3" in text
    assert "an instance profile carries it: any process on the host may sign 1 role" in text
    answer = shop.get("/api/overview").json()
    assert answer["roles"][0]["worst"] in {"critical", "high"}
    assert sum(tally["findings"] for tally in answer["severities"]) > 3


def test_a_role_shows_each_action_with_its_state_and_the_calls(shop: Client) -> None:
    answer = shop.get("/api/role", params={"arn": ORDERS}).json()
    s3 = next(each for each in answer["services"] if each["service"] == "s3")
    assert s3["wildcards"] == ["s3:*"]
    assert s3["states"]["used"] == 2
    used = next(group for group in s3["groups"] if group["state"] == "used")
    assert [(each["name"], each["calls"]) for each in used["actions"]] == [("GetObject", 10), ("PutObject", 10)]
    assert [each["name"] for each in answer["statements"]] == ["Data", "Queue"]
    assert answer["statements"][0]["used"][0]["resources"] == ["arn:aws:s3:::data/*"]
    assert answer["matrix"]["columns"] == [
        {"workload": "orders/app", "source": "ecs-task-role", "wrong_layer": False},
    ]
    assert answer["denied"][0]["action"] == "sns:Publish"


def test_a_role_shows_who_may_assume_it_and_who_did(shop: Client) -> None:
    answer = shop.get("/api/role", params={"arn": ORDERS}).json()
    assert answer["may_assume"] == [{"kind": "Service", "principal": w.TASK_TRUST, "reports": True}]
    assert [(each["workload"], each["wrong_layer"]) for each in answer["did_assume"]] == [("orders/app", False)]
    chained = shop.get("/api/role", params={"arn": w.role_arn("idle")}).json()["did_assume"]
    assert [hop["source"] for hop in chained[0]["chain"]] == ["ecs-task-role", "assumed-role"]


def test_a_wildcard_is_an_area_and_not_twenty_thousand_names(tmp_path: Path) -> None:
    arn = w.role_arn("everything")
    with pages.client_of(pages.wildcard(), tmp_path) as client:
        answer = client.get("/api/role", params={"arn": arn, "service": "ec2"}).json()
        page = client.get("/role", params={"arn": arn})
    every = [answer["rest"]["states"], *(each["states"] for each in answer["services"])]
    assert sum(sum(states.values()) for states in every) == sum(answer["states"].values()) > 15_000
    assert answer["services"][0]["service"] == "ec2"
    assert [group["more"] for group in answer["services"][0]["groups"]] == [0]
    assert sum(group["more"] for group in answer["services"][1]["groups"]) > 0
    assert answer["may_assume"][0]["reports"] is False
    assert len(page.content) < 250_000


def test_the_smaller_policy_is_a_diff_with_its_claim_and_can_be_downloaded(shop: Client) -> None:
    answer = shop.get("/api/role", params={"arn": ORDERS}).json()["change"]
    assert answer["proved"] is True
    assert answer["claim"].startswith("grants nothing new (proved); breaks no observed call")
    assert {line["kind"] for line in answer["diff"]} >= {"file", "hunk", "add", "del"}
    for form, suffix in (("diff", "diff"), ("json", "json"), ("terraform", "tf"), ("cloudformation", "template.json")):
        file = shop.get("/role/policy", params={"arn": ORDERS, "format": form})
        assert file.headers["content-disposition"] == f'attachment; filename="orders.{suffix}"'
        assert "s3:PutObject" in file.text


def test_a_task_on_its_hosts_role_leaps_to_the_eye(shop: Client) -> None:
    answer = shop.get("/api/workloads").json()
    assert answer["wrong_layer"] == 1
    assert answer["workloads"][0]["name"] == "thumbs/app"
    page = shop.get("/workloads").text
    assert "1 workload signs in the wrong layer" in text_of(page)
    links = re.search(r'<g class="links".*?</g>', page, re.DOTALL)
    assert links is not None
    assert links[0].count('class="wrong"') == 3  # workload -> source -> role -> service


def test_a_workload_shows_its_chain_its_reach_and_its_calls(shop: Client) -> None:
    answer = shop.get("/api/workload", params={"name": "thumbs/app"}).json()
    assert answer["wrong_layer"] is True
    assert answer["chains"][0]["hops"] == [{"source": "ec2-instance-profile", "principal": HOST}]
    assert (answer["chains"][0]["begin"], answer["chains"][0]["end"]) == (0.0, 1.0)
    assert answer["radius"]["did"] == 1
    assert answer["radius"]["could"] == 2
    orders = shop.get("/api/workload", params={"name": "orders/app"}).json()
    ways = {each["name"]: each["way"] for each in orders["radius"]["roles"]}
    assert ways == {"orders": "signed", "idle": "signed", "host": "instance-profile"}


def test_calls_lead_to_statement_code_and_trace(shop: Client) -> None:
    answer = shop.get("/api/calls", params={"q": "putobject"}).json()
    assert answer["total"] == 10
    [row] = answer["calls"]
    assert row["statements"] == [{"policy": "p", "statement": "Data"}]
    assert row["site"] == "/app/orders/storage.py:42"
    assert row["trace_url"] == f"https://traces.example/trace/{pages.TRACE}"
    page = shop.get("/calls", params={"q": "putobject"}).text
    assert f'href="https://traces.example/trace/{pages.TRACE}"' in page
    assert "orders/storage.py:42" in page.replace("<wbr>", "")


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ({}, 5),
        ({"workload": "orders/app"}, 4),
        ({"role": ORDERS}, 3),
        ({"role": ORDERS, "workload": "thumbs/app"}, 0),
        ({"source": "ec2-instance-profile"}, 1),
        ({"source": "ecs-task-role"}, 4),  # the root of the chain counts
        ({"outcome": "denied"}, 1),
        ({"action": "S3:GetObject"}, 2),
        ({"q": "arn:aws:s3:::photos"}, 1),
        ({"q": "nothing"}, 0),
    ],
)
def test_calls_are_filtered(shop: Client, asked: dict[str, str], rows: int) -> None:
    assert len(shop.get("/api/calls", params=asked).json()["calls"]) == rows
    assert shop.get("/calls", params=asked).status_code == 200


def test_findings_are_filtered_and_grouped(shop: Client) -> None:
    every = shop.get("/api/findings").json()
    count = sum(len(group["findings"]) for group in every["groups"])
    by_rule = shop.get("/api/findings", params={"group": "rule"}).json()
    assert {group["title"] for group in by_rule["groups"]} == {each["name"] for each in every["ids"]}
    assert sum(len(group["findings"]) for group in by_rule["groups"]) == count
    high = shop.get("/api/findings", params={"severity": "high"}).json()["groups"]
    assert {each["severity"] for group in high for each in group["findings"]} == {"high"}
    of_role = shop.get("/api/findings", params={"role": HOST}).json()["groups"]
    assert 0 < sum(len(group["findings"]) for group in of_role) < count


def test_an_exemption_is_text_to_commit_and_no_click(shop: Client) -> None:
    [finding] = shop.get("/api/findings", params={"rule": "task-using-instance-profile"}).json()["groups"][0][
        "findings"
    ]
    assert finding["exemption"].splitlines() == [
        '# task-using-instance-profile: "thumbs/app"',
        "[[exemption]]",
        f'fingerprint = "{finding["fingerprint"]}"',
        'owner = ""',
        'reason = ""',
        'expires = ""',
    ]
    page = shop.get("/finding", params={"fingerprint": finding["fingerprint"]}).text
    assert "fingerprint = &#34;" in page
    assert all(shop.request(verb, "/finding").status_code == 405 for verb in ("POST", "PUT", "DELETE", "PATCH"))


def test_an_exempted_finding_is_shown_and_counts_no_more(tmp_path: Path) -> None:
    scene = pages.shop()
    assert scene.snapshot is not None
    host = scene.snapshot.roles[1]
    tag = "owner=ops expires=2200-01-01 reason=known"
    tagged = dataclasses.replace(host, tags=(("credwatch:exempt:task-using-instance-profile", tag),))
    roles = tuple(tagged if role is host else role for role in scene.snapshot.roles)
    before = pages.Scene(dataclasses.replace(scene.snapshot, roles=roles), scene.batches)
    with pages.client_of(before, tmp_path) as client:
        [group] = client.get("/api/findings", params={"status": "exempted"}).json()["groups"]
        assert [each["id"] for each in group["findings"]] == ["task-using-instance-profile"]
        assert "exempted" in client.get("/findings").text
        high = {each["severity"]: each["findings"] for each in client.get("/api/overview").json()["severities"]}
        every = client.get("/api/findings", params={"severity": "high"}).json()["groups"][0]["findings"]
        assert high["high"] == len(every) - 1


def test_the_trend_is_what_the_store_remembers(tmp_path: Path) -> None:
    scene = pages.shop()
    assert scene.snapshot is not None
    past = life.History({}, (life.Tally(w.NOW - 9 * w.DAY, {"high": 5}), life.Tally(w.NOW - w.DAY, {"high": 4})))
    with closing(SqliteStore.open(tmp_path / "telemetry.db")) as store:
        store.amend(life.name(scene.snapshot.account_id, scene.snapshot.region), lambda _: life.dumps(past))
    with pages.client_of(scene, tmp_path) as client:
        trend = client.get("/api/overview").json()["trend"]
        assert [day["open"] for day in trend[:2]] == [5, 4]
        assert "Open findings over time" in client.get("/").text


# --- the API ------------------------------------------------------------------------------------------


def test_every_view_is_html_and_json_as_the_openapi_says(shop: Client) -> None:
    description = shop.get("/api/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    assert set(description["paths"]) == {view.api for view in VIEWS}
    for view in VIEWS:
        page = shop.get(address(view.path, shop))
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8"), view.path
        where = address(view.path, shop).replace(view.path, view.api, 1)
        assert f'href="{where.replace("&", "&amp;")}"' in page.text
        answer = shop.get(where)
        content = description["paths"][view.api]["get"]["responses"]["200"]["content"]
        schema = {**content["application/json"]["schema"], "components": description["components"]}
        Draft202012Validator(schema).validate(answer.json())


def test_every_view_and_parameter_is_documented() -> None:
    rows = (Path(__file__).parents[2] / "docs" / "page.md").read_text(encoding="utf-8").splitlines()
    for view in VIEWS:
        [row] = [row for row in rows if row.startswith(f"| `{view.path}` |")]
        assert re.findall(r"`(\w+)`", row.split("|")[3]) == [parameter.name for parameter in view.parameters]


def test_every_trace_template_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "page.md").read_text(encoding="utf-8")
    assert [name for name, template in traces.BACKENDS.items() if f"`{template}`" not in page] == []


@pytest.mark.parametrize(
    ("where", "status", "sentence"),
    [
        ("/role", 400, "`arn` is missing: give the role's ARN"),
        ("/role?arn=nobody", 404, "role `nobody` is not in the snapshot"),
        ("/workload?name=nobody", 404, "no process of workload `nobody` reported"),
        ("/finding?fingerprint=0", 404, "there is no finding `0`"),
        ("/roles?page=x", 400, "`page` is no number from 1 to 999999"),
        ("/roles?page=0", 400, "`page` is no number"),
        ("/calls?outcome=x", 400, "`outcome` is none of allowed,"),
        ("/calls?q=" + "x" * 3_000, 400, "`q` is longer than 2048 characters"),
        ("/role/policy?arn=orders&format=x", 400, "`format` is none of diff,"),
        ("/nowhere", 404, "Not Found"),
    ],
)
def test_what_cannot_be_answered_has_one_sentence(shop: Client, where: str, status: int, sentence: str) -> None:
    page = shop.get(where)
    assert page.status_code == status
    assert sentence.replace("`", "") in text_of(page.text.replace("<code>", "").replace("</code>", "")).replace(
        "&#39;", "'"
    )
    if where.startswith(("/role?", "/calls")):
        assert sentence in shop.get(f"/api{where}").json()["error"]


def test_a_role_can_be_asked_for_by_name(shop: Client) -> None:
    assert shop.get("/api/role", params={"arn": "orders"}).json()["arn"] == ORDERS


# --- no data, bad data --------------------------------------------------------------------------------


def test_an_empty_agent_says_what_to_do(tmp_path: Path) -> None:
    with pages.client_of(pages.EMPTY, tmp_path) as client:
        for path in ("/", "/roles", "/workloads", "/findings", "/calls"):
            page = client.get(path)
            assert page.status_code == 200
            assert "This agent was given no snapshot" in page.text
            assert "start it with <code>--snapshot FILE</code>" in page.text
        assert "CREDWATCH_ENABLED=1" in client.get("/workloads").text


def test_a_snapshot_that_is_not_there_yet_is_found_later(tmp_path: Path) -> None:
    scene = pages.shop()
    assert scene.snapshot is not None
    path, now = tmp_path / "snapshot.json", [w.NOW]
    with pages.source_of(pages.Scene(None, scene.batches), tmp_path) as made:
        given = web.Given(path, made._given.settings, lambda _action: True)
        source = web.Source(made._store, given, lambda: now[0], 600)
        assert "There is no snapshot at" in source().note
        s.save(dataclasses.replace(scene.snapshot, roles=scene.snapshot.roles[:1]), path)
        now[0] += 3_600 * 10**9
        source()  # starts the next comparison, and shows the last one meanwhile
        while source().note:
            now[0] += 3_600 * 10**9
        assert ORDERS in source().views


def test_a_snapshot_that_is_broken_is_said(tmp_path: Path) -> None:
    (tmp_path / "snapshot.json").write_text("{")
    with pages.source_of(pages.EMPTY, tmp_path) as made:
        given = web.Given(tmp_path / "snapshot.json", made._given.settings, lambda _action: True)
        page = web.create_page(web.Source(made._store, given, lambda: w.NOW, 600), web.Door(None))
        client = Client(page)
        answer = client.get("/api/roles")
        assert answer.status_code == 503
        assert "snapshot.json" in answer.json()["error"]
        assert client.get("/").headers["refresh"] == "3"


# --- who may look -------------------------------------------------------------------------------------


def tokens() -> Tokens:
    rows = [
        {"name": "reader", "sha256": hash_of("r").hex(), "role": "read"},
        {"name": "fleet", "sha256": hash_of("i").hex(), "role": "ingest"},
        {"name": "other", "sha256": hash_of("o").hex(), "role": "read", "accounts": ["210987654321"]},
        {"name": "own", "sha256": hash_of("a").hex(), "role": "admin", "accounts": [w.ACCOUNT]},
    ]
    return parse({"token": rows})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with pages.client_of(pages.shop(), tmp_path_factory.mktemp("guarded"), tokens) as client:
        yield client


@pytest.mark.parametrize(
    ("authorization", "status"),
    [("", 401), ("Bearer x", 401), ("Basic r", 401), ("Bearer i", 403), ("Bearer o", 403), ("Bearer r", 200),
     ("Bearer a", 200)],
)  # fmt: skip
def test_only_tokens_that_may_read_see_anything(guarded: Client, authorization: str, status: int) -> None:
    guarded.cookies.clear()
    headers = {"authorization": authorization} if authorization else {}
    for view in VIEWS:
        answer = guarded.get(
            view.api, params={"arn": ORDERS, "name": "thumbs/app", "fingerprint": "0"}, headers=headers
        )
        assert answer.status_code == (404 if view.path == "/finding" and status == 200 else status), view.path
        assert ("orders" in answer.text) <= (status == 200)
    assert guarded.get("/role/policy?arn=orders", headers=headers).status_code == status


def test_a_browser_signs_in_once_and_comes_to_where_it_wanted(guarded: Client) -> None:
    guarded.cookies.clear()
    sent = guarded.get("/role?arn=orders")
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=%2Frole%3Farn%3Dorders")
    assert guarded.get("/static/page.css").status_code == 200
    refused = guarded.post(sent.headers["location"], data={"token": "wrong"})
    assert refused.status_code == 401
    assert "set-cookie" not in refused.headers
    done = guarded.post(sent.headers["location"], data={"token": "r"})
    assert (done.status_code, done.headers["location"]) == (303, "/role?arn=orders")
    assert "HttpOnly" in done.headers["set-cookie"]
    assert "samesite=strict" in done.headers["set-cookie"].lower()
    assert guarded.get("/role?arn=orders").status_code == 200
    assert "Sign out" in guarded.get("/").text
    guarded.post("/sign-out")
    assert guarded.get("/").status_code == 303


@pytest.mark.parametrize(
    "onward", ["https://evil.example/", "//evil.example", "/\\evil.example", "/nowhere", "/\r\nX: y"]
)
def test_signing_in_leads_nowhere_else(guarded: Client, onward: str) -> None:
    guarded.cookies.clear()
    assert guarded.post("/sign-in", params={"next": onward}, data={"token": "r"}).headers["location"] == "/"


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:4318", 200), ("127.0.0.1", 200), ("[::1]:4318", 200), ("credwatch.localhost", 200),
     ("evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("10.0.0.1:80", 421)],
)  # fmt: skip
def test_without_tokens_a_name_that_points_here_is_not_enough(shop: Client, host: str, status: int) -> None:
    assert shop.get("/api/overview", headers={"host": host}).status_code == status


def test_every_answer_forbids_what_is_not_its_own(shop: Client) -> None:
    for where in ("/", "/api/roles", "/static/page.js", "/nowhere", "/sign-in", "/role/policy?arn=orders"):
        headers = shop.get(where).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


# --- beside the receiver ------------------------------------------------------------------------------


def test_the_page_leaves_the_receivers_paths_alone(tmp_path: Path) -> None:
    async def other(scope: object, receive: object, send: object) -> None:
        raise LookupError(json.dumps(scope["path"]))  # type: ignore[index]

    with pages.source_of(pages.EMPTY, tmp_path) as source:
        both = Client(web.beside(web.create_page(source, web.Door(None)), other))
        assert both.get("/").status_code == 200
        for path in ("/v1/metrics", "/v1/traces", "/metrics", "/healthz", "/readyz", "/anything"):
            with pytest.raises(LookupError):
                both.get(path)
