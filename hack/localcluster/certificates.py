"""The cluster's certificate authority, the certificates that it signs, and kubeconfigs with one of them inside."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcluster.tools import write_whole

_IS_AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)
_OTHER_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("crl_sign", "encipher_only", "decipher_only"),
)
_SIGNS_CERTIFICATES = x509.KeyUsage(key_cert_sign=True, **dict.fromkeys(_OTHER_USES, False))


@dataclass(frozen=True)
class KeyPair:
    """Two PEM files: a certificate and its private key."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority and its folder. It keeps its own key; what it signs, it signs anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pair = self._pair("ca")
        if not self.pair.certificate.exists():
            self._issue(self.pair, _name("mageflow-local"), [_IS_AUTHORITY, _SIGNS_CERTIFICATES])

    def client(self, user: str, groups: Sequence[str], file_name: str) -> KeyPair:
        """Sign a certificate by which the API server knows a user and its groups."""
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._issue(self._pair(file_name), _name(user, groups), [usage])

    def server(self, user: str, hosts: Sequence[str], file_name: str) -> KeyPair:
        """Sign a certificate for a server that is reached under these host names and addresses."""
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        return self._issue(self._pair(file_name), _name(user), [usage, names])

    def service_account_keys(self) -> KeyPair:
        """Return the pair by which service accounts' tokens are signed and checked; kept, as are the tokens."""
        pair = self._pair("service-accounts")
        return pair if pair.certificate.exists() else self.client("service-accounts", (), "service-accounts")

    def kubeconfig(self, path: Path, server: str, user: str, pair: KeyPair) -> Path:
        """Write a kubeconfig that needs no other file; `server` is a URL. Returns the path."""
        name = "mageflow-local"
        cluster = {"server": server, "certificate-authority-data": _encoded(self.pair.certificate)}
        credentials = {"client-certificate-data": _encoded(pair.certificate), "client-key-data": _encoded(pair.key)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
            "current-context": name,
        }
        write_whole(path, yaml.safe_dump(config, sort_keys=False))
        return path

    def _pair(self, file_name: str) -> KeyPair:
        return KeyPair(self._folder / f"{file_name}.crt", self._folder / f"{file_name}.key")

    def _issue(self, pair: KeyPair, subject: x509.Name, extensions: Iterable[x509.ExtensionType]) -> KeyPair:
        """Make a key and a certificate, signed by the authority; its own, which is the first, by itself."""
        key = signer = ec.generate_private_key(ec.SECP256R1())
        issuer = subject
        if pair != self.pair:
            issuer = x509.load_pem_x509_certificate(self.pair.certificate.read_bytes()).subject
            loaded = serialization.load_pem_private_key(self.pair.key.read_bytes(), password=None)
            assert isinstance(loaded, ec.EllipticCurvePrivateKey)
            signer = loaded
        # An hour back: the clock of a virtual machine that was suspended may jump.
        start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=3650))
            # Both keys are named: Python from 3.13 on refuses a certificate that doesn't.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        # The key first: a pair whose certificate is there is whole.
        write_whole(pair.key, private.decode())
        certificate = builder.sign(signer, hashes.SHA256())
        write_whole(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM).decode())
        return pair


def _name(user: str, groups: Sequence[str] = ()) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
