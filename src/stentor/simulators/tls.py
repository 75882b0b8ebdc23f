"""The simulators' certificates: a CA made at start, a server certificate by it, client certificates on request.

The CA's file is what a sender is pointed at (`ca_file`). Keys of a simulator are worth nothing elsewhere, but are
written readable by their owner alone all the same.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=30)
_HOSTS = ("localhost",)
_ADDRESSES = ("127.0.0.1", "::1")


def write_private(path: Path, content: bytes) -> Path:
    """Write a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common_name: str, user_id: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if user_id is not None:
        attributes.append(x509.NameAttribute(NameOID.USER_ID, user_id))
    return x509.Name(attributes)


class Authority:
    """A certificate authority that lives as long as its simulator."""

    def __init__(self, common_name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name(common_name)
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = self._builder(self._subject, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self._certificate = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def server_chain(self) -> bytes:
        """Key and certificate for this machine's own names, as one PEM."""
        names = [*map(x509.DNSName, _HOSTS), *(x509.IPAddress(ip_address(a)) for a in _ADDRESSES)]
        return self._issue(_name("localhost"), names, ExtendedKeyUsageOID.SERVER_AUTH)

    def client_chain(self, topic: str) -> bytes:
        """Key and certificate of a client, as one PEM; `topic` is its user id, as in Apple's push certificates."""
        subject = _name(f"Apple Push Services: {topic}", user_id=topic)
        return self._issue(subject, [], ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issue(self, subject: x509.Name, names: Sequence[x509.GeneralName], usage: x509.ObjectIdentifier) -> bytes:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return private_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + _LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(own, critical=False)
        )


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a listener needs, and what its clients must trust."""

    context: ssl.SSLContext
    ca_file: Path
    chain_file: Path
    """The server's certificate and its key."""
    client_authority: Authority

    def client_certificate(self, topic: str, path: Path) -> Path:
        """Write a client certificate with its key to `path`, for certificate authentication."""
        return write_private(path, self.client_authority.client_chain(topic))


def make_server_tls(
    directory: Path, *, provider: str, alpn: Sequence[str] = ("h2",), client_certificates: bool = False
) -> ServerTls:
    """A new CA and server certificate, the CA written to `directory` as `<provider>-ca.pem`."""
    authority = Authority(f"Stentor {provider} simulator")
    client_authority = Authority(f"Stentor {provider} simulator, clients")
    directory.mkdir(parents=True, exist_ok=True)
    ca_file = directory / f"{provider}-ca.pem"
    ca_file.write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(alpn))
    chain = write_private(directory / f"{provider}-server.pem", authority.server_chain())
    context.load_cert_chain(chain)
    if client_certificates:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=client_authority.pem.decode())
    return ServerTls(context, ca_file, chain, client_authority)
