"""The push services' own rules: what each refuses, in its own words, and what becomes of what it takes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stentor.providers.webpush.encryption import encrypt
from stentor.simulators.clock import MovableClock
from stentor.simulators.faults import Faults, parse_faults
from stentor.simulators.webpush import origin_of
from stentor.simulators.webpush.decryption import Browser, base64url
from stentor.simulators.webpush.provider import Ailment, Store, WebPushProvider, WebPushSetup
from stentor.simulators.world import Judgement, World

ORIGIN = "https://127.0.0.1:1"
KEY = ec.generate_private_key(ec.SECP256R1())


def public(key: ec.EllipticCurvePrivateKey) -> str:
    return base64url(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


class Service:
    """A service, and a sender that does everything right unless told otherwise."""

    def __init__(self, dialect: str, faults: Faults | None = None) -> None:
        self.world = World(seed=1, faults=faults or Faults(), clock=MovableClock(lambda: 1_800_000_000.0))
        self.provider = WebPushProvider(self.world, WebPushSetup(), dialect, public(KEY))
        self.provider.origin = ORIGIN
        self.session = self.provider.open_session(None)
        self.subscription = json.loads(self.provider.subscribe(1))

    def token(self, key: ec.EllipticCurvePrivateKey = KEY, **other: Any) -> str:
        claims = {"aud": ORIGIN, "exp": self.world.clock() + 3600, "sub": "mailto:a@example.com", **other}
        return f"vapid t={jwt.encode(claims, key, 'ES256')}, k={public(key)}"

    def post(
        self, body: bytes | None = None, path: str | None = None, method: str = "POST", **other: str | None
    ) -> Judgement:
        browser = Browser.of(f"{self.provider.dialect}-1", 1)
        headers = {
            ":method": method,
            ":path": path or self.subscription["endpoint"].removeprefix(ORIGIN),
            "authorization": self.token(),
            "ttl": "60",
            "content-encoding": "aes128gcm",
            **other,
        }
        listed = [(name.encode(), value.encode()) for name, value in headers.items() if value is not None]
        sent = encrypt(b"hello", browser.public_key, browser.auth) if body is None else body
        answer = self.provider.judge(self.session, listed, sent)
        self.world.record(answer)
        return answer


def said(answer: Judgement) -> tuple[int, str]:
    """The status, and the word in the body."""
    found = json.loads(answer.body) if answer.body.startswith(b"{") else {"text": answer.body.decode()}
    word = found.get("errno") or found.get("reason") or found.get("text", "")
    return int(answer.headers[0][1]), str(word)


@pytest.fixture(params=["mozilla", "fcm", "apple"])
def service(request: pytest.FixtureRequest) -> Service:
    return Service(request.param)


def test_a_proper_message_is_taken_and_read(service: Service) -> None:
    answer = service.post(topic="abcd", urgency="high")
    assert answer.accepted
    headers = dict(answer.headers)
    assert headers[b":status"] == b"201"
    assert headers[b"location"].decode() == f"{ORIGIN}/m/{answer.message_id}"
    assert (b"ttl" in headers) == (service.provider.dialect == "mozilla")
    (message,) = service.provider.deliver()
    assert (message.payload, message.urgency, message.topic) == (b"hello", "high", "abcd")
    assert json.loads(message.address) == service.subscription
    assert service.provider.deliver() == []


def test_a_message_may_have_no_body(service: Service) -> None:
    bare: dict[str, Any] = {"content-encoding": None}
    assert service.post(b"", **bare).accepted
    (message,) = service.provider.deliver()
    assert message.payload == b""


@pytest.mark.parametrize(
    ("port", "origin"), [(443, "https://127.0.0.1"), (8443, "https://127.0.0.1:8443"), (80, "https://127.0.0.1:80")]
)
def test_an_origin_leaves_out_the_port_of_https(service: Service, port: int, origin: str) -> None:
    assert origin_of("127.0.0.1", port) == origin
    service.provider.origin = origin
    subscription = json.loads(service.provider.subscribe(1))
    assert subscription["endpoint"].startswith(f"{origin}/wpush/")
    assert service.post(
        path=subscription["endpoint"].removeprefix(origin), authorization=service.token(aud=origin)
    ).accepted


@pytest.mark.parametrize(
    ("change", "mozilla", "fcm", "apple"),
    [
        ({"authorization": None}, 401, 401, 403),
        ({"authorization": "WebPush abc"}, 401, 401, 403),
        ({"authorization": "vapid t=a.b.c, k=AAAA"}, 401, 403, 403),
        ({"ttl": None}, 400, 400, 400),
        ({"ttl": "-1"}, 400, 400, 400),
        ({"urgency": "soon"}, 400, 400, 400),
        ({"topic": "a b"}, 400, 400, 400),
        ({"topic": "abcde"}, 201, 201, 400),
        ({"content-encoding": "aesgcm"}, 400, 400, 400),
        ({"body": b"x" * 4097}, 413, 413, 413),
        ({"body": b"x" * 300}, 400, 400, 400),
        ({"path": "/wpush/v2/nobody"}, 404, 404, 404),
        ({"method": "PUT"}, 405, 405, 405),
    ],
)
def test_each_refuses_what_is_wrong(change: dict[str, Any], mozilla: int, fcm: int, apple: int) -> None:
    for dialect, status in (("mozilla", mozilla), ("fcm", fcm), ("apple", apple)):
        answer = Service(dialect).post(**change)
        assert (dialect, int(answer.headers[0][1])) == (dialect, status)
        assert answer.accepted == (status == 201)


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "https://elsewhere.example"},
        {"exp": 1_800_000_000 - 1},
        {"exp": 1_800_000_000 + 86_401},
        {"exp": None},
        {"sub": "push@example.com"},
        {"sub": "mailto:a@localhost"},
        {"sub": None},
    ],
)
def test_a_token_that_is_not_in_order(service: Service, wrong: dict[str, Any]) -> None:
    answer = service.post(authorization=service.token(**wrong))
    assert answer.reason == "bad token"


def test_a_token_that_expires(service: Service) -> None:
    token = service.token()
    assert service.post(authorization=token).accepted
    service.world.clock.advance(3601)
    assert service.post(authorization=token).reason == "bad token"


def test_a_token_of_another_key(service: Service) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    status, word = said(service.post(authorization=service.token(other)))
    assert (status, word[:19]) in ((401, "109"), (403, "the VAPID credentia"), (400, "VapidPkHashMismatch"))


def test_the_newest_of_a_topic_is_kept(service: Service) -> None:
    first, second = service.post(topic="abcd"), service.post(topic="abcd")
    other = service.post(topic="efgh")
    assert [each.id for each in service.provider.deliver()] == [second.message_id, other.message_id]
    assert service.provider.store.replaced == 1
    assert first.dedup_id == "abcd"


def test_what_is_too_late_is_not_delivered(service: Service) -> None:
    service.post(ttl="0")
    service.post(ttl="60")
    service.world.clock.advance(61)
    assert service.provider.deliver() == []


def test_only_mozilla_deletes_and_only_what_waits() -> None:
    mozilla = Service("mozilla")
    answer = mozilla.post()
    path = f"/m/{answer.message_id}"
    assert int(mozilla.post(path=path, method="DELETE").headers[0][1]) == 204
    assert said(mozilla.post(path=path, method="DELETE")) == (404, "102")
    assert mozilla.world.tally.deleted == 1
    for dialect in ("fcm", "apple"):
        service = Service(dialect)
        path = f"/m/{service.post().message_id}"
        assert said(service.post(path=path, method="DELETE"))[0] == 405


@pytest.mark.parametrize(
    ("devices", "statuses"),
    [
        ({"unregistered": 1.0}, {404, 410}),
        ({"malformed": 1.0}, {404}),
        ({"throttled": 1.0}, {429}),
        ({"third_party_auth": 1.0}, {500}),
        ({"wrong_app": 1.0}, {400, 401, 403}),
    ],
)
def test_fates(devices: dict[str, float], statuses: set[int]) -> None:
    for dialect in ("mozilla", "fcm", "apple"):
        service = Service(dialect, parse_faults({"devices": devices}))
        answer = service.post()
        assert int(answer.headers[0][1]) in statuses
        assert service.post()[:3] == answer[:3], "the same whenever it is asked"


def test_times_of_trouble(service: Service) -> None:
    service.world.set_faults(parse_faults({"unavailable": {"for_s": 60.0, "retry_after": ["7"]}}))
    answer = service.post()
    assert (said(answer)[0], dict(answer.headers)[b"retry-after"]) == (503, b"7")
    service.world.set_faults(parse_faults({"storm": {"for_s": 60.0}}))
    assert said(service.post())[0] == 429
    service.provider.ails = Ailment(307, ((b"location", b"https://elsewhere.example"),))
    assert dict(service.post().headers)[b"location"] == b"https://elsewhere.example"


def test_a_store_forgets_the_oldest() -> None:
    service = Service("mozilla")
    service.post()
    (message,) = service.provider.store.messages.values()
    store = Store()
    for number in range(100_002):
        store.put(replace(message, id=str(number)))
    assert len(store.messages) == 100_000
    assert store.take("0") is None
    assert store.take("100001") is not None


@pytest.mark.parametrize("form", ["html502", "empty", "truncated", "unknown_reason", "missing_id"])
def test_answers_that_are_spoilt(service: Service, form: Any) -> None:
    spoilt = service.provider.malform(form, service.post())
    assert spoilt.accepted == (form == "missing_id")
    assert b"location" not in dict(spoilt.headers)
