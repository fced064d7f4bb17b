"""What stands against `unused`: each rule fires, keeps still, and says when it cannot know; and their laws."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from credwatch.semconv import Hop
from credwatch_agent import snapshot as s
from credwatch_agent.compare import RoleView, compare
from credwatch_agent.evidence import Coverage, Reason, Settings, State, begins, cover, join, settings_of
from credwatch_agent.evidence.coverage import RULES, duration
from credwatch_agent.evidence.settings import NO_AWS_TAG, WINDOW_TAG
from credwatch_agent.records import Process, Telemetry, UsageRow
from credwatch_agent.snapshot import model
from tests.agent import worlds as w

ROLE = w.role_arn("orders")
HOUR = 3_600 * 10**9
MINUTE = 60 * 10**9


@dataclass(frozen=True)
class Case:
    """A world of one role, by default one of which everything is known."""

    role: s.Role
    snapshot: s.Snapshot
    processes: tuple[Process, ...]
    usage: tuple[UsageRow, ...]
    settings: Settings = field(default_factory=Settings)

    @property
    def telemetry(self) -> Telemetry:
        return Telemetry({p.process_id: p for p in self.processes}, self.usage, ())

    def coverage(self) -> Coverage:
        index = s.Index(self.snapshot)
        since = w.NOW - self.settings.window_ns
        joined = join(self.telemetry, index, since, begins(index, w.NOW, self.settings))
        return cover(self.role, index, joined, w.NOW, self.settings)

    def gaps(self) -> dict[Reason, str]:
        return {gap.reason: gap.sentence for gap in self.coverage().gaps}

    def view(self) -> RoleView:
        index = s.Index(self.snapshot)
        since = w.NOW - self.settings.window_ns
        joined = join(self.telemetry, index, since, begins(index, w.NOW, self.settings))
        views = compare(index, joined, w.NOW, self.settings, lambda _action: True)
        return next(view for view in views if view.role.arn == self.role.arn)


def case(
    *,
    role: Mapping[str, Any] | None = None,
    world: Mapping[str, Any] | None = None,
    processes: tuple[Process, ...] | None = None,
    usage: tuple[UsageRow, ...] | None = None,
    **settings: Any,
) -> Case:
    made = w.role("orders", w.allow("S", ["s3:GetObject", "s3:PutObject"]), **(role or {}))
    return Case(
        made,
        replace(w.snapshot(made), **{**w.ecs("orders", ROLE), **(world or {})}),
        (w.task_process("p", "orders"),) if processes is None else processes,
        (get("p"),) if usage is None else usage,
        Settings(**settings),
    )


def get(process_id: str, source: str = "ecs-task-role", **more: Any) -> UsageRow:
    return w.call(process_id, source, ROLE, "s3:GetObject", **more)


def process(process_id: str, first_ns: int, last_ns: int, *, closed: bool = True, **more: str) -> Process:
    made = w.task_process(process_id, "orders", **more)
    return replace(made, first_ns=first_ns, last_ns=last_ns, closed=0 if closed else None)


def span(process_id: str, first_days: float, last_days: float, *, closed: bool = True) -> Process:
    """A process that lived between two moments, in days before now."""
    return process(process_id, w.NOW - int(first_days * w.DAY), w.NOW - int(last_days * w.DAY), closed=closed)


def containers(*names: str, no_aws: tuple[str, ...] = (), tasks: int = 1) -> dict[str, Any]:
    made = w.ecs("orders", ROLE, containers=tuple(s.Container(name, no_aws=name in no_aws) for name in names))
    (task,) = made["tasks"]
    return {**made, "tasks": tuple(replace(task, arn=task.arn + ("" if i == 0 else str(i))) for i in range(tasks))}


def lasting(number: int, entry_point: str = "orders.py") -> tuple[Process, ...]:
    """One process that still runs in each of so many tasks."""
    arn = f"arn:aws:ecs:eu-west-1:{w.ACCOUNT}:task/shop/orders"
    more = ({"aws__ecs__task__arn": arn + ("" if i == 0 else str(i))} for i in range(number))
    return tuple(
        process(f"p{i}", w.BEGIN, w.NOW, closed=False, credwatch__entry_point=entry_point, **each)
        for i, each in enumerate(more)
    )


def trusts(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"trust": json.dumps({"Version": "2012-10-17", "Statement": list(statements)})}


def lets_in(principal: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}


def test_where_everything_is_known_what_was_not_seen_is_unused() -> None:
    assert case().coverage().gaps == ()
    assert case().view().actions == {"s3:GetObject": State.USED, "s3:PutObject": State.UNUSED}


# --- each rule: a world where it fires, and one beside it where it must not ---------------------------

DAILY_JOB = tuple(span(f"run{day}", day + 0.6, day + 0.5) for day in range(90))
WEB_IDENTITY = "arn:aws:iam::123456789012:oidc-provider/token.example.com"
CALLER = w.role_arn("caller")
PROFILE_OF_ROLE = {"instance_profiles": (s.InstanceProfile(w.PROFILE, "host", (ROLE,)),)}
OVERRIDDEN = {
    **w.ecs("orders", ""),
    "tasks": (replace(w.ecs("orders", "")["tasks"][0], task_role_override=ROLE),),
}
FIRES: list[tuple[str, Reason, Case]] = [
    ("nobody reports", Reason.NO_CARRIER, case(processes=(), usage=())),
    ("the role hangs on an instance profile", Reason.INSTANCE_PROFILE, case(world=PROFILE_OF_ROLE)),
    ("half of the window", Reason.WINDOW, case(processes=(span("p", 45, 0),))),
    ("a start beyond the slack", Reason.WINDOW, case(
        processes=(process("p", w.NOW - 90 * w.DAY + 3 * MINUTE, w.NOW),))),
    ("calls that did not arrive", Reason.LOST, case(processes=(replace(w.task_process("p", "orders"), closed=11),))),
    ("silence in the middle", Reason.WINDOW, case(processes=(span("p", 100, 50, closed=False), span("q", 40, 0)))),
    ("silence at the end", Reason.WINDOW, case(processes=(span("p", 100, 10),))),
    ("a quarterly job", Reason.WINDOW, case(processes=(span("p", 90, 89.9), span("q", 1, 0.9)))),
    ("a job whose runs were all killed", Reason.WINDOW, case(processes=tuple(
        replace(run, closed=None) for run in DAILY_JOB), usage=(get("run3"),))),
    ("a container that is silent", Reason.UNINSTRUMENTED, case(world=containers("app", "sidecar"))),
    ("a task by override with a silent container", Reason.UNINSTRUMENTED, case(
        world={**OVERRIDDEN, "task_definitions": containers("app", "sidecar")["task_definitions"]})),
    ("18 of 20 tasks", Reason.COVERAGE, case(
        world=containers("app", tasks=20), processes=lasting(18), usage=(get("p0"),))),
    ("an entry point in one of two tasks", Reason.COVERAGE, case(
        world=containers("app", tasks=2), usage=(get("p0"),),
        processes=(*lasting(2), replace(lasting(1, "worker.py")[0], process_id="q")))),
    ("a running task of an unknown definition", Reason.COVERAGE, case(
        world={**w.ecs("orders", ROLE),
               "tasks": (*w.ecs("orders")["tasks"], s.Task("arn:t", definition_arn="arn:d"))})),
    ("EC2 may assume it too", Reason.TRUST, case(role={"trust": w.trust(w.TASK_TRUST, w.HOST_TRUST)})),
    ("an account", Reason.TRUST, case(role=trusts(lets_in({"AWS": "arn:aws:iam::123456789012:root"})))),
    ("everyone", Reason.TRUST, case(role=trusts(lets_in("*")))),
    ("everyone but one", Reason.TRUST, case(role=trusts(
        lets_in({"Service": w.TASK_TRUST}), {"Effect": "Allow", "NotPrincipal": {"AWS": "x"}, "Action": "*"}))),
    ("a role that was not seen to assume it", Reason.TRUST, case(role=trusts(lets_in({"AWS": CALLER})))),
    ("a token's issuer, no token seen", Reason.TRUST, case(role=trusts(lets_in({"Federated": WEB_IDENTITY})))),
    ("two issuers, one kind of token seen", Reason.TRUST, case(
        role=trusts(lets_in({"Federated": [WEB_IDENTITY, "cognito-identity.amazonaws.com"]})),
        usage=(get("p", "web-identity"),))),
    ("SAML, while a token was seen", Reason.TRUST, case(
        role=trusts(lets_in({"Federated": "arn:aws:iam::123456789012:saml-provider/corp"})),
        usage=(get("p", "web-identity"),))),
    ("a trust policy that is no JSON", Reason.TRUST, case(role={"trust": "{"})),
    ("a trust policy that is no object", Reason.TRUST, case(role={"trust": "[]"})),
    ("a trust policy that never ends", Reason.TRUST, case(role={"trust": "[" * 200_000})),
    ("calls of unknown credentials in its task", Reason.UNATTRIBUTED, case(
        usage=(get("p"), w.call("p", "unknown", "", "s3:PutObject")))),
    ("calls of a role of its name, account unknown", Reason.UNATTRIBUTED, case(
        world={"account_id": ""},
        processes=(w.task_process("p", "orders"), w.host_process("h", "cron", "i-1")),
        usage=(get("p"), w.call("h", "imds-other", "orders", "s3:PutObject", account_id="")))),
    ("spans instead of counts", Reason.INEXACT, case(usage=(get("p", exact=False),))),
    ("a call that no rule maps", Reason.MAPPING, case(usage=(get("p", mapping="unknown"),))),
    ("a tag that is no length of time", Reason.SETTINGS, case(role={"tags": (("credwatch:window", "a year"),)})),
    ("a tag that asks for more than there is", Reason.WINDOW, case(role={"tags": (("credwatch:window", "400d"),)})),
    *((f"{layer} could not be read", Reason.MISSING_LAYER, case(world={"missing": (s.Missing(layer, "denied"),)}))
      for layer in (model.TASKS, model.TASK_DEFINITIONS, model.INSTANCE_PROFILES, model.INSTANCES)),
]  # fmt: skip

KEEPS_STILL: list[tuple[str, Case]] = [
    ("a start within the slack", case(processes=(process("p", w.NOW - 90 * w.DAY + MINUTE, w.NOW),))),
    ("silence of less than a twentieth", case(processes=(span("p", 100, 50, closed=False), span("q", 47, 0)))),
    ("processes that take turns", case(processes=tuple(span(f"p{i}", 95 - i, 94 - i) for i in range(95)),
                                       usage=(get("p7"),))),
    ("a job each day", case(processes=DAILY_JOB, usage=(get("run3"),))),
    ("a shorter window by tag", case(
        role={"tags": (("credwatch:window", "30d"),)}, processes=(span("p", 45, 0),))),
    ("a container by label", case(world=containers("app", "sidecar", no_aws=("sidecar",)))),
    ("a container by tag", case(role={"tags": (("credwatch:no-aws", "sidecar"),)}, world=containers("app", "sidecar"))),
    ("a container of the family by tag", case(
        role={"tags": (("credwatch:no-aws", "envoy orders/sidecar"),)}, world=containers("app", "sidecar", "envoy"))),
    ("19 of 20 tasks", case(world=containers("app", tasks=20), processes=lasting(19), usage=(get("p0"),))),
    ("a job that runs in one of two tasks", case(
        world=containers("app", tasks=2), usage=(get("p0"),),
        processes=(*lasting(2), w.task_process("job", "orders", credwatch__entry_point="job.py")))),
    ("a task by override", case(world=OVERRIDDEN)),
    ("a role that was seen to assume it", case(
        role=trusts(lets_in({"AWS": CALLER})),
        usage=(get("p", "assumed-role", chain=(Hop("ecs-task-role", CALLER),)),))),
    ("a user that was seen to assume it", case(
        role=trusts(lets_in({"AWS": "arn:aws:iam::123456789012:user/ci"})),
        usage=(get("p", "assumed-role", chain=(Hop("environment", "arn:aws:iam::123456789012:user/ci"),)),))),
    ("a session that was seen to assume it", case(
        role=trusts(lets_in({"AWS": CALLER})),
        usage=(get("p", "assumed-role",
                   chain=(Hop("x", "arn:aws:sts::123456789012:assumed-role/caller/session"),)),))),
    ("a token's only issuer", case(
        role=trusts(lets_in({"Federated": WEB_IDENTITY})), usage=(get("p", "web-identity"),))),
    ("a Deny of everyone", case(role=trusts(
        lets_in({"Service": w.TASK_TRUST}), {**lets_in("*"), "Effect": "Deny"}))),
    ("a process that runs in the task and has called nothing", case(usage=())),
    ("a user's keys in its task", case(usage=(
        get("p"), w.call("p", "unknown", "", "s3:PutObject", credential_type="long-lived")))),
    ("an unsigned call in its task", case(usage=(get("p"), w.call("p", "anonymous", "", "s3:PutObject")))),
    ("unknown credentials elsewhere", case(
        processes=(w.task_process("p", "orders"), w.host_process("h", "cron", "i-1")),
        usage=(get("p"), w.call("h", "unknown", "", "s3:PutObject")))),
    ("a role of its name in another account", case(
        processes=(w.task_process("p", "orders"), w.host_process("h", "cron", "i-1")),
        usage=(get("p"), w.call("h", "imds-other", "orders", "s3:PutObject", account_id="999999999999")))),
    ("access keys could not be read", case(world={"missing": (s.Missing(model.ACCESS_KEYS, "denied"),)})),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "known"), [each[1:] for each in FIRES], ids=[each[0] for each in FIRES])
def test_a_doubt_is_named_and_nothing_is_called_unused(reason: Reason, known: Case) -> None:
    gaps = known.gaps()
    assert reason in gaps, gaps
    assert State.UNUSED not in known.view().actions.values()


@pytest.mark.parametrize("known", [each[1] for each in KEEPS_STILL], ids=[each[0] for each in KEEPS_STILL])
def test_no_doubt_is_made_up(known: Case) -> None:
    assert known.coverage().gaps == ()
    assert known.view().actions["s3:PutObject"] is State.UNUSED


def test_every_rule_has_a_world_in_which_it_fires() -> None:
    fired = {reason for _, reason, _ in FIRES}
    own_scope = {
        Reason.OUTCOME,
        Reason.AMBIGUOUS,
        Reason.BASELINE,
        Reason.FORWARDED,
        Reason.NO_OPERATION,
        Reason.PASS_ROLE,
        # scenarios/second.yaml
        Reason.UNREPORTED,
        Reason.CONTRADICTION,
        Reason.TESTED,
    }
    assert fired | own_scope == set(Reason)
    assert len(RULES) == len(set(RULES))


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        (case(processes=(span("p", 45, 0),)), "`orders/app` has been reporting for 45 days of 90 days"),
        (case(processes=(span("p", 100, 10),)), "`orders/app` was silent for 10 days of the window"),
        (
            case(world=containers("app", tasks=20), processes=lasting(18), usage=(get("p0"),)),
            "`orders/app` reports from 18 of 20 running tasks",
        ),
        (
            case(usage=(get("p"), w.call("p", "unknown", "", "s3:PutObject"))),
            "`orders/app` made 10 calls with credentials that may be this role's",
        ),
        (
            case(role={"tags": (("credwatch:window", "-1"),)}),
            "tag `credwatch:window` of role `orders` is `-1`: write a number of days such as `400d`",
        ),
    ],
)
def test_a_gap_says_what_where_and_how_much(known: Case, sentence: str) -> None:
    assert sentence in [gap.sentence for gap in known.coverage().gaps]


# --- who reports ------------------------------------------------------------------------------------


def test_several_processes_of_a_class_are_one_carrier_and_their_calls_are_added() -> None:
    known = case(
        processes=(*(w.task_process(key, "orders") for key in "pq"), process("r", w.BEGIN, w.NOW, closed=False)),
        usage=(get("p"), get("q"), w.call("q", "ecs-task-role", ROLE, "s3:PutObject"), get("r")),
    )
    (carrier,) = known.coverage().carriers
    assert (carrier.processes, carrier.instances, carrier.calls) == (3, 1, 40)
    assert carrier.workload.where == "orders/app"


@pytest.mark.parametrize("closed", [True, False], ids=["ended", "runs"])
def test_counts_are_a_lower_bound_until_every_process_ended(closed: bool) -> None:
    known = case(processes=(w.task_process("p", "orders"), process("q", w.BEGIN, w.NOW, closed=closed)))
    assert [carrier.closed for carrier in known.coverage().carriers] == [closed]


def test_entry_points_are_carriers_apart() -> None:
    known = case(
        processes=(w.task_process("p", "orders"), w.task_process("q", "orders", credwatch__entry_point="jobs.py"))
    )
    assert [(c.workload.entry_point, c.calls) for c in known.coverage().carriers] == [("jobs.py", 0), ("orders.py", 10)]


def test_a_process_of_which_only_calls_are_known_is_a_carrier_that_lived_as_long_as_they_tell() -> None:
    known = case(usage=(get("p"), get("ghost", first_ns=w.NOW - 5 * w.DAY), get("ghost", first_ns=w.NOW - 6 * w.DAY)))
    assert known.gaps()[Reason.WINDOW] == "`(no service.name)` has been reporting for 6 days of 90 days"


# --- settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "days"), [("400d", 400.0), (" 30d ", 30.0), ("0.5d", 0.5), ("0d", None), ("", None), ("90", None)]
)
def test_a_role_names_its_own_window_or_is_told_how_to(text: str, days: float | None) -> None:
    found = settings_of(s.Role(ROLE, "orders", tags=(("credwatch:window", text),)), Settings())
    assert found.window_days == (days or 90.0)
    assert bool(found.problems) is (days is None)


def test_a_longer_window_brings_older_calls_back_for_this_role_alone() -> None:
    old: dict[str, Any] = {"first_ns": w.NOW - 350 * w.DAY, "last_ns": w.NOW - 340 * w.DAY}
    process_ = process("old", w.NOW - 500 * w.DAY, w.NOW - 340 * w.DAY)
    other = w.role("other", w.allow("S", "s3:PutObject"))
    calls = tuple(w.call("old", "ecs-task-role", arn, "s3:PutObject", **old) for arn in (ROLE, other.arn))
    known = case(role={"tags": (("credwatch:window", "400d"),)}, processes=(process_, w.task_process("p", "orders")))
    index = s.Index(replace(known.snapshot, roles=(known.role, other)))
    telemetry = replace(known.telemetry, usage=(*known.usage, *calls))
    since = begins(index, w.NOW, Settings())
    joined = join(telemetry, index, w.NOW - 90 * w.DAY, since)
    assert since == {ROLE: w.NOW - 400 * w.DAY}
    assert [len(joined.by_role(arn)) for arn in (ROLE, other.arn)] == [2, 0]
    views = {view.role.name: view.actions for view in compare(index, joined, w.NOW, Settings(), lambda _: True)}
    assert views["orders"]["s3:PutObject"] is State.USED


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 seconds"), (-1, "0 seconds"), (1, "less than a second"), (10**9, "1 second"),
        (90 * 10**9, "1.5 minutes"), (HOUR, "1 hour"), (36 * HOUR, "1.5 days"),
    ],
)  # fmt: skip
def test_a_length_of_time_is_read_at_a_glance(ns: int, text: str) -> None:
    assert duration(ns) == text


# --- laws -------------------------------------------------------------------------------------------

LAYERS: Mapping[str, str] = {
    model.ROLES: "roles",
    model.INSTANCE_PROFILES: "instance_profiles",
    model.INSTANCES: "instances",
    model.TASK_DEFINITIONS: "task_definitions",
    model.TASKS: "tasks",
    model.CONTAINER_INSTANCES: "container_instances",
    model.ACCESS_KEYS: "access_keys",
    model.IDENTITY: "account_id",
}
ACTIONS = ("s3:GetObject", "s3:PutObject", "sqs:SendMessage", "iam:PassRole", "rds-db:connect")
STATEMENTS = st.builds(
    lambda actions, resource, condition: w.allow("", sorted(actions), resource, **condition),
    st.sets(st.sampled_from((*ACTIONS, "s3:*")), min_size=1),
    st.sampled_from(("*", "arn:aws:s3:::a/*", "arn:aws:s3:::b/*")),
    st.sampled_from(({}, {"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}})),
)
ROWS = st.builds(
    lambda action, resource, by, more: w.call(by[0], by[1], by[2], action, resource=resource, **more),
    st.sampled_from(ACTIONS[:3]),
    st.sampled_from(("*", "arn:aws:s3:::a/*", "arn:aws:s3:::b/k", "arn:aws:s3:eu-west-1:*:accesspoint/*")),
    st.sampled_from((
        ("p", "ecs-task-role", ROLE), ("q", "ecs-task-role", ROLE), ("h", "ec2-instance-profile", "orders"),
        ("h", "imds-other", "orders"), ("p", "unknown", ""),
    )),
    st.fixed_dictionaries({
        "outcome": st.sampled_from(("allowed", "denied", "answered")),
        "mapping": st.sampled_from(("table", "table", "unknown")),
        "exact": st.sampled_from((True, True, False)),
        "account_id": st.sampled_from((w.ACCOUNT, "")),
    }),
)  # fmt: skip
PROCESSES = (w.task_process("p", "orders"), w.task_process("q", "orders"), w.host_process("h", "cron"))
LAW = hypothesis_settings(max_examples=60)


@st.composite
def cases(draw: Callable[..., Any]) -> Case:
    statements = draw(st.lists(STATEMENTS, min_size=1, max_size=4))
    made = w.role("orders", *statements)
    world = draw(st.sampled_from((w.ecs("orders", ROLE), OVERRIDDEN, {**w.ecs("orders", ROLE), **PROFILE_OF_ROLE})))
    rows = draw(st.lists(ROWS, max_size=6))
    return Case(made, w.snapshot(made, **world), PROCESSES[: draw(st.integers(1, 3))], tuple(rows))


def unused(view: RoleView) -> set[tuple[int, str]]:
    return {
        (i, grant.action)
        for i, statement in enumerate(view.statements)
        for grant in statement.grants
        if grant.verdict.state is State.UNUSED
    }


@LAW
@given(cases(), st.lists(ROWS, min_size=1, max_size=3))
def test_more_evidence_never_turns_used_into_anything_else(known: Case, more: list[UsageRow]) -> None:
    before, after = known.view(), replace(known, usage=(*known.usage, *more)).view()
    used = {action for action, state in before.actions.items() if state is State.USED}
    assert {after.actions[action] for action in used} <= {State.USED}


@LAW
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_processes_changes_nothing(known: Case, random: Any) -> None:
    usage, processes = list(known.usage), list(known.processes)
    random.shuffle(usage)
    random.shuffle(processes)
    assert replace(known, usage=tuple(usage), processes=tuple(processes)).view() == known.view()


@LAW
@given(cases())
def test_nothing_is_unused_while_a_gap_is_left(known: Case) -> None:
    view = known.view()
    if view.coverage.gaps:
        assert not unused(view)
    for statement in view.statements:
        for grant in statement.grants:
            assert bool(grant.verdict.gaps) is (grant.verdict.state in {State.INSUFFICIENT, State.UNOBSERVABLE})


@LAW
@given(cases(), st.sampled_from(sorted(LAYERS)))
def test_a_layer_that_could_not_be_read_never_makes_more_unused(known: Case, layer: str) -> None:
    empty = "" if layer == model.IDENTITY else ()
    fewer = replace(known.snapshot, missing=(s.Missing(layer, "denied"),), **{LAYERS[layer]: empty})  # type: ignore[arg-type]
    without = replace(known, snapshot=fewer)
    assert layer == model.ROLES or unused(without.view()) <= unused(known.view())


def test_every_reason_and_tag_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text(encoding="utf-8")
    for word in (*(reason.value for reason in Reason), WINDOW_TAG, NO_AWS_TAG):
        assert f"`{word}" in page, word
