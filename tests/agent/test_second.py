"""CloudTrail files and last-accessed documents: what is read of them, and what a damaged one costs."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from credwatch_agent.cli import main
from credwatch_agent.compare import compare
from credwatch_agent.evidence import Settings, join
from credwatch_agent.recommend.view import trail_calls
from credwatch_agent.records import Batch, Second, Telemetry, TrailUse, UsagePoint
from credwatch_agent.second import accessed as documents
from credwatch_agent.second import read
from credwatch_agent.second.cloudtrail import Trail, Unreadable, hint
from credwatch_agent.snapshot import Index, save
from credwatch_agent.store.sqlite import SqliteStore
from tests.agent import scenario as sc
from tests.agent import worlds as w

GET = {"role": "web", "session": "web", "call": "s3:GetObject", "with": {"bucketName": "photos", "key": "a.jpg"}}
HERE = f"eu-west-1:{w.ACCOUNT}"
WEB = w.role_arn("web")
SINCE = w.NOW - 90 * w.DAY


def _no_client() -> Any:
    raise AssertionError("no S3 was asked for")


def _read(trails: list[str], given: list[str] | None = None, s3: Callable[[], Any] = _no_client) -> Second:
    return read(trails, given or [], SINCE, s3, lambda name: w.role_arn(name) if name == "web" else "")


def test_events_that_are_alike_are_counted_and_each_event_once() -> None:
    trail = Trail(SINCE)
    events = [sc.event({**GET, "ago": ago}, number) for number, ago in enumerate((1, 2, 3))]
    trail.add(gzip.compress(sc.log(*events)))
    user = {**sc.event(GET, 8), "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{w.ACCOUNT}:user/ci"}}
    trail.add(sc.log(events[0], sc.event({**GET, "ago": 200}, 9), user))
    (use,) = trail.uses()
    assert (use.calls, use.first_ns, use.last_ns) == (3, w.NOW - 3 * w.DAY, w.NOW - w.DAY)
    assert (use.principal_arn, use.session, use.outcome) == (w.role_arn("web"), "web", "allowed")
    assert use.authorizations == (("s3:GetObject", ("arn:aws:s3:::photos/*",)),)


@pytest.mark.parametrize(
    ("call", "given", "expected"),
    [
        ("s3:ListObjects", {"bucketName": "photos"}, ("s3:ListBucket", "arn:aws:s3:::photos")),
        ("dynamodb:GetItem", {"tableName": "t"}, ("dynamodb:GetItem", f"arn:aws:dynamodb:{HERE}:table/t")),
        ("lambda:ListTags20170331", {"resource": "f"}, ("lambda:ListTags", "*")),
        ("monitoring:PutMetricAlarm", {}, ("cloudwatch:PutMetricAlarm", f"arn:aws:cloudwatch:{HERE}:alarm:*")),
        ("ec2:DescribeInstances", None, ("ec2:DescribeInstances", "*")),
    ],
)  # fmt: skip
def test_an_event_becomes_the_action_and_the_container_that_the_operation_map_names(
    call: str, given: Any, expected: tuple[str, str]
) -> None:
    trail = Trail(SINCE)
    trail.add(sc.log(sc.event({**GET, "call": call, "with": given}, 0)))
    (use,) = trail.uses()
    assert [(action, *arns) for action, arns in use.authorizations] == [expected]


class _Body:
    def stream(self) -> Iterator[bytes]:
        yield b"{}"


def test_the_user_agent_of_a_real_sdk_hints_at_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    seen: list[str] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        seen.append(request.headers["User-Agent"].decode())
        return AWSResponse(request.url, 403, {}, _Body())

    client = boto3.Session().client("sqs", region_name="eu-west-1")
    client.meta.events.register("before-send", answer)
    with pytest.raises(ClientError):
        client.list_queues()
    assert hint(seen[0]) == "environment"
    assert hint(f"[{seen[0]}]") == "environment"
    assert hint("aws-cli/1.0 Python/2.7") == ""


DAMAGED = {
    "cut": gzip.compress(sc.log(sc.event(GET, 0)))[:-20],
    "flipped": gzip.compress(b"x" * 50)[:12] + b"\0\0\0" + gzip.compress(b"x" * 50)[15:],
    "text": b'{"Records": [{',
    "other": b'{"Events": []}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_one_sentence_that_names_it(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "log.json.gz").write_bytes(data)
    (tmp_path / "good.json").write_bytes(sc.log(sc.event(GET, 0)))
    found = _read([str(tmp_path)])
    assert len(found.trail) == 1
    (problem,) = found.problems
    assert "log.json.gz" in problem
    with pytest.raises(Unreadable):
        Trail(0).add(data)


def test_events_of_an_unknown_version_and_broken_ones_are_counted_and_said(tmp_path: Path) -> None:
    strange = {**sc.event(GET, 0), "eventVersion": "2.0"}
    broken = {"eventVersion": "1.08"}
    (tmp_path / "log.json").write_bytes(sc.log(strange, strange, broken, sc.event(GET, 1)))
    found = _read([str(tmp_path)])
    assert [use.calls for use in found.trail] == [1]
    assert [problem.partition(":")[0] for problem in found.problems] == [
        "2 CloudTrail events have version `2.0`, and this agent reads 1.x",
        "1 CloudTrail events lack what every event has",
    ]


def test_digests_and_days_before_the_window_are_left_out(tmp_path: Path) -> None:
    for name in ("CloudTrail/2001/01/01/old.json.gz", "CloudTrail-Digest/eu-west-1/digest.json.gz", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not read")
    assert _read([str(tmp_path)]).problems == (
        f"`{tmp_path}` holds no CloudTrail file of the window: nothing is known from there",
    )
    assert "cannot be read" in _read([str(tmp_path / "gone.json")]).problems[0]


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    yield session.client("s3", endpoint_url=f"http://{host}:{port}")
    server.stop()


def test_log_files_are_read_from_s3(s3: Any) -> None:
    s3.create_bucket(Bucket="trails")
    s3.put_object(Bucket="trails", Key="AWSLogs/a.json.gz", Body=gzip.compress(sc.log(sc.event(GET, 0))))
    s3.put_object(Bucket="trails", Key="AWSLogs/b.json.gz", Body=b"\x1f\x8b")
    found = _read(["s3://trails/AWSLogs/"], s3=lambda: s3)
    assert [use.calls for use in found.trail] == [1]
    assert [problem.split()[2] for problem in found.problems] == ["`s3://trails/AWSLogs/b.json.gz`"]
    (problem,) = _read(["s3://gone/"], s3=lambda: s3).problems
    assert "cannot be listed (NoSuchBucket)" in problem


# --- last accessed ----------------------------------------------------------------------------------

ANSWER = {
    "JobStatus": "COMPLETED",
    "JobType": "ACTION_LEVEL",
    "ServicesLastAccessed": [
        {"ServiceName": "Amazon SQS", "ServiceNamespace": "sqs", "TotalAuthenticatedEntities": 0},
        {
            "ServiceName": "Amazon S3",
            "ServiceNamespace": "s3",
            "LastAuthenticated": "2024-10-01T00:00:00+00:00",
            "LastAuthenticatedEntity": w.role_arn("web"),
            "TrackedActionsLastAccessed": [
                {"ActionName": "PutBucketTagging", "LastAccessedEntity": WEB, "LastAccessedTime": 86_400.5},
                {"ActionName": "DeleteBucket"},
            ],
        },
    ],
    "IsTruncated": False,
}  # fmt: skip


def test_services_and_tracked_actions_are_read_with_their_times() -> None:
    found = documents.parse(json.dumps(ANSWER).encode())
    assert [(each.principal_arn, each.action, each.last_ns // w.DAY) for each in found] == [
        (w.role_arn("web"), "s3:*", 19_997),
        (w.role_arn("web"), "s3:PutBucketTagging", 1),
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"JobStatus": "IN_PROGRESS"}, "a job that is `IN_PROGRESS`"),
        ({"IsTruncated": True}, "the first page only"),
        ({"ServicesLastAccessed": None}, "no `ServicesLastAccessed`"),
        ({"ServicesLastAccessed": [{}]}, "KeyError('ServiceNamespace')"),
    ],
)
def test_a_document_that_does_not_say_all_is_one_sentence(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "accessed.json"
    path.write_text(json.dumps({**ANSWER, **change}))
    (problem,) = _read([], [str(path)]).problems
    assert said in problem
    assert str(path) in problem


def test_a_document_may_be_said_to_be_a_roles(tmp_path: Path) -> None:
    path = tmp_path / "accessed.json"
    path.write_text(json.dumps(ANSWER))
    assert {each.principal_arn for each in _read([], [f"web={path}"]).accessed} == {w.role_arn("web")}
    assert "which is no role of the snapshot" in _read([], [f"nobody={path}"]).problems[0]


# --- the commands -----------------------------------------------------------------------------------


def test_a_source_that_cannot_be_read_is_said_and_no_report_is_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = {"tasks": {"web": {"role": "web"}}, "roles": {"web": {"trust": "ecs-tasks"}}}
    save(sc.snapshot(text), tmp_path / "snapshot.json")
    SqliteStore.open(tmp_path / "t.db").close()
    (tmp_path / "log.json.gz").write_bytes(DAMAGED["cut"])
    arguments = ["report", "--db", str(tmp_path / "t.db"), "--snapshot", str(tmp_path / "snapshot.json")]
    assert main([*arguments, "--cloudtrail", str(tmp_path), "--last-accessed", str(tmp_path / "gone")]) == 3
    printed = " ".join(capsys.readouterr().out.split())
    assert "is cut or damaged" in printed
    assert "cannot be read (No such file or directory)" in printed


def test_a_recommendation_keeps_what_cloudtrail_alone_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = "s3:GetObject, s3:PutObject, s3:DeleteObject on arn:aws:s3:::photos/*"
    text = {"tasks": {"web": {"role": "web"}}, "roles": {"web": {"trust": "ecs-tasks", "allow": {"Photos": photos}}}}
    taken = sc.snapshot(text)
    save(taken, tmp_path / "snapshot.json")
    now = time.time_ns()
    seen = w.call("p", "ecs-task-role", WEB, "s3:GetObject", resource="arn:aws:s3:::photos/*").usage
    point = UsagePoint("p", seen, 7, now - 100 * w.DAY, now)
    with closing(SqliteStore.open(tmp_path / "t.db")) as store:
        store.put([Batch(w.task_process("p", "web").resource, usage=(point,))])
    put = sc.event({**GET, "call": "s3:PutObject", "via": "athena.amazonaws.com"}, 0)
    put["eventTime"] = datetime.fromtimestamp((now - 80 * w.DAY) // 10**9, timezone.utc).isoformat()
    (tmp_path / "log.json").write_bytes(sc.log(put))
    arguments = ["recommend", "web", "--db", str(tmp_path / "t.db"), "--snapshot", str(tmp_path / "snapshot.json")]
    kept = {}
    for name, more in (("recorder", []), ("both", ["--cloudtrail", str(tmp_path / "log.json")])):
        main([*arguments, "--format", "json", *more])
        printed = capsys.readouterr().out
        kept[name] = [action for action in ("GetObject", "PutObject", "DeleteObject") if action in printed]
    assert kept == {"recorder": ["GetObject"], "both": ["GetObject", "PutObject"]}


JOB, PHOTO = w.role_arn("job"), "arn:aws:s3:::photos/a.jpg"


@pytest.mark.parametrize(
    ("reported", "documented", "kept"),
    [
        ("iam:PassRole", False, ["s3:GetObject"]),
        ("iam:PassRole", True, ["iam:PassRole", "s3:GetObject"]),  # passed to which service, CloudTrail does not say
        ("s3:GetObject", False, ["iam:PassRole"]),
        ("s3:GetObject", True, ["iam:PassRole"]),
    ],
)
def test_a_role_that_cloudtrail_saw_passed_is_a_call_of_its_own_where_the_service_counts(
    reported: str, documented: bool, kept: list[str]
) -> None:
    resources = {"iam:PassRole": JOB, "s3:GetObject": PHOTO}
    index = Index(w.snapshot(w.role("web", w.allow("All", [*resources])), **w.ecs("web", WEB)))
    row = w.call("p", "ecs-task-role", WEB, reported, resource=resources[reported])
    joined = join(Telemetry({"p": w.task_process("p", "web")}, (row,), ()), index, SINCE)
    authorizations = tuple((action, (arn,)) for action, arn in resources.items())
    seen = TrailUse(WEB, "s", "ecs:RunTask", authorizations, "full", "allowed", "eu-west-1", "", "", 3, SINCE, w.NOW)
    trail = Second(trail=(seen, replace(seen, outcome="denied")))
    (view,) = compare(index, joined, w.NOW, Settings(), lambda _: True, trail)
    found = list(trail_calls(joined.by_role(WEB), view, documented=documented))
    assert [(call.action, call.calls, call.passed_to) for call in found] == [(action, 3, ()) for action in kept]


def test_watch_shows_a_denial_that_cloudtrail_alone_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time_ns()
    for name, allowed, taken in (("before", "s3:GetObject, s3:PutObject", now - w.DAY), ("after", "s3:GetObject", now)):
        photos = {"trust": "ecs-tasks", "allow": {"Photos": f"{allowed} on arn:aws:s3:::photos/*"}}
        made = sc.snapshot({"tasks": {"web": {"role": "web"}}, "roles": {"web": photos}})
        save(replace(made, taken_ns=taken), tmp_path / f"{name}.json")
    SqliteStore.open(tmp_path / "t.db").close()
    put = sc.event({**GET, "call": "s3:PutObject", "error": "AccessDenied"}, 0)
    put["eventTime"] = datetime.fromtimestamp((now - 10**12) // 10**9, timezone.utc).isoformat()
    (tmp_path / "log.json").write_bytes(sc.log(put))
    files = ["--db", "t.db", "--before", "before.json", "--snapshot", "after.json"]
    asked = ["watch", "web", *(word if word.startswith("--") else str(tmp_path / word) for word in files)]
    assert main(asked) == 3
    assert main([*asked, "--cloudtrail", str(tmp_path / "log.json")]) == 1
    printed = capsys.readouterr().out
    assert "0 calls reported by recorders and 1 by CloudTrail since" in printed
    assert "denied 1 time to CloudTrail" in printed
    assert main([*asked, "--cloudtrail", str(tmp_path / "gone")]) == 3
