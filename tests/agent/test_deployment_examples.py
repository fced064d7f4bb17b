"""The deployment examples parse, and agree with the agent's settings and their platform's API. None is deployed.

Real parsers: botocore's model of ECS, Kubernetes' schemas, a model of the Compose specification, a grammar of
Terraform's language. What a cluster, an account or a provider would say beyond that is not asked.
"""

from __future__ import annotations

import configparser
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.session
import compose_spec
import hcl2
import kubernetes_validate  # type: ignore[import-untyped]  # has no types
import pytest
import yaml
from botocore.validate import validate_parameters

from credwatch.settings import ROWS
from credwatch_agent import __version__
from credwatch_agent.cli.settings import PREFIX, Settings, given, settings
from credwatch_agent.snapshot.live import PERMISSIONS

EXAMPLES = Path(__file__).parents[2] / "examples"
ECS = botocore.session.Session().get_service_model("ecs")


def served(environ: Mapping[str, str]) -> Settings:
    """What `serve` would be told by an environment; it refuses what it would not do."""
    return settings(given({}, {name: value for name, value in environ.items() if name.startswith(PREFIX)}, {}))


def recorder(environ: Mapping[str, str]) -> None:
    """A service's environment has no variable of ours that is none, and switches credwatch on."""
    known = {row.variable for row in ROWS.values()}
    assert {name for name in environ if name.startswith("CREDWATCH_")} <= known
    assert environ["CREDWATCH_ENABLED"] == "1"


# --- ECS ------------------------------------------------------------------------------------------

TASKS = ["task-definition", "agent-fargate", "agent-ec2", "snapshot"]


def read(name: str, operation: str) -> dict[str, Any]:
    """Return a document that is an operation's parameters, checked against the model of its API."""
    document: dict[str, Any] = json.loads((EXAMPLES / "ecs" / f"{name}.json").read_text())
    shape = ECS.operation_model(operation).input_shape
    validate_parameters(document, shape)
    assert list(unknown(document, shape)) == []
    return document


