"""What a release holds: the same bytes from the same commit, complete metadata, and who may install it beside what."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from credwatch_agent.snapshot import save
from examples.demo import agent
from examples.demo.play import Files
from requirements import sbom
from tests.agent import worlds
from tests.e2e.collector import free_port, until
from tests.test_packaging import ROOT, SMOKE, floors, interpreters, run

SOURCES = ("credwatch", "agent", "credwatch.pth", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")
UV = Path(sys.executable).with_name("uv")


def build(checkout: Path, out: Path) -> dict[str, bytes]:
    for project in (checkout, checkout / "agent"):
        run(
            sys.executable,
            "-m",
            "build",
            "-q",
            "--no-isolation",
            "--outdir",
            out,
            project,
            SOURCE_DATE_EPOCH="1767225600",
        )
    return {file.name: file.read_bytes() for file in out.iterdir()}


def checkout(into: Path, moment: int, mode: int) -> Path:
    """Copy the sources as another clone would have them: at another time, with another umask."""
    junk = shutil.ignore_patterns("__pycache__", "*.egg-info", "dist", ".*_cache", ".venv*")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, into / name, ignore=junk)
        else:
            into.mkdir(exist_ok=True, parents=True)
            shutil.copy(source, into / name)
    for file in into.rglob("*"):
        if file.is_file():
            file.chmod(mode)
        os.utime(file, (moment, moment))
    return into


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    place = tmp_path_factory.mktemp("one")
    return build(checkout(place / "clone", 1_700_000_000, 0o644), place / "dist")


def metadata_of(name: str, content: bytes, tmp_path: Path) -> tuple[Message, list[str]]:
    file = tmp_path / name
    file.write_bytes(content)
    if name.endswith(".whl"):
        with zipfile.ZipFile(file) as wheel:
            names = wheel.namelist()
            text = wheel.read(next(n for n in names if n.endswith("METADATA"))).decode()
    else:
        with tarfile.open(file) as archive:
            names = archive.getnames()
            member = archive.extractfile(next(n for n in names if n.endswith("PKG-INFO")))
            assert member is not None
            text = member.read().decode()
    return Parser().parsestr(text), names


@pytest.mark.slow
def test_the_same_sources_give_the_same_bytes(built: dict[str, bytes], tmp_path: Path) -> None:
    again = build(checkout(tmp_path / "other" / "place", 1_600_000_000, 0o664), tmp_path / "dist")
    assert len(built) == 4
    assert {name: hashlib.sha256(content).hexdigest() for name, content in again.items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in built.items()
    }


@pytest.mark.slow
def test_each_file_is_complete(built: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in built.items():
        found, names = metadata_of(name, content, tmp_path)
        assert (found["License-Expression"], found["Requires-Python"]) == ("Apache-2.0", ">=3.10"), name
        assert found["Description-Content-Type"] == "text/markdown"
        assert all(found[field] for field in ("Summary", "Keywords", "Author")), name
        classifiers = found.get_all("Classifier") or []
        assert {f"Programming Language :: Python :: 3.{n}" for n in (10, 11, 12, 13)} <= set(classifiers)
        assert "Typing :: Typed" in classifiers
        assert [n for n in names if n.endswith("py.typed")]
        assert [n for n in names if n.endswith("LICENSE")], name
        assert not [n for n in names if "__pycache__" in n or n.endswith(".pyc") or "/tests/" in n]


def test_both_distributions_have_the_same_licence_and_version() -> None:
    assert (ROOT / "agent" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    recorder, of_agent = (sbom.read(path) for path in sbom.PROJECTS)
    assert recorder["version"] == of_agent["version"]
    assert f"credwatch=={recorder['version']}" in of_agent["dependencies"]


def test_the_bill_of_materials_holds_what_each_runs_on_and_nothing_of_its_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    assert sbom.main([str(tmp_path)]) == 0
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert sbom.main([str(tmp_path)]) == 0
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first
    recorder, of_agent = (json.loads(first[f"{name}-0.1.0.cdx.json"]) for name in ("credwatch", "credwatch_agent"))
    names = {component["name"] for component in recorder["components"]}
    assert {"botocore", "opentelemetry-sdk", "protobuf", "urllib3"} <= names
    assert not names & {"pytest", "moto", "boto3", "starlette"}
    assert names | {"credwatch", "boto3", "starlette"} <= {component["name"] for component in of_agent["components"]}
    for document in (recorder, of_agent):
        refs = [component["bom-ref"] for component in document["components"]]
        assert len(refs) == len(set(refs))
        assert {r for row in document["dependencies"] for r in (row["ref"], *row["dependsOn"])} <= {
            *refs,
            document["metadata"]["component"]["bom-ref"],
        }


def test_the_bills_of_materials_are_valid_by_the_official_schema(tmp_path: Path) -> None:
    assert sbom.main([str(tmp_path)]) == 0
    schema = JsonStrictValidator(SchemaVersion.V1_6)
    documents = [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()]
    assert [schema.validate_str(document) for document in documents] == [None, None]
    assert schema.validate_str(documents[0].replace('"library"', '"book"', 1)) is not None


PINNED = {
    "protobuf 4": (
        "opentelemetry-sdk==1.25.0",
        "opentelemetry-exporter-otlp==1.25.0",
        "botocore==1.34.0",
        "protobuf<5",
    ),
    "protobuf 5": ("opentelemetry-sdk==1.30.0", "opentelemetry-exporter-otlp==1.30.0", "boto3==1.35.0", "protobuf<6"),
    "contrib": ("opentelemetry-distro==0.51b0", "opentelemetry-exporter-otlp==1.30.0", "boto3==1.34.100"),
}
"""Environments of services that were pinned before credwatch came."""


@pytest.mark.slow
@pytest.mark.verify
@pytest.mark.parametrize("pins", PINNED.values(), ids=PINNED)
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_pinned_service_takes_the_recorder_without_a_change_and_reports(
    built: dict[str, bytes], tmp_path: Path, pins: tuple[str, ...], protocol: str
) -> None:
    [name] = [name for name in built if name.startswith("credwatch-") and name.endswith(".whl")]
    (tmp_path / name).write_bytes(built[name])
    python = tmp_path / "env" / "bin" / "python"
    run(UV, "venv", "-q", "--python", sys.executable, tmp_path / "env")
    run(UV, "pip", "install", "-q", "--python", python, *pins)
    before = run(UV, "pip", "freeze", "--python", python).splitlines()
    run(UV, "pip", "install", "-q", "--python", python, tmp_path / name)
    after = [
        line for line in run(UV, "pip", "freeze", "--python", python).splitlines() if not line.startswith("credwatch")
    ]
    assert after == before
    run(UV, "pip", "check", "--python", python)
    files, port = Files(tmp_path), free_port()
    with agent.serving(files.db, 0, "--grpc-port", str(port)) as serving:
        url = f"http://127.0.0.1:{port}" if protocol == "grpc" else serving.url
        on = {"CREDWATCH_ENABLED": "1", "CREDWATCH_ENDPOINT": url, "CREDWATCH_PROTOCOL": protocol}
        run(python, "-c", SMOKE, OTEL_SERVICE_NAME="pinned", CREDWATCH_EXIT_TIMEOUT="60", **on)
        until(lambda: [p.closed for p in files.telemetry().processes.values()] == [1], "the total of the process")


@pytest.mark.slow
@pytest.mark.verify
def test_the_agent_works_with_the_lowest_versions_that_it_declares(built: dict[str, bytes], tmp_path: Path) -> None:
    for name, content in built.items():
        (tmp_path / name).write_bytes(content)
    [wheel] = tmp_path.glob("credwatch_agent-*.whl")
    binaries, files = tmp_path / "env" / "bin", Files(tmp_path)
    run(UV, "venv", "-q", "--python", sys.executable, tmp_path / "env")
    lowest = ("--resolution", "lowest-direct", "--find-links", tmp_path)
    run(UV, "pip", "install", "-q", "--python", binaries / "python", *lowest, wheel, *floors(sbom.PROJECTS[1]))
    save(worlds.snapshot(worlds.role("reader", worlds.allow("Read", "s3:GetObject"))), files.snapshot)
    with agent.serving(files.db, python=str(binaries / "python")) as serving:
        on = {"CREDWATCH_ENABLED": "1", "CREDWATCH_ENDPOINT": serving.url, "CREDWATCH_EXIT_TIMEOUT": "60"}
        run(binaries / "python", "-c", SMOKE, OTEL_SERVICE_NAME="low", **on)
        until(lambda: [p.closed for p in files.telemetry().processes.values()] == [1], "the total of the process")
    compared = ("--json", "--db", files.db, "--snapshot", files.snapshot)
    done = subprocess.run([binaries / "credwatch-agent", "report", *compared], capture_output=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    report = json.loads(done.stdout)
    assert [(row["name"], row["calls"]) for row in report["services"]] == [("low", 1)]
    arguments = ("reader", "s3:GetObject", "arn:aws:s3:::photos/a", "--snapshot", files.snapshot)
    assert "allow" in run(binaries / "credwatch-agent", "explain", *arguments).lower()


@pytest.mark.slow
@pytest.mark.verify
def test_the_recorders_fast_tests_pass_on_every_python_here(tmp_path: Path) -> None:
    for number, interpreter in enumerate(interpreters()[1:]):
        python = tmp_path / str(number) / "bin" / "python"
        run(UV, "venv", "-q", "--python", interpreter, tmp_path / str(number))
        run(UV, "pip", "install", "-q", "--python", python, "--require-hashes", "-r", ROOT / "requirements" / "dev.txt")
        run(UV, "pip", "install", "-q", "--python", python, "--no-deps", "--no-build-isolation", "-e", ROOT)
        run(UV, "pip", "install", "-q", "--python", python, "--no-deps", "--no-build-isolation", "-e", ROOT / "agent")
        fast = ("-q", "-p", "no:cacheprovider", "-m", "not slow and not verify", ROOT / "tests" / "recorder")
        said = run(python, "-m", "pytest", "--rootdir", ROOT, "-c", ROOT / "pyproject.toml", *fast)
        print(interpreter, said.splitlines()[-1])
