"""Encryption: the standard's own example, and that others' libraries can read what ours wrote."""

from __future__ import annotations

import os
import random
from base64 import urlsafe_b64decode

import http_ece  # type: ignore[import-untyped]  # has no annotations
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from stentor.providers.webpush.encryption import LONGEST_PAYLOAD, OVERHEAD, encrypt, encrypt_with, public_bytes
from stentor.simulators.webpush.decryption import Browser, Undecipherable


def raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(raw(text)), ec.SECP256R1())


class TestTheStandardsExample:
    """RFC 8291, section 5 and appendix A."""

    plaintext = b"When I grow up, I want to be a watermelon"
    ours = private("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
    theirs = private("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")
    p256dh = raw("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4")
    auth = raw("BTBZMqHH6r4Tts7J_aSIgg")
    salt = raw("DGv6ra1nlYgDCS1FRnbzlw")
    body = raw(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
        "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
        "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )

    def test_the_keys_belong_together(self) -> None:
        assert public_bytes(self.theirs.public_key()) == self.p256dh

    def test_the_body_is_the_same_to_the_byte(self) -> None:
        assert encrypt_with(self.plaintext, self.p256dh, self.auth, self.ours, self.salt) == self.body

    def test_the_simulators_browser_reads_it(self) -> None:
        assert Browser(self.theirs, self.auth).decrypt(self.body) == self.plaintext


def test_a_thousand_browsers_read_it_with_another_library() -> None:
    chance = random.Random(7)
    for number in range(1000):
        browser = Browser.of(f"b{number}", 3)
        payload = chance.randbytes(chance.choice((0, 1, 40, 300, 3000, LONGEST_PAYLOAD)))
        body = encrypt(payload, browser.public_key, browser.auth)
        read = http_ece.decrypt(body, private_key=browser.key, auth_secret=browser.auth, version="aes128gcm")
        assert read == payload
        assert len(body) == len(payload) + OVERHEAD <= 4096


def test_the_simulators_browser_reads_another_librarys() -> None:
    browser = Browser.of("b", 0)
    sender = ec.generate_private_key(ec.SECP256R1())
    body = http_ece.encrypt(
        b"hello",
        salt=os.urandom(16),
        private_key=sender,
        dh=browser.public_key,
        auth_secret=browser.auth,
        version="aes128gcm",
    )
    assert browser.decrypt(body) == b"hello"


def test_no_two_messages_share_a_key_or_a_salt() -> None:
    browser = Browser.of("b", 0)
    bodies = [encrypt(b"same", browser.public_key, browser.auth) for _ in range(50)]
    assert len({body[:16] for body in bodies}) == 50
    assert len({body[21:86] for body in bodies}) == 50


def test_a_point_off_the_curve() -> None:
    with pytest.raises(ValueError, match="Invalid EC key"):
        encrypt(b"", b"\4" + bytes(64), bytes(16))


@pytest.mark.parametrize("damage", ["salt", "key", "tag", "auth", "short", "record size", "another browser"])
def test_the_simulators_browser_refuses_what_is_damaged(damage: str) -> None:
    browser = Browser.of("b", 0)
    body = bytearray(encrypt(b"hello", browser.public_key, browser.auth))
    if damage == "another browser":
        browser = Browser.of("c", 0)
    elif damage == "auth":
        browser = Browser(browser.key, bytes(16))
    elif damage == "short":
        body = body[:90]
    else:
        body[{"salt": 0, "record size": 18, "key": 30, "tag": -1}[damage]] ^= 0xFF if damage != "record size" else 0x10
    with pytest.raises(Undecipherable):
        browser.decrypt(bytes(body))