def unknown(value: Any, shape: Any) -> Iterator[str]:
    """Names that the validator lets pass, for it looks at the names that it knows."""
    if shape.type_name == "structure":
        for name, member in value.items():
            if name not in shape.members:
                yield name
            else:
                yield from unknown(member, shape.members[name])
    elif shape.type_name == "list":
        for item in value:
            yield from unknown(item, shape.member)


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["value"] for row in container.get("environment", ())}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_definition_is_one_that_ecs_takes_with_an_agent_that_may_do_little(name: str) -> None:
    task = read(name, "RegisterTaskDefinition")
    volumes = {volume["name"] for volume in task["volumes"]}
    ours = [made for made in task["containerDefinitions"] if "/credwatch-agent:" in made["image"]]
    assert ours
    for container in ours:
        assert container["image"].endswith(f":{__version__}")
        assert container["user"] == "65532:65532"
        assert container["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
        # what is written is a volume, or the first container's only work
        assert container.get("readonlyRootFilesystem") or container["name"] == "files"
        assert {mount["sourceVolume"] for mount in container["mountPoints"]} <= volumes


def test_a_sidecar_is_reached_by_loopback_and_a_service_by_tls_with_tokens() -> None:
    sidecar = read("task-definition", "RegisterTaskDefinition")
    made = {container["name"]: environment(container) for container in sidecar["containerDefinitions"]}
    # containers share loopback in this mode alone, on Fargate and on EC2
    assert sidecar["networkMode"] == "awsvpc"
    assert set(sidecar["requiresCompatibilities"]) == {"FARGATE", "EC2"}
    assert served(made["credwatch-agent"]).loopback
    recorder(made["orders"])

    task = read("agent-fargate", "RegisterTaskDefinition")
    files, agent = task["containerDefinitions"]
    told = served(environment(agent))
    assert (told.loopback, told.db.partition(":")[0]) == (False, "postgresql")
    written = set(re.findall(r"> ([\w.]+)", files["command"][0]))
    assert {told.tokens, told.tls_certificate, told.tls_key} == {Path("/run/credwatch", name) for name in written}
    assert {row["name"] for row in files["secrets"]} == set(re.findall(r"printenv (\w+)", files["command"][0]))
    # a secret is never a plain variable
    assert not re.search(r"cwt_|:[^/@]+@", json.dumps(agent["environment"]))
    service = read("agent-fargate-service", "CreateService")
    assert (service["taskDefinition"], service["launchType"]) == (task["family"], "FARGATE")


def test_a_daemon_keeps_a_file_on_each_host_and_listens_to_its_bridge() -> None:
    task = read("agent-ec2", "RegisterTaskDefinition")
    [agent] = task["containerDefinitions"]
    told = served(environment(agent))
    assert (task["networkMode"], told.host, told.tokens is not None) == ("host", "172.17.0.1", True)
    service = read("agent-ec2-service", "CreateService")
    assert (service["taskDefinition"], service["schedulingStrategy"]) == (task["family"], "DAEMON")


# --- EC2, the image, IAM --------------------------------------------------------------------------


def test_the_unit_is_hardened_and_starts_the_agent_by_its_settings() -> None:
    text = (EXAMPLES / "ec2" / "credwatch-agent.service").read_text()
    sections = configparser.RawConfigParser(strict=False)
    sections.read_string(text)
    assert sections.sections() == ["Unit", "Service", "Install"]
    environ = dict(re.findall(r"^(?:# )?Environment=(\w+)=(.*)$", text, re.MULTILINE))
    assert served(environ).loopback
    assert set(environ) > {f"{PREFIX}DB", f"{PREFIX}TOKENS"}
    wanted = {"DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": ""}
    assert {key: sections["Service"][key] for key in wanted} == wanted


def test_the_container_file_runs_as_no_root() -> None:
    text = re.sub(r"\\\n\s*", "", (EXAMPLES / "ecs" / "Dockerfile").read_text())
    steps = [line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    words = dict(steps)
    assert set(words) <= {"FROM", "RUN", "ENV", "VOLUME", "USER", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
    assert words["USER"] == "65532:65532"
    assert json.loads(words["ENTRYPOINT"])[0].endswith("/credwatch-agent")
    assert f"credwatch-agent[postgres]=={__version__}" in words["RUN"]
    assert all(volume in words["RUN"] for volume in words["VOLUME"].split())
    assert served(dict(pair.split("=", 1) for pair in words["ENV"].split())).loopback


def test_the_agents_policy_is_what_it_calls() -> None:
    policy = json.loads((EXAMPLES / "iam" / "credwatch-agent-policy.json").read_text())
    [statement] = policy["Statement"]
    assert (statement["Effect"], tuple(statement["Action"])) == ("Allow", PERMISSIONS)


# --- Compose --------------------------------------------------------------------------------------


def test_the_compose_file_is_one_by_the_specification_and_its_agent_wants_tokens() -> None:
    text = (EXAMPLES / "compose" / "compose.yaml").read_text()
    document: dict[str, Any] = yaml.safe_load(text)
    compose = compose_spec.PyOptions(apply_merge=True).from_yaml(text)
    compose.validate()  # each network, volume and secret that is named is there
    assert set(compose.service_names()) == set(document["services"])
    with pytest.raises(ValueError, match="enviroment"):
        compose_spec.PyCompose.from_yaml(text.replace("    environment:", "    enviroment:"))
    agent = document["services"]["credwatch-agent"]
    told = served(agent["environment"])
    assert (told.host, told.tokens) == ("0.0.0.0", Path("/run/secrets/tokens"))
    assert (agent["user"], agent["read_only"], agent["cap_drop"]) == ("65532:65532", True, ["ALL"])
    assert all(port.startswith("127.0.0.1:") for port in agent["ports"])
    assert (EXAMPLES / "compose" / agent["build"]["context"] / "Dockerfile").is_file()
    for name, service in document["services"].items():
        assert set(service["secrets"]) <= set(document["secrets"])
        if name != "credwatch-agent":
            recorder(service["environment"])
            assert service["environment"]["CREDWATCH_ENDPOINT"] == "http://credwatch-agent:4318"


# --- EKS ------------------------------------------------------------------------------------------


def manifests(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLES / "eks" / name).read_text()))


@pytest.mark.parametrize("name", ["agent.yaml", "service.yaml"])
def test_every_manifest_is_one_by_kubernetes_schemas(name: str) -> None:
    for manifest in manifests(name):
        kubernetes_validate.validate(manifest, "1.31", strict=True)


def test_a_manifest_with_a_name_that_is_none_is_refused() -> None:
    [manifest] = manifests("service.yaml")
    manifest["spec"]["template"]["spec"]["containers"][0]["enviroment"] = []
    with pytest.raises(kubernetes_validate.ValidationError, match="enviroment"):
        kubernetes_validate.validate(manifest, "1.31", strict=True)


def test_the_cluster_has_an_agent_by_its_settings_and_a_snapshot_by_its_role() -> None:
    made = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests("agent.yaml")}
    pods = [
        made["Deployment", "credwatch-agent"]["spec"]["template"]["spec"],
        made["CronJob", "credwatch-snapshot"]["spec"]["jobTemplate"]["spec"]["template"]["spec"],
    ]
    for pod in pods:
        # the "restricted" standard of pod security, which the namespace enforces
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["containers"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert container["image"].endswith(f":{__version__}")
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert mounts == {volume["name"] for volume in pod["volumes"]}
    agent = pods[0]["containers"][0]
    told = served({row["name"]: row["value"] for row in agent["env"]})
    assert (told.loopback, told.tls_certificate) == (False, Path("/etc/credwatch/agent.pem"))
    ports = {port["name"]: port["containerPort"] for port in agent["ports"]}
    assert ports == {"otlp-http": told.port, "otlp-grpc": told.grpc_port}
    assert {p["targetPort"]: p["port"] for p in made["Service", "credwatch-agent"]["spec"]["ports"]} == ports
    assert pods[1]["serviceAccountName"] == "credwatch-snapshot"
    assert "automountServiceAccountToken" in pods[0], "`serve` calls nobody"
    [service] = manifests("service.yaml")
    [container] = service["spec"]["template"]["spec"]["containers"]
    environ = {row["name"]: row["value"] for row in container["env"]}
    recorder(environ)
    assert environ["CREDWATCH_ENDPOINT"] == "https://credwatch-agent.credwatch.svc:4318"


# --- Terraform ------------------------------------------------------------------------------------


def test_the_terraform_files_parse_and_refer_to_what_there_is() -> None:
    directory = EXAMPLES / "terraform"
    texts = {path.name: path.read_text() for path in sorted(directory.glob("*.tf"))}
    parsed = [hcl2.loads(text) for text in texts.values()]
    declared = {
        f"{prefix}{plain(kind)}.{plain(name)}"
        for document in parsed
        for block, prefix in (("resource", ""), ("data", "data."))
        for made in document.get(block, ())
        for kind, named in made.items()
        for name in named
    }
    variables = {plain(name) for document in parsed for made in document.get("variable", ()) for name in made}
    whole = "\n".join(texts.values())
    assert set(re.findall(r"\bvar\.(\w+)", whole)) == variables
    for reference in re.findall(r"\b(?:data\.)?aws_\w+\.\w+", whole):
        assert reference in declared
    files = re.findall(r'file\("\$\{path\.module\}/([^"]+)"\)', whole)
    assert len(files) == 3
    assert all((directory / name).is_file() for name in files)
    # what is read of the documents is there
    for local, name in (("agent", "agent-fargate"), ("snapshot", "snapshot")):
        task = read(name, "RegisterTaskDefinition")
        assert set(re.findall(rf"local\.{local}\.(\w+)", whole)) <= set(task)


def plain(label: str) -> str:
    return label.strip('"')


def test_the_workflow_for_ci_gives_options_that_there_are_and_uploads_what_it_writes() -> None:
    workflow = yaml.safe_load((EXAMPLES / "ci" / "credwatch.yml").read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = " ".join(step.get("run", "") for step in steps).replace("\\\n", " ")
    page = "".join(
        (EXAMPLES.parent / "docs" / f"{name}.md").read_text(encoding="utf-8")
        for name in ("pytest", "report", "exports")
    )
    options = set(re.findall(r"--[a-z][a-z-]+", commands))
    assert {option for option in options if f"`{option}" not in page} == set()
    [upload] = [step for step in steps if "upload-sarif" in step.get("uses", "")]
    assert f"-o {upload['with']['sarif_file']}" in commands
    assert workflow["jobs"]["report"]["permissions"]["security-events"] == "write"
    assert all("permissions" in part for part in (workflow, workflow["jobs"]["report"]))
