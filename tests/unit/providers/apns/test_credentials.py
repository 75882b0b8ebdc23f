"""Provider tokens under a clock of our own, and client certificates made here."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from itertools import pairwise
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import CredentialError
from stentor.providers.apns.credentials import FLOOR, LIFETIME, ApnsCertificate, ApnsTokenSource

MINUTE = 60.0
HALF_HOUR = 1_800_000_000.0  # a full half hour, where tokens are dated


class Clock:
    def __init__(self, now: float = HALF_HOUR) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def pem(key: Key, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


KEY = ec.generate_private_key(ec.SECP256R1())


def make_source(clock: Clock) -> ApnsTokenSource:
    return ApnsTokenSource(key_pem=pem(KEY), key_id="KEY4567890", team_id="TEAM567890", clock=clock)


def issued_at(authorization: bytes) -> int:
    token = authorization.removeprefix(b"bearer ").decode()
    options: jwt.types.Options = {"verify_iat": False}
    claims = jwt.decode(token, KEY.public_key(), algorithms=["ES256"], options=options)
    return int(claims["iat"])


# Provider tokens


async def test_the_token_is_what_apple_asks_for() -> None:
    value = await make_source(Clock(HALF_HOUR + 100)).authorization()
    assert value.startswith(b"bearer ")
    token = value.removeprefix(b"bearer ").decode()
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "KEY4567890", "typ": "JWT"}
    claims = jwt.decode(token, KEY.public_key(), algorithms=["ES256"], options={"verify_iat": False})
    assert claims == {"iss": "TEAM567890", "iat": HALF_HOUR}


async def test_one_token_for_all_until_the_next_half_hour() -> None:
    clock = Clock()
    source = make_source(clock)
    first = await source.authorization()
    for minute in range(30):
        clock.now = HALF_HOUR + minute * MINUTE
        assert await source.authorization() is first
    clock.now = HALF_HOUR + 30 * MINUTE
    assert issued_at(await source.authorization()) == HALF_HOUR + 30 * MINUTE


async def test_a_token_made_late_in_the_half_hour_is_kept_for_twenty_minutes() -> None:
    clock = Clock(HALF_HOUR + 29 * MINUTE)
    source = make_source(clock)
    first = await source.authorization()
    assert issued_at(first) == HALF_HOUR
    clock.now += FLOOR - 1
    assert await source.authorization() is first
    clock.now += 1
    assert issued_at(await source.authorization()) == HALF_HOUR + 30 * MINUTE


@given(st.floats(0, 1800), st.lists(st.floats(0, 4000), max_size=60))
def test_never_old_and_never_renewed_too_often(offset: float, pauses: list[float]) -> None:
    async def run() -> None:
        clock = Clock(HALF_HOUR + offset)
        source = make_source(clock)
        made: list[float] = []
        last = b""
        for pause in pauses:
            clock.now += pause
            value = await source.authorization()
            assert 0 <= clock.now - issued_at(value) <= 50 * MINUTE + 1
            if value != last:
                made.append(clock.now)
                last = value
        assert all(later - earlier >= FLOOR for earlier, later in pairwise(made))

    asyncio.run(run())


async def test_processes_with_the_same_key_share_a_token() -> None:
    values = {await make_source(Clock(HALF_HOUR + minute * MINUTE)).authorization() for minute in range(0, 30, 7)}
    assert len(values) == 1


async def test_without_deterministic_signatures_tokens_are_good_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    real = ec.ECDSA

    def without(algorithm: hashes.HashAlgorithm, deterministic_signing: bool = False) -> ec.ECDSA:
        if deterministic_signing:
            raise UnsupportedAlgorithm("not with this OpenSSL")
        return real(algorithm)

    monkeypatch.setattr(ec, "ECDSA", without)
    assert issued_at(await make_source(Clock()).authorization()) == HALF_HOUR


async def test_an_expired_token_is_made_anew_once_the_floor_is_over() -> None:
    clock = Clock(HALF_HOUR)
    source = make_source(clock)
    first = await source.authorization()
    clock.now += 15 * MINUTE
    refusal = await source.refused(first)
    assert not refusal.renewed
    assert refusal.wait == 5 * MINUTE
    assert "20 minutes" in refusal.explanation
    assert "clock" in refusal.explanation
    assert await source.authorization() is first
    clock.now += 5 * MINUTE
    assert (await source.refused(first)).renewed
    second = await source.authorization()
    assert issued_at(second) == clock.now, "dated now: rounding down would give the same one again"
    assert (await source.refused(first)).renewed, "another connection is late: the new one is already there"
    assert await source.authorization() is second
    assert not (await source.refused(second)).renewed


async def test_too_many_updates_go_back_to_the_token_before() -> None:
    clock = Clock()
    source = make_source(clock)
    first = await source.authorization()
    clock.now += 30 * MINUTE
    second = await source.authorization()
    source.hold()
    assert await source.authorization() is first
    source.hold()  # a second answer of the kind changes nothing
    assert await source.authorization() is first
    clock.now += 19 * MINUTE
    assert await source.authorization() is first
    assert not (await source.refused(first)).renewed
    clock.now += 1 * MINUTE
    third = await source.authorization()
    assert third != first
    assert issued_at(third) == issued_at(second)


async def test_a_token_too_old_is_replaced_even_while_held() -> None:
    clock = Clock()
    source = make_source(clock)
    first = await source.authorization()
    clock.now += 29 * MINUTE
    source.hold()
    clock.now += 19.9 * MINUTE
    source.hold()
    assert await source.authorization() is first
    clock.now = HALF_HOUR + LIFETIME
    assert await source.authorization() != first


async def test_a_clock_set_back_does_not_keep_a_token_for_ever() -> None:
    clock = Clock()
    source = make_source(clock)
    first = await source.authorization()
    source.hold()
    clock.now -= 24 * 60 * MINUTE
    assert await source.authorization() != first


def test_no_secret_is_shown() -> None:
    source = make_source(Clock())
    value = asyncio.run(source.authorization()).decode()
    assert "KEY4567890" in repr(source)
    assert value.removeprefix("bearer ") not in repr(vars(source))
    assert repr(source).endswith(f"token of {HALF_HOUR:.0f}>")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"nonsense", "PEM"),
        (pem(KEY, b"secret"), "PEM"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (pem(rsa.generate_private_key(65537, 2048)), "P-256"),
    ],
)
def test_a_wrong_key_file_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "AuthKey.p8"
    path.write_bytes(content)
    with pytest.raises(CredentialError, match=problem) as raised:
        ApnsTokenSource.from_file(path, key_id="KEY4567890", team_id="TEAM567890", clock=Clock())
    assert str(path) in str(raised.value)
    assert content.decode() not in str(raised.value)


async def test_a_key_file(tmp_path: Path) -> None:
    path = tmp_path / "AuthKey.p8"
    path.write_bytes(pem(KEY))
    source = ApnsTokenSource.from_file(path, key_id="KEY4567890", team_id="TEAM567890", clock=Clock())
    assert issued_at(await source.authorization()) == HALF_HOUR


def test_a_missing_key_file(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match=r"nowhere\.p8 cannot be read: No such file"):
        ApnsTokenSource.from_file(tmp_path / "nowhere.p8", key_id="K" * 10, team_id="T" * 10, clock=Clock())


@pytest.mark.parametrize(
    ("key_id", "team_id", "name"), [("short", "TEAM567890", "key id"), ("KEY4567890", "x" * 10, "team id")]
)
def test_wrong_ids(key_id: str, team_id: str, name: str) -> None:
    with pytest.raises(CredentialError, match=name):
        ApnsTokenSource(key_pem=pem(KEY), key_id=key_id, team_id=team_id, clock=Clock())


# Certificates

NOW = 1_800_000_000.0


def make_certificate(key: Key, *, days: int = 36_500, uid: str | None = "com.example.app") -> x509.Certificate:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "Apple Push Services: com.example.app")]
    if uid:
        names.insert(0, x509.NameAttribute(NameOID.USER_ID, uid))
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(x509.Name(names))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )


def as_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


CERTIFICATE = make_certificate(KEY)
OTHER = make_certificate(ec.generate_private_key(ec.SECP256R1()), uid="com.example.chain")


def as_pkcs12(password: bytes | None, key: ec.EllipticCurvePrivateKey | None = KEY) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    certificate = None if key is None else CERTIFICATE
    return pkcs12.serialize_key_and_certificates(b"push", key, certificate, [OTHER], encryption)


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (as_pem(CERTIFICATE) + pem(KEY), None),
        (pem(KEY) + as_pem(OTHER) + as_pem(CERTIFICATE), None),
        (as_pem(CERTIFICATE) + pem(KEY, b"secret"), "secret"),
        (as_pkcs12(b"secret"), "secret"),
        (as_pkcs12(None), None),
    ],
)
def test_a_certificate_is_read_and_used(tmp_path: Path, content: bytes, password: str | None) -> None:
    path = tmp_path / "push.pem"
    path.write_bytes(content)
    certificate = ApnsCertificate.load(path, password=password, now=NOW)
    assert certificate.topic == "com.example.app"
    assert certificate.expires_at == CERTIFICATE.not_valid_after_utc.timestamp()
    assert "PRIVATE" not in repr(certificate)
    assert presented(certificate, tmp_path) == CERTIFICATE


@pytest.mark.parametrize("content", [pem(KEY) + as_pem(OTHER) + as_pem(CERTIFICATE), as_pkcs12(None)])
def test_the_chain_is_kept_and_the_certificate_comes_first(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "push.pem"
    path.write_bytes(content)
    chain = x509.load_pem_x509_certificates(ApnsCertificate.load(path, now=NOW)._chain)
    assert chain == [CERTIFICATE, OTHER]


def presented(certificate: ApnsCertificate, folder: Path) -> x509.Certificate:
    """The certificate that a TLS server sees; both ends are in memory."""
    server_key = ec.generate_private_key(ec.SECP256R1())
    (folder / "server.pem").write_bytes(as_pem(make_certificate(server_key)) + pem(server_key))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    server.verify_mode = ssl.CERT_OPTIONAL
    server.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    server.load_verify_locations(cadata=as_pem(CERTIFICATE).decode())
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.maximum_version = ssl.TLSVersion.TLSv1_2  # so that the handshake ends with the server knowing the client
    certificate.load_into(client)
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(here, there), server.wrap_bio(there, here, server_side=True)]
    pending = list(sides)
    for _ in range(10):
        for side in list(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                continue
    assert not pending
    seen = sides[1].getpeercert(binary_form=True)
    assert seen is not None
    return x509.load_der_x509_certificate(seen)


def test_no_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / "push.pem"
    path.write_bytes(as_pem(CERTIFICATE) + pem(KEY))
    ApnsCertificate.load(path, now=NOW).load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert list(tmp_path.iterdir()) == [path]


def test_a_certificate_without_uid_has_no_topic(tmp_path: Path) -> None:
    path = tmp_path / "push.pem"
    path.write_bytes(as_pem(make_certificate(KEY, uid=None)) + pem(KEY))
    assert ApnsCertificate.load(path, now=NOW).topic is None


@pytest.mark.parametrize(
    ("content", "password", "problem"),
    [
        (as_pem(CERTIFICATE), None, "no private key"),
        (pem(KEY), None, "holds no certificate"),
        (as_pem(OTHER) + pem(KEY), None, "belongs to another"),
        (as_pem(CERTIFICATE) + pem(KEY, b"secret"), None, "needs a password"),
        (as_pem(CERTIFICATE) + pem(KEY, b"secret"), "wrong", "password is wrong"),
        (as_pem(CERTIFICATE) + pem(KEY), "secret", "needs no password"),
        (as_pkcs12(b"secret"), "wrong", "password is wrong"),
        (as_pkcs12(b"secret", key=None), "secret", "no certificate with its key"),
        (b"junk", None, "neither PEM nor PKCS#12"),
        (as_pem(make_certificate(KEY, days=1)) + pem(KEY), None, "expired on 2020-01-02"),
    ],
)
def test_a_wrong_certificate_is_named(tmp_path: Path, content: bytes, password: str | None, problem: str) -> None:
    path = tmp_path / "push.p12"
    path.write_bytes(content)
    with pytest.raises(CredentialError, match=problem) as raised:
        ApnsCertificate.load(path, password=password, now=NOW)
    assert str(path) in str(raised.value)
    assert "PRIVATE KEY" not in str(raised.value)


def test_a_certificate_from_the_future_or_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "push.pem"
    with pytest.raises(CredentialError, match="cannot be read"):
        ApnsCertificate.load(path, now=NOW)
    path.write_bytes(as_pem(CERTIFICATE) + pem(KEY))
    with pytest.raises(CredentialError, match="valid only from"):
        ApnsCertificate.load(path, now=1_500_000_000.0)
