"""VAPID tokens: what is in them, how long they serve, and the key files that are understood."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from py_vapid import Vapid02  # type: ignore[import-untyped]  # has no annotations
from pydantic import ValidationError

from stentor.errors import CredentialError
from stentor.providers.webpush.channel import WebPushApp
from stentor.providers.webpush.vapid import FLOOR, KEPT, LIFETIME, Vapid, generate_key, load_private_key, private_pem
from stentor.simulators.clock import MovableClock

NOW = 1_800_000_000.0
SUBJECT = "mailto:push@example.com"


def claims(vapid: Vapid, header: bytes) -> dict[str, Any]:
    token, _, key = header.decode().removeprefix("vapid t=").partition(",k=")
    assert key == vapid.public_key
    public = vapid._key.public_key()
    assert jwt.get_unverified_header(token)["alg"] == "ES256"
    found: dict[str, Any] = jwt.decode(
        token, public, algorithms=["ES256"], options={"verify_exp": False, "verify_aud": False}
    )
    return found


def test_a_token_is_made_out_to_its_origin() -> None:
    vapid = Vapid(generate_key(), SUBJECT, lambda: NOW)
    for origin in ("https://a.example", "https://b.example:8443"):
        found = claims(vapid, vapid.authorization(origin))
        assert found == {"aud": origin, "exp": int(NOW + LIFETIME), "sub": SUBJECT}
    assert LIFETIME <= 86_400
    assert "vapid t=" not in repr(vapid)


def test_another_library_verifies_it() -> None:
    key = generate_key()
    header = Vapid(key, SUBJECT, lambda: NOW).authorization("https://a.example").decode()
    assert Vapid02.verify(header)


def test_a_token_serves_for_half_of_its_life() -> None:
    clock = MovableClock(lambda: NOW)
    vapid = Vapid(generate_key(), SUBJECT, clock)
    first = vapid.authorization("https://a.example")
    clock.advance(LIFETIME / 2 - 1)
    assert vapid.authorization("https://a.example") == first
    clock.advance(1)
    assert vapid.authorization("https://a.example") != first
    clock.advance(-LIFETIME)
    assert claims(vapid, vapid.authorization("https://a.example"))["exp"] == int(clock() + LIFETIME), "set back"


def test_a_refused_token_is_made_anew_once_an_hour() -> None:
    clock = MovableClock(lambda: NOW)
    vapid = Vapid(generate_key(), SUBJECT, clock)
    first = vapid.authorization("https://a.example")
    vapid.refused("https://a.example")
    vapid.refused("https://never.example")
    assert vapid.authorization("https://a.example") == first
    clock.advance(FLOOR)
    vapid.refused("https://a.example")
    assert vapid.authorization("https://a.example") != first


def test_strangers_origins_cannot_fill_the_memory() -> None:
    vapid = Vapid(generate_key(), SUBJECT, lambda: NOW)
    for number in range(KEPT + 5):
        vapid.authorization(f"https://{number}.example")
    assert len(vapid._tokens) == KEPT


def test_the_key_files_of_other_tools(tmp_path: Path) -> None:
    key, file = generate_key(), tmp_path / "key"
    number = key.private_numbers().private_value
    for content in (
        private_pem(key),
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        urlsafe_b64encode(number.to_bytes(32)),
        urlsafe_b64encode(number.to_bytes(32)).rstrip(b"=") + b"\n",
    ):
        file.write_bytes(content)
        assert load_private_key(file).private_numbers().private_value == number


def test_key_files_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(CredentialError, match="cannot be read: No such file"):
        load_private_key(file)
    other = rsa.generate_private_key(65537, 2048)
    another = ec.generate_private_key(ec.SECP384R1())
    for content, said in (
        (b"", "no private key"),
        (b"A" * 43, "no private key"),
        (private_pem(generate_key())[:100], "no private key"),
        (other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "another kind"),
        (private_pem(another), "another kind"),
    ):
        file.write_bytes(content)
        with pytest.raises(CredentialError, match=said) as raised:
            load_private_key(file)
        assert "BEGIN" not in str(raised.value)
        assert "put back the P-256 private key that your browsers were subscribed with" in str(raised.value)


@pytest.mark.parametrize("subject", [SUBJECT, "https://example.com", "https://example.com/contact"])
def test_subjects_that_push_services_take(subject: str) -> None:
    assert WebPushApp(private_key_file=Path("x"), subject=subject).subject == subject


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "push@example.com",
        "mailto: push@example.com",
        "mailto:<push@example.com>",
        "mailto:push@localhost",
        "https://localhost",
        "http://example.com",
        "https://127.0.0.1:80",
    ],
)
def test_subjects_that_apple_refuses(subject: str) -> None:
    with pytest.raises(ValidationError, match="must be mailto:"):
        WebPushApp(private_key_file=Path("x"), subject=subject)
