"""The two distributions: each wheel installs and runs in an empty environment, and brings nothing of the other."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
def test_the_recorder_is_switched_on_by_the_environment_alone(wheels: Path, tmp_path: Path) -> None:
    binaries = environment_with(wheels, "credwatch", tmp_path / "env")
    code = "import sys, botocore.session; print('credwatch.instrumentor' in sys.modules, 'credwatch' in sys.modules)"
    assert run(binaries / "python", "-c", code) == "False False\n"
    assert run(binaries / "python", "-c", code, CREDWATCH_ENABLED="1") == "True True\n"
    assert run(binaries / "python", "-c", code, CREDWATCH_ENABLED="0") == "False True\n"


@pytest.mark.slow
def test_the_agent_runs_in_an_empty_environment(wheels: Path, tmp_path: Path) -> None:
    binaries = environment_with(wheels, "credwatch-agent", tmp_path / "env")
    assert "report" in run(binaries / "credwatch-agent", "--help")
