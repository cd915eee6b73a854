"""Keys, certificates, revocation lists and archives: bytes that are none are refused in the words of who reads them."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.journal.errors import JournalError
from agent.journal.signer import FileSigner
from provisioning import keys as provisioned
from provisioning.authority import Authority
from provisioning.errors import ProvisioningError
from server.errors import ServerError
from server.evidence.bag import Bag
from server.evidence.errors import EvidenceError
from server.evidence.zipbag import ZipBag
from server.ledger import keys as server_keys
from server.revocations import Revocations
from tests.fuzz.hostile import bytes_like
from tests.server.conftest import make_data_folder
from tests.server.virtual import DOMAIN, Device

KEY = Device().key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def pem(label: str, der: bytes) -> bytes:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()


def der(text: bytes) -> bytes:
    return base64.b64decode(b"".join(row for row in text.splitlines() if not row.startswith(b"-")))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("keys")


READERS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    "device": (FileSigner.load, JournalError),
    "server": (lambda path: server_keys.load(path, f"{DOMAIN}/ledger"), ServerError),
    "provisioning": (provisioned.load, ProvisioningError),
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_any_file_is_a_key_or_refused(name, place, data):
    read, refuses = READERS[name]
    path = place / "some.key"
    path.write_bytes(data.draw(bytes_like(KEY).map(lambda key: pem("PRIVATE KEY", key)) | bytes_like(pem("PRIVATE KEY", KEY))))
    path.chmod(0o600)
    with suppress(refuses):
        read(path)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", [b"\x2b\x65\x71", b"\x2b\x65\x7f"])
def test_a_key_of_another_kind_than_its_length_is_refused(name, kind, place):
    """Found here: the library has an error of its own for 32 bytes that are called an Ed448 key."""
    read, refuses = READERS[name]
    path = place / "other.key"
    path.write_bytes(pem("PRIVATE KEY", KEY.replace(b"\x2b\x65\x70", kind)))
    path.chmod(0o600)
    with pytest.raises(refuses):
        read(path)


@pytest.fixture(scope="module")
def authority(place) -> Authority:
    made = Authority.create(place / "ca", DOMAIN)
    made.client("DSJ-0000001")
    made.revoke("DSJ-0000001")
    return made


@pytest.fixture(scope="module")
def revoked(place, authority) -> Revocations:
    config = make_data_folder(place / "server", devices={"ca": "ca.crt", "crl": "ca.crl"})
    (config.folder / "ca.crt").write_bytes(authority.certificate_pem)
    (config.folder / "ca.crl").write_bytes(authority.crl_pem)
    return Revocations(config)


@given(data=st.data())
def test_any_file_is_a_revocation_list_or_refused(place, authority, revoked, data):
    known = revoked._serials
    listed, trusted = der(authority.crl_pem), der(authority.certificate_pem)
    folder = place / "server"
    (folder / "ca.crl").write_bytes(pem("X509 CRL", data.draw(bytes_like(listed) | st.just(listed))))
    (folder / "ca.crt").write_bytes(pem("CERTIFICATE", data.draw(bytes_like(trusted) | st.just(trusted))))
    revoked._mark = None
    try:
        revoked.step()
    except ServerError:
        assert revoked._serials == known, "the old list stays"


@given(data=st.data())
def test_any_files_are_an_authority_or_refused(place, authority, data):
    folder = place / "other"
    folder.mkdir(exist_ok=True)
    for name, label in (("ca.crt", "CERTIFICATE"), ("ca.key", "PRIVATE KEY")):
        genuine = der((place / "ca" / name).read_bytes())
        (folder / name).write_bytes(pem(label, data.draw(bytes_like(genuine) | st.just(genuine))))
    with suppress(ProvisioningError):
        Authority.open(folder)


# --------------------------------------------------------------------------- archives


CONTENTS = {"bagit.txt": b"BagIt-Version: 1.0\n", "data/recording.json": b"{}" * 200, "data/media/front.mp4": b"\0" * 3000}


def archive(method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, content in CONTENTS.items():
            made.writestr(f"package/{name}", content)
    return out.getvalue()


ARCHIVES = tuple(archive(method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))


def everything(bag: Bag) -> int:
    total = 0
    for name in list(bag.files):
        with suppress(EvidenceError):
            total += len(bag.read(name, 1 << 20))
    return total


def test_genuine_archives_are_read(place):
    for data in ARCHIVES:
        (place / "some.zip").write_bytes(data)
        bag = ZipBag(place / "some.zip")
        assert (sorted(bag.files), bag.faults) == (sorted(CONTENTS), [])
        assert everything(bag) == sum(map(len, CONTENTS.values()))


@settings(max_examples=200)
@given(data=bytes_like(*ARCHIVES))
def test_any_archive_is_read_as_far_as_it_is_whole_or_refused(place, data):
    (place / "some.zip").write_bytes(data)
    with suppress(EvidenceError):
        assert everything(ZipBag(place / "some.zip")) <= (1 << 20) * 3
