"""The cluster's certificate authority and the certificates that it signs."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcluster.files import write_whole

_VALIDITY = datetime.timedelta(days=3650)


@dataclass(frozen=True)
class KeyPair:
    """Two PEM files: a certificate (for a bare key: the public key) and its private key."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority and its folder. It keeps its own key; what it signs, it signs anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pair = self._pair("ca")
        if not self.pair.certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            builder = _builder(_name("mageflow-local"), _name("mageflow-local"), key.public_key())
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            _write(self.pair, key, builder.sign(key, hashes.SHA256()))

    def client(self, user: str, groups: Sequence[str], file_name: str) -> KeyPair:
        """Sign a certificate by which the API server knows a user and its groups."""
        return self._sign(file_name, _name(user, groups), ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, user: str, hosts: Sequence[str], file_name: str) -> KeyPair:
        """Sign a certificate for a server that is reached under these host names and addresses."""
        return self._sign(file_name, _name(user), ExtendedKeyUsageOID.SERVER_AUTH, hosts)

    def service_account_keys(self) -> KeyPair:
        """Make the key pair by which service accounts' tokens are signed."""
        pair = self._pair("service-accounts")
        if not pair.certificate.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            _write_private(pair.key, key)
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            write_whole(pair.certificate, public.decode())
        return pair

    def _pair(self, file_name: str) -> KeyPair:
        return KeyPair(self._folder / f"{file_name}.crt", self._folder / f"{file_name}.key")

    def _sign(self, file_name: str, subject: x509.Name, usage: x509.ObjectIdentifier, hosts: Sequence[str]) -> KeyPair:
        pair = self._pair(file_name)
        authority = x509.load_pem_x509_certificate(self.pair.certificate.read_bytes())
        signer = serialization.load_pem_private_key(self.pair.key.read_bytes(), password=None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, authority.subject, key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        _write(pair, key, builder.sign(signer, hashes.SHA256()))
        return pair


def _name(user: str, groups: Sequence[str] = ()) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    # An hour back, because clocks of a virtual machine may jump after it was suspended.
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _VALIDITY)
    )


def _write(pair: KeyPair, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    """Write the key before the certificate: a pair whose certificate is there is whole."""
    _write_private(pair.key, key)
    write_whole(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM).decode())


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    write_whole(path, pem.decode())
