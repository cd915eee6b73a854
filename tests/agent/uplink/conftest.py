"""A deployment in small for the uplink's tests: authority, keys, a real mosquitto with mutual TLS, and a journal on the disk."""

from __future__ import annotations

import datetime as dt
import getpass
import ipaddress
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from agent.core import lines, merkle, note
from agent.journal.journal import Journal
from agent.uplink.keys import ServerKeys
from hal.drivers.linux import Files

DOMAIN = "evidence.example.gov"
DEVICE = "DSJ-0000007"
ORIGIN = f"{DOMAIN}/{DEVICE}/1"
WAIT_S = 60


def wait_for(condition: Callable[[], object], what: str = "it to happen") -> None:
    """Until the condition holds; generous, because the machine is shared."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"waited {WAIT_S} s for {what}"
        time.sleep(0.01)


@pytest.fixture(name="wait_for", scope="session")
def _wait_for():
    return wait_for


# --------------------------------------------------------------------------- certificates


class Authority:
    """A certificate authority with a folder for what it makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        certificate = self._builder(self.name, self.key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(certificate.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
        )

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and key files for a common name, good for the loopback address."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = self._builder(subject, key.public_key()).add_extension(names, critical=False).sign(self.key, hashes.SHA256())
        paths = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        )
        return paths

    def context(self, name: str, *, server: bool = False) -> ssl.SSLContext:
        """Mutual TLS as that name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca)
        context.load_cert_chain(*self.issue(name))
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


# --------------------------------------------------------------------------- keys and notes


class Key:
    """A signing key with its name in notes (`hal.contracts.Signer`, and what the server makes with its own)."""

    def __init__(self, name: str, algorithm: int = note.ED25519) -> None:
        self.name, self.algorithm = name, algorithm
        self.private = Ed25519PrivateKey.generate()
        self.vkey = note.vkey(name, algorithm, self.public_key())

    def public_key(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)

    def note(self, body: str) -> str:
        return note.sign(body, self.name, self.algorithm, self.public_key(), self.sign)

    def cosign(self, text: str, seconds: int = 1_800_000_000) -> str:
        return note.add(text, note.cosign(text, self.name, self.public_key(), self.sign, seconds))


@dataclass
class Deployment:
    """The server's three keys and the device's, and what they make."""

    device: Key = field(default_factory=lambda: Key(ORIGIN))
    witness: Key = field(default_factory=lambda: Key(f"{DOMAIN}/witness", note.COSIGNATURE))
    ledger: Key = field(default_factory=lambda: Key(f"{DOMAIN}/ledger"))
    orders: Key = field(default_factory=lambda: Key(f"{DOMAIN}/orders"))
    domain: str = DOMAIN
    name: str = DEVICE
    origin: str = ORIGIN

    @property
    def keys(self) -> ServerKeys:
        texts = {"witness": self.witness.vkey, "ledger": self.ledger.vkey, "orders": self.orders.vkey}
        return ServerKeys.of(ORIGIN, self.device.vkey, texts)

    def cosigned(self, size: int, root: bytes, seconds: int = 1_800_000_000, origin: str = ORIGIN) -> bytes:
        return self.witness.cosign(self.device.note(note.checkpoint(origin, size, root)), seconds).encode()

    def order(self, number: int, members: dict, origin: str = ORIGIN, kind: str = note.ORDER) -> bytes:
        return self.orders.note(note.order(kind, origin, number, lines.write(members).decode())).encode()

    def receipt(self, members: dict, others: int = 3) -> bytes:
        """A proof of a `stored` line that stands behind some other lines of the ledger."""
        line = lines.build("stored", 1_800_000_000_000, None, "A" * 22, members)
        leaves = [merkle.leaf_hash(b'{"kind":"start","c":%d}' % i) for i in range(others)] + [merkle.leaf_hash(line)]
        head = self.ledger.note(note.checkpoint(f"{DOMAIN}/ledger", len(leaves), merkle.root_of(leaves)))
        hashes_ = merkle.inclusion(merkle.from_leaves(leaves), others, len(leaves))
        return note.tlog_proof(others, hashes_, head, line).encode()

    def beacon(self, size: int, root: bytes = b"\x07" * 32) -> bytes:
        return self.ledger.note(note.checkpoint(f"{DOMAIN}/ledger", size, root)).encode()


@pytest.fixture
def deployment() -> Deployment:
    return Deployment()


@pytest.fixture
def new_key() -> type[Key]:
    return Key


@pytest.fixture
def journal(deployment, tmp_path) -> Journal:
    return Journal.open(tmp_path / "journal", ORIGIN, deployment.device, Files())


# --------------------------------------------------------------------------- a real broker

# Started by root, mosquitto would become somebody who can't read the test's folder: `user` keeps it who it is.
CONFIG = """\
user {user}
listener {port} 127.0.0.1
cafile {ca}
certfile {certificate}
keyfile {key}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
acl_file {folder}/acl
persistence false
max_queued_messages 0
max_queued_bytes 8388608
"""

ACL = """\
pattern write zhilu/%u/journal
pattern write zhilu/%u/status
pattern write zhilu/%u/health
pattern write zhilu/%u/reported
pattern read zhilu/%u/witness
pattern read zhilu/%u/receipt
pattern read zhilu/%u/desired
pattern read zhilu/%u/command
pattern read zhilu/ledger
user zhilu-server
topic readwrite zhilu/#
"""


class Mosquitto:
    """A broker of the test's own; `kill` and `start` again give one that has forgotten everything."""

    def __init__(self, folder: Path, port: int, authority: Authority) -> None:
        self.port = port
        certificate, key = authority.issue("broker")
        (folder / "acl").write_text(ACL)
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            CONFIG.format(user=getpass.getuser(), port=port, ca=authority.ca, certificate=certificate, key=key, folder=folder)
        )
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(self._config)], stdout=log, stderr=log)
        wait_for(self._answers, f"mosquitto: {self._log.read_text()}")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def broker(tmp_path, free_port, authority) -> Iterator[Mosquitto]:
    folder = tmp_path / "broker"
    folder.mkdir()
    mosquitto = Mosquitto(folder, free_port(), authority)
    mosquitto.start()
    yield mosquitto
    mosquitto.kill()
