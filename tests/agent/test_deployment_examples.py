"""The deployment examples parse, and agree with the settings of the agent and the API of ECS. None is deployed here."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import yaml
from botocore.validate import validate_parameters

from credwatch_agent import __version__
from credwatch_agent.cli.settings import PREFIX, given, settings

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def test_the_task_definition_is_one_that_ecs_takes_and_starts_the_agent_by_its_settings() -> None:
    task: dict[str, Any] = json.loads((EXAMPLES / "ecs" / "task-definition.json").read_text())
    shape = botocore.session.Session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
    validate_parameters(task, shape)
    # the validator lets unknown names pass
    assert set(task) <= set(shape.members)
    container = shape.members["containerDefinitions"].member
    assert all(set(made) <= set(container.members) for made in task["containerDefinitions"])
    [agent] = [made for made in task["containerDefinitions"] if made["name"] == "credwatch-agent"]
    assert settings(given({}, {row["name"]: row["value"] for row in agent["environment"]}, {})).loopback
    assert not agent["user"].startswith(("0", "root"))
    assert agent["readonlyRootFilesystem"]
    assert agent["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}


def test_the_unit_is_hardened_and_starts_the_agent_by_its_settings() -> None:
    text = (EXAMPLES / "ec2" / "credwatch-agent.service").read_text()
    sections = configparser.RawConfigParser(strict=False)
    sections.read_string(text)
    assert sections.sections() == ["Unit", "Service", "Install"]
    environ = dict(re.findall(r"^(?:# )?Environment=(\w+)=(.*)$", text, re.MULTILINE))
    assert settings(given({}, environ, {})).loopback
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
    assert f"credwatch-agent=={__version__}" in words["RUN"]
    environ = dict(pair.split("=", 1) for pair in words["ENV"].split())
    assert settings(given({}, {k: v for k, v in environ.items() if k.startswith(PREFIX)}, {})).loopback


def test_the_workflow_for_ci_gives_options_that_there_are_and_uploads_what_it_writes() -> None:
    workflow = yaml.safe_load((EXAMPLES / "ci" / "credwatch.yml").read_text(encoding="utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = " ".join(step.get("run", "") for step in steps).replace("\\\n", " ")
    page = "".join(
        (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("pytest", "report", "exports")
    )
    options = set(re.findall(r"--[a-z][a-z-]+", commands))
    assert {option for option in options if f"`{option}" not in page} == set()
    [upload] = [step for step in steps if "upload-sarif" in step.get("uses", "")]
    assert f"-o {upload['with']['sarif_file']}" in commands
    assert workflow["jobs"]["report"]["permissions"]["security-events"] == "write"
    assert all("permissions" in part for part in (workflow, workflow["jobs"]["report"]))
