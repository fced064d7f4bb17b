"""Reads a scenario (see scenarios/README.md) into what the agent would hold: snapshot and telemetry."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from credwatch.semconv import Hop
from credwatch_agent import snapshot as s
from credwatch_agent.cli.compared import emits
from credwatch_agent.evidence import Settings
from credwatch_agent.records import Accessed, KeySighting, Process, Second, Telemetry, UsageRow
from credwatch_agent.report import Report, build
from credwatch_agent.second import accessed
from credwatch_agent.second.cloudtrail import Trail
from tests.agent import worlds as w

HERE = Path(__file__).parent / "scenarios"
Json = Mapping[str, Any]
_ECS = f"arn:aws:ecs:eu-west-1:{w.ACCOUNT}"
_FINDING = re.compile(r"(\S+) (\S+) (\S+)(?: \((\S+)\))?(?: also (.+))?")


@dataclass(frozen=True)
class Scenario:
    """One scenario: `rule` is the finding that it is about, `kind` fires, silent or insufficient."""

    rule: str
    kind: str
    when: str
    file: str
    text: Json = field(repr=False)

    @property
    def findings(self) -> list[tuple[str, ...]]:
        """Return (severity, id, subject, cause, also) of each finding that must be there, sorted."""
        return sorted(_parts(text) for text in self.text.get("findings", ()))

    @property
    def unknown(self) -> list[str]:
        return list(self.text.get("unknown", ()))


def _parts(text: str) -> tuple[str, ...]:
    found = _FINDING.fullmatch(text)
    assert found, f"`{text}` is no finding"
    return tuple(part or "" for part in found.groups())


def scenarios() -> Iterator[Scenario]:
    """Yield every scenario of the folder."""
    for path in sorted(HERE.glob("*.yaml")):
        for rule, each in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            for one in each:
                yield Scenario(rule, one["is"], one["when"], path.name, one)


def report(one: Scenario) -> Report:
    """Return what the agent says of a scenario."""
    text = one.text
    earlier = snapshot(text, "earlier") if "earlier" in text else None
    return build(
        telemetry(text), snapshot(text), w.NOW, Settings(), emits, earlier=earlier, second=second(text)
    )  # fmt: skip


# --- the snapshot -----------------------------------------------------------------------------------


def snapshot(text: Json, roles: str = "roles") -> s.Snapshot:
    """Return the snapshot of a scenario, of its roles or those of `earlier`."""
    hosts, tasks = text.get("hosts", {}), text.get("tasks", {})
    carried = sorted({host["role"] for host in hosts.values() if host.get("role")})
    return w.snapshot(
        *(_role(name, role or {}) for name, role in text.get(roles, {}).items()),
        instances=tuple(_instance(name, host) for name, host in hosts.items()),
        instance_profiles=tuple(s.InstanceProfile(_profile(name), name, (w.role_arn(name),)) for name in carried),
        container_instances=tuple(
            s.ContainerInstance(f"{_ECS}:ci/{name}", f"{_ECS}:cluster/shop", name)
            for name, host in hosts.items()
            if host.get("registered")
        ),
        task_definitions=tuple(_definition(family, task) for family, task in tasks.items()),
        tasks=tuple(each for family, task in tasks.items() for each in _tasks(family, task)),
        access_keys=tuple(s.AccessKey(key, _arn(user), "Active") for key, user in text.get("access_keys", {}).items()),
        missing=tuple(s.Missing(layer, f"it was denied: {layer} are unknown") for layer in text.get("missing", ())),
        **_associations(text),
    )


def _associations(text: Json) -> dict[str, Any]:
    found = text.get("associations", {})
    pairs = [(*place.split("/"), w.role_arn(role)) for place, role in found.items()]
    return {"associations": tuple(s.Association("shop", *each) for each in pairs)} if pairs else {}


def _profile(role: str) -> str:
    return f"arn:aws:iam::{w.ACCOUNT}:instance-profile/{role}"


def _instance(name: str, host: Json) -> s.Instance:
    profile = _profile(host["role"]) if host.get("role") else ""
    return s.Instance(name, profile, host.get("tokens", ""), host.get("hops", 0), "enabled", "running")


def _definition(family: str, task: Json) -> s.TaskDefinition:
    return s.TaskDefinition(
        f"{_ECS}:task-definition/{family}:1",
        family,
        "1",
        w.role_arn(task["role"]) if "role" in task else "",
        w.role_arn(task["execution"]) if "execution" in task else "",
        task.get("network", ""),
        tuple(s.Container(name) for name in task.get("containers", ["app"])),
    )


def _tasks(family: str, task: Json) -> Iterator[s.Task]:
    for number in range(task.get("running", 1)):
        yield s.Task(
            f"{_ECS}:task/shop/{family}" + (f"-{number}" if number else ""),
            f"{_ECS}:cluster/shop",
            f"{_ECS}:task-definition/{family}:1",
            w.role_arn(task["override"]) if "override" in task else "",
            f"{_ECS}:ci/{task['host']}" if "host" in task else "",
            "EC2" if "host" in task else "FARGATE",
        )


def _role(name: str, role: Json) -> s.Role:
    policies = {**({"p": role["allow"]} if "allow" in role else {}), **role.get("policies", {})}
    made = [w.policy(p, *(_statement(sid, one) for sid, one in each.items())) for p, each in policies.items()]
    return w.role(
        name,
        policies=(*made, *([s.Policy("broken", "{")] if role.get("broken") else [])),
        trust=_trust(role["trust"]),
        path=role.get("path", "/"),
        tags=tuple(role.get("tags", {}).items()),
    )


def _statement(sid: str, text: Any) -> dict[str, Any]:
    if not isinstance(text, str):
        return {"Sid": sid, "Effect": "Allow", **text}
    actions, _, resources = text.partition(" on ")
    return w.allow(sid, actions.split(", "), *(resources.split(", ") if resources else ()))


_OIDC = f"arn:aws:iam::{w.ACCOUNT}:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/A"


def _trust(text: Any) -> str:
    if isinstance(text, str) and text.startswith("{"):
        return text
    return w.document(*(_let_in(each) for each in (text if isinstance(text, list) else [text])))


def _let_in(each: Any) -> Json:
    if not isinstance(each, str):
        return dict(each)
    kind, _, name = each.partition(" ")
    if kind in ("role", "user", "account"):
        arn = f"arn:aws:iam::{name}:root" if kind == "account" else f"arn:aws:iam::{w.ACCOUNT}:{kind}/{name}"
        return {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"}
    if kind == "oidc":
        return {"Effect": "Allow", "Principal": {"Federated": _OIDC}, "Action": "sts:AssumeRoleWithWebIdentity"}
    return w.trusting(f"{kind}.amazonaws.com")


# --- telemetry --------------------------------------------------------------------------------------


def telemetry(text: Json) -> Telemetry:
    """Return what the processes of a scenario reported."""
    processes: dict[str, Process] = {}
    rows: list[UsageRow] = []
    keys: list[KeySighting] = []
    for name, each in text.get("processes", {}).items():
        calls = [(_call(name, call, each), call) for call in each.get("calls", ())]
        processes[name] = _process(name, each, text, sum(row.calls for row, _ in calls))
        rows += [row for row, _ in calls]
        if each.get("keys") != []:
            keys += [_key(row, call) for row, call in calls]
    return Telemetry(processes, tuple(rows), tuple(keys))


def _ago(days: float) -> int:
    return w.NOW - int(days * w.DAY)


def _process(name: str, each: Json, text: Json, calls: int) -> Process:
    found = each.get("closed", True)
    closed = {True: calls, False: None}.get(found, found) if isinstance(found, bool) else found
    resource = {key: value for key, value in {**_where(each, text), **each.get("more", {})}.items() if value}
    return Process(name, resource, _ago(each.get("from", 100)), _ago(each.get("to", 0)), closed)


def _where(each: Json, text: Json) -> dict[str, str]:
    found = {"service.name": each.get("service", each.get("task", "")), "host.id": each.get("host", "")}
    found["credwatch.entry_point"] = each.get("entry", "main.py")
    if "task" in each:
        definition = text.get("tasks", {}).get(each["task"], {})
        has_role = "role" in definition or "override" in definition
        return {
            **found,
            "cloud.platform": "aws_ecs",
            "cloud.account.id": w.ACCOUNT,
            "aws.ecs.task.arn": f"{_ECS}:task/shop/{each['task']}",
            "aws.ecs.task.family": each["task"],
            "aws.ecs.task.revision": "1",
            "aws.ecs.launchtype": "ec2" if "host" in {**definition, **each} else "fargate",
            "container.name": each.get("container", "app"),
            "credwatch.ecs.credentials_uri": each.get("uri", "present" if has_role else "absent"),
        }
    if "pod" in each:
        return {**found, "cloud.platform": "aws_eks", "k8s.pod.name": each["pod"]}
    return {**found, "cloud.platform": "aws_ec2", "cloud.account.id": w.ACCOUNT} if "host" in each else found


_OURS = frozenset({"by", "of", "resource", "times", "from", "to", "key", "chain", "type", "authorizations"})


def _arn(principal: str) -> str:
    if principal == "root":
        return f"arn:aws:iam::{w.ACCOUNT}:root"
    return f"arn:aws:iam::{w.ACCOUNT}:{principal}" if principal.startswith("user/") else w.role_arn(principal)


def _named(source: str, principal: str) -> str:
    """Return a principal as its source tells it: the metadata service names no ARN."""
    return principal if not principal or source in {"ec2-instance-profile", "imds-other"} else _arn(principal)


def _call(process: str, call: Json, each: Json) -> UsageRow:
    source, _, principal = call["by"].partition(" ")
    hops = [hop.partition(" ")[::2] for hop in call.get("chain", ())]
    more = {key: value for key, value in call.items() if key not in _OURS}
    if "authorizations" in call:
        more["authorizations"] = tuple((a, tuple(arns)) for a, arns in sorted(call["authorizations"].items()))
    if "facets" in call:
        more["facets"] = tuple(sorted(call["facets"].items()))
    user = principal == "root" or principal.startswith("user/")
    return w.call(
        process,
        source,
        _named(source, principal),
        call["of"],
        resource=call.get("resource", "*"),
        credential_type=call.get("type", "long-lived" if user else "temporary"),
        chain=tuple(Hop(hop, _named(hop, of)) for hop, of in hops),
        calls=call.get("times", 10),
        first_ns=_ago(call.get("from", each.get("from", 100))),
        last_ns=_ago(call.get("to", each.get("to", 0))),
        **more,
    )


def _key(row: UsageRow, call: Json) -> KeySighting:
    usage = row.usage
    return KeySighting(
        process_id=row.process_id,
        pseudonym=call.get("key", f"{row.process_id} {call['by']}"),
        source=usage.source,
        provider=usage.provider,
        credential_type=usage.credential_type,
        laundered=usage.laundered,
        principal=usage.principal,
        account_id=usage.account_id,
        value=row.calls,
        first_ns=row.first_ns,
        last_ns=row.last_ns,
    )


# --- second sources ---------------------------------------------------------------------------------


def second(text: Json) -> Second:
    """Return what CloudTrail and last-accessed documents say in a scenario, read from AWS's own formats."""
    trail = Trail(_ago(90))
    trail.add(log(*(event(each, i) for i, each in enumerate(text.get("cloudtrail", ())))))
    documents = [_document(each) for each in text.get("last_accessed", ())]
    found: tuple[Accessed, ...] = tuple(one for document in documents for one in accessed.parse(document))
    return Second(tuple(trail.uses()), found, tuple(text.get("problems", ())))


