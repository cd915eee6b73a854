"""Certificates as somebody else's tool sees them: OpenSSL verifies each for its purpose and for no other."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provisioning.authority import Authority
from provisioning.errors import AuthorityError, BadName

PURPOSES = ("sslserver", "sslclient")


@pytest.fixture
def authority(tmp_path):
    return Authority.create(tmp_path / "ca", "evidence.example.gov")


def verifies(authority, certificate: bytes, *options: str) -> bool:
    path = authority.folder / "presented.pem"
    path.write_bytes(certificate)
    command = ["openssl", "verify", "-x509_strict", "-CAfile", authority.folder / "ca.crt", *options, path]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_openssl_takes_each_certificate_for_its_purpose_only(authority):
    server = authority.server("localhost", ["localhost", "127.0.0.1", "::1"]).certificate
    client = authority.client("DSJ-0012345").certificate
    evidence = authority.evidence("DSJ-0012345", "evidence.example.gov/DSJ-0012345/1", Ed25519PrivateKey.generate().public_key())
    for certificate, right in ((server, {"sslserver"}), (client, {"sslclient"}), (evidence, set())):
        assert verifies(authority, certificate)
        assert {purpose for purpose in PURPOSES if verifies(authority, certificate, "-purpose", purpose)} == right


def test_the_servers_names_and_no_others(authority):
    server = authority.server("evidence.example.gov", ["evidence.example.gov", "127.0.0.1"]).certificate
    assert verifies(authority, server, "-verify_hostname", "evidence.example.gov")
    assert verifies(authority, server, "-verify_ip", "127.0.0.1")
    assert not verifies(authority, server, "-verify_hostname", "example.gov")


def test_a_device_cannot_certify_anybody(authority, tmp_path):
    """A leaf that signs another certificate: the chain does not hold."""
    device = authority.client("DSJ-0012345")
    (tmp_path / "device.crt").write_bytes(device.certificate)
    (tmp_path / "device.key").write_bytes(device.key)
    files = ["-CA", tmp_path / "device.crt", "-CAkey", tmp_path / "device.key", "-keyout", tmp_path / "forged.key"]
    command = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=forged", *files, "-out", tmp_path / "forged.crt"]
    made = subprocess.run(command, capture_output=True, check=False)
    if made.returncode != 0:  # before OpenSSL 3.0 `req` could not do this in one step
        pytest.fail(made.stderr.decode())
    assert not verifies(authority, (tmp_path / "forged.crt").read_bytes(), "-untrusted", str(tmp_path / "device.crt"))


def test_revoked_by_name_and_only_that_name(authority):
    lost, kept = authority.client("lost").certificate, authority.client("kept").certificate
    options = ("-crl_check", "-CRLfile", str(authority.folder / "crl.pem"))
    assert verifies(authority, lost, *options)
    assert authority.revoke("lost") == 1
    assert authority.revoke("nobody") == 0
    assert not verifies(authority, lost, *options)
    assert verifies(authority, kept, *options)
    assert authority.revoke("kept") == 1
    assert not verifies(authority, lost, *options), "a later revocation forgets none"


def test_the_revocation_list_lives_as_long_as_the_authority(authority):
    crl = x509.load_pem_x509_crl(authority.crl_pem)
    assert crl.next_update_utc == authority.certificate.not_valid_after_utc


def test_certificates_begin_a_day_early_for_clocks_that_lag_and_end_with_the_authority(tmp_path):
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    authority = Authority.create(tmp_path / "ca", "evidence.example.gov", lambda: at)
    certificate = x509.load_pem_x509_certificate(authority.client("DSJ-1").certificate)
    assert certificate.not_valid_before_utc == at - timedelta(days=1)
    late = Authority.open(tmp_path / "ca", lambda: authority.certificate.not_valid_after_utc - timedelta(days=1))
    certificate = x509.load_pem_x509_certificate(late.client("DSJ-1").certificate)
    assert certificate.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_opening_what_was_made_gives_the_same_authority(authority):
    assert Authority.open(authority.folder).certificate == authority.certificate
    assert verifies(authority, Authority.open(authority.folder).client("DSJ-1").certificate)


def test_an_authority_is_never_made_over_another(authority):
    before = (authority.folder / "ca.key").read_bytes()
    with pytest.raises(AuthorityError, match="there is a certificate authority already"):
        Authority.create(authority.folder, "evidence.example.gov")
    assert (authority.folder / "ca.key").read_bytes() == before


def test_a_folder_without_one_says_so(tmp_path):
    with pytest.raises(AuthorityError, match=r"ca\.crt: expected a certificate authority, got: No such file"):
        Authority.open(tmp_path)


def test_a_key_of_another_certificate_is_noticed(authority, tmp_path):
    other = Authority.create(tmp_path / "other", "other.example.gov")
    (authority.folder / "ca.key").write_bytes((other.folder / "ca.key").read_bytes())
    with pytest.raises(AuthorityError, match=r"ca\.key is not the key of ca\.crt"):
        Authority.open(authority.folder)


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_names_have_the_length_that_certificates_allow(authority, name):
    with pytest.raises(BadName, match="1 to 64 characters"):
        authority.client(name)


@pytest.mark.parametrize("host", ["käse", "a..b", "a" * 64 + ".example"])
def test_a_host_that_is_none_is_refused(authority, host):
    with pytest.raises(BadName, match="expected a host name or an address"):
        authority.server("server", [host])
