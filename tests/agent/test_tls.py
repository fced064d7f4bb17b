"""TLS and client certificates of `serve`: a real process, real certificates, on both ports."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from credwatch_agent.access import hash_of, new_token
from credwatch_agent.cli import main
from credwatch_agent.cli.failure import UsageError
from credwatch_agent.cli.tls import Tls
from credwatch_agent.receiver import PROTOBUF
from tests.agent.wire import USAGE, counter, metrics, point

GOOD = metrics(counter([point()])).SerializeToString()
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
PEM = serialization.Encoding.PEM


class Issued(NamedTuple):
    """A certificate with its key, and the files of both."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    path: Path
    key_path: Path


def issue(directory: Path, name: str, by: Issued | None = None, *sans: x509.GeneralName) -> Issued:
    """Make a certificate, its own authority where nobody else signs it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    issuer, signer = (by.certificate.subject, by.key) if by else (subject, key)
    builder = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), True)
    )
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), False)
    made = Issued(builder.sign(signer, hashes.SHA256()), key, directory / f"{name}.pem", directory / f"{name}.key")
    made.path.write_bytes(made.certificate.public_bytes(PEM))
    made.key_path.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return made


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


class Files(NamedTuple):
    """A certificate for the agent and some for clients, by two authorities."""

    directory: Path
    authority: Issued
    agent: Issued
    collector: Issued
    reader: Issued
    unlisted: Issued
    stranger: Issued
    tokens: Path
    secret: str


@pytest.fixture
def files(tmp_path: Path) -> Files:
    authority, other = issue(tmp_path, "authority"), issue(tmp_path, "other")
    secret = new_token()
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(
        f'[[token]]\nname = "boss"\nrole = "admin"\nsha256 = "{hash_of(secret).hex()}"\n'
        '[[certificate]]\nname = "collector"\nsan = "dns:collector.example"\nrole = "ingest"\n'
        'accounts = ["999999999999"]\n'
        '[[certificate]]\nname = "reader"\nsan = "uri:spiffe://example/reader"\nrole = "read"\n'
    )
    tokens.chmod(0o600)
    return Files(
        tmp_path,
        authority,
        issue(tmp_path, "agent", authority, LOOPBACK),
        issue(tmp_path, "collector", authority, x509.DNSName("collector.example")),
        issue(tmp_path, "reader", authority, x509.UniformResourceIdentifier("spiffe://example/reader")),
        # a common name is no identity, nor is an alternative name of another kind
        issue(tmp_path, "collector.example", authority, x509.UniformResourceIdentifier("dns:collector.example")),
        issue(tmp_path, "stranger", other, x509.DNSName("collector.example")),
        tokens,
        secret,
    )


@contextmanager
def serving(files: Files, *options: str) -> Iterator[tuple[str, str]]:
    """Serve with TLS; yields the URL and the place of gRPC."""
    command = [
        *(sys.executable, "-m", "credwatch_agent", "serve", "--db", str(files.directory / "db"), "--host", "0.0.0.0"),
        *("--port", "0", "--grpc-port", "0", "--tokens", str(files.tokens), *options),
        *("--tls-certificate", str(files.agent.path), "--tls-key", str(files.agent.key_path)),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            places = [process.stdout.readline().strip().removeprefix("listening on ") for _ in range(2)]
            assert [place.partition("://")[0] for place in places] == ["https", "grpcs"], process.communicate()
            url, rpc = (place.replace("0.0.0.0", "127.0.0.1") for place in places)
            yield url, rpc.removeprefix("grpcs://")
        finally:
            process.terminate()
            _, said = process.communicate()
    assert "in the clear" not in said


def client(files: Files, who: Issued | None) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(files.authority.path))
    if who:
        context.load_cert_chain(who.path, who.key_path)
    return httpx.Client(verify=context)


def send(files: Files, url: str, who: Issued | None, token: str = "") -> httpx.Response:
    headers = {"content-type": PROTOBUF, **({"authorization": f"Bearer {token}"} if token else {})}
    with client(files, who) as asking:
        return asking.post(f"{url}/v1/metrics", content=GOOD, headers=headers)


def call(files: Files, place: str, who: Issued | None, token: str = "") -> grpc.StatusCode:
    """Send by gRPC; return the status."""
    key = who.key_path.read_bytes() if who else None
    chain = who.path.read_bytes() if who else None
    credentials = grpc.ssl_channel_credentials(files.authority.path.read_bytes(), key, chain)
    with grpc.secure_channel(place, credentials) as channel:
        sending = channel.unary_unary(METRICS)
        try:
            sending(GOOD, metadata=(("authorization", f"Bearer {token}"),) if token else ())
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


@pytest.mark.slow
def test_over_tls_tokens_work_on_both_ports_and_certificates_rotate(files: Files) -> None:
    with serving(files) as (url, rpc):
        assert send(files, url, None, files.secret).status_code == 200
        assert send(files, url, None).status_code == 401
        assert call(files, rpc, None, files.secret) is grpc.StatusCode.OK
        assert call(files, rpc, None) is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"), httpx.Client() as unbelieving:
            unbelieving.get(f"{url}/healthz")

        # half of a rotation: the key does not fit yet, and the former pair serves
        fresh = issue(files.directory, "fresh", files.authority, LOOPBACK)
        fresh.key_path.replace(files.agent.key_path)
        assert number(url) == files.agent.certificate.serial_number
        fresh.path.replace(files.agent.path)
        assert number(url) == number(f"https://{rpc}") == fresh.certificate.serial_number
        assert call(files, rpc, None, files.secret) is grpc.StatusCode.OK


def number(url: str) -> int:
    """Return the serial number of the certificate that an address shows."""
    host, port = url.removeprefix("https://").split(":")
    pem = ssl.get_server_certificate((host, int(port)))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


@pytest.mark.slow
def test_a_client_certificate_has_the_role_and_accounts_of_its_row(files: Files) -> None:
    with serving(files, "--client-ca", str(files.authority.path)) as (url, rpc):
        for who, status, code in [
            (files.collector, 200, grpc.StatusCode.OK),
            (files.reader, 403, grpc.StatusCode.PERMISSION_DENIED),
            (files.unlisted, 401, grpc.StatusCode.UNAUTHENTICATED),
        ]:
            assert (send(files, url, who).status_code, call(files, rpc, who)) == (status, code)
        # bound to an account that the usage does not name
        assert USAGE.principal_arn.split(":")[4] != "999999999999"
        assert b"may not speak for" in send(files, url, files.collector).content
        with client(files, files.reader) as reading:
            assert reading.get(f"{url}/metrics").status_code == 200
        # over HTTP a token does, and health needs neither; gRPC demands a certificate
        assert send(files, url, None, files.secret).status_code == 200
        assert send(files, url, files.collector, files.secret).content == b""
        with client(files, None) as asking:
            assert asking.get(f"{url}/healthz").status_code == 200
        assert send(files, url, None).status_code == 401
        assert call(files, rpc, None, files.secret) is grpc.StatusCode.UNAVAILABLE
        # by an authority that is not believed
        assert call(files, rpc, files.stranger) is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(httpx.TransportError):
            send(files, url, files.stranger)

        # another authority takes the place of the first: its certificates are no longer believed
        files.authority.path.with_name("believed.pem").write_bytes(files.authority.path.read_bytes())
        believed = files._replace(authority=files.authority._replace(path=files.directory / "believed.pem"))
        (files.directory / "other.pem").replace(files.authority.path)
        assert send(believed, url, files.stranger).status_code == 200
        with pytest.raises(httpx.TransportError):
            send(believed, url, files.collector)
        assert call(believed, rpc, files.stranger) is grpc.StatusCode.OK
        assert call(believed, rpc, files.collector) is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tls-certificate", "agent.pem"], "`--tls-certificate` and `--tls-key` are given together"),
        (["--tls-key", "agent.key"], "`--tls-certificate` and `--tls-key` are given together"),
        (["--client-ca", "authority.pem"], "`--client-ca` needs `--tls-certificate`"),
        (["--tls-certificate", "agent.pem", "--tls-key", "agent.key", "--client-ca", "authority.pem"], "`--client-ca`"),
        (["--tls-certificate", "gone", "--tls-key", "agent.key"], "cannot read `gone` and `agent.key`: no such file"),
        (["--tls-certificate", "agent.pem", "--tls-key", "collector.key"], "do not fit each other"),
        (["--tls-certificate", "tokens.toml", "--tls-key", "agent.key"], "are no PEM"),
        (["--tls-certificate", "agent.pem", "--tls-key", "locked.key"], "have a passphrase"),
        (
            [
                *("--tls-certificate", "agent.pem", "--tls-key", "agent.key"),
                *("--tokens", "tokens.toml", "--client-ca", "tokens.toml"),
            ],
            "`tokens.toml` holds no certificate in PEM",
        ),
    ],
)
def test_files_that_do_not_fit_are_one_sentence_and_exit_code_2(
    files: Files,
    options: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(files.directory)
    locked = serialization.BestAvailableEncryption(b"secret")
    text = files.agent.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, locked)
    (files.directory / "locked.key").write_bytes(text)
    assert main(["serve", "--db", "db", *options]) == 2
    said = capsys.readouterr().err
    assert (said.count("\n"), sentence in said) == (1, True), said
    assert not (files.directory / "db").exists()


def test_a_rotation_that_is_half_done_is_said_once(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    tls = Tls(files.agent.path, files.agent.key_path, None)
    before = tls.current()
    files.agent.key_path.write_bytes(files.collector.key_path.read_bytes())
    assert tls.current() == tls.current() == before
    assert [record.message for record in caplog.records] == ["certificates not read again: the former ones serve"]
    files.agent.path.unlink()
    with pytest.raises(UsageError, match="no such file"):
        Tls(files.agent.path, files.agent.key_path, None)


def test_config_check_looks_at_tokens_that_expire_and_at_certificates(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "fresh", "--days", "0.5"]) == 0
    fresh = capsys.readouterr().out
    old = f'[[token]]\nname = "old"\nrole = "read"\nsha256 = "{"0" * 64}"\nexpires = 2020-01-31T00:00:00Z\n'
    files.tokens.write_text(fresh + old)
    config = files.directory / "agent.toml"
    config.write_text(
        f'db = "db"\ntokens = "{files.tokens}"\ntls_certificate = "{files.agent.path}"\n'
        f'tls_key = "{files.agent.key_path}"\n'
    )
    assert main(["config", "check", "--config", str(config)]) == 0
    said = capsys.readouterr().out
    assert "tokens are valid: 1; expired: old\n" in said
    assert "certificates are valid PEM, and the key fits\n" in said
    files.agent.key_path.unlink()
    assert main(["config", "check", "--config", str(config)]) == 2
