"""The life of findings: seen, resolved, back again, exempted, adopted; and what of it fails a run."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credwatch_agent import snapshot as s
from credwatch_agent.cli import main
from credwatch_agent.findings import Finding, Severity, Subject
from credwatch_agent.findings.exemptions import TAG, BadExemption, parse, tagged
from credwatch_agent.findings.life import (
    BadHistory,
    History,
    Status,
    abandon,
    adopt,
    advance,
    dumps,
    live,
    loads,
)
from tests.agent.worlds import DAY, role_arn
from tests.agent.worlds import NOW as LONG_AGO

IDS = ("role-chain", "unused-role")
TODAY = date(2024, 10, 4)  # the day of `LONG_AGO`


def finding(name: str = "role-chain", subject: str = "orders/app", **more: Any) -> Finding:
    fields = {"severity": Severity.LOW, "kind": Subject.WORKLOAD, "sentence": "s", **more}
    return Finding(name, subject=subject, **fields)


A, B = finding(), finding("unused-role", role_arn("r"), role_arn=role_arn("r"))


def exemption(**fields: Any) -> dict[str, Any]:
    whole = {"finding": "role-chain", "subject": "orders/*", "owner": "me", "reason": "why", "expires": TODAY}
    return {"exemption": [{name: value for name, value in {**whole, **fields}.items() if value is not None}]}


def test_first_and_last_seen_stay_through_runs_and_what_is_gone_is_resolved() -> None:
    history = History()
    for day, found in enumerate(([A, B], [A], [A])):
        history = advance(history, found, LONG_AGO + day * DAY, complete=True)
    a, b = history.lives[A.fingerprint], history.lives[B.fingerprint]
    assert (a.first_ns, a.last_ns, a.resolved_ns) == (LONG_AGO, LONG_AGO + 2 * DAY, 0)
    assert (b.last_ns, b.resolved_ns) == (LONG_AGO, LONG_AGO + DAY)
    back = advance(history, [A, B], LONG_AGO + 3 * DAY, complete=True).lives[B.fingerprint]
    assert (back.first_ns, back.resolved_ns) == (LONG_AGO, 0)


def test_a_run_that_could_not_look_everywhere_resolves_nothing() -> None:
    history = advance(History(), [A], LONG_AGO, complete=True)
    assert advance(history, [], LONG_AGO + DAY, complete=False).lives[A.fingerprint].resolved_ns == 0


def test_after_a_baseline_only_new_worse_and_returned_findings_are_open() -> None:
    def status(history: History, found: Finding) -> Status:
        lives, _ = live(history, [found], (), LONG_AGO, complete=True)
        return lives.of(found).status

    history = adopt(advance(History(), [A], LONG_AGO, complete=True), [A])
    worse = dataclasses.replace(A, severity=Severity.HIGH)
    assert worse.fingerprint == A.fingerprint
    assert [status(history, each) for each in (A, B, worse)] == [Status.ADOPTED, Status.OPEN, Status.OPEN]
    assert status(advance(history, [], LONG_AGO, complete=True), A) is Status.OPEN
    assert status(abandon(history), A) is Status.OPEN


@pytest.mark.parametrize(
    ("fields", "covered"),
    [
        ({}, True),
        ({"subject": "orders/app"}, True),
        ({"subject": "billing/*"}, False),
        ({"finding": "unused-role"}, False),
        ({"finding": None, "subject": None, "fingerprint": A.fingerprint}, True),
        ({"finding": None, "subject": None, "fingerprint": B.fingerprint}, False),
    ],
)
def test_an_exemption_covers_what_it_names(fields: dict[str, Any], covered: bool) -> None:
    lives, _ = live(History(), [A], parse(exemption(**fields), IDS), LONG_AGO, complete=True)
    assert (lives.of(A).status is Status.EXEMPTED) is covered
    assert bool(lives.idle) is not covered


def test_an_expired_exemption_covers_nothing_and_fails() -> None:
    expired = parse(exemption(expires=date(2024, 10, 3)), IDS)
    lives, _ = live(History(), [A], expired, LONG_AGO, complete=True)
    assert lives.of(A).status is Status.OPEN
    assert lives.expired == (
        "exemption 1 (role-chain of orders/*, owner me) expired on 2024-10-03: fix the finding, or renew it",
    )


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"reason": None}, "exemption 1 has no reason: write `reason ="),
        ({"reason": "  "}, "exemption 1 has no reason"),
        ({"owner": None}, "exemption 1 has no owner"),
        ({"expires": None}, "exemption 1 has no expiry: write a day without quotes"),
        ({"expires": "2030-01-31"}, "exemption 1 has no expiry: write a day without quotes"),
        ({"finding": "role-chian"}, "`role-chian`, which is no finding"),
        ({"subject": None}, "exemption 1 names nothing"),
        ({"owner": 3}, "`owner` that is no text"),
        ({"until": "x"}, "has `until`; there are expires, finding"),
        ({"fingerprint": "x"}, "has a `fingerprint` and more"),
    ],
)
def test_an_exemption_that_lacks_a_part_is_one_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadExemption, match=sentence):
        parse(exemption(**fields), IDS)


def test_a_roles_tag_exempts_its_findings_and_one_without_a_reason_is_said() -> None:
    def tag(value: str, name: str = "unused-role") -> s.Role:
        return s.Role(role_arn("r"), "r", tags=((TAG + name, value),))

    good, none = tagged([tag("owner=me expires=2024-10-04 reason=yearly job")], IDS)
    assert (good[0].owner, good[0].reason, good[0].covers(B), none) == ("me", "yearly job", True, ())
    for role, part in (
        (tag("owner=me expires=2024-10-04"), "write `owner=WHO"),
        (tag("owner=me expires=2024-13-04 reason=x"), "`2024-13-04` is no day"),
        (tag("owner=me expires=2024-10-04 reason=x", "nothing"), "`nothing` is no finding"),
    ):
        found, problems = tagged([role], IDS)
        assert found == ()
        assert part in problems[0]


@given(st.lists(st.tuples(st.lists(st.sampled_from([A, B])), st.booleans(), st.booleans()), max_size=6))
def test_a_history_comes_back_from_its_text_as_it_was(runs: list[tuple[list[Finding], bool, bool]]) -> None:
    history = History()
    for day, (found, complete, adopted) in enumerate(runs):
        _, history = live(history, found, (), LONG_AGO + day * DAY, complete=complete)
        if adopted:
            history = adopt(history, found)
    assert loads(dumps(history)) == history


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2, "lives": [], "tallies": []}', '{"version": 1}'])
def test_a_history_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadHistory):
        loads(text)


# --- through the command line -----------------------------------------------------------------------


def test_a_running_system_is_adopted_and_let_go(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", *asked]) == 1
    assert main(["baseline", *asked]) == 0
    assert "adopted 1 finding" in capsys.readouterr().out
    assert main(["report", *asked, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["status"] for each in document["findings"]] == ["adopted"]
    assert main(["report", *asked]) == 0
    assert "adopted: trust-wildcard-principal" in " ".join(capsys.readouterr().out.split())
    assert main(["baseline", *asked, "--clear"]) == 0
    assert main(["report", *asked]) == 1


def test_a_misspelt_store_is_not_made(asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["--db", str(tmp_path / "no.db"), *asked[2:]]
    for command in (["baseline"], ["baseline", "--clear"], ["report", "--remember"]):
        assert main([*command, *wrong]) == 3
        assert "there is no database" in capsys.readouterr().err
    assert not (tmp_path / "no.db").exists()


def test_accounts_that_share_a_store_have_histories_of_their_own(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = s.load(tmp_path / "account.json")
    s.save(dataclasses.replace(other, account_id="210987654321", roles=()), tmp_path / "other.json")
    assert main(["baseline", *asked]) == 0
    assert main(["report", *asked[:2], "--snapshot", str(tmp_path / "other.json"), "--remember"]) == 0
    capsys.readouterr()
    assert main(["report", *asked, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert ([each["status"] for each in document["findings"]], document["resolved"]) == (["adopted"], [])


def test_the_trend_grows_only_with_what_is_remembered(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    lengths = []
    for extra in ([], ["--remember"], [], ["--remember"]):
        assert main(["report", *asked, "--json", *extra]) == 1
        lengths.append(len(json.loads(capsys.readouterr().out)["trend"]))
    assert lengths == [1, 1, 2, 2]


def test_exemptions_of_a_file_decide_the_exit_code(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "exemptions.toml"
    whole = (
        '[[exemption]]\nfinding = "trust-wildcard-principal"\nsubject = "arn:aws:iam::*:role/open"\nowner = "me"\n'
        'reason = "a test"\nexpires = 2999-12-31\n'
    )
    for text, code in (
        (whole, 0),
        (whole.replace("2999", "2020"), 1),
        (whole.replace('reason = "a test"\n', ""), 2),
        ("[", 2),
    ):
        file.write_text(text, encoding="utf-8")
        assert main(["report", *asked, "--exemptions", str(file)]) == code
    errors = capsys.readouterr().err.splitlines()
    assert "exemption 1 has no reason" in errors[0]
    assert "is no TOML" in errors[1]
    assert len(errors) == 2
