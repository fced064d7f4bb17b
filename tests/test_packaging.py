"""The two distributions: each wheel installs and runs in an empty environment, and brings nothing of the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from requirements import sbom

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env={**clean, **environment}, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    for project in (ROOT, ROOT / "agent"):
        run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", out, project)
    return out


def environment_with(wheels: Path, name: str, home: Path) -> Path:
    uv = Path(sys.executable).with_name("uv")
    run(uv, "venv", "-q", "--python", sys.executable, home)
    run(uv, "pip", "install", "-q", "--python", home / "bin" / "python", "--find-links", wheels, name)
    return home / "bin"


@pytest.mark.slow
def test_the_recorder_brings_nothing_of_the_agent(wheels: Path, tmp_path: Path) -> None:
    [wheel] = wheels.glob("credwatch-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "credwatch.pth" in names
    assert "credwatch/py.typed" in names
    assert not [name for name in names if name.startswith(("credwatch_agent", "agent", "tests"))]

    binaries = environment_with(wheels, "credwatch", tmp_path / "env")
    installed = run(
        binaries / "python", "-c", "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    )
    assert not {"boto3", "credwatch-agent", "starlette", "typer", "rich"} & set(installed.split())
    assert "usage" in run(binaries / "credwatch", "--help")


@pytest.mark.slow
def test_the_agent_brings_its_page(wheels: Path) -> None:
    [wheel] = wheels.glob("credwatch_agent-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for part in ("templates/base.html", "static/page.css", "static/page.js", "static/icon.svg"):
        assert f"credwatch_agent/web/{part}" in names


@pytest.mark.slow
def test_the_recorder_is_switched_on_by_the_environment_alone(wheels: Path, tmp_path: Path) -> None:
    binaries = environment_with(wheels, "credwatch", tmp_path / "env")
    code = "import sys, botocore.session; print('credwatch.instrumentor' in sys.modules, 'credwatch' in sys.modules)"
    assert run(binaries / "python", "-c", code) == "False False\n"
    assert run(binaries / "python", "-c", code, CREDWATCH_ENABLED="1") == "True True\n"
    assert run(binaries / "python", "-c", code, CREDWATCH_ENABLED="0") == "False True\n"


@pytest.mark.slow
def test_the_agent_runs_in_an_empty_environment(wheels: Path, tmp_path: Path) -> None:
    [wheel] = wheels.glob("credwatch_agent-*.whl")
    data = {"credwatch_agent/exports/report.schema.json", "credwatch_agent/exports/report.html.j2"}
    assert data <= set(zipfile.ZipFile(wheel).namelist())
    binaries = environment_with(wheels, "credwatch-agent", tmp_path / "env")
    assert "report" in run(binaries / "credwatch-agent", "--help")


# One signed call, answered without a network; prints what the ledger holds. Runs without pytest.
SMOKE = """
import warnings; warnings.simplefilter("error")
warnings.filterwarnings("ignore", r"datetime\\.datetime\\.utcnow", DeprecationWarning)  # of older botocore, on 3.12
import botocore.awsrequest, botocore.session
from credwatch.instrumentor import active

session = botocore.session.Session()
client = session.create_client("s3", region_name="eu-west-1", aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
                               aws_secret_access_key="x")
class Body:
    def stream(self, *_, **__): return iter([b""])
    read = lambda self, *_: b""
client.meta.events.register("before-send.s3", lambda request, **_: botocore.awsrequest.AWSResponse(
    request.url, 200, {}, Body()))
client.head_object(Bucket="photos", Key="a")
[(key, calls, *_)] = active().ledger.snapshot()
print(calls, key.usage().source, *key.usage().actions, *key.usage().resources, active().guard.errors)
"""


def interpreters() -> list[str]:
    """Every CPython from 3.10 that this machine has, this one first; uv does not look into pyenv's versions."""
    uv = Path(sys.executable).with_name("uv")
    listed = json.loads(run(uv, "python", "list", "--only-installed", "--output-format", "json"))
    candidates = [row["path"] for row in listed if row["implementation"] == "cpython"]
    candidates += sorted(map(str, Path.home().glob(".pyenv/versions/*/bin/python3")))
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for candidate in candidates:
        version = run(candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
        if tuple(map(int, version.split("."))) >= (3, 10):
            found.setdefault(version, candidate)
    return list(found.values())


def floors(project: Path) -> list[str]:
    """What a project declares: what a wheel depends on is not direct to a resolver, and would come in its newest."""
    return [each for each in sbom.read(project)["dependencies"] if not each.startswith("credwatch==")]


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
def test_the_recorder_works_on_every_python_here_with_the_versions_it_declares(
    wheels: Path, tmp_path: Path, resolution: str
) -> None:
    uv = Path(sys.executable).with_name("uv")
    [wheel] = wheels.glob("credwatch-*.whl")
    direct = floors(ROOT / "pyproject.toml")
    for number, interpreter in enumerate(interpreters()):
        python = tmp_path / str(number) / "bin" / "python"
        run(uv, "venv", "-q", "--python", interpreter, tmp_path / str(number))
        run(uv, "pip", "install", "-q", "--python", python, "--resolution", resolution, wheel, *direct)
        said = run(python, "-c", SMOKE, CREDWATCH_ENABLED="1")
        assert said == "1 explicit s3:GetObject arn:aws:s3:::photos/* 0\n", interpreter