def log(*events: Json) -> bytes:
    """A CloudTrail log file of these events."""
    return json.dumps({"Records": events}).encode()


def event(text: Json, number: int) -> dict[str, Any]:
    """An event as CloudTrail writes it, from `role`, `session`, `call`, `with`, `ago`, `error`, `agent`, `via`."""
    source, _, name = text["call"].partition(":")
    role = w.role_arn(text["role"])
    who = {
        "type": "AssumedRole",
        "arn": f"arn:aws:sts::{w.ACCOUNT}:assumed-role/{text['role']}/{text['session']}",
        "accountId": w.ACCOUNT,
        "sessionContext": {"sessionIssuer": {"type": "Role", "arn": role, "userName": text["role"]}},
        **({"invokedBy": text["via"]} if "via" in text else {}),
    }
    return {
        "eventVersion": "1.11",
        "eventID": f"{number:08}-0000-0000-0000-000000000000",
        "eventTime": _iso(text.get("ago", 1)),
        "eventSource": f"{source}.amazonaws.com",
        "eventName": name,
        "awsRegion": "eu-west-1",
        "userAgent": text.get("agent", ""),
        "userIdentity": who,
        "requestParameters": text.get("with"),
        **({"errorCode": text["error"]} if "error" in text else {}),
    }


def _iso(days: float) -> str:
    return datetime.fromtimestamp(_ago(days) // 10**9, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _document(text: Json) -> bytes:
    namespace, _, name = text["action"].partition(":")
    entity, at = w.role_arn(text["role"]), _iso(text["ago"])
    service: dict[str, Any] = {"ServiceName": namespace, "ServiceNamespace": namespace, "TotalAuthenticatedEntities": 1}
    service |= {"LastAuthenticated": at, "LastAuthenticatedEntity": entity}
    if name != "*":
        tracked = {"ActionName": name, "LastAccessedEntity": entity, "LastAccessedTime": at}
        service["TrackedActionsLastAccessed"] = [tracked]
    document = {"JobStatus": "COMPLETED", "JobType": "ACTION_LEVEL", "ServicesLastAccessed": [service]}
    return json.dumps({**document, "IsTruncated": False}).encode()
