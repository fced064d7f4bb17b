"""`credwatch whoami` as a command: exit codes, streams, other processes, and the one call of --verify."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from credwatch.cli import main
from tests.recorder.whoami_world import (
    ACCOUNT,
    LATER,
    LONG_LIVED,
    TEMPORARY,
    Endpoints,
    answer,
    as_nobody,
    aws_files,
    serve,
)

KEYS = {"AWS_ACCESS_KEY_ID": LONG_LIVED, "AWS_SECRET_ACCESS_KEY": "secret-SENTINEL"}


@pytest.fixture(autouse=True)
def clean_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoints]:
    role = f"arn:aws:iam::{ACCOUNT}:role/orders"
    with serve(Endpoints(container=answer(RoleArn=role, Expiration=LATER))) as endpoints:
        for name, value in {**endpoints.container_environ, **endpoints.task_environ}.items():
            monkeypatch.setenv(name, value)
        yield endpoints


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 0),
        (["--expect", "orders"], 0),
        (["--expect", f"arn:aws:iam::{ACCOUNT}:role/ord*"], 0),
        (["--expect", "thumbnailer"], 1),
        (["--profile", "gone"], 1),
        (["--profile", "gone", "--expect", "orders"], 1),
        (["--pid", "4194999"], 3),
    ],
)
def test_the_exit_code_is_the_answer(arguments: list[str], code: int, container: Endpoints) -> None:
    assert main(["whoami", *arguments]) == code


@pytest.mark.parametrize("arguments", [[], ["whoami", "--pid", "x"], ["whoami", "--pid", "0"], ["whoami", "--color"]])
def test_a_wrong_use_exits_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: credwatch" in capsys.readouterr().err


def test_a_mismatch_says_what_it_is_on_stderr(container: Endpoints, capsys: pytest.CaptureFixture[str]) -> None:
    main(["whoami", "--json", "--expect", "host"])
    out, err = capsys.readouterr()
    assert json.loads(out)["principal_arn"].endswith(":role/orders")
    assert err == f"credwatch whoami: expected 'host', it is arn:aws:iam::{ACCOUNT}:role/orders\n"


def test_a_role_that_only_aws_knows_exits_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**KEYS, "AWS_ACCESS_KEY_ID": TEMPORARY, "AWS_SESSION_TOKEN": "t"}.items():
        monkeypatch.setenv(name, value)
    assert main(["whoami", "--expect", "orders"]) == 3
    assert "try --verify" in capsys.readouterr().err


def test_what_is_piped_has_no_colours(container: Endpoints, capsys: pytest.CaptureFixture[str]) -> None:
    main(["whoami"])
    assert "\x1b" not in capsys.readouterr().out


# --- another process ----------------------------------------------------------------------------


@contextmanager
def running(command: list[str], environ: Mapping[str, str]) -> Iterator[int]:
    """Run a command that prints a process id and waits for its stdin to close; yields that id."""
    with subprocess.Popen(
        command, env=dict(environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        try:
            yield int(started.stdout.readline())
        finally:
            assert started.stdin is not None
            started.stdin.close()


WAITING = ["/bin/sh", "-c", "echo $$; read line"]
STRIPPING = ["/bin/sh", "-c", "exec 3<&0; env -i $KEEP /bin/sh -c 'echo $$; read line <&3'; true"]


def test_another_process_is_seen_with_its_own_environment_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "other"
    pair = "aws_access_key_id = AKIA\naws_secret_access_key = file-secret-SENTINEL\n"
    aws_files(home, credentials=f"[batch]\n{pair}", config="[profile batch]\nregion = eu-west-2\n")
    environ = {"HOME": str(home), "AWS_PROFILE": "batch", "AWS_EC2_METADATA_DISABLED": "true"}
    with running(WAITING, environ) as pid:
        assert main(["whoami", "--json", "--pid", str(pid)]) == 0
    out = capsys.readouterr().out
    told = json.loads(out)
    assert (told["source"], told["profile"], told["region"]) == ("shared-credentials-file", "batch", "eu-west-2")
    assert "SENTINEL" not in out


def test_a_process_whose_environment_was_stripped_is_told_who_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(Endpoints(instance=answer(Expiration=LATER))) as endpoints:
        keep = " ".join(f"{name}={value}" for name, value in endpoints.instance_environ.items())
        environ = {**endpoints.container_environ, **endpoints.task_environ, "KEEP": keep, "PATH": os.environ["PATH"]}
        with running(STRIPPING, environ) as pid:
            assert main(["whoami", "--json", "--pid", str(pid), "--parents"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["id"], problem["cause"]) == ("task-using-instance-profile", "environment-stripped")
    assert "the parent process" in problem["sentence"]


def test_a_process_of_another_user_gets_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as directory, as_nobody(Path(directory)):
        assert main(["whoami", "--pid", "1"]) == 3
    assert capsys.readouterr().err == (
        "credwatch whoami: the environment of process 1 may not be read: run as its user or as root\n"
    )


# --- processes and servers of seconds -----------------------------------------------------------


@pytest.mark.slow
def test_importing_credwatch_imports_no_botocore() -> None:
    code = "import sys, credwatch.cli; sys.exit('botocore' in sys.modules or not callable(credwatch.whoami))"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def sts() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.mark.slow
def test_verify_asks_sts_with_the_keys_found(
    sts: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**KEYS, "AWS_ENDPOINT_URL_STS": sts}.items():
        monkeypatch.setenv(name, value)
    assert main(["whoami", "--verify", "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["verified"] == told["principal_arn"] == f"arn:aws:sts::{ACCOUNT}:user/moto"
    assert told["account_id"] == ACCOUNT
    assert "SENTINEL" not in out + err


@pytest.mark.slow
def test_verify_that_cannot_is_one_sentence(
    sts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    aws_files(tmp_path, config="[default]\ncredential_process = cat x\n")
    assert main(["whoami", "--verify"]) == 3
    sentence = "not verified: to get its keys whoami would have to run a command, which it never does\n"
    assert capsys.readouterr().err == f"credwatch whoami: {sentence}"
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(name, value)
    assert main(["whoami", "--verify"]) == 3
    assert "STS could not be asked (EndpointConnectionError)" in capsys.readouterr().err
