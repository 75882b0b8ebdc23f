"""What the simulated gateway takes and refuses, judged with requests of the reference library's making."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from stentor.simulators.clock import MovableClock
from stentor.simulators.faults import Credential, Devices, Faults, Storm, Unavailable
from stentor.simulators.request_headers import Header
from stentor.simulators.webhook.provider import TOLERANCE, WebhookProvider, WebhookSetup
from stentor.simulators.world import Judgement, World

SECRET = "whsec_" + b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + b64encode(bytes(range(24))).decode()


def gateway(faults: Faults | None = None, **options: Any) -> WebhookProvider:
    world = World(seed=1, faults=faults or Faults(), clock=MovableClock())
    return WebhookProvider(world, WebhookSetup(**options), [SECRET])


def event(address: str = "a1", **other: Any) -> dict[str, Any]:
    data = {"recipient": "u1", "address": address}
    return {"type": "message", "timestamp": "2030-01-01T00:00:00Z", "data": data, **other}


def ask(
    provider: WebhookProvider,
    body: Any = None,
    *,
    identity: str = "msg_1",
    secret: str = SECRET,
    late: float = 0.0,
    path: str = "/messages",
    method: str = "POST",
    **headers: str | None,
) -> Judgement:
    """Signed by the reference library; `headers` replace its own, None leaves one out."""
    content = body if isinstance(body, bytes) else json.dumps(body or event()).encode()
    at = int(provider._world.clock() - late)
    signature = Webhook(secret).sign(identity, datetime.fromtimestamp(at, UTC), content.decode(errors="replace"))
    given: dict[str, str | None] = {
        "content_type": "application/json",
        "webhook_id": identity,
        "webhook_timestamp": str(at),
        "webhook_signature": signature,
        **headers,
    }
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items() if value is not None]
    request: list[Header] = [(b":method", method.encode()), (b":path", path.encode()), *named]
    return provider.judge(provider.open_session(None), request, content)


def status(answer: Judgement) -> int:
    return int(dict(answer.headers)[b":status"])


def test_what_is_signed_rightly_is_taken() -> None:
    provider = gateway()
    answer = ask(provider)
    assert (status(answer), json.loads(answer.body)) == (200, {"id": "m1"})
    assert (answer.accepted, answer.address, answer.dedup_id, answer.message_id) == (True, "a1", "msg_1", "m1")
    assert list(provider.bodies) == [event()]


def test_what_comes_again_is_shown_once() -> None:
    provider = gateway()
    first, again, other = ask(provider), ask(provider, late=-5), ask(provider, event("a2"), identity="msg_2")
    assert (first.message_id, again.message_id, other.message_id) == ("m1", "m1", "m2")
    assert provider.shown == len(provider.bodies) == 2
    for answer in (first, again, other):
        provider._world.record(answer)
    assert (len(provider._world.ledger), provider._world.ledger.duplicates) == (3, 1)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"path": "/other"}, "NotFound"),
        ({"method": "GET"}, "MethodNotAllowed"),
        ({"content_type": "text/plain"}, "UnsupportedMediaType"),
        ({"webhook_id": None}, "MissingHeader"),
        ({"webhook_id": "a.b"}, "MissingHeader"),
        ({"webhook_timestamp": None}, "MissingHeader"),
        ({"webhook_timestamp": "soon"}, "BadTimestamp"),
        ({"webhook_signature": None}, "MissingHeader"),
        ({"webhook_signature": "v1,AAAA"}, "InvalidSignature"),
        ({"webhook_signature": "v2,AAAA"}, "InvalidSignature"),
        ({"secret": OTHER}, "InvalidSignature"),
        ({"webhook_id": "msg_other"}, "InvalidSignature"),
        ({"late": TOLERANCE + 5}, "BadTimestamp"),
        ({"late": -TOLERANCE - 5}, "BadTimestamp"),
        ({"body": b"{}"}, "BadBody"),
        ({"body": b"<html>"}, "BadBody"),
        ({"body": {"type": "message", "timestamp": "x", "data": []}}, "BadBody"),
        ({"body": {"type": "message", "timestamp": "x", "data": {"recipient": "u", "address": 1}}}, "BadBody"),
        ({"body": {"type": "x", "data": {}, "filler": "x" * 2_000_000}}, "ContentTooLarge"),
    ],
)
def test_what_is_wrong_is_refused(given: dict[str, Any], reason: str) -> None:
    answer = ask(gateway(), given.pop("body", None), **given)
    assert (answer.reason, answer.accepted) == (reason, False)
    assert 400 <= status(answer) < 500


def test_one_good_signature_of_several_is_enough() -> None:
    provider = gateway()
    good = ask(provider)
    assert good.accepted
    at = datetime.fromtimestamp(int(provider._world.clock()), UTC)
    body = json.dumps(event()).encode()
    mixed = (
        f"v1,AAAA {Webhook(OTHER).sign('msg_1', at, body.decode())} {Webhook(SECRET).sign('msg_1', at, body.decode())}"
    )
    assert ask(provider, body, webhook_signature=mixed).accepted


def test_every_path_where_that_is_wished() -> None:
    assert ask(gateway(any_path=True), path="/of/somebody?x=1").accepted


def test_each_recipient_has_one_fate() -> None:
    provider = gateway(Faults(devices=Devices(unregistered=0.2, malformed=0.1, throttled=0.1)))
    reasons = [ask(provider, event(f"a{number}"), identity=f"msg_{number}").reason for number in range(300)]
    assert set(reasons) == {"", "Gone", "UnknownRecipient", "TooManyRequests"}
    assert 30 < reasons.count("Gone") < 90
    again = [ask(provider, event(f"a{number}"), identity=f"msg_{number}").reason for number in range(300)]
    assert again == reasons


def test_times_of_trouble() -> None:
    assert status(ask(gateway(Faults(storm=Storm(for_s=60, retry_after=("7",)))))) == 429
    storm = ask(gateway(Faults(storm=Storm(for_s=60, retry_after=("7",)))))
    assert dict(storm.headers)[b"retry-after"] == b"7"
    assert status(ask(gateway(Faults(unavailable=Unavailable(for_s=60))))) == 503
    assert status(ask(gateway(Faults(unavailable=Unavailable(for_s=60, status=500))))) == 500
    assert ask(gateway(Faults(credential=Credential(clock_skew_s=1000)))).reason == "BadTimestamp"
    revoked = gateway(Faults(credential=Credential(revoke_at_s=5)))
    assert ask(revoked).accepted
    revoked._world.clock.advance(6)
    assert ask(revoked).reason == "InvalidSignature"


def test_spoilt_answers() -> None:
    provider = gateway()
    good = ask(provider)
    assert provider.malform("html502", good).headers[0] == (b":status", b"502")
    assert not provider.malform("empty", good).accepted
    assert provider.malform("missing_id", good).accepted
    assert provider.malform("truncated", good).accepted
    assert status(provider.malform("unknown_reason", good)) == 599
