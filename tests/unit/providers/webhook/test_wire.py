"""Webhooks on the wire: what is signed, what a body holds, which URLs are posted to, and what answers mean."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from stentor.errors import InvalidMessage
from stentor.model import Action, LocalizedText, Message, Priority, WebhookOptions
from stentor.outcome import Scope, Verdict
from stentor.planning.content import Content
from stentor.providers.contract import Answer, Taken
from stentor.providers.http_message import Response
from stentor.providers.lane import CampaignContent
from stentor.providers.payload import PayloadTooLarge
from stentor.providers.webhook import wire
from stentor.providers.webhook.reasons import TABLE

NOW = 1_800_000_000.7
SECRET = "whsec_" + b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + b64encode(bytes(range(24))).decode()
MESSAGE = Message(title="Sale", body="Ends „tonight“")


def campaign(action: Action = Action.SEND, **other: Any) -> CampaignContent:
    given = {"id": "c1", "content": Content(message=MESSAGE, action=action), "started_at": 0.0, "collapse_id": "k1"}
    return CampaignContent(**{**given, **other})


def made(message: Message = MESSAGE, **other: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(wire.body(wire.render(message, campaign(**other)), b"user-7", b"+49 30 1"))
    return found


def answer(status: int, body: bytes = b"", *, gateway: bool = True, **headers: str) -> Taken | Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return wire.decode(Response(status, named, body), NOW, gateway=gateway)


def refusal(status: int, body: bytes = b"", *, gateway: bool = True, **headers: str) -> Answer:
    found = answer(status, body, gateway=gateway, **headers)
    assert isinstance(found, Answer)
    return found


# -- secrets and signatures -------------------------------------------------------------------------------------------


def test_secrets_are_read_line_by_line() -> None:
    assert wire.parse_secrets(f"# for the gateway\n{SECRET}\n\n {OTHER} \n") == (bytes(range(32)), bytes(range(24)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no secret"),
        ("# nothing\n", "holds no secret"),
        ("hunter2secret", "doesn't begin with `whsec_`"),
        ("whsec_hunter2!secret", "isn't base64"),
        ("whsec_ÄÖÜ", "isn't base64"),
        ("whsec_" + b64encode(bytes(16)).decode(), "16 bytes; it must have between 24 and 64"),
        ("whsec_" + b64encode(bytes(65)).decode(), "65 bytes"),
    ],
)
def test_what_is_no_secret_is_said_without_it(content: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        wire.parse_secrets(content)
    assert "hunter2" not in str(error.value)


@given(st.text(max_size=50), st.text(max_size=50), st.integers(0, 2**33))
def test_signatures_are_those_of_the_reference_library(title: str, address: str, at: int) -> None:
    rendered = wire.render(Message(title=title), campaign())
    request = wire.request(wire.parse_secrets(SECRET), "https://x/", rendered, b"u", address.encode(), float(at))
    identity, timestamp = request.headers["webhook-id"], int(request.headers["webhook-timestamp"])
    assert timestamp == at
    mine = wire.sign(wire.parse_secrets(SECRET), identity, timestamp, request.body)
    assert request.headers["webhook-signature"] == mine
    assert mine == Webhook(SECRET).sign(identity, datetime.fromtimestamp(at, UTC), request.body.decode())


def test_all_secrets_sign_while_one_is_changed() -> None:
    rendered = wire.render(MESSAGE, campaign())
    request = wire.request(wire.parse_secrets(f"{SECRET}\n{OTHER}"), "https://x/", rendered, b"u", b"a", NOW)
    signatures = request.headers["webhook-signature"].split(" ")
    assert len(signatures) == 2
    alone = [
        wire.request(wire.parse_secrets(each), "https://x/", rendered, b"u", b"a", NOW) for each in (SECRET, OTHER)
    ]
    assert signatures == [each.headers["webhook-signature"] for each in alone]
    assert "whsec" not in repr(request)
    assert signatures[0] not in repr(request)


def test_an_id_is_the_same_at_each_try_and_differs_between_messages() -> None:
    def identity(recipient: bytes = b"u", **other: Any) -> str:
        return wire.message_id(wire.render(other.pop("message", MESSAGE), campaign(**other)), recipient)

    assert identity() == identity(message=Message(title="{{ other }}"))
    assert identity() == identity(id="c2"), "a retry is a campaign of its own, for the same push"
    others = [
        identity(b"v"),
        identity(collapse_id="k2"),
        identity(action=Action.EDIT),
        identity(action=Action.EDIT, id="c2"),
        identity(action=Action.UNDO),
    ]
    assert len({identity(), *others}) == 6
    assert all("." not in each and len(each) == 36 for each in others)


# -- bodies -----------------------------------------------------------------------------------------------------------


def test_a_plain_body() -> None:
    assert made() == {
        "type": "message",
        "timestamp": "1970-01-01T00:00:00Z",
        "data": {
            "recipient": "user-7",
            "address": "+49 30 1",
            "campaign": "c1",
            "collapse_key": "k1",
            "title": "Sale",
            "body": "Ends „tonight“",
        },
    }


def test_all_that_a_message_says_is_in_it() -> None:
    message = Message(
        title="T",
        subtitle="S",
        body_localized=LocalizedText(key="K", args=("a",)),
        image="https://example.com/i.png",
        sound="ding",
        badge=0,
        data={"order": "7"},
        collapse_key="orders",
        ttl=0,
        priority=Priority.HIGH,
        webhook=WebhookOptions(type="order.ready"),
    )
    found = made(message)
    assert found["type"] == "order.ready"
    assert found["data"] == {
        "recipient": "user-7",
        "address": "+49 30 1",
        "campaign": "c1",
        "collapse_key": "orders",
        "title": "T",
        "subtitle": "S",
        "body_localized": {"key": "K", "args": ["a"]},
        "image": "https://example.com/i.png",
        "sound": "ding",
        "badge": 0,
        "ttl": 0,
        "priority": "high",
        "data": {"order": "7"},
    }


def test_silent_edits_and_undoings_are_named() -> None:
    assert made(Message(silent=True, data={"a": "b"}))["data"]["silent"] is True
    assert made(action=Action.EDIT)["type"] == "message.edited"
    assert made(Message(silent=True), action=Action.UNDO)["type"] == "message.undone"


def test_a_payload_is_merged_over_the_rest() -> None:
    payload = {"version": 2, "timestamp": None, "data": {"title": None, "extra": {"a": [1]}, "body": "B"}}
    found = made(Message(title="T", webhook=WebhookOptions(payload=payload)))
    assert found == {
        "type": "message",
        "version": 2,
        "data": {
            "recipient": "user-7",
            "address": "+49 30 1",
            "campaign": "c1",
            "collapse_key": "k1",
            "extra": {"a": [1]},
            "body": "B",
        },
    }


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (Message(webhook=WebhookOptions(type="")), "webhook.type: must be words"),
        (Message(webhook=WebhookOptions(type="a b")), "webhook.type: must be words"),
        (Message(webhook=WebhookOptions(payload={"data": {"address": "x"}})), r"payload\.data\.address: is filled in"),
        (Message(webhook=WebhookOptions(payload={"data": {"recipient": 1}})), "leave it out"),
        (Message(webhook=WebhookOptions(payload={"data": []})), r"webhook\.payload\.data: must be an object"),
        (Message(webhook=WebhookOptions(payload={"type": 1})), r"webhook\.payload\.type: must be a text"),
        (Message(webhook=WebhookOptions(payload={"a": object()})), "is not JSON"),
        (Message(webhook=WebhookOptions(payload=[])), "must be an object"),  # type: ignore[arg-type]
        (Message(image="http://x"), "image: must be an https address"),
        (Message(silent=True, title="T"), "title: cannot be in a silent message"),
        (Message(ttl=1 << 60), "ttl"),
    ],
)
def test_what_is_wrong_with_a_message_is_said(message: Message, said: str) -> None:
    with pytest.raises(InvalidMessage, match=said):
        wire.render(message, campaign())


def test_a_body_that_is_too_large_names_its_largest_field() -> None:
    with pytest.raises(PayloadTooLarge, match=r"65,536 are allowed; its largest field is `data\.body`"):
        wire.render(Message(title="T", body="x" * 70_000), campaign())


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_whatever_recipients_and_addresses_hold_a_body_is_json(recipient: bytes, address: bytes) -> None:
    found = json.loads(wire.body(wire.render(MESSAGE, campaign()), recipient, address))
    assert found["data"]["recipient"] == recipient.decode(errors="replace")
    assert found["data"]["address"] == address.decode(errors="replace")


# -- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (b"https://hooks.example.com/a/b?c=d%20e&f=[1]", "hooks.example.com"),
        (b"https://Example.COM:8443/", "example.com"),
        (b"https://127.0.0.1/x", "127.0.0.1"),
        (b"https://[::1]:1/x", "::1"),
        (b"https://localhost", "localhost"),
        (b"http://example.com/", None),
        (b"HTTPS://example.com/", None),
        (b"https://user:pass@example.com/", None),
        (b"https://example.com/#part", None),
        (b"https://example.com:0/", None),
        (b"https://example.com:99999/", None),
        (b"https://example.com\\@evil.example/", None),
        (b"https://exa mple.com/", None),
        (b"https://example.com/\r\nx: y", None),
        (b"https://2130706433/", None),
        (b"https://0x7f.1/", None),
        (b"https://127.1/", None),
        (b"https://0177.0.0.1/", None),
        (b"https://999.1.1.1/", None),
        (b"https://[::g]/", None),
        (b"https://[::1/", None),
        (b"https://[::1]x/", None),
        (b"https://1.2.3.4.", None),
        (b"https://%31%32%37.0.0.1/", None),
        ("https://exämple.com/".encode(), None),
        (b"https:///path", None),
        (b"https://" + b"a" * 3000, None),
        (b"+49 30 1", None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_which_addresses_are_urls_of_their_own(address: bytes, host: str | None) -> None:
    assert wire.host_of(address) == host


@given(st.binary(max_size=60))
def test_no_address_breaks_it(tail: bytes) -> None:
    wire.host_of(b"https://" + tail)


# -- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_yes_whatever_the_body_is(status: int) -> None:
    for body in (b"", b"<html>hello</html>", b"ok", b"[]", b'{"id": null}', b'{"id": "\\n"}', b'{"id": true}'):
        assert answer(status, body) == Taken(at=NOW, id="")


@pytest.mark.parametrize(("given", "kept"), [('"m7"', "m7"), ("7", "7"), ('"' + "x" * 201 + '"', "")])
def test_the_id_that_an_answer_gives_is_kept(given: str, kept: str) -> None:
    assert answer(200, f'{{"id": {given}}}'.encode()) == Taken(at=NOW, id=kept)


@pytest.mark.parametrize(
    ("status", "ours", "theirs", "reason"),
    [
        (301, Verdict.STOP, Verdict.REJECT, "Redirected"),
        (308, Verdict.STOP, Verdict.REJECT, "Redirected"),
        (400, Verdict.FIX, Verdict.REJECT, "BadRequest"),
        (401, Verdict.STOP, Verdict.REJECT, "Unauthorized"),
        (403, Verdict.STOP, Verdict.REJECT, "Forbidden"),
        (404, Verdict.STOP, Verdict.REJECT, "NotFound"),
        (410, Verdict.DROP, Verdict.DROP, "Gone"),
        (418, Verdict.FIX, Verdict.REJECT, "BadRequest"),
        (422, Verdict.FIX, Verdict.REJECT, "UnprocessableContent"),
        (429, Verdict.RETRY, Verdict.RETRY, "TooManyRequests"),
        (503, Verdict.RETRY, Verdict.RETRY, "ServiceUnavailable"),
        (599, Verdict.RETRY, Verdict.RETRY, "Status599"),
        (199, Verdict.RETRY, Verdict.RETRY, "Status199"),
    ],
)
def test_what_a_status_asks_for(status: int, ours: Verdict, theirs: Verdict, reason: str) -> None:
    gateway, own = refusal(status), refusal(status, gateway=False)
    assert (gateway.verdict, gateway.reason, gateway.status) == (ours, reason, status)
    assert (own.verdict, own.reason, own.status) == (theirs, reason, status)
    assert own.scope is Scope.ADDRESS, "one receiver says nothing about another"
    assert not own.stop_if_all
    assert gateway.known == own.known == (reason[:6] != "Status")


def test_a_wait_that_is_asked_for_is_kept() -> None:
    assert (refusal(429, retry_after="7").retry_after, refusal(429, retry_after="7").asked) == (7.0, True)
    assert (refusal(503).retry_after, refusal(503).asked) == (5.0, False)
    assert refusal(503, retry_after="999999").retry_after == 3600.0
    assert refusal(503, retry_after="soon").retry_after == 5.0
    assert refusal(503, retry_after="söön").retry_after == 5.0


def test_an_explanation_is_kept_without_what_looks_like_a_secret() -> None:
    assert refusal(422, b'{"message": "no such number"}').detail == "no such number"
    assert refusal(422, b'{"error": {"a": 1}, "title": "Bad"}').detail == "Bad"
    assert "abc123" not in refusal(401, b'{"error": "token abc123abc123abc123abc123 is wrong"}').detail


@given(st.integers(100, 599), st.binary(max_size=100), st.text(max_size=20), st.booleans())
def test_no_answer_breaks_it(status: int, body: bytes, wait: str, gateway: bool) -> None:
    found = wire.decode(Response(status, {"retry-after": wait}, body), NOW, gateway=gateway)
    assert isinstance(found, Taken) is (200 <= status < 300)
    if not gateway and isinstance(found, Answer):
        assert found.verdict in (Verdict.REJECT, Verdict.RETRY, Verdict.DROP)
        assert (found.verdict is Verdict.DROP) is (status == 410)


def test_the_table_is_consistent() -> None:
    keys = [rule.status for rule in TABLE]
    assert keys == sorted(set(keys))
    assert len({rule.reason for rule in TABLE}) == len(TABLE)
    for rule in TABLE:
        assert (rule.verdict is Verdict.DROP) is rule.stop_if_all is (rule.status == 410)
        assert (rule.verdict is Verdict.FIX) is (rule.scope is Scope.MESSAGE)
        assert (rule.verdict is Verdict.RETRY) is (rule.wait is not None)
        assert rule.verdict is not Verdict.STOP or rule.scope is Scope.LANE
