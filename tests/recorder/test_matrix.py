"""Every source along every signing path: who signed is recorded, and each call once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.recorder.matrix import cells
from tests.recorder.matrix.drivers import Driver
from tests.recorder.matrix.sources import World
from tests.recorder.matrix.walk import Attach, walk

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("cell", cells.parameters(cells.SYNC))
def test_cell(cell: cells.Cell, world: World, attach: Attach) -> None:
    recorded, expected = walk(cell, world, Driver(), attach)
    assert recorded == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "size",
    [
        pytest.param("not slow and not verify", id="lean"),
        pytest.param("slow or verify", id="full", marks=pytest.mark.verify),
    ],
)
@pytest.mark.parametrize("file", ["in_async.py", "in_crt.py"])
def test_cells_of_the_environment_with_aiobotocore_and_awscrt(file: str, size: str) -> None:
    python = ROOT / ".venv-async" / "bin" / "python"
    # awscrt changes how botocore signs: the cells of aiobotocore alone are walked without it
    environ = {**os.environ, "BOTO_DISABLE_CRT": str(file == "in_async.py").lower()}
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", size, f"tests/recorder/matrix/{file}"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]


def test_a_direct_signature_is_not_seen_as_the_matrix_says(attach: Attach) -> None:
    recording = attach()
    request = AWSRequest("GET", "https://s3.eu-west-1.amazonaws.com/")
    SigV4Auth(Credentials("AKIAEXAMPLE", "s"), "s3", "eu-west-1").add_auth(request)
    assert "Authorization" in request.headers
    assert recording.counts() == {}
    assert any("add_auth" in what for what in cells.UNSEEN)


def test_every_cell_has_a_test_or_a_reason() -> None:
    walked = {(run, cell.id) for run in cells.TESTS for cell in cells.tested(run)}
    for cell in cells.CELLS:
        for plain, crt in ((cells.SYNC, cells.CRT), (cells.ASYNC, cells.ASYNC_CRT)):
            run = crt if cell.needs_crt else plain
            assert ((run, cell.id) in walked) != bool(cells.impossible(cell, run)), cell.id
