"""How functions connect to PostgreSQL: they check its certificate, and notice that it is gone."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg.conninfo import conninfo_to_dict

from email_sender.adapters.postgres.certificate_authorities import AUTHORITIES
from email_sender.kit import resources
from email_sender.kit.environment import DatabaseSettings


def make_certificate(folder: Path, name: str) -> Path:
    """Write a self-signed certificate and its key to one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(7)
        .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Accept the start of TLS as PostgreSQL does, and close every connection after the handshake."""
    certificate = make_certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(5)
                if connection.recv(8)[4:] == b"\x04\xd2\x16\x2f":  # PostgreSQL's SSLRequest
                    connection.sendall(b"S")
                    with context.wrap_socket(connection, server_side=True):
                        pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1], certificate
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def connect(monkeypatch: pytest.MonkeyPatch, port: int, mode: str, authorities: Path = AUTHORITIES) -> str:
    """Try to connect as functions do, and return the reason for which it failed."""
    monkeypatch.setattr(resources, "AUTHORITIES", authorities)
    monkeypatch.setattr(resources, "client", lambda _service: Tokens())
    settings = DatabaseSettings.from_environment(
        {"STAGE": "dev", "DATABASE_HOST": "localhost", "DATABASE_PORT": str(port), "DATABASE_SSL": mode}
    )
    with pytest.raises(psycopg.OperationalError) as failed:
        psycopg.connect(resources.conninfo(settings), connect_timeout=5, hostaddr="127.0.0.1")
    return str(failed.value)


class Tokens:
    def generate_db_auth_token(self, *_: object) -> str:
        return "token"


def test_a_server_that_amazon_did_not_certify_is_refused(
    server: tuple[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "certificate verify failed" in connect(monkeypatch, server[0], "verify-full")


def test_a_certified_server_is_accepted(server: tuple[int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    port, certificate = server
    # The handshake succeeds, and then the server hangs up.
    assert "certificate" not in connect(monkeypatch, port, "verify-full", certificate)
    assert "certificate" not in connect(monkeypatch, port, "require")


def test_a_server_that_is_gone_is_noticed_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "client", lambda _service: Tokens())
    settings = DatabaseSettings.from_environment({"STAGE": "dev", "DATABASE_HOST": "db.example"})
    parameters = conninfo_to_dict(resources.conninfo(settings))
    assert parameters["tcp_user_timeout"] == "5000"
    idle, interval, count = (int(str(parameters[f"keepalives_{name}"])) for name in ("idle", "interval", "count"))
    assert idle + interval * count <= 20


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_the_authorities_are_those_of_rds_in_every_region_and_amazons_roots() -> None:
    certificates = x509.load_pem_x509_certificates(AUTHORITIES.read_bytes())
    names = {
        str(attribute.value)
        for certificate in certificates
        for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    }
    assert {f"Amazon Root CA {number}" for number in range(1, 5)} <= names
    for region in ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2"):
        assert {f"Amazon RDS {region} Root CA {kind} G1" for kind in ("RSA2048", "RSA4096", "ECC384")} <= names
    soon = datetime.now(UTC) + timedelta(days=365)
    assert [one.subject.rfc4514_string() for one in certificates if one.not_valid_after_utc < soon] == []
    assert not [name for name in names if "Beta" in name or "Preview" in name]
