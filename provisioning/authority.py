"""The certificate authority of one deployment: who may speak to broker and server, and under which name.

Rules:
- X.509 as RFC 5280 profiles it; TLS keys are EC P-256, because every TLS library has it.
- One key, one purpose, and its certificate says which: `serverAuth`, `clientAuth`, or `documentSigning` (RFC 9336) for an evidence key,
  which therefore opens no TLS session.
- A device's TLS certificate carries its id as common name: broker and server take the id from there and from nowhere else.
- What was issued is kept, so that it can be revoked by name. The revocation list is itself the record of revocations; it lives as long
  as the authority, because a list that ran out would lock out everybody (OpenSSL refuses all under an expired list).

Whether an evidence key counts is not decided here: the ledger's `enrol` line does that. Hardware-held authority keys are left to later.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provisioning import files
from provisioning.errors import AuthorityError, BadName

AUTHORITY_YEARS = 20
"""Longer than any device serves."""
TLS_DAYS = 825
"""The longest that common TLS clients take from a server; devices get a new one with an order long before."""
EVIDENCE_DAYS = 3_650
LAG = timedelta(days=1)
"""Certificates begin this much earlier: a device whose clock lags a little must not find its own certificate not valid yet."""
MAX_NAME = 64
"""RFC 5280, ub-common-name."""

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, InternalError, x509.InvalidVersion)
"""What `cryptography` raises for keys and certificates that are none, locked, or of a kind or version that it does not know."""
DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and the private key that was made with it, as PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class Authority:
    """An authority's folder: `ca.crt`, `ca.key` (mode 600), `crl.pem`, `issued/<serial>.pem`."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    now: Callable[[], datetime] = _now

    # ------------------------------------------------------------------ making and opening

    @classmethod
    def create(cls, folder: Path, name: str, now: Callable[[], datetime] = _now) -> Authority:
        """Make an authority; AuthorityError where there is one already."""
        if (folder / "ca.key").exists():
            raise AuthorityError(f"{folder}: there is a certificate authority already; it is never made anew over its own key")
        files.folder(folder / "issued")
        key = ec.generate_private_key(ec.SECP256R1())
        begin = now() - LAG
        subject = _name(name, "Zhilu certificate authority")
        builder = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=365 * AUTHORITY_YEARS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        certificate = builder.sign(key, hashes.SHA256())
        authority = cls(folder, certificate, key, now)
        files.write(folder / "ca.crt", pem(certificate))
        authority._write_crl([])
        # The key comes last: where it is, the rest is whole.
        files.write(folder / "ca.key", key_pem(key), files.PRIVATE)
        return authority

    @classmethod
    def open(cls, folder: Path, now: Callable[[], datetime] = _now) -> Authority:
        """Open an authority; AuthorityError where it is missing or its key belongs to another certificate."""
        try:
            certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
            key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
            public = certificate.public_key()
        except OSError as error:
            raise AuthorityError(f"{error.filename}: expected a certificate authority, got: {error.strerror}") from error
        except UNREADABLE as error:
            raise AuthorityError(f"{folder}: expected ca.crt and ca.key in PEM, got: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != public:
            raise AuthorityError(f"{folder}: ca.key is not the key of ca.crt")
        return cls(folder, certificate, key, now)

    # ------------------------------------------------------------------ issuing

    def server(self, common_name: str, names: Sequence[str]) -> Issued:
        """Issue a TLS server's certificate for host names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_host(name) for name in names])
        return Issued(self.certify(key.public_key(), common_name, ExtendedKeyUsageOID.SERVER_AUTH, TLS_DAYS, alternatives), key_pem(key))

    def client(self, common_name: str) -> Issued:
        """Issue a TLS client's certificate: a device's under its id, or the server's own towards the broker."""
        key = ec.generate_private_key(ec.SECP256R1())
        return Issued(self.certify(key.public_key(), common_name, ExtendedKeyUsageOID.CLIENT_AUTH, TLS_DAYS), key_pem(key))

    def evidence(self, device: str, origin: str, public: ed25519.Ed25519PublicKey) -> bytes:
        """Certify an evidence key, PEM; the origin stands in it as a URI, for people who look."""
        alternatives = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"zhilu:{origin}")])
        return self.certify(public, device, DOCUMENT_SIGNING, EVIDENCE_DAYS, alternatives)

    def certify(
        self,
        public: PublicKey,
        common_name: str,
        purpose: x509.ObjectIdentifier,
        days: int,
        alternatives: x509.SubjectAlternativeName | None = None,
    ) -> bytes:
        """Issue a certificate for exactly one purpose, PEM, and keep a copy."""
        begin = self.now() - LAG
        builder = (
            x509.CertificateBuilder(self.certificate.subject, _name(common_name), public, x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(min(begin + timedelta(days=days), self.certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        files.write(self.folder / "issued" / f"{certificate.serial_number:040x}.pem", pem(certificate))
        return pem(certificate)

    # ------------------------------------------------------------------ revoking

    def revoke(self, common_name: str) -> int:
        """Revoke every certificate that was issued under a name; how many were not revoked before."""
        old = {entry.serial_number: entry for entry in self._revoked()}
        new = [certificate.serial_number for certificate in self.issued() if _common_name(certificate) == common_name]
        new = [serial for serial in new if serial not in old]
        at = self.now()
        entries = [x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build() for serial in new]
        self._write_crl([*old.values(), *entries])
        return len(new)

    def issued(self) -> list[x509.Certificate]:
        """Return everything that was issued, in no order."""
        return [x509.load_pem_x509_certificate(path.read_bytes()) for path in sorted((self.folder / "issued").glob("*.pem"))]

    @property
    def certificate_pem(self) -> bytes:
        """The authority's own certificate: what the others trust."""
        return pem(self.certificate)

    @property
    def crl_pem(self) -> bytes:
        """The revocation list as it stands."""
        return (self.folder / "crl.pem").read_bytes()

    def _revoked(self) -> Iterable[x509.RevokedCertificate]:
        return x509.load_pem_x509_crl(self.crl_pem)

    def _write_crl(self, entries: Iterable[x509.RevokedCertificate]) -> None:
        builder = x509.CertificateRevocationListBuilder(self.certificate.subject, self.now() - LAG, self.certificate.not_valid_after_utc)
        for entry in entries:
            builder = builder.add_revoked_certificate(entry)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        crl = builder.sign(self.key, hashes.SHA256())
        files.write(self.folder / "crl.pem", crl.public_bytes(serialization.Encoding.PEM))


# ---------------------------------------------------------------------- encodings


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """Return a private key as PKCS#8 PEM, not encrypted: the file's mode and the disk's encryption protect it."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _name(common_name: str, unit: str = "") -> x509.Name:
    if not 1 <= len(common_name) <= MAX_NAME:
        raise BadName(f"expected a name of 1 to {MAX_NAME} characters, got {len(common_name)}: {common_name[:80]}")
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit), *parts] if unit else parts)


def _common_name(certificate: x509.Certificate) -> str | bytes:
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not name.isascii() or not all(0 < len(label) <= 63 for label in name.split(".")):
            raise BadName(f"expected a host name or an address, got {name!r}") from None
        return x509.DNSName(name)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
